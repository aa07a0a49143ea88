/**
 * What a sender has in hand when it goes to a server: the address, its own key, what it knows of the server's, and the
 * secrets that it may be asked for.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TlsTrust } from '../carriers/tls.ts'
import { parseServerAddress } from '../config/address.ts'
import { configFolder } from '../identity/config-folder.ts'
import { readKeyFile, readOrCreateKeyFile } from '../identity/key-file.ts'
import { KnownHosts } from '../identity/known-hosts.ts'
import { normalizePassword } from '../identity/password.ts'
import { parseFingerprint } from '../identity/public-key.ts'
import { ServerTrust } from '../identity/server-trust.ts'
import { normalizeToken } from '../identity/token.ts'
import type { KeyPair } from '../protocol/crypto-port.ts'
import { DEFAULT_SERVER_PORT } from '../protocol/limits.ts'
import type { ServerOptions } from './options.ts'
import { openTls } from './tls-entrance.ts'

/** In the folder of the user's own keys. */
const KNOWN_HOSTS_FILE = 'known_hosts'
const USER_KEY_FILE = 'sealift.key'
/** What tells this machine's user from others where there is no key of a keygen: open, as nobody authorised it. */
const DEVICE_KEY_FILE = 'device.key'

export interface ServerEntrance {
  readonly host: string
  readonly port: number
  /** This side's key pair: whose its transfers are. Zeroed by {@link ServerEntrance.close}. */
  readonly staticKey: KeyPair
  readonly trust: ServerTrust
  /** How it is met by TLS; `null`: without. */
  readonly tls: TlsTrust | null
  /** Normalised; `null` where it was not given. */
  readonly token: Uint8Array | null
  readonly password: Uint8Array | null
  close(): void
}

/**
 * @param to `HOST[:PORT]`
 * @throws SealiftError `usage`, `settings_invalid`, `auth_failed` where the key file does not open, and those of a disk
 */
export async function openEntrance(to: string, options: ServerOptions): Promise<ServerEntrance> {
  const { host, port } = parseServerAddress(to, DEFAULT_SERVER_PORT)
  const { token, password, serverKey } = options
  const tls = openTls(options)
  const folder = options.configFolder ?? configFolder(process.env)
  const trust = new ServerTrust({
    host,
    port,
    pin: serverKey === undefined ? null : parseFingerprint(serverKey, '--server-key'),
    // A CA vouches for the server then, and its certificate for the name.
    knownHosts: tls === null ? new KnownHosts(join(folder, KNOWN_HOSTS_FILE)) : null,
  })
  const secrets = {
    token: token === undefined ? null : normalizeToken(token),
    password: password === undefined ? null : normalizePassword(password),
  }
  const staticKey = await findKey(folder, options)
  return {
    host,
    port,
    staticKey,
    trust,
    tls,
    ...secrets,
    close: () => {
      staticKey.privateKey.fill(0)
      secrets.token?.fill(0)
      secrets.password?.fill(0)
    },
  }
}

async function findKey(folder: string, { identity, identityPassword }: ServerOptions): Promise<KeyPair> {
  const asked = { inVain: false }
  const password = async (): Promise<Uint8Array | null> => {
    const text = await identityPassword?.()
    asked.inVain = text === undefined
    return text === undefined ? null : normalizePassword(text)
  }
  if (identity !== undefined) return readKeyFile(identity, password)
  const userKey = join(folder, USER_KEY_FILE)
  if (existsSync(userKey)) {
    try {
      return await readKeyFile(userKey, password)
    } catch (error) {
      // Who named no key may not need it: the server says whether it does.
      if (!asked.inVain) throw error
    }
  }
  return (await readOrCreateKeyFile(join(folder, DEVICE_KEY_FILE), password)).pair
}
