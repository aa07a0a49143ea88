/**
 * The receiving server: a port, an identity, and many senders at once, each into its own staging (docs/operations.md).
 *
 * Joins listener, door, admission, the list of guests, quotas, audit log and reception desk. What a command says is told to
 * it by events; it draws on no terminal and reads no environment.
 */

import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { ByteStream, StreamListener } from '../carriers/carrier.ts'
import { listenTcp } from '../carriers/tcp.ts'
import type { ListenTlsOptions } from '../carriers/tls.ts'
import type { ServerSettings } from '../config/server-settings.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { freeBytes } from '../files/free-space.ts'
import { checkTarget, removeStaleStaging } from '../files/staging.ts'
import { Quotas } from '../guard/quotas.ts'
import type { AuthorizedKeys } from '../identity/authorized-keys.ts'
import { fingerprintOf } from '../identity/public-key.ts'
import type { Ban } from '../ledger/bans.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { toHex } from '../protocol/bytes.ts'
import type { KeyPair } from '../protocol/crypto-port.ts'
import { type ErrorCode, SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { AdmitNeeds, Offer } from '../protocol/messages.ts'
import { Admission, type ConfirmedPeer } from '../transfer/admission.ts'
import { systemClock } from '../transfer/clock.ts'
import type { Session } from '../transfer/session.ts'
import { noProbe, type StageProbe } from '../transfer/stage.ts'
import type { TokenGate } from '../transfer/token-gate.ts'
import type { AuditLog } from './audit-log.ts'
import { type Caller, Door } from './door.ts'
import { type Guest, GuestList } from './guest.ts'
import { layOut } from './output-layout.ts'
import { ReceptionDesk } from './reception-desk.ts'
import { TransferQueue } from './transfer-queue.ts'
import type { VisitOptions } from './visit.ts'
import type { ServerEvent } from './server-event.ts'
import { VisitReport } from './visit-report.ts'

export interface ReceivingServerOptions {
  readonly settings: ServerSettings
  /** Open, and the caller's to close, after the server was stopped; so is the log. */
  readonly ledger: Ledger
  readonly audit: AuditLog
  /** The server's identity, borrowed for its life. */
  readonly identity: KeyPair
  /** What it shows over TLS, and whose certificates it takes there; `null`: it is met without TLS. */
  readonly tls: Pick<ListenTlsOptions, 'own' | 'clientCa'> | null
  readonly authorizedKeys: () => AuthorizedKeys | null
  /** The token or password that others are asked for; `null` where there is none. */
  readonly secret: TokenGate | null
  /** What those are asked for whose key is not authorised; `null`: they are not let in. */
  readonly others: AdmitNeeds | null
  readonly onEvent: (event: ServerEvent) => void
  /** Whether to say what became of each file. */
  readonly fileEvents: boolean
  /** Somebody connected; nothing is known of them yet. */
  readonly onConnection: () => void
  /** So much more content is safe; less, where a file must come again. */
  readonly onReceived: (bytes: number) => void
  readonly probe?: StageProbe | undefined
}

/** Refusals that somebody earns who tries what is not theirs. */
const STRANGERS: readonly ErrorCode[] = ['peer_refused', 'certificate_refused']

export class ReceivingServer {
  readonly #options: ReceivingServerOptions
  readonly #desk: ReceptionDesk
  readonly #guests: GuestList
  readonly #door: Door
  readonly #quotas: Quotas
  readonly #queue: TransferQueue
  readonly #admission: Admission
  /** Keys of earlier meetings by id, in hex: what a handshake looks for while it runs. */
  readonly #resumeKeys = new Map<string, Uint8Array>()
  readonly #end = Promise.withResolvers<undefined>()
  #listener: StreamListener | null = null

  constructor(options: ReceivingServerOptions) {
    this.#options = options
    const { settings, ledger, authorizedKeys, others, secret, tls } = options
    const takesCertificates = tls !== null && tls.clientCa !== null
    this.#guests = new GuestList({ ledger, authorizedKeys, others, takesCertificates })
    this.#door = new Door({
      settings,
      ledger,
      secret,
      clock: systemClock,
      onBan: (ban) => this.#banned(ban),
      onFault: (error) => this.#fault(error),
    })
    this.#quotas = new Quotas({
      records: ledger.quotas,
      rules: settings,
      freeBytes: () => freeBytes(this.#outputDir),
    })
    this.#queue = new TransferQueue({ maxActive: settings.maxActive, clock: systemClock })
    this.#desk = new ReceptionDesk({ idleMs: settings.idleTimeoutMs, minBytesPerSecond: settings.minBytesPerSecond })
    this.#admission = this.#admit()
    this.#end.promise.catch(() => undefined)
  }

  /** `SHA256:…`, by which senders know this server. */
  get fingerprint(): string {
    return fingerprintOf(this.#options.identity.publicKey)
  }

  /** Sessions that bring something now. */
  get transfersRunning(): number {
    return this.#desk.size - this.#queue.length
  }

  /** Sessions that wait for their turn. */
  get transfersQueued(): number {
    return this.#queue.length
  }

  /** Rejects when the server cannot go on; resolves when it was stopped. */
  get end(): Promise<void> {
    return this.#end.promise
  }

  /**
   * Begins to listen.
   * @throws SealiftError `port_in_use`, `address_unavailable`, `target_read_only`, `target_not_folder`; that of the ledger
   */
  async start(): Promise<{ readonly address: string; readonly port: number }> {
    const { ledger, settings, audit, onConnection, tls } = this.#options
    checkTarget(this.#outputDir)
    const unfinished = await ledger.transfers.listUnfinished('receiver')
    removeStaleStaging(this.#outputDir, Date.now(), new Set(unfinished.map(({ id }) => id)))
    // What an earlier process had reserved, nobody brings now.
    await ledger.quotas.releaseAll()
    await ledger.bans.adopt()
    const keys = await ledger.resumeKeys.listOwned()
    for (const { resumeId, resumeKey } of keys) this.#resumeKeys.set(toHex(resumeId), resumeKey)
    const place = {
      host: settings.host,
      port: settings.port,
      onStream: (stream: ByteStream) => {
        onConnection()
        audit.note({ event: 'connection', peer: stream.peer.address, detail: { port: stream.peer.port } })
        let drop: (error: SealiftError) => void = () => undefined
        const entered = this.#door.enter(stream, (error) => drop(error))
        drop = this.#admission.accept(entered)
      },
    }
    this.#listener = await (tls === null
      ? listenTcp(place)
      : (await import('../carriers/tls.ts')).listenTls({ ...place, ...tls }))
    const { port } = this.#listener
    await audit.write({ event: 'server', detail: { status: 'started', port, identity: this.fingerprint } })
    return { address: settings.host, port }
  }

  /** Takes nobody more, tells all senders to come back, keeps what is safe. Resolves when all is closed. */
  async stop(error: SealiftError): Promise<void> {
    await this.#listener?.close()
    await this.#admission.close()
    this.#queue.close()
    await this.#desk.stop(error)
    for (const key of this.#resumeKeys.values()) key.fill(0)
    this.#resumeKeys.clear()
    if (this.#listener !== null)
      await this.#options.audit.write({ event: 'server', detail: { status: 'stopped', code: error.code } })
    this.#listener = null
    this.#end.resolve(undefined)
  }

  get #outputDir(): string {
    return resolve(this.#options.settings.outputDir ?? '.')
  }

  #admit(): Admission {
    const { ledger, identity, settings, audit, onEvent } = this.#options
    return new Admission({
      crypto: nodeCrypto,
      clock: systemClock,
      purpose: 'server',
      role: 'receiver',
      gate: this.#door.gate,
      timeoutMs: settings.handshakeTimeoutMs,
      staticKey: identity,
      checkPeer: (peer) => this.#door.check(peer),
      judge: async (peer, { address }) => {
        try {
          if (peer.join) this.#desk.joinable(peer.resumeId)
          return await this.#guests.judge(peer)
        } catch (error) {
          // A key that is not on the list is a guess at one that is, and so is a certificate.
          if (STRANGERS.includes(toSealiftError(error).code)) await this.#door.strangerCame(address)
          throw error
        }
      },
      findResumeKey: (id) => this.#resumeKeys.get(toHex(id)) ?? null,
      commit: async ({ suite, cipher, resumeId, resumeKey, peerStaticKey }, { address }, certificate) => {
        const owner = GuestList.ownerOf({ peerStaticKey, certificate })
        await audit.write({ event: 'handshake', peer: address, owner, detail: { suite, cipher } })
        if (suite === 'resume') return
        const wayIn = this.#guests.wayIn({ peerStaticKey, certificate })
        const kept = { resumeId, resumeKey, role: 'receiver', peer: address, wayIn, confirmed: true } as const
        await ledger.resumeKeys.save(kept)
        this.#resumeKeys.set(toHex(resumeId), resumeKey)
      },
      onRefused: ({ address }, { code, message }) => {
        audit.note({ event: 'refusal', peer: address, detail: { code, message } })
        onEvent({ event: 'refused', peer: address, code, until: null })
      },
      onSession: (session, peer) => void (peer.join ? this.#join(session, peer) : this.#receive(session, peer)),
      onFault: (error) => this.#fault(error),
    })
  }

  /** A fault of this side. A ledger that is locked or has no room ends nothing: whoever comes meanwhile comes again. */
  #fault(error: SealiftError): void {
    const { code, message } = error
    if (code === 'ledger_unavailable') this.#options.onEvent({ event: 'warning', code, message })
    else this.#end.reject(error)
  }

  #banned({ address, reason, remainingMs }: Ban): void {
    const { audit, onEvent } = this.#options
    const until = new Date(Date.now() + remainingMs).toISOString()
    audit.note({ event: 'ban', peer: address, detail: { status: 'set', code: reason, until } })
    onEvent({ event: 'banned', peer: address, code: reason, until })
    void this.#desk.dismiss(address, new SealiftError('peer_refused', 'the address of the sender was banned'))
  }

  /** One session, to its end; never rejects. */
  async #receive(session: Session, peer: ConfirmedPeer): Promise<void> {
    const { audit, fileEvents, onEvent, onReceived, probe = noProbe } = this.#options
    const { address } = session.peer
    const report = new VisitReport(address, fileEvents, onEvent, onReceived)
    const caller = this.#door.letIn(session)
    let transferId: string | null = null
    let failure: SealiftError | null
    let owner: string | null = null
    let wireBytes: number | null = null
    try {
      if (caller === null) throw new SealiftError('connection_lost', 'the sender is gone already')
      const guest = await this.#guests.identify(peer)
      owner = guest.owner
      caller.share.assign(owner, guest.key?.bytesPerSecond ?? undefined)
      const { suite, cipher } = session
      const identity = guest.key?.name ?? null
      onEvent({ event: 'connected', transferId: null, peer: address, identity, suite, cipher })
      const departure = await this.#desk.receive(session, this.#visitOf(session, guest, caller, report), probe)
      transferId = departure.transferId
      wireBytes = departure.wireBytes
      failure = departure.fault ?? (departure.outcome.kind === 'done' ? null : departure.outcome.error)
      await this.#forgetKey(guest)
    } catch (thrown) {
      failure = toSealiftError(thrown)
      session.fail(failure)
    }
    if (failure !== null) {
      const { code, message } = failure
      audit.note({
        event: 'transfer',
        peer: address,
        owner,
        transfer: transferId,
        detail: { status: 'broken', code, message },
      })
    }
    report.ended(transferId, wireBytes ?? session.wireBytes, failure)
  }

  /** One more stream of a session that is there, to its end; never rejects. */
  async #join(stream: Session, peer: ConfirmedPeer): Promise<void> {
    try {
      const caller = this.#door.letIn(stream)
      if (caller === null) throw new SealiftError('connection_lost', 'the sender is gone already')
      const { owner, key } = await this.#guests.identify(peer)
      caller.share.assign(owner, key?.bytesPerSecond ?? undefined)
      const transferId = this.#desk.joinable(peer.resumeId)
      caller.place.join(transferId)
      caller.weigh(transferId, null)
      await this.#desk.join(stream, peer.resumeId)
    } catch (thrown) {
      stream.fail(thrown)
    }
  }

  #visitOf(
    session: Session,
    guest: Guest,
    { place, share, weigh }: Caller,
    report: VisitReport,
  ): Omit<VisitOptions, 'claim' | 'onFault'> {
    const { ledger, settings, audit, probe = noProbe } = this.#options
    const { address } = session.peer
    const { owner, key } = guest
    return {
      ...report.hooks,
      ledger,
      guest,
      probe,
      clock: systemClock,
      peer: address,
      name: hostname(),
      maxPayloadBytes: settings.maxPayloadBytes,
      allowOverwrite: settings.allowOverwrite,
      placeNew: () => layOut(this.#outputDir, settings.layout, guest, Date.now()),
      join: (transferId) => place.join(transferId),
      reserve: ({ bytes }, transfer, arrivedBytes) =>
        this.#quotas.reserve({ transfer, owner, bytes, arrivedBytes, ...(key === null ? {} : { rules: key }) }),
      takeTurn: async (applicant) => {
        // Who waits brings next to nothing, and makes nobody's share smaller.
        weigh(applicant.transferId, 0)
        const turn = await this.#queue.enter(applicant)
        weigh(applicant.transferId, applicant.priority + 1)
        return turn
      },
      release: (transfer) => this.#quotas.release(transfer),
      record: (status, { transferId, name, entries, bytes }: Offer) =>
        audit.write({
          event: 'transfer',
          peer: address,
          owner,
          transfer: transferId,
          detail: { status, name, entries, bytes },
        }),
      bytesPerSecond: () => share.bytesPerSecond,
    }
  }

  /** A key that no transfer came to need, or needs any more, opens nothing. */
  async #forgetKey({ resumeId }: Guest): Promise<void> {
    const { resumeKeys } = this.#options.ledger
    const kept = await resumeKeys.findById(resumeId, 'receiver')
    kept?.resumeKey.fill(0)
    if (kept !== null && kept.transfer !== null) return
    if (kept !== null) await resumeKeys.drop(resumeId, 'receiver')
    this.#resumeKeys.delete(toHex(resumeId))
  }
}
