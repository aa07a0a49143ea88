/**
 * The contract of stream carriers: ordered, reliable bytes between two ends, and nothing else.
 *
 * A carrier knows no keys, records, files or transfers, and is not trusted with any: everything that passes it
 * is sealed. `test/conformance/stream-carrier.ts` is this page as a test suite.
 */

import type { SealiftError } from '../protocol/errors.ts'

/** Where a stream puts what arrives: room in one large buffer of the session, so that records are opened in place. */
export interface ByteSink {
  /** Room to write into, at least one byte. Asked for anew before every read. */
  space(): Uint8Array
  /** So many bytes of the room were written. `false`: deliver nothing more until {@link ByteStream.resume}. */
  filled(bytes: number): boolean
  /**
   * Nothing more will come; called exactly once, after the last `filled`, unless the sink's own side destroyed the stream first
   * (then it may be called or not). `null`: the peer ended its side in order.
   */
  ended(error: SealiftError | null): void
}

/** Who showed a certificate at the other end. */
export interface PeerCertificate {
  /** `SHA256:` and 43 characters: of its public key. */
  readonly fingerprint: string
  /** Why no CA of this side vouches for it now, in words; `null` where one does. */
  readonly fault: string | null
}

/** What is known of a stream that its carrier seals. */
export interface StreamSeal {
  /** 32 bytes that both ends of this connection know, and no other connection has. */
  readonly channelBinding: Uint8Array
  /** What seals it, `aes-256-gcm`. */
  readonly cipher: string
  /** Whether ML-KEM-768 took part, where this end can tell. */
  readonly isHybrid: boolean
  /** `null` where none was shown. */
  readonly certificate: PeerCertificate | null
}

/** One connection. Delivers nothing before {@link ByteStream.start}. */
export interface ByteStream {
  /** Who is at the other end, as this carrier knows it: IPv4 addresses never in their `::ffff:` form. */
  readonly peer: { readonly address: string; readonly port: number }
  /**
   * `undefined` on carriers that do not seal. Resolves once the stream is sealed; may be called again. A side that accepted begins with that
   * here, and delivers and takes nothing before: so a stranger is given no work until it may have a place.
   * @throws SealiftError `tls_failed`, `not_sealift`, `connection_lost`; the stream is of no use then
   */
  readonly seal: (() => Promise<StreamSeal>) | undefined
  /** Begins to deliver. Called once. */
  start(sink: ByteSink): void
  /** Goes on after `filled` answered `false`; may be called when nothing was paused. */
  resume(): void
  /**
   * Sends the parts in order. They are borrowed until the promise resolves, which is when they have left this
   * process. Several writes may be under way; they keep their order.
   * @throws SealiftError `connection_lost`, also for writes that were under way when the connection broke
   */
  write(parts: readonly Uint8Array[]): Promise<void>
  /** Ends this side after all writes; the other direction stays open. May be called twice. */
  end(): Promise<void>
  /** Drops the connection at once, in both directions. May be called at any time, and twice. */
  destroy(): void
}

/** How a stream that stands around another one is sealed: as that one is. */
export function sealerOf(stream: ByteStream): ByteStream['seal'] {
  return stream.seal?.bind(stream)
}

export interface StreamListener {
  /** The address it listens on, as given. */
  readonly address: string
  /** The port it listens on: the one that the system chose where 0 was asked for. */
  readonly port: number
  /** Takes no more connections and resolves when the port is free. Streams that were handed out live on. */
  close(): Promise<void>
}
