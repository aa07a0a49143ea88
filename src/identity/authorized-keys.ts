/**
 * Who may send to a server: a file with one line a key (docs/identities.md).
 *
 *     sealift-x25519 BASE64 [name] [name=…] [max-bytes=…] [quota=…] [rate=…] [folder=…]
 *
 * Owns what a line may say. What a limit does is the server's business.
 */

import { SealiftError } from '../protocol/errors.ts'
import { encodeUtf8 } from '../protocol/bytes.ts'
import { escapeForDisplay, nameFault } from '../protocol/names.ts'
import { checkName, fingerprintOf, splitKeyLine } from './public-key.ts'
import { readTrustedFile, refusal } from './trusted-file.ts'

const RULES = { what: 'the list of authorised keys', isSecret: false, maxBytes: 4 << 20 } as const
/** Faults that are told of one file. */
const MAX_FAULTS_SHOWN = 20

/** One line of the file; `null` where it does not say. */
export interface AuthorizedKey {
  /** 32 bytes. */
  readonly key: Uint8Array
  readonly fingerprint: string
  readonly name: string | null
  /** Of one transfer. */
  readonly maxBytes: number | null
  /** Of all that this key has sent. */
  readonly quotaBytes: number | null
  /** 0: no limit. */
  readonly bytesPerSecond: number | null
  /** Relative path below the output folder, its components checked. */
  readonly folder: string | null
}

/** Reads a size as people write it. @throws SealiftError `settings_invalid` */
export type ParseSize = (text: string, setting: string) => number

export class AuthorizedKeys {
  readonly #byFingerprint: ReadonlyMap<string, AuthorizedKey>

  constructor(keys: readonly AuthorizedKey[]) {
    this.#byFingerprint = new Map(keys.map((entry) => [entry.fingerprint, entry]))
  }

  get size(): number {
    return this.#byFingerprint.size
  }

  /** @param publicKey what the handshake proved that the peer has; `null` finds nobody */
  find(publicKey: Uint8Array | null): AuthorizedKey | null {
    return publicKey === null ? null : this.findByFingerprint(fingerprintOf(publicKey))
  }

  findByFingerprint(fingerprint: string): AuthorizedKey | null {
    return this.#byFingerprint.get(fingerprint) ?? null
  }
}

/**
 * @param parseSize of `config/sizes.ts`
 * @throws SealiftError `settings_invalid` where the file is not there or cannot be believed, or lines of it are wrong: all
 *   of them in the hint
 */
export function readAuthorizedKeys(path: string, parseSize: ParseSize): AuthorizedKeys {
  const text = readTrustedFile(path, RULES)
  if (text === null)
    throw refusal('there is no list of authorised keys', path, 'it has the line of sealift.pub of each who may send')
  return parseAuthorizedKeys(text, path, parseSize)
}

/** @throws SealiftError as {@link readAuthorizedKeys} */
export function parseAuthorizedKeys(text: string, path: string, parseSize: ParseSize): AuthorizedKeys {
  const keys: AuthorizedKey[] = []
  const lineOf = new Map<string, number>()
  const faults: string[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue
    try {
      const entry = parseLine(line, parseSize)
      const before = lineOf.get(entry.fingerprint)
      if (before !== undefined) throw new SealiftError('settings_invalid', `the same key as in line ${before}`)
      lineOf.set(entry.fingerprint, index + 1)
      keys.push(entry)
    } catch (error) {
      if (!(error instanceof SealiftError)) throw error
      faults.push(`line ${index + 1}: ${error.message}`)
    }
  }
  if (faults.length === 0) return new AuthorizedKeys(keys)
  const more = faults.length > MAX_FAULTS_SHOWN ? [`and ${faults.length - MAX_FAULTS_SHOWN} more`] : []
  throw refusal(
    `${faults.length === 1 ? 'a line' : `${faults.length} lines`} of ${RULES.what} ${faults.length === 1 ? 'is' : 'are'} wrong`,
    path,
    [...faults.slice(0, MAX_FAULTS_SHOWN), ...more].join('\n'),
  )
}

const SETTINGS = ['name', 'max-bytes', 'quota', 'rate', 'folder'] as const
type Setting = (typeof SETTINGS)[number]

function parseLine(line: string, parseSize: ParseSize): AuthorizedKey {
  const { key, rest } = splitKeyLine(line)
  const said = new Map<Setting, string>()
  for (const word of rest) {
    const [setting, value] = splitWord(word, said)
    if (said.has(setting)) throw new SealiftError('settings_invalid', `${setting} is said twice`)
    said.set(setting, value)
  }
  const size = (setting: Setting, least: number): number | null => {
    const value = said.get(setting)
    if (value === undefined) return null
    const bytes = parseSize(value, setting)
    if (bytes < least) throw new SealiftError('settings_invalid', `${setting} is too small`)
    return bytes
  }
  const name = said.get('name')
  const folder = said.get('folder')
  return {
    key,
    fingerprint: fingerprintOf(key),
    name: name === undefined ? null : checkName(name),
    maxBytes: size('max-bytes', 1),
    quotaBytes: size('quota', 1),
    bytesPerSecond: size('rate', 0),
    folder: folder === undefined ? null : checkFolder(folder),
  }
}

/** A word without `=` is the name that stands behind a public key, and can only stand there. */
function splitWord(word: string, said: ReadonlyMap<Setting, string>): [Setting, string] {
  const at = word.indexOf('=')
  if (at < 0) {
    if (said.size === 0) return ['name', word]
    throw new SealiftError('settings_invalid', `${escapeForDisplay(word)} says nothing; it needs a = in it`)
  }
  const setting = SETTINGS.find((known) => known === word.slice(0, at))
  if (setting === undefined)
    throw new SealiftError(
      'settings_invalid',
      `${escapeForDisplay(word.slice(0, at))} is none of ${SETTINGS.join(', ')}`,
    )
  return [setting, word.slice(at + 1)]
}

/** @throws SealiftError where it would lead out of the output folder */
function checkFolder(folder: string): string {
  for (const part of folder.split('/')) {
    const fault = nameFault(encodeUtf8(part))
    if (fault !== null) throw new SealiftError('settings_invalid', `folder has ${fault}`)
  }
  return folder
}
