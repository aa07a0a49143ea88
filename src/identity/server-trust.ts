/**
 * Whether the key that a server shows is the right one: the one named by `--server-key`, else the one that was remembered
 * at the first meeting (S-10). Over TLS a CA has vouched for it already, and only a key that was named is looked at. One of these lives as long as one server is dialled.
 */

import { compareBytes } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { type KnownHost, type KnownHosts, keyChanged } from './known-hosts.ts'
import { fingerprintOf } from './public-key.ts'

export interface ServerTrustOptions {
  /** As the user wrote it. */
  readonly host: string
  readonly port: number
  /** Fingerprint that the user named, as `parseFingerprint` gives it, or `null`. */
  readonly pin: string | null
  /** `null` over TLS. */
  readonly knownHosts: KnownHosts | null
}

export class ServerTrust {
  readonly #options: ServerTrustOptions
  #known: KnownHost | null

  /** @throws SealiftError `settings_invalid` where the list of known servers cannot be believed */
  constructor(options: ServerTrustOptions) {
    this.#options = options
    this.#known = options.knownHosts?.find(options.host, options.port) ?? null
  }

  /** Whether there is a key to compare with now; else whatever key comes is taken for the server's. */
  get isKnown(): boolean {
    return this.#options.pin !== null || this.#known !== null || this.#options.knownHosts === null
  }

  /**
   * @param publicKey 32 bytes, borrowed
   * @throws SealiftError `key_changed` where it is not the one that is known, with both fingerprints
   */
  check(publicKey: Uint8Array): void {
    const { host, port, pin, knownHosts } = this.#options
    if (pin !== null) {
      const fingerprint = fingerprintOf(publicKey)
      if (fingerprint === pin) return
      throw new SealiftError('key_changed', `the key of the server is ${fingerprint}, not ${pin}`, {
        hint: 'somebody may be between you and the server, or --server-key names the key of another one',
      })
    }
    if (knownHosts !== null && this.#known !== null && compareBytes(this.#known.key, publicKey) !== 0)
      throw keyChanged(host, port, this.#known, publicKey, knownHosts.path)
  }

  /**
   * A server that has this key has let us in: remembers it, where the host has none yet. What the user named in
   * `--server-key` counts for itself, and does not change what is remembered.
   *
   * @param publicKey that of this very connection: another one may have met another key meanwhile
   * @throws SealiftError `key_changed` where another key was remembered meanwhile; those of a disk
   */
  async confirm(publicKey: Uint8Array): Promise<void> {
    const { host, port, knownHosts } = this.#options
    this.check(publicKey)
    if (this.#known !== null || knownHosts === null) return
    knownHosts.remember(host, port, publicKey)
    this.#known = knownHosts.find(host, port)
  }
}
