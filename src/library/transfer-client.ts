/**
 * `SecureFileTransferClient`: sends files to one receiving server. Says what its options mean to {@link sendFiles}, which does
 * all the work, and gives back what became of each file.
 */

import { statSync } from 'node:fs'
import { formatAddress } from '../config/address.ts'
import { type ErrorCode, SealiftError, toSealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import type { FileEvent, ProgressEvent, WarningEvent } from '../transfer/events.ts'
import { checkKinds, type Kind, TEXT, whole } from './option-checks.ts'
import type { SendOptions, ServerOptions, TransferOptions } from './options.ts'
import { sendFiles } from './send-files.ts'

/** What a {@link SecureFileTransferClient} may be told. */
export interface FileTransferClientOptions
  extends ServerOptions, Pick<TransferOptions, 'ledgerPath' | 'bytesPerSecond' | 'name'> {
  /** Name or address of the server. */
  readonly host: string
  readonly port: number
}

/** What `sendFile` may be told. */
export interface SendFileOptions extends Pick<SendOptions, 'signal' | 'priority' | 'conflict' | 'compress'> {
  /** 1, fast, to 9, small, of gzip; 0 or none: nothing is compressed. With `compress` the level of that codec. */
  readonly compressionLevel?: number | undefined
  /** At most 10 times a second. */
  readonly onProgress?: ((progress: ProgressEvent) => void) | undefined
  readonly onWarning?: ((warning: WarningEvent) => void) | undefined
}

/** A file that is safe at the server. */
export interface SentFile {
  /** As it was given. */
  readonly path: string
  /** UUID, the same at the server. */
  readonly transferId: string
  /** Size of the file. */
  readonly bytes: number
  /** SHA-256 that both sides have, hex; `null` where the server had this file already, and it was not read. */
  readonly sha256: string | null
  /** `skipped` where the server had it already, or keeps what is in its place. */
  readonly status: 'ok' | 'skipped'
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

const KINDS: Readonly<Record<'host' | 'port', Kind>> = { host: TEXT, port: whole(1, 65_535) }

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
    refuseFolder(path)
    const { onProgress, onWarning } = options
    let failure: ErrorCode | null = null
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
      throw failure === null ? thrown : fileFailure(path, failure, toSealiftError(thrown))
    })
    return { ...sentFile(path, sent), transferId, resumedBytes, bytesOnWire, seconds }
  }

  /** @throws SealiftError `settings_invalid` */
  #sendOptions(given: SendFileOptions): SendOptions {
    checkKinds(KINDS, this.#options)
    const { host, port, ...server } = this.#options
    const { signal, priority, conflict } = given
    return { ...server, to: formatAddress(host, port), signal, priority, conflict, ...compression(given) }
  }
}

/** A level without a codec means gzip here, as it did for those who know these classes. */
function compression({
  compress,
  compressionLevel,
}: SendFileOptions): Pick<SendOptions, 'compress' | 'compressionLevel'> {
  if (compress !== undefined) return { compress, compressionLevel }
  if (compressionLevel === undefined || compressionLevel === 0) return { compress: 'none' }
  return { compress: 'gzip', compressionLevel }
}

/** @throws SealiftError `usage` */
function refuseFolder(path: string): void {
  // What is wrong with it otherwise, whoever sends it says.
  if (typeof path !== 'string') throw new SealiftError('settings_invalid', 'the path of a file must be a text')
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return
  throw new SealiftError('usage', `this is a folder: ${escapeForDisplay(path)}`, { hint: 'sendFiles sends folders' })
}

function sentFile(path: string, event: FileEvent | null): Omit<SentFile, 'transferId'> {
  if (event === null || event.status === 'failed') throw new SealiftError('internal', 'nothing was said of the file')
  const { sizeBytes, sha256, status } = event
  return { path, bytes: sizeBytes ?? 0, sha256, status }
}

/** Where one file is sent, why it failed is why the call did. */
function fileFailure(path: string, code: ErrorCode, { transferId }: SealiftError): SealiftError {
  return new SealiftError(code, `${escapeForDisplay(path)} could not be sent`, {
    ...(transferId === undefined ? {} : { transferId }),
  })
}
