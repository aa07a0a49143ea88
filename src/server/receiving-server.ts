/**
 * The receiving server: a port, an identity, and many senders at once, each into its own staging (docs/server.md).
 *
 * Joins listener, admission, the list of guests and the reception desk. What is written to logs, and what a command says,
 * is told to it by events; it draws on no terminal and reads no environment.
 */

import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { StreamListener } from '../carriers/carrier.ts'
import { listenTcp } from '../carriers/tcp.ts'
import type { ServerSettings } from '../config/server-settings.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { checkTarget } from '../files/staging.ts'
import type { AuthorizedKeys } from '../identity/authorized-keys.ts'
import { fingerprintOf } from '../identity/public-key.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { toHex } from '../protocol/bytes.ts'
import type { KeyPair } from '../protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import { KIND_FILE } from '../protocol/manifest.ts'
import type { AdmitNeeds } from '../protocol/messages.ts'
import { Admission, type ConfirmedPeer } from '../transfer/admission.ts'
import { systemClock } from '../transfer/clock.ts'
import type { TransferEvent } from '../transfer/events.ts'
import type { StartedTransfer } from '../transfer/lasting-reception.ts'
import { Progress } from '../transfer/progress.ts'
import type { Session } from '../transfer/session.ts'
import { noProbe, type StageProbe } from '../transfer/stage.ts'
import type { TokenGate } from '../transfer/token-gate.ts'
import { GuestList } from './guest.ts'
import { layOut } from './output-layout.ts'
import { ReceptionDesk } from './reception-desk.ts'

/** An event of a server's transfers; one that failed is no end of the server. */
export type ServerEvent =
  | TransferEvent
  | {
      readonly event: 'error'
      readonly transferId: string | null
      readonly peer: string
      readonly error: SealiftError
    }

export interface ReceivingServerOptions {
  readonly settings: ServerSettings
  /** Open, and the caller's to close. */
  readonly ledger: Ledger
  /** The server's identity, borrowed for its life. */
  readonly identity: KeyPair
  readonly authorizedKeys: () => AuthorizedKeys | null
  /** The token or password that others are asked for; `null` where there is none. */
  readonly gate: TokenGate | null
  /** What those are asked for whose key is not authorised; `null`: they are not let in. */
  readonly others: AdmitNeeds | null
  readonly onEvent: (event: ServerEvent) => void
  readonly probe?: StageProbe | undefined
}

export class ReceivingServer {
  readonly #options: ReceivingServerOptions
  readonly #desk: ReceptionDesk
  readonly #guests: GuestList
  readonly #admission: Admission
  /** Keys of earlier meetings by id, in hex: what a handshake looks for while it runs. */
  readonly #resumeKeys = new Map<string, Uint8Array>()
  readonly #end = Promise.withResolvers<undefined>()
  #listener: StreamListener | null = null

  constructor(options: ReceivingServerOptions) {
    this.#options = options
    const { ledger, authorizedKeys, others } = options
    this.#guests = new GuestList({ ledger, authorizedKeys, others })
    const { idleTimeoutMs, minBytesPerSecond } = options.settings
    this.#desk = new ReceptionDesk({ idleMs: idleTimeoutMs, minBytesPerSecond })
    this.#admission = this.#admit()
    this.#end.promise.catch(() => undefined)
  }

