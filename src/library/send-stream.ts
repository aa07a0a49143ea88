/**
 * Sending what is no file: a stream that can be read only once, or a text. Both are one entry of a transfer that ends
 * with this process, since nobody could read them again.
 */

import { randomUUID } from 'node:crypto'
import { checkCompression } from '../codecs/codec-table.ts'
import type { ContentReader } from '../files/content-reader.ts'
import { MemoryReader } from '../files/memory-reader.ts'
import { StreamReader } from '../files/stream-reader.ts'
import { encodeUtf8 } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import { DEFAULT_PRIORITY, MAX_CHUNK_BYTES, MAX_TEXT_BYTES } from '../protocol/limits.ts'
import { KIND_FILE, Manifest } from '../protocol/manifest.ts'
import { nameFault } from '../protocol/names.ts'
import { manifestDigest } from '../transfer/manifest-digest.ts'
import { findMeeting } from './find-meeting.ts'
import { checkOptions } from './option-checks.ts'
import type { StreamSendOptions } from './options.ts'
import { SenderRun } from './sender-run.ts'
import { compressSetting } from './source-walk.ts'
import { type Emit, startTransfer, type Transfer, type TransferResult, type Watch } from './transfer.ts'
import { openUserLedger } from './user-ledger.ts'

/** What a stream is saved as, where nobody says. */
const STREAM_NAME = 'stdin'
/** What a text is saved as by whoever knows no texts. */
const TEXT_NAME = 'text.txt'

/**
 * Sends a stream whose length need not be known, such as standard input, to one receiver, which saves it as one file.
 *
 * Starts at once, and reads at most 32 MiB ahead of what is safe at the receiver. A dropped connection heals; the end of
 * this process ends the transfer for good. The iterator is returned when the transfer ends.
 *
 * @param source bytes in pieces of any size; a piece is borrowed until the next one is asked for
 * @throws SealiftError nothing; {@link Transfer.done} rejects
 *   before it listens with `usage`, `settings_invalid`, `no_tailscale`, `address_unavailable`, `host_unknown`, `port_in_use`;
 *   with what a receiver says no by: `rejected`, `unanswered`, `conflict`, `policy_refused`, `limit_exceeded`,
 *   `manifest_invalid`, `version_mismatch`;
 *   with why it could not be sent whole: `source_unreadable` (what the source threw is said), `source_vanished` (the receiver lost
 *   what is not held here any more), `limit_exceeded`, `digest_mismatch`, `disk_full`, `target_read_only`, `disk_fault`,
 *   `target_gone`, `name_unusable`, `entry_in_the_way`, `partial`;
 *   with `nobody_came`, also where a receiver was there and did not come back; with `token_burned`, `ledger_unavailable`,
 *   `ledger_corrupt`, `ledger_newer`; with `interrupted`, or the `SealiftError` that it was stopped with
 * @example
 * ```ts
 * const transfer = sendStream(process.stdin, { pod: true, fileName: 'backup.tar' })
 * for await (const event of transfer) if (event.event === 'listening') console.log(event.connect)
 * await transfer.done
 * ```
 */
export function sendStream(source: AsyncIterable<Uint8Array>, options: StreamSendOptions = {}): Transfer {
  return startTransfer(options.signal, (emit, signal, watch) => {
    checkOptions(options)
    const fileName = checkFileName(options.fileName ?? STREAM_NAME)
    return sendOne(
      { fileName, sizeBytes: null, content: 'stream', open: () => new StreamReader({ source }) },
      options,
      emit,
      signal,
      watch,
    )
  })
}

