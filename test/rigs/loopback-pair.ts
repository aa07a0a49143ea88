/**
 * One honest side, run through the library in this process, and one raw peer that knows the token, completes the
 * handshake and from there on says whatever a test wants, over real sockets.
 *
 * Owns the raw peer's records. Knows no conversation and no limits: that is the point.
 */

import net from 'node:net'
import { onTestFinished } from 'vitest'
import { nodeCrypto } from '../../src/crypto/node.ts'
import {
  receiveFiles,
  type ReceiveOptions,
  SealiftError,
  sendFiles,
  type SendOptions,
  type Transfer,
  type TransferEvent,
  type TransferResult,
} from '../../src/index.ts'
import { concatBytes } from '../../src/protocol/bytes.ts'
import type { ResumeCredential, SessionSecrets } from '../../src/protocol/handshake.ts'
import { InitiatorHandshake, type InitiatorParameters } from '../../src/protocol/handshake-initiator.ts'
import { FRAME_HEADER_BYTES, readFrameHeader } from '../../src/protocol/handshake-messages.ts'
import { ResponderHandshake } from '../../src/protocol/handshake-responder.ts'
import {
  type ChunkMessage,
  decodeMessage,
  encodeChunkHeader,
  encodeMessage,
  type Message,
  type MessageName,
} from '../../src/protocol/messages.ts'
import { RecordOpener, RecordSealer } from '../../src/protocol/records.ts'
import { normalizeToken } from '../../src/identity/token.ts'

const TOKEN = 'coral-magnet'
const PATIENCE_MS = 8000
const COMMON = { crypto: nodeCrypto, channelBinding: new Uint8Array(), resumeKeys: [], join: false } as const

/** How the honest side ended. */
export interface HonestEnd {
  readonly result: TransferResult | null
  readonly error: SealiftError | null
  readonly events: readonly TransferEvent[]
}

