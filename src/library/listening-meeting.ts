/**
 * The sender listens, says address and token, and waits for its receiver: joins token, gate of the tailnet, admission and
 * listener into a {@link SenderMeeting}.
 */

import { randomBytes } from 'node:crypto'
import type { StreamListener } from '../carriers/carrier.ts'
import { listenTcp } from '../carriers/tcp.ts'
import { formatAddress } from '../config/address.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { DirectToken } from '../guard/direct-token.ts'
import { generateToken, normalizeToken } from '../identity/token.ts'
import { compareBytes } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { DEFAULT_PORT, DEFAULT_WAIT_MS } from '../protocol/limits.ts'
import { Admission } from '../transfer/admission.ts'
import { systemClock } from '../transfer/clock.ts'
import { pacer } from '../transfer/pacing.ts'
import { refuseStream } from '../transfer/joined-streams.ts'
import type { Sender } from '../transfer/sender.ts'
import type { Session } from '../transfer/session.ts'
import { DoorWarnings } from './door-warnings.ts'
import type { ListenPlace } from './listen-address.ts'
import { SenderKeys } from './sender-keys.ts'
import type { MeetingContext, SenderMeeting } from './sender-meeting.ts'

export class ListeningMeeting implements SenderMeeting {
  readonly waiting = null
  readonly #place: ListenPlace
  readonly #context: MeetingContext
  #listener: StreamListener | null = null
  #admission: Admission | null = null
  #keys: SenderKeys | null = null
  #resumeId: Uint8Array | null = null
  #lookingForAbsent: Promise<void> | null = null
  readonly #over = new AbortController()

  constructor(place: ListenPlace, context: MeetingContext) {
    this.#place = place
    this.#context = context
  }

  get waitMs(): number {
    return this.#context.options.waitMs ?? DEFAULT_WAIT_MS
  }

  get resumeId(): Uint8Array | null {
    return this.#resumeId
  }

  identityOf(peer: Session['peer']): string | null {
    return this.#place.tailnet?.gate.identityOf(peer) ?? null
  }

  accepted(): void {
    // The receiver, which dials, opens further streams.
  }

  progressed(): void {
    // How long a receiver may stay away is the sender's to count.
  }

  async run(sender: Sender, signal: AbortSignal): Promise<void> {
    const { options, emit, ledger, id, key, replaced, files, bytes } = this.#context
    const { host, address, tailnet } = this.#place
    const token = generateToken(2, randomBytes)
    const gate = new DirectToken(normalizeToken(token))
    const keys = (this.#keys = await SenderKeys.load(ledger, key, replaced))
    const warnings = new DoorWarnings(emit, gate, tailnet?.gate ?? null)
    const admission = (this.#admission = this.#admit(gate, sender, keys, warnings))
    const pace = pacer(options.bytesPerSecond, systemClock, signal, false)
    const listener = (this.#listener = await listenTcp({
      host,
      port: options.port ?? DEFAULT_PORT,
      signal,
      onStream: (stream) => admission.accept(pace(stream)),
    }))
    const { port } = listener
    emit({
      event: 'listening',
      transferId: id,
      address,
      port,
      token,
      tailnet: tailnet?.name ?? null,
      connect: `${formatAddress(address, port)}:${token}`,
      fingerprint: null,
      healthPort: null,
      files,
      bytes,
    })
    const { allowUsers, allowTags } = options
    await ledger.transfers.update(key, { plan: { host: address, port, allowUsers, allowTags } })
    this.#lookingForAbsent = warnings.ofAbsent(this.#over.signal)
    options.probe?.('listening')
    await sender.end
  }

  #admit(gate: DirectToken, sender: Sender, keys: SenderKeys, warnings: DoorWarnings): Admission {
    const { options, emit } = this.#context
    const { tailnet } = this.#place
    return new Admission({
      crypto: nodeCrypto,
      clock: systemClock,
      purpose: 'direct',
      role: 'sender',
      gate,
      ...(tailnet === null ? {} : { checkPeer: (peer) => tailnet.gate.check(peer) }),
      findResumeKey: (id) => keys.find(id),
      commit: async ({ suite, resumeId, resumeKey }) => {
        if (suite === 'resume') return
        await keys.keep({ id: resumeId, key: resumeKey })
        options.probe?.('resume-key-kept')
      },
      onRefused: (peer, error, { wrong, burned }) => {
        emit({ event: 'refused', peer: peer.address, code: error.code, until: null })
        if (wrong) warnings.ofGuess(peer)
        if (error.code === 'peer_refused') warnings.ofStranger(error)
        if (burned) {
          void sender.stop(
            new SealiftError('token_burned', 'too many wrong tokens were tried; this one is void', {
              hint: 'run the same line again: it makes a new token, and goes on where it was',
            }),
          )
        }
      },
      onSession: (session, { resumeId, join }) => {
        if (join) {
          void this.#joined(session, resumeId, sender)
          return
        }
        this.#resumeId = resumeId
        options.probe?.('handshake-confirmed')
        void sender.join(session)
      },
      onFault: (error) => void sender.stop(error),
    })
  }

  /** One more stream, of the session that has this key and of no other. */
  async #joined(stream: Session, resumeId: Uint8Array, sender: Sender): Promise<void> {
    if (this.#resumeId !== null && compareBytes(this.#resumeId, resumeId) === 0) await sender.joinStream(stream)
    else await refuseStream(stream)
  }

  async close(): Promise<void> {
    this.#over.abort()
    await this.#listener?.close()
    await this.#admission?.close()
    await this.#lookingForAbsent
    this.#keys?.forget()
  }
}
