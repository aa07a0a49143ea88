/** A transfer of a stream or a text within this process: {@link TransferRun} with another source, and what came of it. */

import fs from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { sendStream, sendText } from '../../src/index.ts'
import { makePlace, type Place } from './place.ts'
import { type RunOptions, type TransferRun, withRun } from './transfer-run.ts'

/** Bytes in pieces, with a turn of the event loop between them, as from a pipe. */
export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await new Promise((resolve) => setImmediate(resolve))
    yield bytes.subarray(at, at + pieceBytes)
  }
}

/** Bytes that are nowhere like themselves elsewhere, made fast. */
export function noise(bytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + 1, 0x9e37_79b1) ^ (at >>> 7)
  return new Uint8Array(words.buffer, 0, bytes)
}

/** Runs a sender of these pieces behind a proxy. */
export function withStream(
  source: () => AsyncIterable<Uint8Array>,
  options: RunOptions,
  body: (run: TransferRun) => Promise<void>,
): Promise<void> {
  return withOwnPlace({ ...options, sends: (_place, given) => sendStream(source(), given) }, body)
}

/** In a place of its own, which is gone afterwards. */
export async function withOwnPlace(options: RunOptions, body: (run: TransferRun) => Promise<void>): Promise<void> {
  const place = makePlace(1)
  await withRun(place, options, body)
  place.remove()
}

export function withText(text: string, options: RunOptions, body: (run: TransferRun) => Promise<void>): Promise<void> {
  return withOwnPlace({ ...options, sends: (_place, given) => sendText(text, given) }, body)
}

/** Takes what is received, in order. */
export class Output {
  #pieces: Uint8Array[] = []

  readonly write = (bytes: Uint8Array): void => {
    this.#pieces.push(Uint8Array.from(bytes))
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#pieces)
  }
}

/** The only thing in the output folder is this file, with these bytes. */
export function expectSaved(place: Place, name: string, bytes: Uint8Array): void {
  expect(fs.readdirSync(place.out)).toEqual([name])
  expect(Buffer.compare(fs.readFileSync(join(place.out, name)), bytes), 'what was saved').toBe(0)
}