/** A peer that says whatever it likes. */
export class RawPeer {
  readonly socket: net.Socket
  /** Bytes written so far. */
  sentBytes = 0
  #bytes = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => undefined
  #sealer: RecordSealer | null = null
  #opener: RecordOpener | null = null
  /** What the honest side said, in order, pings left out. */
  readonly heard: Message[] = []
  #credential: ResumeCredential | null = null

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes])
      this.#wake()
    })
    const end = (): void => {
      this.#ended = true
      this.#wake()
    }
    socket.on('error', end).on('end', end).on('close', end)
    onTestFinished(() => void socket.destroy())
  }

  get isOver(): boolean {
    return this.#ended
  }

  /** Connects as a receiver would. */
  static async dial(port: number, token: string): Promise<RawPeer> {
    const peer = new RawPeer(net.connect(port, '127.0.0.1'))
    await peer.#initiate({ ...COMMON, purpose: 'direct', token: normalizeToken(token) })
    return peer
  }

  /** Connects to a server as a sender would, with a key of its own that nobody knows. */
  static async dialServer(port: number): Promise<RawPeer> {
    const peer = new RawPeer(net.connect(port, '127.0.0.1'))
    const server = { staticKey: null, checkServerKey: () => undefined }
    await peer.#initiate({ ...COMMON, purpose: 'server', token: null, server })
    return peer
  }

  /** Connects as one more stream of a session that has this key. */
  static async join(port: number, purpose: 'direct' | 'server', key: ResumeCredential): Promise<RawPeer> {
    const peer = new RawPeer(net.connect(port, '127.0.0.1'))
    await peer.#initiate({ ...COMMON, purpose, token: null, resumeKeys: [key], join: true })
    return peer
  }

  /** By what this peer could come back, and join. */
  get credential(): ResumeCredential {
    if (this.#credential === null) throw new Error('there are no keys yet')
    return this.#credential
  }

  async #initiate(parameters: InitiatorParameters): Promise<void> {
    const handshake = new InitiatorHandshake(parameters)
    this.socket.write(handshake.start())
    const resp = await this.#frame()
    const confirm = handshake.receive(resp.kind, resp.body)
    if (confirm.send === null) throw new Error('no confirmation to send')
    this.socket.write(confirm.send)
    const answer = await this.#frame()
    const { done } = handshake.receive(answer.kind, answer.body)
    if (done === null) throw new Error('the handshake is not done')
    this.#seal(done)
  }

  /** Answers a connection as a sender would. */
  async admit(): Promise<void> {
    const handshake = new ResponderHandshake({
      crypto: nodeCrypto,
      purpose: 'direct',
      channelBinding: new Uint8Array(),
      password: () => normalizeToken(TOKEN),
      findResumeKey: () => null,
    })
    const init = await this.#frame()
    const resp = handshake.receive(init.kind, init.body)
    if (resp.send !== null) this.socket.write(resp.send)
    const confirm = await this.#frame()
    const verdict = handshake.receive(confirm.kind, confirm.body).verify?.()
    if (verdict?.ok !== true) throw new Error('the token was not accepted')
    this.socket.write(verdict.confirm)
    this.#seal(verdict.secrets)
  }

  #seal(secrets: SessionSecrets): void {
    this.#credential = { id: secrets.resumeId, key: secrets.resumeKey }
    this.#sealer = new RecordSealer(nodeCrypto, secrets.cipher, secrets.sendSecret)
    this.#opener = new RecordOpener(nodeCrypto, secrets.cipher, secrets.receiveSecret)
  }

  async #frame(): Promise<{ kind: Parameters<InitiatorHandshake['receive']>[0]; body: Uint8Array }> {
    await this.#until(() => this.#bytes.length >= FRAME_HEADER_BYTES)
    const { kind, bodyBytes } = readFrameHeader(this.#bytes.subarray(0, FRAME_HEADER_BYTES))
    await this.#until(() => this.#bytes.length >= FRAME_HEADER_BYTES + bodyBytes)
    return { kind, body: Uint8Array.from(this.#take(FRAME_HEADER_BYTES + bodyBytes).subarray(FRAME_HEADER_BYTES)) }
  }

  #take(bytes: number): Buffer {
    const taken = this.#bytes.subarray(0, bytes)
    this.#bytes = this.#bytes.subarray(bytes)
    return taken
  }

  async #until(ready: () => boolean, patienceMs = PATIENCE_MS): Promise<void> {
    const deadline = Date.now() + patienceMs
    while (!ready()) {
      if (this.#ended) throw new Error(`the honest side hung up; it said ${this.heard.map(({ type }) => type).join()}`)
      if (Date.now() > deadline) throw new Error('the honest side says nothing')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Says a message as it should be. */
  say(message: Exclude<Message, ChunkMessage>): void {
    this.sayRaw(encodeMessage(message))
  }

  /** Says a chunk; the header says what the caller likes. */
  chunk(chunk: Partial<ChunkMessage> & { packed: Uint8Array }): void {
    const { codec = 0, epoch = 1, offset = 0, rawBytes = chunk.packed.length, packed } = chunk
    this.sayRaw(concatBytes([encodeChunkHeader({ codec, epoch, offset, rawBytes }), packed]))
  }

  /** Seals any plaintext as a record and says it. */
  sayRaw(plaintext: Uint8Array): void {
    this.wire(this.sealed(plaintext))
  }

  sealed(plaintext: Uint8Array): Uint8Array {
    if (this.#sealer === null) throw new Error('there are no keys yet')
    return concatBytes(this.#sealer.seal([plaintext]))
  }

  /** Writes bytes as they are. */
  wire(bytes: Uint8Array): void {
    this.sentBytes += bytes.length
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  /** Resolves when all that was said has been taken, or the other side hung up. */
  async drained(): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS
    while (this.socket.writableLength > 0 && !this.socket.destroyed && !this.#ended && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5))
  }

  /** The next message of the honest side, pings left out. */
  async next(patienceMs = PATIENCE_MS): Promise<Message> {
    for (;;) {
      await this.#until(
        () => this.#bytes.length >= 4 && this.#bytes.length >= 4 + this.#bytes.readUInt32BE(0),
        patienceMs,
      )
      const record = this.#take(4 + this.#bytes.readUInt32BE(0))
      const message = decodeMessage((this.#opener as RecordOpener).open(Uint8Array.from(record.subarray(4))))
      if (message.type === 'ping') {
        this.say({ type: 'pong' })
        continue
      }
      if (message.type === 'pong') continue
      this.heard.push(message)
      return message
    }
  }

  /** The next message of that type; what comes before it is heard and passed over. */
  async until<T extends MessageName>(type: T): Promise<Extract<Message, { type: T }>> {
    for (;;) {
      const message = await this.next()
      if (message.type === type) return message as Extract<Message, { type: T }>
      if (message.type === 'close') throw new Error(`closed with ${message.code} before ${type}`)
    }
  }

  /** Wire code of the final record of the honest side; `null` where it hung up without one. */
  async closed(patienceMs = PATIENCE_MS): Promise<number | null> {
    try {
      for (;;) {
        const message = await this.next(patienceMs)
        if (message.type === 'close') return message.code
      }
    } catch {
      return null
    }
  }
}

function follow(
  transfer: Transfer,
  events: TransferEvent[],
  onEvent: (event: TransferEvent) => void = () => undefined,
): Promise<HonestEnd> {
  const run = async (): Promise<HonestEnd> => {
    for await (const event of transfer) {
      events.push(event)
      onEvent(event)
    }
    try {
      return { result: await transfer.done, error: null, events }
    } catch (error) {
      if (!(error instanceof SealiftError)) throw error
      return { result: null, error, events }
    }
  }
  return run()
}

export interface HonestRun {
  readonly transfer: Transfer
  readonly end: Promise<HonestEnd>
  /** What the honest side has said so far. */
  readonly events: readonly TransferEvent[]
}

/** An honest receiver that has met a raw sender. Sessions after the first are cut at once. */
export async function receiveFromRaw(
  options: ReceiveOptions,
): Promise<HonestRun & { peer: RawPeer; connections(): number }> {
  let connections = 0
  const first = Promise.withResolvers<RawPeer>()
  const server = net.createServer((socket) => {
    connections++
    if (connections > 1) {
      socket.on('error', () => undefined)
      socket.resetAndDestroy()
      return
    }
    const peer = new RawPeer(socket)
    peer.admit().then(() => first.resolve(peer), first.reject)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as net.AddressInfo
  const transfer = receiveFiles(`127.0.0.1:${port}:${TOKEN}`, options)
  const events: TransferEvent[] = []
  const end = follow(transfer, events)
  onTestFinished(async () => {
    transfer.cancel(new SealiftError('interrupted', 'the test is over'))
    await end
  })
  return { transfer, end, events, peer: await first.promise, connections: () => connections }
}

/** An honest sender that has met a raw receiver. @param source paths, or what else is sent */
export async function sendToRaw(
  source: string | readonly string[] | ((options: SendOptions) => Transfer),
  options: SendOptions,
): Promise<HonestRun & { peer: RawPeer; connect: string }> {
  const listening = Promise.withResolvers<{ port: number; token: string; connect: string }>()
  const given = { pod: true, port: 0, waitMs: 20_000, ...options }
  const transfer = typeof source === 'function' ? source(given) : sendFiles(source, given)
  const events: TransferEvent[] = []
  const end = follow(transfer, events, (event) => {
    if (event.event === 'listening')
      listening.resolve({ port: event.port, token: event.token ?? '', connect: event.connect })
  })
  void end.then(({ error }) => listening.reject(error ?? new Error('the sender did not listen')))
  onTestFinished(async () => {
    transfer.cancel(new SealiftError('interrupted', 'the test is over'))
    await end
  })
  const { port, token, connect } = await listening.promise
  return { transfer, end, events, connect, peer: await RawPeer.dial(port, token) }
}
