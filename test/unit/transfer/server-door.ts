/** A server's door, a client, and somebody who stands between them, on memory networks. */

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryNetwork, type MemoryNetwork } from '../../../src/carriers/memory.ts'
import { ServerToken } from '../../../src/guard/server-token.ts'
import { encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import type { KeyPair } from '../../../src/protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../../../src/protocol/errors.ts'
import type { ResumeCredential, SessionSecrets } from '../../../src/protocol/handshake.ts'
import { InitiatorHandshake } from '../../../src/protocol/handshake-initiator.ts'
import { ResponderHandshake } from '../../../src/protocol/handshake-responder.ts'
import type { AdmitNeeds, ChunkMessage, Message } from '../../../src/protocol/messages.ts'
import { Admission, type AdmissionOptions, type ConfirmedPeer } from '../../../src/transfer/admission.ts'
import { Dialer, type DialerOptions, type ServerEntrance } from '../../../src/transfer/dialling.ts'
import { FrameReader } from '../../../src/transfer/frame-reader.ts'
import { Inbox } from '../../../src/transfer/inbox.ts'
import { Applicant, type ApplicantOptions } from '../../../src/transfer/inner-authentication.ts'
import { Session } from '../../../src/transfer/session.ts'
import type { TokenGate } from '../../../src/transfer/token-gate.ts'
import { crypto } from './door.ts'
import type { VirtualClock } from './virtual-time.ts'

export const TOKEN = 'acid-zebra-maple-tulip'

/** What stands for scrypt: quick, and as dependent on the server's key. */
export function quickStretch(password: Uint8Array, serverKey: Uint8Array): Promise<Uint8Array> {
  return Promise.resolve(crypto.hmacSha256(serverKey, [password]))
}

export class ServerDoor {
  readonly key: KeyPair = crypto.x25519Generate()
  readonly network: MemoryNetwork = memoryNetwork()
  readonly admission: Admission
  readonly sessions: Session[] = []
  readonly admitted: ConfirmedPeer[] = []
  readonly refused: { readonly code: string; readonly wrong: boolean }[] = []
  readonly committed: SessionSecrets[] = []
  readonly faults: string[] = []
  /** Keys that are served. */
  readonly keys: ResumeCredential[] = []
  /** What happened, in order. */
  readonly log: string[] = []
  /** This side of every connection, in order. */
  readonly streams: ByteStream[] = []
  needs: AdmitNeeds = 'token'
  /** What the gate has. */
  secret: Uint8Array = encodeUtf8(TOKEN)

  constructor(clock: VirtualClock, changes: Partial<AdmissionOptions> = {}) {
    const token = (): ServerToken => new ServerToken(this.secret, () => clock.nowMs())
    let held: ServerToken | null = null
    const gate: TokenGate = {
      password: () => (held ??= token()).password(),
      guess: () => {
        this.log.push('guess')
        return (held ??= token()).guess()
      },
      wrong: () => {
        this.log.push('wrong')
        return (held ??= token()).wrong()
      },
      spend: () => {
        this.log.push('right')
        held?.spend()
      },
    }
    this.admission = new Admission({
      crypto,
      clock,
      purpose: 'server',
      role: 'receiver',
      staticKey: this.key,
      gate,
      judge: () => this.needs,
      findResumeKey: (id) => this.keys.find((known) => toHex(known.id) === toHex(id))?.key ?? null,
      commit: async (secrets) => {
        this.log.push('server commits')
        this.committed.push(secrets)
      },
      onRefused: (_, { code }, { wrong }) => this.refused.push({ code, wrong }),
      onSession: (session, peer) => {
        this.log.push('in')
        this.sessions.push(session)
        this.admitted.push(peer)
      },
      onFault: ({ code }) => this.faults.push(code),
      ...changes,
    })
    this.network.listen((stream) => {
      this.streams.push(stream)
      this.admission.accept(stream)
    })
  }

  close(): void {
    void this.admission.close()
    for (const session of this.sessions) session.fail(new Error('the test is over'))
  }
}

/** What a client remembers of servers. */
class Memory {
  known: Uint8Array | null = null
  confirmed = 0
  readonly log: string[]

  constructor(log: string[] = []) {
    this.log = log
  }

  get isKnown(): boolean {
    return this.known !== null
  }

  check(key: Uint8Array): void {
    if (this.known !== null && !crypto.equal(this.known, key)) throw new SealiftError('key_changed', 'another key')
  }

  async confirm(key: Uint8Array): Promise<void> {
    this.check(key)
    this.log.push('client remembers')
    this.confirmed++
    this.known ??= key.slice()
  }
}

export class Client {
  readonly memory: Memory
  readonly applicant: Applicant
  readonly dialer: Dialer
  readonly committed: ResumeCredential[] = []
  readonly sessions: Session[] = []

  constructor(
    clock: VirtualClock,
    dial: () => Promise<ByteStream>,
    secrets: Partial<Pick<ApplicantOptions, 'token' | 'password'>> = {},
    changes: Partial<Omit<DialerOptions, 'server'>> & {
      readonly log?: string[]
      readonly server?: Partial<ServerEntrance>
    } = {},
    stretch: ApplicantOptions['stretch'] = quickStretch,
  ) {
    const { log = [], server, ...rest } = changes
    this.memory = new Memory(log)
    this.applicant = new Applicant({ crypto, token: null, password: null, stretch, ...secrets })
    this.dialer = new Dialer({
      crypto,
      clock,
      purpose: 'server',
      role: 'sender',
      dial,
      token: null,
      resumeKeys: () => [],
      commit: async (credential) => {
        log.push('client commits')
        this.committed.push(credential)
      },
      confirmed: () => Promise.resolve(),
      ...rest,
      server: { staticKey: null, trust: this.memory, applicant: this.applicant, ...server },
    })
  }

  /** @returns `in`, or the code of what it was refused with */
  async come(): Promise<string> {
    try {
      const { session } = await this.dialer.connect(new AbortController().signal)
      this.sessions.push(session)
      return 'in'
    } catch (error) {
      return toSealiftError(error).code
    }
  }

  close(): void {
    for (const session of this.sessions) session.fail(new Error('the test is over'))
  }
}

type Said = Exclude<Message, ChunkMessage>

/** Answers clients with a key of its own, dials the server itself, and passes on what both say. */
export class Middle {
  readonly network: MemoryNetwork = memoryNetwork()
  readonly key: KeyPair = crypto.x25519Generate()
  /** What it saw in clear, from either side. */
  readonly heard: Message[] = []
  readonly sessions: Session[] = []
  readonly #clock: VirtualClock
  readonly #server: () => Promise<ByteStream>
  /** Says something else than it hears. */
  replace: (said: Said) => Said = (said) => said

  constructor(clock: VirtualClock, server: () => Promise<ByteStream>) {
    this.#clock = clock
    this.#server = server
    this.network.listen((stream) => void this.#stand(stream).catch(() => stream.destroy()))
  }

  async #stand(stream: ByteStream): Promise<void> {
    const near = await this.#answer(stream)
    const far = await this.#dial()
    this.sessions.push(near, far)
    this.#pass(near, far)
    this.#pass(far, near)
  }

  #pass(from: Session, to: Session): void {
    void from.end.then(({ code }) => to.close(code ?? 0))
    from.listen((message) => {
      this.heard.push(message)
      if (message.type !== 'chunk') to.send(this.replace(message)).catch(() => undefined)
    })
  }

  async #answer(stream: ByteStream): Promise<Session> {
    const inbox = new Inbox(stream)
    const frames = new FrameReader(inbox)
    const responder = new ResponderHandshake({
      ...COMMON,
      staticKey: this.key,
      password: () => null,
      findResumeKey: () => null,
    })
    const init = await frames.next()
    await stream.write([responder.receive(init.kind, init.body).send ?? new Uint8Array()])
    const confirm = await frames.next()
    const verdict = responder.receive(confirm.kind, confirm.body).verify?.()
    if (verdict?.ok !== true) throw new Error('the client was not taken in')
    await stream.write([verdict.confirm])
    return this.#session(stream, inbox, verdict.secrets, 'receiver')
  }

  async #dial(): Promise<Session> {
    const stream = await this.#server()
    const inbox = new Inbox(stream)
    const frames = new FrameReader(inbox)
    const server = { staticKey: null, checkServerKey: () => undefined }
    const initiator = new InitiatorHandshake({ ...COMMON, server, token: null, resumeKeys: [], join: false })
    await stream.write([initiator.start()])
    const resp = await frames.next()
    await stream.write([initiator.receive(resp.kind, resp.body).send ?? new Uint8Array()])
    const answer = await frames.next()
    const { done } = initiator.receive(answer.kind, answer.body)
    if (done === null) throw new Error('the server was not taken in')
    return this.#session(stream, inbox, done, 'sender')
  }

  #session(stream: ByteStream, inbox: Inbox, secrets: SessionSecrets, role: 'sender' | 'receiver'): Session {
    return new Session({ stream, inbox, crypto, secrets, role, clock: this.#clock, purpose: 'server' })
  }

  close(): void {
    for (const session of this.sessions) session.fail(new Error('the test is over'))
  }
}

const COMMON = { crypto, purpose: 'server', channelBinding: new Uint8Array() } as const
