/**
 * `AbortSignal` in the types of the library. They ask for neither the types of Node nor those of a browser: whichever
 * a program has, its own signal is meant; where it has neither, what is used of one.
 */

/** What Sealift uses of an `AbortSignal`. */
interface BareSignal {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** The `AbortSignal` of the program that uses the library. */
export type StopSignal = typeof globalThis extends { AbortSignal: { prototype: infer Signal } } ? Signal : BareSignal
