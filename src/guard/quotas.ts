/**
 * How much a sender may bring: the size of one transfer, what an owner and all together may have sent, and what must stay
 * free on the disk. Says how much would fit.
 *
 * Owns which limit holds and what is said of it; the count is the ledger's (`ledger/quotas.ts`). To be asked at acceptance,
 * and for a stream, whose size nobody knows, again as it grows. A refusal ends a session, never a transfer: once there is
 * room, it goes on with what is missing.
 */

import type { QuotaKind, QuotaRecords } from '../ledger/quotas.ts'
import { SealiftError } from '../protocol/errors.ts'
import { CHUNK_HEADER_BYTES, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, TAG_BYTES } from '../protocol/limits.ts'

/** `null`: no limit. */
export interface QuotaRules {
  readonly maxTransferBytes: number | null
  readonly quotaBytes: number | null
  readonly quotaPerSenderBytes: number | null
  readonly minFreeBytes: number
}

/** What an authorised key has of its own; `null` or absent: as for all. */
export interface OwnerRules {
  readonly maxBytes?: number | null
  readonly quotaBytes?: number | null
}

/** A transfer that wants room. */
export interface Want {
  /** Key of its row in the ledger. */
  readonly transfer: number
  readonly owner: string
  /** Content of the whole transfer; `null` where nobody knows yet. */
  readonly bytes: number | null
  /** Of a stream: bytes that have come already. */
  readonly arrivedBytes?: number
  readonly rules?: OwnerRules
}

export interface QuotasOptions {
  readonly records: QuotaRecords
  readonly rules: QuotaRules
  /** Bytes free on the disk of the output folder. */
  readonly freeBytes: () => number
}

/** A stream gets room by such steps: often enough to stop in time, seldom enough to cost nothing. */
const STREAM_STEP_BYTES = 64 << 20

/** Longer than any limit: a stream may grow as far as the others let it. */
const UNBOUNDED = Number.MAX_SAFE_INTEGER

export class Quotas {
  readonly #options: QuotasOptions

  constructor(options: QuotasOptions) {
    this.#options = options
  }

  /**
   * Reserves room for a transfer, or for the next step of a stream; what it had reserved before is part of it.
   * @returns up to how many bytes it may go now: the whole, or of a stream where to ask again
   * @throws SealiftError `limit_exceeded` where it is larger than any transfer may be; `disk_full` where a quota or the disk
   *   has not so much room, saying how much fits; that of the ledger
   */
  async reserve({ transfer, owner, bytes, arrivedBytes = 0, rules = {} }: Want): Promise<number> {
    const { records, rules: all, freeBytes } = this.#options
    const maxBytes = rules.maxBytes ?? all.maxTransferBytes ?? UNBOUNDED
    const least = bytes ?? arrivedBytes + 1
    if (least > maxBytes) throw tooLarge(bytes, maxBytes)
    const limits = {
      totalBytes: all.quotaBytes,
      ownerBytes: rules.quotaBytes ?? all.quotaPerSenderBytes,
      diskBytes: freeBytes() - all.minFreeBytes,
    }
    const wanted = bytes ?? Math.min(maxBytes, arrivedBytes + STREAM_STEP_BYTES)
    const verdict = await records.reserve({ transfer, owner, bytes: wanted }, limits)
    if (verdict.fits) return wanted
    // The end of the room need not be the end of the stream: it may use it up.
    if (bytes === null && verdict.fitsBytes >= least) {
      const rest = await records.reserve({ transfer, owner, bytes: verdict.fitsBytes }, limits)
      if (rest.fits) return verdict.fitsBytes
    }
    throw tooLittleRoom(verdict.kind, bytes, verdict.fitsBytes)
  }

  /** Nobody brings bytes of this transfer now: others may have the room that it has not used. */
  async release(transfer: number): Promise<void> {
    await this.#options.records.release(transfer)
  }
}

/**
 * Content bytes of one chunk where a whole record may have so many (`ST_MAX_PAYLOAD_SIZE`): a server can lower what the
 * protocol has, but not below what every sender must be able to do.
 */
export function chunkLimit(maxPayloadBytes: number): number {
  return Math.max(MIN_CHUNK_BYTES, Math.min(MAX_CHUNK_BYTES, maxPayloadBytes - CHUNK_HEADER_BYTES - TAG_BYTES))
}

function tooLarge(bytes: number | null, maxBytes: number): SealiftError {
  const what = bytes === null ? 'the transfer has' : `${exact(bytes)} are`
  return new SealiftError('limit_exceeded', `${what} more than one transfer may have: ${exact(maxBytes)}`, {
    hint: 'Whoever runs the server can allow more (ST_MAX_TRANSFER_SIZE, max-bytes of a key).',
    roomBytes: maxBytes,
  })
}

const KINDS: Readonly<Record<QuotaKind, readonly [message: string, hint: string]>> = {
  total: ['the quota of the server', 'Whoever runs the server can allow more (ST_QUOTA).'],
  owner: [
    'the quota of this sender',
    'Whoever runs the server can allow more (sealift quota set, ST_QUOTA_PER_SENDER).',
  ],
  disk: ['the disk of the server', 'Whoever runs the server can make room.'],
}

function tooLittleRoom(kind: QuotaKind, bytes: number | null, fitsBytes: number): SealiftError {
  const [what, hint] = KINDS[kind]
  const wanted = bytes === null ? '' : `, and this transfer has ${exact(bytes)}`
  return new SealiftError('disk_full', `${what} has room for ${exact(fitsBytes)} of this transfer${wanted}`, {
    hint: bytes === null ? hint : `${hint} The transfer can be gone on with then.`,
    roomBytes: fitsBytes,
  })
}

function exact(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${String(bytes).replace(/\B(?=(\d{3})+$)/g, ',')} bytes`
}