  /** `SHA256:…`, by which senders know this server. */
  get fingerprint(): string {
    return fingerprintOf(this.#options.identity.publicKey)
  }

  /** Rejects when the server cannot go on; resolves when it was stopped. */
  get end(): Promise<void> {
    return this.#end.promise
  }

  /**
   * Begins to listen.
   * @throws SealiftError `port_in_use`, `address_unavailable`, `target_read_only`, `target_not_folder`
   */
  async start(): Promise<{ readonly address: string; readonly port: number }> {
    const { ledger, settings } = this.#options
    checkTarget(this.#outputDir)
    for (const { resumeId, resumeKey } of await ledger.resumeKeys.listOwned())
      this.#resumeKeys.set(toHex(resumeId), resumeKey)
    const listener = await listenTcp({
      host: settings.host,
      port: settings.port,
      onStream: (stream) => this.#admission.accept(stream),
    })
    this.#listener = listener
    return { address: settings.host, port: listener.port }
  }

  /** Takes nobody more, tells all senders to come back, keeps what is safe. Resolves when all is closed. */
  async stop(error: SealiftError): Promise<void> {
    this.#admission.close()
    await this.#listener?.close()
    await this.#desk.stop(error)
    for (const key of this.#resumeKeys.values()) key.fill(0)
    this.#resumeKeys.clear()
    this.#end.resolve(undefined)
  }

  get #outputDir(): string {
    return resolve(this.#options.settings.outputDir ?? '.')
  }

  #admit(): Admission {
    const { ledger, identity, gate, onEvent } = this.#options
    return new Admission({
      crypto: nodeCrypto,
      clock: systemClock,
      purpose: 'server',
      role: 'receiver',
      gate,
      timeoutMs: this.#options.settings.handshakeTimeoutMs,
      staticKey: identity,
      judge: (peer) => this.#guests.judge(peer),
      findResumeKey: (id) => this.#resumeKeys.get(toHex(id)) ?? null,
      commit: async ({ suite, resumeId, resumeKey, peerStaticKey }, peer) => {
        if (suite === 'resume') return
        const wayIn = this.#guests.wayIn(peerStaticKey)
        const kept = { resumeId, resumeKey, role: 'receiver', peer: peer.address, wayIn, confirmed: true } as const
        await ledger.resumeKeys.save(kept)
        this.#resumeKeys.set(toHex(resumeId), resumeKey)
      },
      onRefused: (peer, error) => onEvent({ event: 'refused', peer: peer.address, code: error.code, until: null }),
      onSession: (session, peer) => void this.#receive(session, peer),
      onFault: (error) => this.#end.reject(error),
    })
  }

  /** One session, to its end; never rejects. */
  async #receive(session: Session, peer: ConfirmedPeer): Promise<void> {
    const { onEvent, probe = noProbe } = this.#options
    try {
      const guest = await this.#guests.identify(peer)
      const report = new VisitReport(session.peer.address, onEvent)
      onEvent({
        event: 'connected',
        transferId: null,
        peer: session.peer.address,
        identity: guest.key?.name ?? null,
        suite: session.suite,
        cipher: session.cipher,
      })
      const { settings, ledger } = this.#options
      const { outcome, transferId, fault } = await this.#desk.receive(
        session,
        {
          ...report.hooks,
          ledger,
          guest,
          probe,
          clock: systemClock,
          peer: session.peer.address,
          name: hostname(),
          maxPayloadBytes: settings.maxPayloadBytes,
          allowOverwrite: settings.allowOverwrite,
          placeNew: () => layOut(this.#outputDir, settings.layout, guest, Date.now()),
          checkLimits: ({ bytes }) => {
            const limit = guest.key?.maxBytes ?? settings.maxTransferBytes
            if (limit !== null && bytes !== null && bytes > limit)
              throw new SealiftError(
                'limit_exceeded',
                `the transfer has ${String(bytes)} bytes, and ${String(limit)} are taken at most`,
              )
          },
          bytesPerSecond: null,
        },
        probe,
      )
      const error = fault ?? (outcome.kind === 'done' ? null : outcome.error)
      if (error === null) report.done(session.wireBytes)
      else onEvent({ event: 'error', transferId, peer: session.peer.address, error })
    } catch (thrown) {
      const error = toSealiftError(thrown)
      session.fail(error)
      onEvent({ event: 'error', transferId: null, peer: session.peer.address, error })
    }
  }
}

/** Says of one session's transfer what became of it. */
class VisitReport {
  readonly #peer: string
  readonly #emit: (event: ServerEvent) => void
  #started: StartedTransfer | null = null
  #progress: Progress | null = null

  constructor(peer: string, emit: (event: ServerEvent) => void) {
    this.#peer = peer
    this.#emit = emit
  }

  get hooks(): Pick<Parameters<ReceptionDesk['receive']>[1], 'onTransfer' | 'onEntry' | 'onProgress' | 'onWarning'> {
    return {
      onTransfer: (started) => this.#begin(started),
      onEntry: (entry, status, savedAs) => this.#entry(entry, status, savedAs),
      onProgress: (bytes, files) => this.#progress?.add(bytes, files),
      onWarning: (code, message) => this.#emit({ event: 'warning', code, message: `${this.#peer}: ${message}` }),
    }
  }

  #begin(started: StartedTransfer): void {
    const { id, manifest, files, safeBytes, skippedBytes, endedFiles } = started
    this.#started = started
    this.#progress = new Progress(
      systemClock,
      { transferId: id, bytesTotal: manifest.totalBytes, filesTotal: files },
      this.#emit,
    )
    this.#progress.start()
    this.#progress.set(safeBytes + skippedBytes, endedFiles)
  }

  #entry(entry: number, status: 'ok' | 'failed' | 'skipped', savedAs: string | null): void {
    const started = this.#started
    if (started === null || started.manifest.kind(entry) !== KIND_FILE) return
    this.#emit({
      event: 'file',
      transferId: started.id,
      path: started.manifest.path(entry),
      sizeBytes: started.manifest.sizeBytes(entry),
      sha256: null,
      status,
      savedAs,
    })
  }

  done(wireBytes: number): void {
    const [started, progress] = [this.#started, this.#progress]
    if (started === null || progress === null) return
    progress.stop()
    progress.flush()
    const seconds = progress.elapsedMs / 1000
    this.#emit({
      event: 'done',
      transferId: started.id,
      files: started.files,
      bytes: started.manifest.totalBytes ?? 0,
      bytesOnWire: wireBytes,
      resumedBytes: started.safeBytes,
      seconds,
      bytesPerSecond: seconds > 0 ? Math.round(progress.movedBytes / seconds) : 0,
    })
  }
}
