/**
 * Authentication by token or password inside the session with a server (PROTOCOL 1.8, 1.9, 1.10): ADMIT, the four frames
 * of a `cpace` handshake as AUTH messages, ADMIT.
 *
 * That handshake is bound to the session around it by its transcript hash, so somebody in the middle, who has one session
 * with each side, cannot pass it on: both hashes differ, and all it gets is one guess. Its keys are thrown away; what it
 * leaves is the knowledge that both ends of this session know the secret. Knows no files and no ledger.
 */

import type { CryptoPort } from '../protocol/crypto-port.ts'
import { errorCodeFromWire, SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { SessionSecrets } from '../protocol/handshake.ts'
import { InitiatorHandshake } from '../protocol/handshake-initiator.ts'
import { abortError, FRAME_HEADER_BYTES, type FrameKind, readFrameHeader } from '../protocol/handshake-messages.ts'
import { ResponderHandshake } from '../protocol/handshake-responder.ts'
import { HANDSHAKE_TIMEOUT_MS, MAX_INITIATOR_CONFIRMATIONS } from '../protocol/limits.ts'
import type { AdmitNeeds, Message } from '../protocol/messages.ts'
import type { Session } from './session.ts'
import type { TokenGate } from './token-gate.ts'

/**
 * The server's half, after it has said what it asks for: resolves when the peer has proved that it knows the secret.
 * The session is paused then; ADMIT `nothing` is the caller's to say.
 *
 * @throws SealiftError `auth_failed` for a wrong guess, which was counted before it was compared; `limit_exceeded` where
 *   the gate lets nothing be compared; what the session ended with. The caller ends the session.
 */
export async function challenge(session: Session, crypto: CryptoPort, gate: TokenGate): Promise<void> {
  const handshake = new ResponderHandshake({
    crypto,
    purpose: 'server',
    channelBinding: session.transcriptHash,
    password: () => gate.password(),
    findResumeKey: () => null,
  })
  try {
    const init = await nextFrame(session, clientLeft)
    const resp = handshake.receive(init.kind, init.body)
    if (resp.send !== null) await session.send({ type: 'auth', frame: resp.send })
    const confirm = await nextFrame(session, clientLeft)
    const { verify } = handshake.receive(confirm.kind, confirm.body)
    if (verify === null) throw outOfOrder()
    const mayCompare = gate.guess(session.peer.address)
    const verdict = verify()
    if (verdict.ok) wipe(verdict.secrets)
    // Nothing was compared, so the answer tells nothing, and one who knows the secret may come again.
    if (!mayCompare) throw new SealiftError('limit_exceeded', 'too many guesses at the token or password were made')
    if (!verdict.ok) {
      gate.wrong(session.peer.address)
      throw new SealiftError('auth_failed', 'the token or password was not accepted')
    }
    gate.spend(session.peer.address)
    await session.send({ type: 'auth', frame: verdict.confirm })
  } finally {
    handshake.destroy()
  }
}

export interface ApplicantOptions {
  readonly crypto: CryptoPort
  /** The server's token, normalised, or `null`; borrowed for the life of the applicant. */
  readonly token: Uint8Array | null
  /** The password, normalised, or `null`; borrowed likewise. */
  readonly password: Uint8Array | null
  /** @see stretchPassword */
  readonly stretch: (password: Uint8Array, serverKey: Uint8Array) => Promise<Uint8Array>
}

/**
 * The client's half, for the life of a process: it counts what it has told of its secret, and tells nothing more of one
 * that was refused.
 */
export class Applicant {
  readonly #options: ApplicantOptions
  /** CONFIRM_I that were not answered: whoever cut them off may have learned whether one guess was right. */
  #confirmations = 0
  #refused = false
  #asked: AdmitNeeds | null = null

  constructor(options: ApplicantOptions) {
    this.#options = options
  }

  /** What the server asked for last; `null` before it said. */
  get asked(): AdmitNeeds | null {
    return this.#asked
  }

  /**
   * Waits until the server lets us in, and proves what it asks for. The session is paused then.
   *
   * @param isKnown whether the server's key was known before, or proved by a resume key
   * @throws SealiftError `auth_failed` where the secret is absent, was refused, or may not be told any more, and where an
   *   unknown server does not ask for the secret that is there; what the session ended with. It is ended in each case.
   */
  async enter(session: Session, isKnown: boolean): Promise<void> {
    session.awaitWord(HANDSHAKE_TIMEOUT_MS)
    try {
      const needs = await nextAdmit(session)
      this.#asked = needs
      if (needs === 'nothing') this.#refuseStrangers(isKnown)
      else await this.#prove(session, needs)
      session.awaitWord(null)
    } catch (thrown) {
      session.fail(thrown)
      throw thrown
    }
  }

  /**
   * Whoever stands in the middle when a server is met for the first time would say that it needs nothing, and be sent
   * everything: the secret is what tells the server from such a one.
   */
  #refuseStrangers(isKnown: boolean): void {
    if (isKnown || (this.#options.token === null && this.#options.password === null)) return
    throw new SealiftError('auth_failed', 'a server that is not known yet lets us in without asking for the secret', {
      hint: 'it may not be the server that the token or password is for\nname its key with --server-key if you trust it, or leave the token or password out',
    })
  }

  async #prove(session: Session, needs: 'token' | 'password'): Promise<void> {
    if (session.peerStaticKey === null)
      throw new SealiftError('protocol_violation', 'the server asks for a secret where a resume key was confirmed')
    const given = this.#options[needs]
    if (given === null) {
      throw new SealiftError('auth_failed', `the server asks for a ${needs}`, {
        hint: `set SEALIFT_${needs.toUpperCase()}, or ask whoever runs the server to authorise your key (sealift keygen makes one)`,
      })
    }
    if (this.#refused || this.#confirmations >= MAX_INITIATOR_CONFIRMATIONS)
      throw new SealiftError('auth_failed', `the ${needs} was tried as often as it may be`)
    const secret = needs === 'token' ? given.slice() : await this.#options.stretch(given, session.peerStaticKey)
    const handshake = new InitiatorHandshake({
      crypto: this.#options.crypto,
      purpose: 'server',
      channelBinding: session.transcriptHash,
      token: secret,
      resumeKeys: [],
      join: false,
      // The keys are thrown away, and what is said here is sealed already.
      kem: false,
    })
    try {
      await session.send({ type: 'auth', frame: handshake.start() })
      const resp = await nextFrame(session, serverEnded)
      const confirm = handshake.receive(resp.kind, resp.body)
      if (confirm.send === null) throw outOfOrder()
      confirm.pending.key.fill(0)
      this.#confirmations++
      await session.send({ type: 'auth', frame: confirm.send })
      const answer = await nextFrame(session, serverEnded)
      const { done } = handshake.receive(answer.kind, answer.body)
      if (done === null) throw outOfOrder()
      wipe(done)
      this.#confirmations = 0
      if ((await nextAdmit(session)) !== 'nothing') throw outOfOrder()
    } catch (thrown) {
      if (toSealiftError(thrown).code === 'auth_failed') this.#refused = true
      throw thrown
    } finally {
      handshake.destroy()
      secret.fill(0)
    }
  }
}

/** What it means that the peer said the final record, with this wire code, in the place of a message. */
type Ended = (wire: number) => SealiftError

/** However it says so: that a client goes away is no wrong guess. */
function clientLeft(): SealiftError {
  return new SealiftError('connection_lost', 'the other side went away before it was let in')
}

function serverEnded(wire: number): SealiftError {
  const code = errorCodeFromWire(wire)
  const isStop = wire === 0 || code === 'interrupted' || code === 'terminated'
  return isStop ? new SealiftError('peer_stopped', 'the other side was stopped') : abortError(wire)
}

/** The next message of the peer; the session is paused after it. */
function nextMessage(session: Session, ended: Ended): Promise<Message> {
  return new Promise((resolve, reject) => {
    void session.end.then(({ code, error }) => reject(error ?? ended(code)))
    session.listen((message) => {
      session.pause()
      resolve(message)
    })
  })
}

async function nextFrame(
  session: Session,
  ended: Ended,
): Promise<{ readonly kind: FrameKind; readonly body: Uint8Array }> {
  const message = await nextMessage(session, ended)
  if (message.type !== 'auth') throw outOfOrder()
  const { kind, bodyBytes } = readFrameHeader(message.frame)
  const body = message.frame.subarray(FRAME_HEADER_BYTES)
  if (body.length !== bodyBytes)
    throw new SealiftError('protocol_violation', 'a handshake frame has another length than it says')
  return { kind, body }
}

async function nextAdmit(session: Session): Promise<AdmitNeeds> {
  const message = await nextMessage(session, serverEnded)
  if (message.type !== 'admit') throw outOfOrder()
  return message.admit.needs
}

function outOfOrder(): SealiftError {
  return new SealiftError('protocol_violation', 'an authentication message out of order')
}

function wipe({ sendSecret, receiveSecret, resumeKey }: SessionSecrets): void {
  for (const secret of [sendSecret, receiveSecret, resumeKey]) secret.fill(0)
}
