/**
 * TLS 1.3 as a stream carrier, and no older TLS: over the sockets of TCP, with certificates that its caller read.
 *
 * Owns the handshake of TLS and who is believed in it. A side that dials checks the CA and the name before anything is
 * said; a side that accepts tells what it was shown, and leaves it to others whom it lets in. There is no renegotiation in
 * TLS 1.3, and nothing is sent before the handshake is done.
 */

import net from 'node:net'
import tls from 'node:tls'

import { SealiftError } from '../protocol/errors.ts'
import type { ByteSink, ByteStream, StreamListener, StreamSeal } from './carrier.ts'
import { Delivery } from './socket-delivery.ts'
import { dialSocket, type DialOptions } from './socket-dialling.ts'
import { calledOff, connectionLost, noAnswer } from './socket-faults.ts'
import { listenForSockets, type ListenOptions } from './socket-listening.ts'
import { ignoreErrors, peerOf, type SocketPeer, SocketStream } from './socket-stream.ts'
import { acceptTlsFault, dialTlsFault, verifyWords } from './tls/faults.ts'
import { nameFault } from './tls/names.ts'
import { sealOf } from './tls/seal.ts'
import { slabReleaser } from './tls/slabs.ts'

const VERSION = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const
/** The first byte of every TLS handshake. */
const HANDSHAKE_RECORD = 0x16
/** A record of TLS that says: fatal, protocol version. To somebody who does not speak TLS it says that here one does. */
const NOT_TLS_ALERT = Uint8Array.of(0x15, 3, 3, 0, 2, 2, 70)

export interface TlsTrust {
  /** Certificates of the CAs that may vouch for the server, PEM; `null`: those that Node trusts. */
  readonly ca: string | null
  /** What this side shows of itself where it is asked. */
  readonly own: OwnTlsCertificate | null
  /** The name that the certificate must have; `null`: the host that is dialled. */
  readonly serverName: string | null
}

export interface OwnTlsCertificate {
  /** The certificate, and those between it and its CA, PEM. */
  readonly cert: string
  /** Its private key, PEM. */
  readonly key: string
}

/**
 * @param options the time is for TLS too
 * @returns sealed already
 * @throws SealiftError `certificate_untrusted`, `certificate_name`, `certificate_time`, `tls_failed`, `not_sealift`,
 *   `connection_lost`, `connect_failed`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export async function dialTls(options: DialOptions & { readonly trust: TlsTrust }): Promise<ByteStream> {
  const { host, port, timeoutMs, signal, trust } = options
  const startMs = performance.now()
  const raw = await dialSocket(options)
  const peer = peerOf(raw) ?? { address: host, port }
  return new Promise((resolve, reject) => {
    ignoreErrors(raw)
    const name = trust.serverName ?? host
    const socket = tls.connect({
      ...VERSION,
      socket: raw,
      // for names of hosts, and no addresses (RFC 6066, section 3); a common name may be anything
      servername: /^[a-z\d_.-]+$/i.test(name) && net.isIP(name) === 0 ? name : '',
      ...(trust.ca === null ? {} : { ca: trust.ca }),
      ...trust.own,
      checkServerIdentity: (_, certificate) =>
        nameFault({ host, serverName: trust.serverName }, certificate) ?? undefined,
    })
    const settle = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.off('error', fail)
      socket.off('close', gone)
    }
    const giveUp = (error: SealiftError): void => {
      settle()
      ignoreErrors(socket)
      socket.destroy()
      raw.destroy()
      reject(error)
    }
    const fail = (error: Error): void => giveUp(dialTlsFault(peer, error))
    const gone = (): void => giveUp(connectionLost(peer, undefined))
    const abort = (): void => giveUp(calledOff(signal))
    const timer = setTimeout(
      () => giveUp(noAnswer(host, port, timeoutMs)),
      Math.max(1, timeoutMs - (performance.now() - startMs)),
    )
    signal?.addEventListener('abort', abort)
    socket.on('error', fail)
    socket.on('close', gone)
    socket.once('secureConnect', () => {
      let seal: StreamSeal
      try {
        seal = sealOf(socket, null)
      } catch {
        // gone in the same moment
        gone()
        return
      }
      settle()
      resolve(new TlsStream(socket, raw, new Delivery(slabReleaser()), peer, seal))
    })
    if (signal?.aborted === true) abort()
  })
}

/** A socket whose handshake is done, as a stream. */
class TlsStream extends SocketStream {
  override readonly seal: () => Promise<StreamSeal>
  readonly #socket: tls.TLSSocket
  readonly #delivery: Delivery

  constructor(socket: tls.TLSSocket, raw: net.Socket, delivery: Delivery, peer: SocketPeer, seal: StreamSeal) {
    // TLS has no reset of its own, and its orderly end is one more record: what is cut must be cut below it
    super(socket, delivery, peer, () => {
      raw.resetAndDestroy()
      socket.destroy()
    })
    this.#socket = socket
    this.#delivery = delivery
    this.seal = () => Promise.resolve(seal)
  }

  /**
   * Begins to read what is not for TLS itself. Until then Node holds what comes, up to its own limit: tickets that a server
   * sends behind the handshake must not lie unread, or the kernel would reset a connection that ends in order.
   */
  flow(): void {
    this.#socket.on('data', (piece: Uint8Array) => {
      if (!this.#delivery.push(piece)) this.#socket.pause()
    })
  }

  override start(sink: ByteSink): void {
    super.start(sink)
    this.flow()
  }
}

