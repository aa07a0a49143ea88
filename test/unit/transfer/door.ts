/** A responder's door and an initiator on one memory network, with what a test wants to be different. */

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryNetwork, type MemoryPipeOptions } from '../../../src/carriers/memory.ts'
import { nodeCrypto } from '../../../src/crypto/node.ts'
import { DirectToken } from '../../../src/guard/direct-token.ts'
import { encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import type { CryptoPort } from '../../../src/protocol/crypto-port.ts'
import type { SealiftError } from '../../../src/protocol/errors.ts'
import type { ResumeCredential } from '../../../src/protocol/handshake.ts'
import { Admission, type AdmissionOptions } from '../../../src/transfer/admission.ts'
import { Dialer, type DialerOptions } from '../../../src/transfer/dialling.ts'
import type { Session } from '../../../src/transfer/session.ts'
import type { TokenGate } from '../../../src/transfer/token-gate.ts'
import type { VirtualClock } from './virtual-time.ts'

export const TOKEN = 'coral-magnet'
/** Without ML-KEM, which is tested elsewhere and would double the time. */
export const crypto: CryptoPort = {
  randomBytes: nodeCrypto.randomBytes,
  sha256: nodeCrypto.sha256,
  sha512: nodeCrypto.sha512,
  hmacSha256: nodeCrypto.hmacSha256,
  hkdfExtract: nodeCrypto.hkdfExtract,
  hkdfExpand: nodeCrypto.hkdfExpand,
  equal: nodeCrypto.equal,
  x25519Generate: nodeCrypto.x25519Generate,
  x25519: nodeCrypto.x25519,
  elligator2: nodeCrypto.elligator2,
  kem: null,
  ciphers: nodeCrypto.ciphers,
  bulkKey: nodeCrypto.bulkKey,
}

export interface Refusal {
  readonly address: string
  readonly code: string
  readonly wrong: boolean
  readonly burned: boolean
}

/** A stream whose peer seems to have another address. */
function from(address: string, stream: ByteStream): ByteStream {
  return {
    peer: { address, port: stream.peer.port },
    seal: stream.seal,
    start: (sink) => stream.start(sink),
    resume: () => stream.resume(),
    write: (parts) => stream.write(parts),
    end: () => stream.end(),
    destroy: () => stream.destroy(),
  }
}

export class Door {
  readonly token: DirectToken = new DirectToken(encodeUtf8(TOKEN))
  readonly refused: Refusal[] = []
  readonly sessions: { session: Session; suite: string; resumeId: Uint8Array }[] = []
  readonly faults: SealiftError[] = []
  /** How many guesses were let through to be compared. */
  compared = 0
  /** Keys that are known here. */
  readonly keys: ResumeCredential[] = []
  /** How often a resume key was looked for. */
  lookups = 0
  readonly admission: Admission
  readonly #network: ReturnType<typeof memoryNetwork>
  readonly #clock: VirtualClock
  /** The address from which the next connections seem to come. */
  address = '10.0.0.1'

  constructor(clock: VirtualClock, changes: Partial<AdmissionOptions> = {}, pipe: MemoryPipeOptions = {}) {
    this.#clock = clock
    this.#network = memoryNetwork(pipe)
    const gate: TokenGate = {
      password: () => this.token.password(),
      guess: (address) => {
        const mayCompare = this.token.guess(address)
        if (mayCompare) this.compared++
        return mayCompare
      },
      wrong: (address) => this.token.wrong(address),
      spend: () => this.token.spend(),
    }
    this.admission = new Admission({
      crypto,
      clock,
      purpose: 'direct',
      role: 'sender',
      gate,
      findResumeKey: (id) => {
        this.lookups++
        return this.keys.find((known) => toHex(known.id) === toHex(id))?.key ?? null
      },
      commit: (secrets) => {
        this.keys.push({ id: secrets.resumeId.slice(), key: secrets.resumeKey.slice() })
        return Promise.resolve()
      },
      onRefused: (peer, error, guess) => this.refused.push({ address: peer.address, code: error.code, ...guess }),
      onSession: (session, { suite, resumeId }) => this.sessions.push({ session, suite, resumeId }),
      onFault: (error) => this.faults.push(error),
      ...changes,
    })
    this.#network.listen((stream) => this.admission.accept(from(this.address, stream)))
  }

  /** A connection, nothing said yet. */
  dial(): Promise<ByteStream> {
    return this.#network.dial()
  }

  dialer(changes: Partial<DialerOptions> = {}): Dialer {
    return new Dialer({
      crypto,
      clock: this.#clock,
      purpose: 'direct',
      role: 'receiver',
      dial: () => this.dial(),
      token: encodeUtf8(TOKEN),
      resumeKeys: () => [],
      commit: () => Promise.resolve(),
      confirmed: () => Promise.resolve(),
      ...changes,
    })
  }

  /** One run of an initiator that has this token. @returns `in`, or the code of what it was refused with */
  async come(token = TOKEN, changes: Partial<DialerOptions> = {}): Promise<string> {
    try {
      const { session } = await this.dialer({ token: encodeUtf8(token), ...changes }).connect(
        new AbortController().signal,
      )
      this.sessions.push({ session, suite: 'initiator', resumeId: new Uint8Array() })
      return 'in'
    } catch (error) {
      return (error as SealiftError).code
    }
  }

  /** Confirmed sessions of this side. */
  get admitted(): number {
    return this.sessions.filter(({ suite }) => suite !== 'initiator').length
  }

  close(): void {
    void this.admission.close()
    for (const { session } of this.sessions) session.fail(new Error('the test is over'))
  }
}

/** Whether the other side has dropped a connection, and what it said before. */
export function watch(stream: ByteStream): { readonly bytes: Uint8Array; readonly ended: boolean } {
  const room = new Uint8Array(8192)
  const got: number[] = []
  let ended = false
  stream.start({
    space: () => room,
    filled(bytes) {
      got.push(...room.subarray(0, bytes))
      return true
    },
    ended: () => {
      ended = true
    },
  })
  return {
    get bytes() {
      return Uint8Array.from(got)
    },
    get ended() {
      return ended
    },
  }
}
