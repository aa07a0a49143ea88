/**
 * `SecureFileTransferClient`: sends files to one receiving server. Says what its options mean to {@link sendFiles}, which does
 * all the work, and gives back what became of each file.
 */

import { checkCompression } from '../codecs/codec-table.ts'
import { formatAddress } from '../config/address.ts'
import { nodeFileSystem } from '../files/file-system.ts'
import { findRoot } from '../files/source-roots.ts'
import type { CompressSetting } from '../protocol/choices.ts'
import { type ErrorCode, SealiftError, toSealiftError } from '../protocol/errors.ts'
import type { FileEvent, ProgressEvent, WarningEvent } from '../transfer/events.ts'
import { fileFailure, folderGiven } from './file-failures.ts'
import { CALL, checkKinds, checkOptions, type Kind, TEXT, TEXTS, whole } from './option-checks.ts'
import type { SendOptions, ServerOptions, TransferOptions } from './options.ts'
import type { FileOutcome } from './parallel-send.ts'
import type { ParallelProgress } from './progress-sum.ts'
import { sendFiles } from './send-files.ts'
import { type SentFile, sentFile } from './sent-file.ts'

/** What a {@link SecureFileTransferClient} may be told. */
export interface FileTransferClientOptions
  extends Omit<ServerOptions, 'ca' | 'cert' | 'key'>, Pick<TransferOptions, 'ledgerPath' | 'bytesPerSecond' | 'name'> {
  /** Name or address of the server. */
  readonly host: string
  readonly port: number
  /** Certificates of the CAs that may vouch for the server, PEM: it is met by TLS 1.3. */
  readonly cafile?: string | undefined
  /** This side's certificate, PEM, for servers that know their senders by one; the server is met by TLS 1.3. */
  readonly certfile?: string | undefined
  /** Private key of that certificate, PEM. */
  readonly keyfile?: string | undefined
}

/** What `sendFile` may be told. */
export interface SendFileOptions extends Pick<SendOptions, 'signal' | 'priority' | 'conflict' | 'compress'> {
  /** 1, fast, to 9, small, of gzip; 0 or none: nothing is compressed. With `compress` the level of that codec. */
  readonly compressionLevel?: number | undefined
  /** At most 10 times a second. */
  readonly onProgress?: ((progress: ProgressEvent) => void) | undefined
  readonly onWarning?: ((warning: WarningEvent) => void) | undefined
}

/** What `sendFilesInParallel` may be told. */
export interface SendInParallelOptions extends Omit<SendFileOptions, 'onProgress'> {
  /** Transfers at a time, at most: from 1 to 64, default 4. A server may take fewer. */
  readonly concurrency?: number | undefined
  /** Of all files together; at most 10 times a second. */
  readonly onProgress?: ((progress: ParallelProgress) => void) | undefined
}

/** What became of one `sendFile`. */
export interface SendFileResult extends SentFile {
  /** Of the file, what was safe before: an earlier call was interrupted. */
  readonly resumedBytes: number
  /** Both directions, all sessions of this call. */
  readonly bytesOnWire: number
  /** From acceptance to the end. */
  readonly seconds: number
}

/** What became of one file of `sendFilesInParallel`. */
export type ParallelResult =
  | (SentFile & { readonly ok: true; readonly error?: undefined })
  | { readonly path: string; readonly ok: false; readonly error: SealiftError }

/** Those that `sendFiles` does not know by these names. */
const KINDS: Readonly<Record<'host' | 'port' | 'cafile' | 'certfile' | 'keyfile', Kind>> = {
  host: TEXT,
  port: whole(1, 65_535),
  cafile: TEXT,
  certfile: TEXT,
  keyfile: TEXT,
}
/** The same, of a call. */
const CALL_KINDS: Readonly<Record<'concurrency' | 'onProgress' | 'onWarning', Kind>> = {
  concurrency: whole(1, 64),
  onProgress: CALL,
  onWarning: CALL,
}
const DEFAULT_CONCURRENCY = 4

/**
 * Sends files to a receiving server. Nothing is kept open between calls, and a call that is made again after an
 * interruption goes on with what is missing.
 *
 * @example
 * ```ts
 * const client = new SecureFileTransferClient({ host: 'backup.example.com', port: 9000, token: 'four words of it' })
 * const { sha256 } = await client.sendFile('example.txt', { priority: 9, compressionLevel: 6 })
 * ```
 */
export class SecureFileTransferClient {
  readonly #options: FileTransferClientOptions

  /** Nothing is done, and nothing looked at, before the first call. */
  constructor(options: FileTransferClientOptions) {
    this.#options = { ...options }
  }

