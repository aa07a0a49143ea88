/**
 * Starts a receiving server as its settings say: its identity, who may send, the ledger, and the server behind them.
 */

import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { ListenTlsOptions } from '../carriers/tls.ts'
import type { ServerSettings } from '../config/server-settings.ts'
import { parseSize } from '../config/sizes.ts'
import { stretchPassword } from '../crypto/stretching.ts'
import { ServerToken } from '../guard/server-token.ts'
import { readAuthorizedKeys } from '../identity/authorized-keys.ts'
import { readAuthorities, readOwnCertificate } from '../identity/certificate-files.ts'
import { configFolder } from '../identity/config-folder.ts'
import { readOrCreateKeyFile } from '../identity/key-file.ts'
import { normalizePassword, normalizeServerPassword } from '../identity/password.ts'
import { generateToken, normalizeToken } from '../identity/token.ts'
import type { FileLock } from '../ledger/file-lock.ts'
import type { KeyPair } from '../protocol/crypto-port.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { AdmitNeeds } from '../protocol/messages.ts'
import { prepareAuditFolder } from '../server/audit-files.ts'
import { AuditLog } from '../server/audit-log.ts'
import { ReceivingServer } from '../server/receiving-server.ts'
import type { ServerEvent } from '../server/server-event.ts'
import { systemClock } from '../transfer/clock.ts'
import type { StageProbe } from '../transfer/stage.ts'
import { ServerWatch } from './server-watch.ts'
import { openUserLedger } from './user-ledger.ts'

/** In the folder of the user's own keys. */
const SERVER_KEY_FILE = 'server.key'
/** Beside the ledger, where no other place is named. */
const LOG_FOLDER = 'server-log'

export interface ReceiveServerOptions {
  readonly settings: ServerSettings
  /** Asked for from whoever is not authorised by key. Without it, a password, keys or `open`, one is made. */
  readonly token?: string | undefined
  /** The same, chosen by a person: at least 10 characters. */
  readonly password?: string | undefined
  /** Asked where the server's own key is sealed. */
  readonly identityPassword?: (() => Promise<string | undefined>) | undefined
  readonly onEvent: (event: ServerEvent) => void
  /** Whether to say what became of each file; default true. */
  readonly fileEvents?: boolean | undefined
  /** @internal For tests: called at the named stages. */
  readonly probe?: StageProbe | undefined
  /** @internal For tests: how long a ledger is waited for that another process keeps locked. */
  readonly busyTimeoutMs?: number | undefined
}

export interface RunningServer {
  readonly address: string
  readonly port: number
  readonly fingerprint: string
  /** What senders are asked for; `null` where they need none, or know a password. */
  readonly token: string | null
  readonly others: AdmitNeeds | null
  /** On 127.0.0.1, for /health and /metrics; `null` where there are none. */
  readonly healthPort: number | null
  /** Rejects where the server cannot go on. */
  readonly end: Promise<void>
  stop(error: SealiftError): Promise<void>
}

/**
 * @throws SealiftError `settings_invalid` (also where the log cannot be written), `certificate_invalid`, `server_running`, `auth_failed` where
 *   its key does not open, those of the ledger, the ports and the output folder
 */
