/** What a call says of one file that is safe at the server. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { FileEvent } from '../transfer/events.ts'

/** A file that is safe at the server. */
export interface SentFile {
  /** As it was given. */
  readonly path: string
  /** UUID, the same at the server. */
  readonly transferId: string
  /** Size of the file. */
  readonly bytes: number
  /** SHA-256 that both sides have, hex; `null` where it was skipped, and so not read. */
  readonly sha256: string | null
  /** `skipped` where the server had it already, or keeps what is in its place. */
  readonly status: 'ok' | 'skipped'
}

/** @param event what the sender said of it last; not that it failed */
export async function sentFile(path: string, event: FileEvent, transferId: string): Promise<SentFile> {
  const { sizeBytes, sha256, status } = event
  const common = { path, transferId, bytes: sizeBytes ?? 0 }
  if (status === 'skipped') return { ...common, sha256, status }
  return { ...common, sha256: sha256 ?? (await hashOf(path)), status: 'ok' }
}

/**
 * Of a file that an earlier call sent to its last byte: the server compared its digest then, and this call read nothing of
 * it. It is the file of then, since the transfer that was gone on with has its size and time.
 * @returns `null` where it has vanished since
 */
async function hashOf(path: string): Promise<string | null> {
  const hash = createHash('sha256')
  try {
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array)
  } catch {
    return null
  }
  return hash.digest('hex')
}
