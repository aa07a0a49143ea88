/**
 * Whether options are what their types say, asked before anything else happens: a program without types, or with a
 * setting that was read from somewhere, is told its mistake by name. Knows the kinds of values, not what is done by them.
 */

import { COMPRESS_SETTINGS, CONFLICT_POLICIES, type ConflictPolicy } from '../protocol/choices.ts'
import { SealiftError } from '../protocol/errors.ts'
import { MAX_PRIORITY, MAX_STREAMS } from '../protocol/limits.ts'
import type { OfferAnswer, ReceiveOptions, SendOptions, StreamSendOptions } from './options.ts'

type Options = Omit<SendOptions & StreamSendOptions & ReceiveOptions, 'signal' | 'probe'>

/** What a value must be, as a question and as the end of a sentence. */
export interface Kind {
  readonly is: (value: unknown) => boolean
  readonly inWords: string
}

/** A timer of Node that is to wait longer fires at once. */
const LONGEST_WAIT_MS = 2 ** 31 - 1

export const FLAG: Kind = { is: (value) => typeof value === 'boolean', inWords: 'true or false' }
export const TEXT: Kind = { is: (value) => typeof value === 'string', inWords: 'a text' }
export const TEXTS: Kind = { is: (value) => Array.isArray(value) && value.every(TEXT.is), inWords: 'an array of texts' }
export const CALL: Kind = { is: (value) => typeof value === 'function', inWords: 'a function' }

export function whole(low: number, high: number): Kind {
  const is = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high
  return { is, inWords: `a whole number from ${String(low)} to ${String(high)}` }
}

function oneOf(values: readonly string[]): Kind {
  return { is: (value) => TEXT.is(value) && values.includes(value as string), inWords: `one of ${values.join(', ')}` }
}

const KINDS: Readonly<Record<keyof Options, Kind>> = {
  ledgerPath: TEXT,
  bytesPerSecond: {
    is: (value) => Number.isFinite(value) && (value as number) >= 0,
    inWords: 'a number of bytes, 0 for no limit',
  },
  streams: whole(1, MAX_STREAMS),
  name: TEXT,
  fileEvents: FLAG,
  pod: FLAG,
  lan: FLAG,
  listen: TEXT,
  allowUsers: TEXTS,
  allowTags: TEXTS,
  listenOnLan: CALL,
  to: TEXT,
  password: TEXT,
  askSecret: CALL,
  identity: TEXT,
  identityPassword: CALL,
  serverKey: TEXT,
  configFolder: TEXT,
  tls: FLAG,
  ca: TEXT,
  cert: TEXT,
  key: TEXT,
  serverName: TEXT,
  resumes: TEXT,
  onFailed: CALL,
  port: whole(0, 65_535),
  waitMs: {
    is: (value) => typeof value === 'number' && value >= 0 && value <= LONGEST_WAIT_MS,
    inWords: `from 0 to ${String(LONGEST_WAIT_MS)}`,
  },
  exclude: TEXTS,
  excludeFrom: TEXTS,
  all: FLAG,
  links: FLAG,
  conflict: oneOf(CONFLICT_POLICIES),
  compress: oneOf(COMPRESS_SETTINGS),
  // Which of them a codec has is for the codec to say.
  compressionLevel: { is: Number.isInteger, inWords: 'a whole number' },
  priority: whole(0, MAX_PRIORITY),
  first: TEXTS,
  leaveOut: CALL,
  chooseCompression: CALL,
  fileName: TEXT,
  outputDir: TEXT,
  output: CALL,
  outputBorrows: FLAG,
  token: TEXT,
  accept: CALL,
  portableNames: FLAG,
}

/** @throws SealiftError `settings_invalid`, which names the option and what it must be; its value may be secret */
export function checkOptions(options: Partial<Options>): void {
  checkKinds(KINDS, options)
}

/**
 * The same for options of another kind.
 * @param needed what has no default
 * @throws SealiftError `settings_invalid`
 */
export function checkKinds<Name extends string>(
  kinds: Readonly<Record<Name, Kind>>,
  options: Readonly<Partial<Record<Name, unknown>>>,
  needed: readonly Name[] = [],
): void {
  for (const name of needed)
    if (options[name] === undefined) throw new SealiftError('settings_invalid', `${name} must be given`)
  for (const [name, { is, inWords }] of Object.entries<Kind>(kinds)) {
    const value = options[name as Name]
    if (value === undefined || is(value)) continue
    throw new SealiftError('settings_invalid', `${name} must be ${inWords}`)
  }
}

/**
 * @param policy that of the offer, which a yes goes by
 * @throws SealiftError `declined`; `settings_invalid` for what is no answer, since silence is no yes
 */
export function readAnswer(answer: OfferAnswer, policy: ConflictPolicy): ConflictPolicy {
  if (answer === true) return policy
  if (answer === false) throw new SealiftError('declined', 'declined; nothing was received')
  if (CONFLICT_POLICIES.includes(answer)) return answer
  throw new SealiftError('settings_invalid', 'accept must answer true, false or a policy for what is in the way')
}
