/**
 * What a sender has in hand when it goes to a server: the address, its own key, what it knows of the server's, and the
 * secrets that it may be asked for.
 */

import { join } from 'node:path'
import { parseServerAddress } from '../config/address.ts'
import { configFolder } from '../identity/config-folder.ts'
import { readKeyFile } from '../identity/key-file.ts'
import { KnownHosts } from '../identity/known-hosts.ts'
import { normalizePassword } from '../identity/password.ts'
import { parseFingerprint } from '../identity/public-key.ts'
import { ServerTrust } from '../identity/server-trust.ts'
import { normalizeToken } from '../identity/token.ts'
import type { KeyPair } from '../protocol/crypto-port.ts'
import { DEFAULT_SERVER_PORT } from '../protocol/limits.ts'
import type { ServerOptions } from './options.ts'

/** In the folder of the user's own keys. */
const KNOWN_HOSTS_FILE = 'known_hosts'

export interface ServerEntrance {
  readonly host: string
  readonly port: number
  /** This side's key pair; `null`: another one for each connection. Zeroed by {@link ServerEntrance.close}. */
  readonly staticKey: KeyPair | null
  readonly trust: ServerTrust
  /** Normalised; `null` where it was not given. */
  readonly token: Uint8Array | null
  readonly password: Uint8Array | null
  close(): void
}

/**
 * @param to `HOST[:PORT]`
 * @throws SealiftError `usage`, `settings_invalid`, `auth_failed` where the key file does not open
 */
export async function openEntrance(to: string, options: ServerOptions): Promise<ServerEntrance> {
  const { host, port } = parseServerAddress(to, DEFAULT_SERVER_PORT)
  const { token, password, identity, identityPassword, serverKey, knownHosts } = options
  const trust = new ServerTrust({
    host,
    port,
    pin: serverKey === undefined ? null : parseFingerprint(serverKey, '--server-key'),
    knownHosts: new KnownHosts(knownHosts ?? join(configFolder(process.env), KNOWN_HOSTS_FILE)),
  })
  const secrets = {
    token: token === undefined ? null : normalizeToken(token),
    password: password === undefined ? null : normalizePassword(password),
  }
  const staticKey =
    identity === undefined
      ? null
      : await readKeyFile(identity, async () => {
          const text = await identityPassword?.()
          return text === undefined ? null : normalizePassword(text)
        })
  return {
    host,
    port,
    staticKey,
    trust,
    ...secrets,
    close: () => {
      staticKey?.privateKey.fill(0)
      secrets.token?.fill(0)
      secrets.password?.fill(0)
    },
  }
}
