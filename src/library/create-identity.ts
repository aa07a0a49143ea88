/** Makes a long-term key pair: what a client is authorised by, and a server known by. */

import { lstatSync, statSync, unlinkSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { configFolder } from '../identity/config-folder.ts'
import { createKeyFile, generateKeyPair } from '../identity/key-file.ts'
import { normalizePassword } from '../identity/password.ts'
import { fingerprintOf, formatPublicKey } from '../identity/public-key.ts'
import { createTrustedFile } from '../identity/trusted-file.ts'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

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
  refuseOccupied(folder, Object.values(files))
  const given = typeof options.password === 'function' ? await options.password() : options.password
  const password = given === undefined ? null : normalizePassword(given)
  const pair = generateKeyPair()
  try {
    await createKeyFile(files.privateKey, pair, password)
    const line = formatPublicKey(pair.publicKey, options.name ?? ownName())
    try {
      createTrustedFile(files.publicKey, `${line}\n`, 0o644, 'the public key')
    } catch (error) {
      // Half a pair is of no use, and would be in the way the next time.
      unlinkSync(files.privateKey)
      throw error
    }
    return { ...files, line, fingerprint: fingerprintOf(pair.publicKey) }
  } finally {
    pair.privateKey.fill(0)
    password?.fill(0)
  }
}

/** @throws SealiftError `conflict`, `target_not_folder` */
function refuseOccupied(folder: string, paths: readonly string[]): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new SealiftError('target_not_folder', `this is no folder: ${escapeForDisplay(folder)}`, {
      hint: 'name a folder for the keys with --output',
    })
  for (const path of paths) {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue
    throw new SealiftError('conflict', `there is a key already, and it is not replaced: ${escapeForDisplay(path)}`, {
      hint: 'name another folder with --output, or move the old key aside: whoever knows it knows you by it',
    })
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
