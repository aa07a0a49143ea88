/** Two sessions that are each other's peer, in one process, and a peer that says whatever bytes a test wants. */

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe, type MemoryPipeOptions } from '../../../src/carriers/memory.ts'
import { nodeCrypto } from '../../../src/crypto/node.ts'
import type { Role } from '../../../src/protocol/conversation.ts'
import type { SessionSecrets } from '../../../src/protocol/handshake.ts'
import type { Purpose } from '../../../src/protocol/handshake-messages.ts'
import { decodeMessage, encodeMessage, type Message } from '../../../src/protocol/messages.ts'
import { RecordOpener, RecordSealer } from '../../../src/protocol/records.ts'
import type { Clock } from '../../../src/transfer/clock.ts'
import { Inbox } from '../../../src/transfer/inbox.ts'
import { Session } from '../../../src/transfer/session.ts'

const TRANSFER = '01234567-89ab-4def-8123-456789abcdef'
export const HELLO = { type: 'hello', hello: { name: 'box', maxChunkBytes: 1 << 20, known: null } } as const
export const OFFER = {
  type: 'offer',
  offer: {
    transferId: TRANSFER,
    replaces: null,
    name: 'laptop',
    maxChunkBytes: 1 << 20,
    entries: 1,
    files: 1,
    bytes: 100,
    digest: 'ab'.repeat(32),
    manifestFollows: false,
    conflict: null,
  },
} as const
export const ACCEPT = { type: 'accept', accept: { epoch: 1 } } as const
export const SAFE = { type: 'safe', last: true, page: new Uint8Array() } as const

/** The secrets of both ends, as a handshake would leave them. */
export function secretPair(): [SessionSecrets, SessionSecrets] {
  const [a, b] = [nodeCrypto.randomBytes(32), nodeCrypto.randomBytes(32)]
  const side = (sendSecret: Uint8Array, receiveSecret: Uint8Array): SessionSecrets => ({
    suite: 'cpace',
    cipher: 'aes-256-gcm',
    kem: true,
    transcriptHash: new Uint8Array(32),
    sendSecret: sendSecret.slice(),
    receiveSecret: receiveSecret.slice(),
    resumeId: new Uint8Array(16),
    resumeKey: new Uint8Array(32),
    join: false,
    peerStaticKey: null,
  })
  return [side(a, b), side(b, a)]
}

export function newSession(
  stream: ByteStream,
  secrets: SessionSecrets,
  role: Role,
  clock: Clock,
  purpose: Purpose = 'direct',
): Session {
  return new Session({ stream, inbox: new Inbox(stream), crypto: nodeCrypto, secrets, role, clock, purpose })
}

export interface SessionPair {
  readonly sender: Session
  readonly receiver: Session
  readonly streams: readonly [ByteStream, ByteStream]
}

export function sessionPair(
  clock: Clock,
  options: MemoryPipeOptions = {},
  streams: readonly [ByteStream, ByteStream] = memoryPipe(options),
): SessionPair {
  const [near, far] = secretPair()
  return {
    sender: newSession(streams[0], near, 'sender', clock),
    receiver: newSession(streams[1], far, 'receiver', clock),
    streams,
  }
}

/** Says what leads to the exchange of chunks; both sessions must listen. */
export async function reachMoving({ sender, receiver }: Pick<SessionPair, 'sender' | 'receiver'>): Promise<void> {
  const heard = Promise.withResolvers<undefined>()
  const greeted = Promise.withResolvers<undefined>()
  const offered = Promise.withResolvers<undefined>()
  sender.listen((message) => {
    if (message.type === 'hello') greeted.resolve(undefined)
    if (message.type === 'safe') heard.resolve(undefined)
  })
  receiver.listen(() => offered.resolve(undefined))
  await receiver.send(HELLO)
  await greeted.promise
  await sender.send(OFFER)
  await offered.promise
  await receiver.send(ACCEPT)
  await receiver.send(SAFE)
  await heard.promise
}

/** The other end of one session, by hand: seals what it is told, keeps what it hears. */
export class RawPeer {
  readonly stream: ByteStream
  readonly heard: Message[] = []
  readonly #sealer: RecordSealer
  readonly #opener: RecordOpener
  #bytes: Buffer = Buffer.alloc(0)
  #ended = false

  /** @param reads `false`: takes nothing from the stream until {@link read} */
  constructor(stream: ByteStream, secrets: SessionSecrets, reads = true) {
    this.stream = stream
    this.#sealer = new RecordSealer(nodeCrypto, secrets.cipher, secrets.sendSecret)
    this.#opener = new RecordOpener(nodeCrypto, secrets.cipher, secrets.receiveSecret)
    if (reads) this.read()
  }

  /** Whether the session has ended its stream. */
  get ended(): boolean {
    return this.#ended
  }

  read(): void {
    const room = new Uint8Array(65_536)
    this.stream.start({
      space: () => room,
      filled: (bytes) => {
        this.#bytes = Buffer.concat([this.#bytes, room.subarray(0, bytes)])
        this.#open()
        return true
      },
      ended: () => {
        this.#ended = true
      },
    })
  }

  #open(): void {
    while (this.#bytes.length >= 4 && this.#bytes.length >= 4 + this.#bytes.readUInt32BE(0)) {
      const length = this.#bytes.readUInt32BE(0)
      this.heard.push(decodeMessage(this.#opener.open(this.#bytes.subarray(4, 4 + length))))
      this.#bytes = this.#bytes.subarray(4 + length)
    }
  }

  /** The record of a message, or of any plaintext, not yet sent. */
  seal(message: Exclude<Message, { type: 'chunk' }> | Uint8Array): Buffer {
    return Buffer.concat(this.#sealer.seal([message instanceof Uint8Array ? message : encodeMessage(message)]))
  }

  async say(...messages: (Exclude<Message, { type: 'chunk' }> | Uint8Array)[]): Promise<void> {
    for (const message of messages) await this.stream.write([this.seal(message)])
  }
}
