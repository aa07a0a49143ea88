/**
 * The sender goes to a server, and comes back to it when the connection drops: joins the server's key, secrets and keys for
 * coming back into a {@link SenderMeeting}.
 */

import { dialTcp } from '../carriers/tcp.ts'
import { formatAddress } from '../config/address.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { stretchPassword } from '../crypto/stretching.ts'
import { normalizePassword } from '../identity/password.ts'
import { fingerprintOf } from '../identity/public-key.ts'
import { normalizeToken } from '../identity/token.ts'
import { isDiskError, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { CONNECT_TIMEOUT_MS } from '../protocol/limits.ts'
import { systemClock } from '../transfer/clock.ts'
import { type DialledSession, Dialer } from '../transfer/dialling.ts'
import { Applicant } from '../transfer/inner-authentication.ts'
import { pacer } from '../transfer/pacing.ts'
import type { Sender } from '../transfer/sender.ts'
import type { Waiting } from '../transfer/waiting.ts'
import { FurtherStreams, warnOnce } from './further-streams.ts'
import { Redialling, type SessionOutcome } from './redialling.ts'
import { SenderKeys } from './sender-keys.ts'
import type { MeetingContext, SenderMeeting } from './sender-meeting.ts'
import type { ServerEntrance } from './server-entrance.ts'
import { rememberedTls } from './tls-entrance.ts'

export class DiallingMeeting implements SenderMeeting {
  readonly waitMs = null
  readonly #entrance: ServerEntrance
  readonly #context: MeetingContext
  readonly #secrets: { token: Uint8Array | null; password: Uint8Array | null }
  #redialling: Redialling | null = null
  #keys: SenderKeys | null = null
  #resumeId: Uint8Array | null = null
  #applicant: Applicant
  /** One rate for all its connections. */
  #pace: ReturnType<typeof pacer> | null = null
  #hasAsked = false
  #isAsking = false
  /** Opens further streams of the session of now; `null` where there is none. */
  #openFurther: (() => void) | null = null
  readonly #warnOfFurther: ReturnType<typeof warnOnce>

  /** @param entrance taken over */
  constructor(entrance: ServerEntrance, context: MeetingContext) {
    this.#entrance = entrance
    this.#context = context
    this.#secrets = { token: entrance.token, password: entrance.password }
    this.#applicant = this.#apply()
    this.#warnOfFurther = warnOnce(context.emit)
  }

  get resumeId(): Uint8Array | null {
    return this.#resumeId
  }

  get waiting(): Waiting | null {
    return this.#isAsking ? null : (this.#redialling?.waiting ?? null)
  }

  identityOf(): null {
    return null
  }

  accepted(): void {
    this.#openFurther?.()
  }

  progressed(): void {
    this.#redialling?.progressed()
  }

  async run(sender: Sender, signal: AbortSignal): Promise<void> {
    const { emit, ledger, key, replaced, options } = this.#context
    const { host, port } = this.#entrance
    const keys = (this.#keys = await SenderKeys.load(ledger, key, replaced))
    await ledger.transfers.update(key, { host, plan: { port, ...rememberedTls(options) } })
    const redialling = (this.#redialling = new Redialling({
      clock: systemClock,
      connect: (stop) => this.#connect(keys, signal, stop),
      session: (dialled) => {
        this.#resumeId = dialled.resumeId
        options.probe?.('handshake-confirmed')
        return this.#session(dialled, sender, keys, signal)
      },
      retriesSilence: true,
      // A full disk or quota is for whoever runs the server to mend: coming back at once would meet it again.
      isOver: isDiskError,
      onRetry: ({ code, message }) => emit({ event: 'warning', code, message: `${message}; connecting again` }),
    }))
    const error = await redialling.run(signal)
    if (error !== null) throw explained(error)
  }

  async #session(
    { session, resumeId }: DialledSession,
    sender: Sender,
    keys: SenderKeys,
    hurry: AbortSignal,
  ): Promise<SessionOutcome> {
    const over = new AbortController()
    const further: Promise<void>[] = []
    this.#openFurther = () => void further.push(this.#further(resumeId, keys, hurry, sender).run(over.signal))
    const outcome = await sender.join(session)
    this.#openFurther = null
    over.abort(new SealiftError('connection_lost', 'the session is over'))
    await Promise.all(further)
    if (outcome?.kind === 'broken' && !sender.isOver) return { kind: 'broken', error: outcome.error }
    return sender.end.then(
      () => ({ kind: 'done' }),
      (error: unknown) => ({ kind: 'ended', error: toSealiftError(error) }),
    )
  }

  #further(resumeId: Uint8Array, keys: SenderKeys, hurry: AbortSignal, sender: Sender): FurtherStreams {
    const { options } = this.#context
    const dialer = this.#dialer(keys, hurry)
    return new FurtherStreams({
      clock: systemClock,
      streams: (options.streams ?? 1) - 1,
      connect: (signal) => dialer.join(keys.get(resumeId), signal),
      use: (stream) => sender.joinStream(stream),
      onFailed: this.#warnOfFurther,
    })
  }

  /** One way in; where the server asks for a secret that is not there, its user is asked once, and it is tried again. */
  async #connect(keys: SenderKeys, hurry: AbortSignal, signal: AbortSignal): Promise<DialledSession> {
    const { askSecret } = this.#context.options
    try {
      return await this.#dialer(keys, hurry).connect(signal)
    } catch (thrown) {
      const { asked } = this.#applicant
      const isMissing = (asked === 'token' || asked === 'password') && this.#secrets[asked] === null
      if (!isMissing || askSecret === undefined || this.#hasAsked) throw thrown
      this.#hasAsked = true
      this.#isAsking = true
      const text = await askSecret(asked, signal).finally(() => (this.#isAsking = false))
      this.#secrets[asked] = asked === 'token' ? normalizeToken(text) : normalizePassword(text)
      this.#applicant = this.#apply()
      return this.#dialer(keys, hurry).connect(signal)
    }
  }

  #apply(): Applicant {
    return new Applicant({ crypto: nodeCrypto, ...this.#secrets, stretch: stretchPassword })
  }

  #dialer(keys: SenderKeys, hurry: AbortSignal): Dialer {
    const { options, emit } = this.#context
    const { host, port, staticKey, trust, tls } = this.#entrance
    const pace = (this.#pace ??= pacer(options.bytesPerSecond, systemClock, hurry))
    return new Dialer({
      crypto: nodeCrypto,
      clock: systemClock,
      purpose: 'server',
      role: 'sender',
      token: null,
      server: {
        staticKey,
        applicant: this.#applicant,
        trust: {
          get isKnown() {
            return trust.isKnown
          },
          check: (key) => trust.check(key),
          confirm: async (key) => {
            const isNew = !trust.isKnown
            await trust.confirm(key)
            if (!isNew) return
            const name = formatAddress(host, port)
            const message = `${name} was met for the first time; its key is remembered: ${fingerprintOf(key)}`
            emit({ event: 'warning', code: 'server_new', message })
          },
        },
      },
      dial: async (signal) => {
        const place = { host, port, timeoutMs: CONNECT_TIMEOUT_MS, signal }
        if (tls === null) return pace(await dialTcp(place))
        // Loaded where it is used: it makes the start of all others longer.
        const { dialTls } = await import('../carriers/tls.ts')
        return pace(await dialTls({ ...place, trust: tls }))
      },
      resumeKeys: () => keys.all,
      commit: async ({ id, key }, suite) => {
        if (suite === 'resume') return
        await keys.keep({ id: id.slice(), key: key.slice() })
        options.probe?.('resume-key-kept')
      },
      confirmed: () => Promise.resolve(),
    })
  }

  async close(): Promise<void> {
    this.#keys?.forget()
    this.#secrets.token?.fill(0)
    this.#secrets.password?.fill(0)
    this.#entrance.close()
    return Promise.resolve()
  }
}

/** That the server was stopped is no stop of this side's user. */
function explained(error: SealiftError): SealiftError {
  if (error.exitCode < 130) return error
  return new SealiftError('peer_stopped', 'the server was stopped', {
    hint: 'when it runs again, run the same line again: it goes on with what is missing',
    cause: error,
  })
}
