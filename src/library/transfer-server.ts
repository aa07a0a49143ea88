/**
 * `SecureFileTransferServer`: a receiving server that a program holds in its hand. Says what its options mean as settings of
 * the server; all work is that of {@link startReceivingServer}, which is loaded when it starts.
 */

import { SERVER_SETTINGS, type ServerSettings } from '../config/server-settings.ts'
import { resolveSettings } from '../config/settings.ts'
import { SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { ServerEvent } from '../server/server-event.ts'
import { EventQueue } from '../transfer/event-queue.ts'
import { CALL, checkKinds, FLAG, type Kind, TEXT, whole } from './option-checks.ts'
import type { RunningServer } from './receive-server.ts'

/** What a {@link SecureFileTransferServer} may be told. */
export interface FileTransferServerOptions {
  /** Address to listen on. */
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  /** Folder that received files are saved in; made where it is missing. */
  readonly outputDir: string
  /** Let everybody in who reaches the port. Without it there has to be one of those that follow. */
  readonly open?: boolean | undefined
  /** Certificate of the server, PEM: senders come by TLS 1.3. Without one they come by the sealed protocol. */
  readonly certfile?: string | undefined
  /** Private key of that certificate, PEM. */
  readonly keyfile?: string | undefined
  /** Certificates of the CAs whose clients may send without a token, PEM. */
  readonly cafile?: string | undefined
  /** What senders are asked for who have no authorised key. */
  readonly token?: string | undefined
  /** The same, chosen by a person: at least 10 characters. */
  readonly password?: string | undefined
  /** File with the public keys that may send, a line each. */
  readonly authorizedKeys?: string | undefined
  /** Path of the server's own private key; made where it is missing. Default: `server.key` in the user's folder of keys. */
  readonly identity?: string | undefined
  /** Asked where that key is sealed. */
  readonly identityPassword?: (() => Promise<string | undefined>) | undefined
  /** File of the ledger; default `DB_PATH`, else in the user's data folder. */
  readonly ledgerPath?: string | undefined
  /** Whether to say what became of each file; default true. */
  readonly fileEvents?: boolean | undefined
  /**
   * Other settings of the server, by the names and in the form of its environment, `{ ST_QUOTA: '10GB' }`. Here no rate is
   * limited, one address may have 64 transfers at a time, and there is no port of health, unless they say so.
   */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

type CheckedOption = keyof FileTransferServerOptions

/** Between programs of one owner the limits that a server has for strangers are in the way. */
const DEFAULTS: Readonly<Record<string, string>> = {
  ST_RATE_LIMIT_BYTES_PER_SEC: '0',
  ST_MAX_CONCURRENT_PER_IP: '64',
  ST_HEALTH: 'no',
}

const SETTINGS: Kind = {
  is: (value) => typeof value === 'object' && value !== null && Object.values(value).every(TEXT.is),
  inWords: 'an object of texts by the names of settings',
}

const KINDS: Readonly<Record<CheckedOption, Kind>> = {
  host: TEXT,
  port: whole(0, 65_535),
  outputDir: TEXT,
  open: FLAG,
  certfile: TEXT,
  keyfile: TEXT,
  cafile: TEXT,
  token: TEXT,
  password: TEXT,
  authorizedKeys: TEXT,
  identity: TEXT,
  identityPassword: CALL,
  ledgerPath: TEXT,
  fileEvents: FLAG,
  settings: SETTINGS,
}

/**
 * A server that receives files from many senders at once, each into a staging of its own; what is whole, verified and
 * durable gets its name in `outputDir`.
 *
 * Iterating gives its events until it is stopped, and never throws. A server that was stopped may be started again: what
 * was under way goes on when its senders come back. One that cannot go on stops by itself.
 *
 * @example
 * ```ts
 * const server = new SecureFileTransferServer({ host: '127.0.0.1', port: 0, outputDir: 'received', token: 'four words of it' })
 * const { port } = await server.start()
 * for await (const event of server) if (event.event === 'done') console.log(event.transferId, 'is safe')
 * ```
 */
export class SecureFileTransferServer implements AsyncIterable<ServerEvent> {
  readonly #options: FileTransferServerOptions
  #events = new EventQueue<ServerEvent>()
  #running: Promise<RunningServer> | null = null
  #stopping: Promise<void> | null = null
  #end: Promise<void> | null = null

  /** Nothing is done, and nothing looked at, before {@link SecureFileTransferServer.start}. */
  constructor(options: FileTransferServerOptions) {
    this.#options = { ...options }
  }

  /** Rejects with a `SealiftError` where the server cannot go on; resolves once it was stopped. Before the start: at once. */
  get end(): Promise<void> {
    return this.#end ?? Promise.resolve()
  }

  /**
   * Begins to listen.
   *
   * @returns where: the address, the port, and the fingerprint of its key, `SHA256:…`, by which senders may know it
   * @throws SealiftError `settings_invalid` for options that cannot be, or where nothing says who may send; `usage` where it
   *   runs already; `port_in_use`, `address_unavailable`, `auth_failed` where its key does not open, `target_read_only`,
   *   `target_not_folder`, those of the ledger
   */
  async start(): Promise<{ readonly address: string; readonly port: number; readonly fingerprint: string }> {
    await this.#stopping
    if (this.#running !== null) throw new SealiftError('usage', 'this server runs already')
    // The events of an earlier run have ended.
    if (this.#end !== null) this.#events = new EventQueue()
    const running = (this.#running = this.#start())
    try {
      const { address, port, fingerprint, end } = await running
      this.#end = end
      // Nothing is left of a server that cannot go on; `end` says why.
      end.catch(() => this.stop())
      return { address, port, fingerprint }
    } catch (error) {
      this.#running = null
      throw toSealiftError(error)
    }
  }

  async #start(): Promise<RunningServer> {
    checkKinds(KINDS, this.#options, ['host', 'port', 'outputDir'])
    checkGuard(this.#options)
    const { token, password, identityPassword, fileEvents } = this.#options
    const settings = settingsOf(this.#options)
    const { startReceivingServer } = await import('./receive-server.ts')
    return startReceivingServer({
      settings,
      token,
      password,
      identityPassword,
      fileEvents,
      onEvent: (event) => this.#events.push(event),
    })
  }

  /**
   * Stops it. What is under way is told to its senders, and can be gone on with: staging and ledger keep it. Resolves when
   * nothing of the server is left: no port, no connection, no open file. Does nothing where it does not run.
   */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop().finally(() => {
      this.#stopping = null
    }))
  }

  async #stop(): Promise<void> {
    const server = await this.#running?.catch(() => null)
    this.#running = null
    if (server === undefined || server === null) return
    await server.stop(new SealiftError('terminated', 'the server was stopped'))
    this.#events.end()
  }

  [Symbol.asyncIterator](): AsyncIterator<ServerEvent> {
    return this.#events[Symbol.asyncIterator]()
  }
}

/** @throws SealiftError `settings_invalid` */
function checkGuard({ open = false, ...guards }: FileTransferServerOptions): void {
  const { token, password, authorizedKeys, cafile } = guards
  if (open || [token, password, authorizedKeys, cafile].some((guard) => guard !== undefined)) return
  throw new SealiftError('settings_invalid', 'nothing says who may send to this server', {
    hint: 'give it cafile, authorizedKeys, a token or a password, or open: true to let everybody in',
  })
}

/** @throws SealiftError `settings_invalid` */
function settingsOf(options: FileTransferServerOptions): ServerSettings {
  const { host, port, outputDir, open, authorizedKeys, identity, ledgerPath, settings = {} } = options
  const { certfile, keyfile, cafile } = options
  const isTls = [certfile, keyfile, cafile].some((file) => file !== undefined)
  const unknown = Object.keys(settings).filter(
    (name) => !Object.values(SERVER_SETTINGS).some(({ env }) => env === name),
  )
  if (unknown.length > 0)
    throw new SealiftError('settings_invalid', `there is no setting of this name: ${unknown.join(', ')}`)
  const flags = {
    host,
    port: String(port),
    outputDir,
    open: open === undefined ? undefined : String(open),
    authorizedKeys,
    identity,
    tls: isTls ? 'yes' : undefined,
    cert: certfile,
    key: keyfile,
    ca: cafile,
  }
  const environment = { ...DEFAULTS, ...settings, ...(ledgerPath === undefined ? {} : { DB_PATH: ledgerPath }) }
  return resolveSettings(SERVER_SETTINGS, { flags, environment, file: null }).values
}