/**
 * Sends a text to one receiver, which shows it and saves it nowhere (a Sealift that knows no texts saves it as a file).
 *
 * Starts at once. A dropped connection heals; the end of this process ends the transfer for good.
 *
 * @param text at most 1 MiB as UTF-8
 * @throws SealiftError nothing; {@link Transfer.done} rejects with `nothing_to_send` for an empty text, `limit_exceeded` for one that
 *   is too long, `settings_invalid` for one that is no Unicode, and as that of {@link sendStream} for all else
 * @example
 * ```ts
 * const transfer = sendText('the door code is 1234', { pod: true })
 * for await (const event of transfer) if (event.event === 'listening') console.log(event.connect)
 * await transfer.done
 * ```
 */
export function sendText(text: string, options: StreamSendOptions = {}): Transfer {
  return startTransfer(options.signal, (emit, signal, watch) => {
    checkOptions(options)
    const bytes = checkText(text)
    const fileName = checkFileName(options.fileName ?? TEXT_NAME)
    return sendOne(
      { fileName, sizeBytes: bytes.length, content: 'text', open: () => new MemoryReader(bytes) },
      options,
      emit,
      signal,
      watch,
    )
  })
}

/** @throws SealiftError `nothing_to_send`, `settings_invalid`, `limit_exceeded` */
function checkText(text: string): Uint8Array {
  if (text === '') throw new SealiftError('nothing_to_send', 'the text to send is empty', { hint: 'give some text' })
  if (!text.isWellFormed()) throw new SealiftError('settings_invalid', 'the text to send cannot be written as UTF-8')
  const bytes = encodeUtf8(text)
  if (bytes.length > MAX_TEXT_BYTES)
    throw new SealiftError('limit_exceeded', 'the text to send is over 1 MiB', {
      hint: 'send it as a file, or through a pipe: sealift send -',
    })
  return bytes
}

/** @throws SealiftError `settings_invalid` */
function checkFileName(fileName: string): string {
  const fault = fileName.isWellFormed() ? nameFault(encodeUtf8(fileName)) : 'a name that is no text'
  if (fault === null) return fileName
  throw new SealiftError('settings_invalid', `what is sent cannot be saved under ${fault}`, {
    hint: 'give one name without folders, such as backup.tar',
  })
}

interface OneEntry {
  readonly fileName: string
  /** `null` while unknown. */
  readonly sizeBytes: number | null
  readonly content: 'stream' | 'text'
  readonly open: () => ContentReader
}

async function sendOne(
  { fileName, sizeBytes, content, open }: OneEntry,
  options: StreamSendOptions,
  emit: Emit,
  signal: AbortSignal,
  watch: Watch,
): Promise<TransferResult> {
  signal.throwIfAborted()
  const compress = compressSetting(options)
  checkCompression(compress, options.compressionLevel ?? null)
  const meet = await findMeeting({ ...options, signal })
  const manifest = new Manifest(1)
  manifest.add({
    kind: KIND_FILE,
    parent: -1,
    name: encodeUtf8(fileName),
    mode: 0o644,
    mtimeNs: BigInt(Date.now()) * 1_000_000n,
    sizeBytes,
    priority: options.priority ?? DEFAULT_PRIORITY,
    target: '',
  })
  const checksum = manifestDigest(manifest)
  const ledger = await openUserLedger(options.ledgerPath)
  try {
    const id = randomUUID()
    const key = await ledger.transfers.create({
      id,
      role: 'sender',
      transferType: 'upload',
      filename: fileName,
      fileSize: sizeBytes,
      checksum,
      options: { content },
      entryCount: 1,
      priority: options.priority ?? DEFAULT_PRIORITY,
      transportUsed: 'tcp',
    })
    const lock = await ledger.lock(id, 'sender')
    try {
      const run = new SenderRun(options, emit, {
        id,
        key,
        manifest,
        reader: open(),
        failedFiles: 0,
        content,
        ledger,
        checksum,
        replaces: null,
        compress,
        maxChunkBytes: MAX_CHUNK_BYTES,
      })
      watch(
        () => run.waiting,
        () => run.receiverLimit,
      )
      return await run.run(meet, signal)
    } finally {
      lock.release()
    }
  } finally {
    await ledger.close()
  }
}
