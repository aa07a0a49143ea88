/** Makes a long-term key pair: what a client is authorised by, and a server known by. */

import { hostname, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { configFolder } from '../identity/config-folder.ts'
import { createKeyFile, generateKeyPair } from '../identity/key-file.ts'
import { normalizePassword } from '../identity/password.ts'
import { fingerprintOf, formatPublicKey } from '../identity/public-key.ts'
import { createTrustedFile } from '../identity/trusted-file.ts'
import { completePair, type PairWords, refuseOccupied } from './file-pair.ts'

const PRIVATE_KEY_FILE = 'sealift.key'
const PUBLIC_KEY_FILE = 'sealift.pub'

/** What `createIdentity` may be told. */
export interface IdentityOptions {
  /** Folder of both files; made where it is missing. Default: the user's own, `~/.config/sealift` on Linux. */
  readonly outputDir?: string | undefined
  /** Seals the private key; without one it is open to whoever reads its file. A function is asked once the place is free. */
  readonly password?: string | (() => Promise<string | undefined>) | undefined
  /** What stands behind the public key; default `USER@MACHINE`. */
  readonly name?: string | undefined
}

/** A key pair that was made. */
export interface Identity {
  /** Absolute path of the private key: `sealift.key`, readable by its owner alone. */
  readonly privateKey: string
  /** Absolute path of the public key: `sealift.pub`, one line. */
  readonly publicKey: string
  /** That line, without its line break. */
  readonly line: string
  /** `SHA256:` and 43 characters. */
  readonly fingerprint: string
}

const WORDS: PairWords = {
  noFolderHint: 'name a folder for the keys with --output',
  occupied: 'there is a key already',
  occupiedHint: 'name another folder with --output, or move the old key aside: whoever knows it knows you by it',
}

/**
 * Makes an X25519 key pair and its two files. Never replaces anything.
 *
 * @throws SealiftError `conflict` where one of the files is there, `target_not_folder`, `usage` for a password that cannot be
 *   one, and those of a disk
 * @example
 * ```ts
 * import { createIdentity } from 'sealift'
 *
 * const { publicKey, fingerprint } = await createIdentity({ outputDir: 'keys', password: 'correct horse battery' })
 * ```
 */
export async function createIdentity(options: IdentityOptions = {}): Promise<Identity> {
  const folder = resolve(options.outputDir ?? configFolder(process.env))
  const files = { privateKey: join(folder, PRIVATE_KEY_FILE), publicKey: join(folder, PUBLIC_KEY_FILE) }
  refuseOccupied(folder, Object.values(files), WORDS)
  const given = typeof options.password === 'function' ? await options.password() : options.password
  const password = given === undefined ? null : normalizePassword(given)
  const pair = generateKeyPair()
  try {
    await createKeyFile(files.privateKey, pair, password)
    const line = formatPublicKey(pair.publicKey, options.name ?? ownName())
    completePair(files.privateKey, () => createTrustedFile(files.publicKey, `${line}\n`, 0o644, 'the public key'))
    return { ...files, line, fingerprint: fingerprintOf(pair.publicKey) }
  } finally {
    pair.privateKey.fill(0)
    password?.fill(0)
  }
}

function ownName(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // An account without a name.
    return hostname()
  }
}