  /**
   * Sends one file; a link is followed. Resolves once it is whole, verified and durable at the server.
   *
   * @throws SealiftError `settings_invalid` for options that cannot be; `usage` for a folder; `path_missing`,
   *   `path_unreadable`; what the server says no by; `connect_failed`, `host_unknown`, `connection_lost` and others of the
   *   network; `auth_failed`, `key_changed`; why the file failed, `source_changed` say; `interrupted`
   */
  async sendFile(path: string, options: SendFileOptions = {}): Promise<SendFileResult> {
    checkFile(path)
    const { onProgress, onWarning } = options
    let failure = null as ErrorCode | null
    let sent: FileEvent | null = null
    const transfer = sendFiles(path, {
      ...this.#sendOptions(options),
      onFailed: (_, code) => (failure = code ?? 'partial'),
    })
    try {
      for await (const event of transfer) {
        if (event.event === 'file') sent = event
        else if (event.event === 'progress') onProgress?.(event)
        else if (event.event === 'warning' && failure === null) onWarning?.(event)
      }
    } catch (thrown) {
      // Of the caller: it is told by this very error, once the transfer has stopped.
      transfer.cancel(thrown)
      await transfer.done.catch(() => undefined)
      throw thrown
    }
    const { transferId, resumedBytes, bytesOnWire, seconds } = await transfer.done.catch((thrown: unknown) => {
      throw failure === null ? thrown : fileFailure(path, failure, toSealiftError(thrown).transferId)
    })
    if (sent === null) throw new SealiftError('internal', 'nothing was said of the file')
    return { ...(await sentFile(path, sent, transferId)), resumedBytes, bytesOnWire, seconds }
  }

  /**
   * Sends a list of files, several transfers at a time; small files share transfers. What is wrong with one file costs the
   * others nothing, and is in its result.
   *
   * @returns what became of each, in the order of the list
   * @throws SealiftError only where nothing can go on: `settings_invalid` before anything is sent, `connect_failed`,
   *   `auth_failed` and the like, `interrupted`, those of the ledger. What was sent is safe, and the same call goes on
   * @example
   * ```ts
   * const results = await client.sendFilesInParallel(['a.txt', 'b.txt'], { concurrency: 3 })
   * for (const result of results) console.log(result.path, result.ok ? result.sha256 : result.error.message)
   * ```
   */
  async sendFilesInParallel(paths: readonly string[], options: SendInParallelOptions = {}): Promise<ParallelResult[]> {
    if (!TEXTS.is(paths)) throw new SealiftError('settings_invalid', `the paths must be ${TEXTS.inWords}`)
    const send = this.#sendOptions(options)
    const { concurrency = DEFAULT_CONCURRENCY, onProgress, onWarning } = options
    const { sendInParallel } = await import('./parallel-send.ts')
    const outcomes = await sendInParallel(paths, {
      send,
      concurrency,
      onProgress,
      onWarning,
    })
    const results: ParallelResult[] = []
    for (const [at, path] of paths.entries()) {
      const { error, sent, transferId } = outcomes[at] as FileOutcome
      if (error !== null) results.push({ path, ok: false, error })
      else results.push({ ...(await sentFile(path, sent, transferId)), ok: true })
    }
    return results
  }

  /** @throws SealiftError `settings_invalid` */
  #sendOptions(given: ChosenOptions): SendOptions & { readonly to: string } {
    checkKinds(KINDS, this.#options, ['host', 'port'])
    checkKinds(CALL_KINDS, given)
    const { host, port, cafile, certfile, keyfile, ...server } = this.#options
    const isTls = [cafile, certfile, keyfile].some((file) => file !== undefined)
    const { signal, priority, conflict } = given
    const options = {
      ...server,
      tls: server.tls ?? isTls,
      ca: cafile,
      cert: certfile,
      key: keyfile,
      to: formatAddress(host, port),
      signal,
      priority,
      conflict,
      ...compression(given),
    }
    checkOptions(options)
    checkCompression(options.compress, options.compressionLevel ?? null)
    return options
  }
}

/** What the caller of either method may choose. */
type ChosenOptions = Omit<SendFileOptions, 'onProgress'> & {
  readonly onProgress?: unknown
  readonly concurrency?: unknown
}

/** A level without a codec means gzip here, as it did for those who know these classes. */
function compression({
  compress,
  compressionLevel,
}: ChosenOptions): Pick<SendOptions, 'compressionLevel'> & { readonly compress: CompressSetting } {
  if (compress !== undefined) return { compress, compressionLevel }
  if (compressionLevel === undefined || compressionLevel === 0) return { compress: 'none' }
  return { compress: 'gzip', compressionLevel }
}

/** @throws SealiftError `settings_invalid`, `usage`, `path_missing`, `path_unreadable` */
function checkFile(path: string): void {
  if (!TEXT.is(path)) throw new SealiftError('settings_invalid', `the path must be ${TEXT.inWords}`)
  if (findRoot(path, nodeFileSystem).stats.isDirectory()) throw folderGiven(path)
}