export async function startReceivingServer(options: ReceiveServerOptions): Promise<RunningServer> {
  const { settings, onEvent, probe, busyTimeoutMs } = options
  const tls = openTls(settings, onEvent)
  const identity = await openIdentity(settings.identity, options.identityPassword)
  try {
    const { authorizedKeys: keysPath } = settings
    const authorizedKeys = keysPath === null ? () => null : () => readAuthorizedKeys(keysPath, parseSize)
    authorizedKeys()
    const { others, token, gate } = await chooseGate(options, identity)
    const ledger = await openUserLedger(
      settings.ledgerPath ?? undefined,
      busyTimeoutMs === undefined ? {} : { busyTimeoutMs },
    )
    const locks: FileLock[] = []
    const free = async (): Promise<void> => {
      await ledger.close()
      for (const lock of locks.splice(0)) lock.release()
    }
    try {
      const logFolder = settings.logPath ?? join(dirname(ledger.path), LOG_FOLDER)
      locks.push(await ledger.lockForServer())
      locks.push(await lockLog(logFolder))
      await ledger.resumeKeys.prune()
      const watch = await ServerWatch.open(settings)
      const tell = (event: ServerEvent): void => {
        watch.event(event)
        onEvent(event)
      }
      const audit = await AuditLog.open({
        records: ledger.audit,
        folder: logFolder,
        rotationBytes: settings.logRotationBytes,
        retentionMs: settings.logRetentionMs,
        clock: systemClock,
        wallMs: () => Date.now(),
        onFault: ({ code, message }) => tell({ event: 'warning', code, message }),
      })
      const server = new ReceivingServer({
        settings,
        ledger,
        audit,
        identity,
        tls,
        authorizedKeys,
        secret: gate,
        others,
        onEvent: tell,
        fileEvents: options.fileEvents ?? true,
        onConnection: () => watch.connection(),
        onReceived: (bytes) => watch.received(bytes),
        probe,
      })
      const { fingerprint, end } = server
      const close = async (error: SealiftError): Promise<void> => {
        await server.stop(error)
        await audit.close()
        await watch.stopped(error)
      }
      const stop = async (error: SealiftError): Promise<void> => {
        await close(error)
        gate?.destroy()
        identity.privateKey.fill(0)
        await free()
      }
      try {
        const { address, port } = await server.start()
        const healthPort = await watch.started(server, ledger, { address, port, fingerprint, others })
        return { address, port, token, others, fingerprint, healthPort, end, stop }
      } catch (error) {
        await close(toSealiftError(error))
        throw error
      }
    } catch (error) {
      await free()
      throw error
    }
  } catch (error) {
    identity.privateKey.fill(0)
    throw error
  }
}

/** @throws SealiftError `server_running`; `settings_invalid` where nothing can be kept there */
async function lockLog(folder: string): Promise<FileLock> {
  prepareAuditFolder(folder)
  const { acquireServerLock } = await import('../ledger/server-lock.ts')
  return acquireServerLock(folder, `the log in ${folder}`)
}

/** @returns `null` where the server is met without TLS @throws SealiftError `certificate_invalid`, `settings_invalid` */
function openTls(
  { tls, cert, key, ca }: ServerSettings,
  onEvent: (event: ServerEvent) => void,
): Pick<ListenTlsOptions, 'own' | 'clientCa'> | null {
  if (!tls) {
    const [name] = Object.entries({ cert, key, ca }).find(([, path]) => path !== null) ?? []
    if (name === undefined) return null
    throw new SealiftError('settings_invalid', `--${name} is for TLS, and this server is met without it`, {
      hint: 'add --tls, or ST_TLS=yes',
    })
  }
  if (cert === null || key === null)
    throw new SealiftError('settings_invalid', 'TLS needs a certificate and its key', {
      hint: 'name both: --cert FILE --key FILE; sealift cert server makes them',
    })
  const { dateFault, ...own } = readOwnCertificate(cert, key, Date.now())
  if (dateFault !== null)
    onEvent({ event: 'warning', code: 'certificate_time', message: `${dateFault}: senders will refuse this server` })
  return { own, clientCa: ca === null ? null : readAuthorities(ca) }
}

async function openIdentity(
  path: string | null,
  askPassword: ReceiveServerOptions['identityPassword'],
): Promise<KeyPair> {
  const file = path ?? join(configFolder(process.env), SERVER_KEY_FILE)
  const { pair } = await readOrCreateKeyFile(file, async () => {
    const text = await askPassword?.()
    return text === undefined ? null : normalizePassword(text)
  })
  return pair
}

interface Gate {
  readonly others: AdmitNeeds | null
  readonly token: string | null
  readonly gate: ServerToken | null
}

/** What those are asked for who have no authorised key. @throws SealiftError `settings_invalid` */
async function chooseGate({ settings, token, password }: ReceiveServerOptions, identity: KeyPair): Promise<Gate> {
  const guarded = (secret: Uint8Array): ServerToken => new ServerToken(secret, () => systemClock.nowMs())
  if (password !== undefined) {
    const typed = normalizeServerPassword(password)
    const secret = await stretchPassword(typed, identity.publicKey)
    typed.fill(0)
    return { others: 'password', token: null, gate: guarded(secret) }
  }
  if (token === undefined && settings.open) return { others: 'nothing', token: null, gate: null }
  const { authorizedKeys, ca } = settings
  if (token === undefined && (authorizedKeys !== null || ca !== null)) return { others: null, token: null, gate: null }
  const shared = token ?? generateToken(4, randomBytes)
  return { others: 'token', token: shared, gate: guarded(normalizeToken(shared)) }
}