export interface ListenTlsOptions extends ListenOptions {
  readonly own: OwnTlsCertificate
  /** Certificates of the CAs that may vouch for clients, PEM: they are asked for a certificate then. `null`: they are not. */
  readonly clientCa: string | null
  /** Called for each connection, before TLS; the stream is the callee's, to start and to seal, or to destroy. */
  readonly onStream: (stream: ByteStream) => void
}

/**
 * @throws SealiftError `port_in_use`, `address_unavailable`, `host_unknown`; the signal's reason where that is a SealiftError, else `interrupted`
 */
export function listenTls(options: ListenTlsOptions): Promise<StreamListener> {
  const handshakes = new Handshakes(options)
  return listenForSockets(options, (socket, peer) => options.onStream(new AcceptedStream(socket, peer, handshakes)))
}

/** One side's half of TLS for all connections of a port. */
class Handshakes {
  readonly #server: tls.Server
  /** By the other end's address and port, which no two connections share: all that Node tells of one that failed. */
  readonly #underWay = new Map<string, { resolve: (socket: tls.TLSSocket) => void; reject: (error: Error) => void }>()

  constructor({ own, clientCa }: Pick<ListenTlsOptions, 'own' | 'clientCa'>) {
    // Whoever shows no certificate, or one that nobody vouches for, is for the callee to let in or not.
    // eslint-disable-next-line no-restricted-syntax -- it is checked all the same, and the fault is a fact of the seal
    const asking = clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }
    this.#server = tls.createServer({ ...VERSION, ...own, ...asking })
    this.#server.on('secureConnection', (socket) => this.#take(socket)?.resolve(socket))
    this.#server.on('tlsClientError', (error, socket) => this.#take(socket)?.reject(error))
  }

  /** @param raw whose first bytes have come, and were put back */
  begin(raw: net.Socket): Promise<tls.TLSSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<tls.TLSSocket>()
    const key = keyOf(raw)
    this.#underWay.set(key, { resolve, reject })
    raw.once('close', () => {
      this.#underWay.delete(key)
      reject(new Error('closed'))
    })
    this.#server.emit('connection', raw)
    return promise
  }

  #take(socket: tls.TLSSocket): { resolve: (socket: tls.TLSSocket) => void; reject: (error: Error) => void } | null {
    const key = keyOf(socket)
    const found = this.#underWay.get(key) ?? null
    this.#underWay.delete(key)
    return found
  }
}

function keyOf({ remoteAddress, remotePort }: net.Socket): string {
  return `${remoteAddress ?? ''} ${String(remotePort)}`
}

class AcceptedStream implements ByteStream {
  readonly peer: SocketPeer
  readonly #raw: net.Socket
  readonly #handshakes: Handshakes
  readonly #delivery = new Delivery(slabReleaser())
  #sealing: Promise<StreamSeal> | null = null
  /** Once it is sealed. */
  #stream: TlsStream | null = null
  #isStarted = false

  constructor(raw: net.Socket, peer: SocketPeer, handshakes: Handshakes) {
    this.peer = peer
    this.#raw = raw
    this.#handshakes = handshakes
    ignoreErrors(raw)
    raw.once('close', () => {
      if (this.#stream === null) this.#delivery.end(connectionLost(peer, undefined))
    })
  }

  seal(): Promise<StreamSeal> {
    this.#sealing ??= this.#seal()
    return this.#sealing
  }

  async #seal(): Promise<StreamSeal> {
    const raw = this.#raw
    await this.#firstBytes()
    try {
      const socket = await this.#handshakes.begin(raw)
      const { authorized, authorizationError } = socket
      const seal = sealOf(socket, authorized ? null : verifyWords(String(authorizationError)))
      this.#stream = new TlsStream(socket, raw, this.#delivery, this.peer, seal)
      if (this.#isStarted) this.#stream.flow()
      return seal
    } catch (error) {
      throw acceptTlsFault(this.peer, error as Error)
    }
  }

  /** Waits for them, and leaves them to be read. Who does not speak TLS is told that here one does. */
  #firstBytes(): Promise<void> {
    const raw = this.#raw
    return new Promise((resolve, reject) => {
      const over = (): void => reject(connectionLost(this.peer, undefined))
      if (raw.destroyed) {
        over()
        return
      }
      raw.once('close', over).once('end', over)
      raw.once('data', (bytes: Uint8Array) => {
        raw.pause()
        raw.off('close', over).off('end', over)
        if (bytes[0] === HANDSHAKE_RECORD) {
          raw.unshift(bytes)
          resolve()
          return
        }
        raw.end(NOT_TLS_ALERT)
        reject(new SealiftError('not_sealift', 'the other side does not speak TLS, which is spoken here'))
      })
      raw.resume()
    })
  }

  start(sink: ByteSink): void {
    this.#isStarted = true
    if (this.#stream === null) this.#delivery.start(sink)
    else this.#stream.start(sink)
  }

  resume(): void {
    this.#stream?.resume()
  }

  write(parts: readonly Uint8Array[]): Promise<void> {
    return this.#stream?.write(parts) ?? Promise.reject(connectionLost(this.peer, undefined))
  }

  end(): Promise<void> {
    return this.#stream?.end() ?? Promise.resolve()
  }

  destroy(): void {
    this.#delivery.close()
    if (this.#stream === null) this.#raw.destroy()
    else this.#stream.destroy()
  }
}
