/**
 * What peers say to each other inside records: the first plaintext byte is the type, the rest its body
 * (protocol.md, "Messages"). Bulk is binary; control is small JSON, capped and checked by schema.
 *
 * Pure: bytes to values and back, every length checked first.
 */

import * as z from 'zod/mini'
import { ByteReader, ByteWriter, decodeUtf8, encodeUtf8 } from './bytes.ts'
import { CONFLICT_POLICIES } from './choices.ts'
import { SealiftError } from './errors.ts'
import { FRAME_HEADER_BYTES } from './handshake-messages.ts'
import {
  CHUNK_HEADER_BYTES,
  MAX_CHUNK_BYTES,
  MAX_CONTROL_BYTES,
  MAX_ENTRIES,
  MAX_HANDSHAKE_FRAME_BYTES,
  MAX_PAGE_BYTES,
  MAX_PRIORITY,
  MAX_STREAMS,
  MIN_CHUNK_BYTES,
} from './limits.ts'

/** Message types, by name. */
export const MESSAGE = {
  hello: 1,
  offer: 2,
  manifest: 3,
  accept: 4,
  reject: 5,
  states: 6,
  safe: 7,
  chunk: 8,
  digests: 9,
  ack: 10,
  nack: 11,
  entryFailed: 12,
  entryEnd: 13,
  done: 14,
  ping: 15,
  pong: 16,
  close: 17,
  admit: 18,
  auth: 19,
  queued: 20,
} as const

export type MessageName = keyof typeof MESSAGE

/** What a server may ask for. */
const ADMIT_NEEDS = ['nothing', 'token', 'password'] as const
export type AdmitNeeds = (typeof ADMIT_NEEDS)[number]

const count = z.int().check(z.minimum(0))
const text = z.string().check(z.maxLength(256))
const transferId = z.string().check(z.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))
const digest = z.string().check(z.regex(/^[0-9a-f]{64}$/))
const chunkLimit = z.int().check(z.minimum(MIN_CHUNK_BYTES))

/** First word of the receiver: who it is, what it takes, and the transfer it is in the middle of. */
const helloSchema = z.object({
  name: text,
  maxChunkBytes: chunkLimit,
  known: z.nullable(z.object({ transferId, digest })),
})
/** First word of the sender: what it would like to send. */
const offerSchema = z.object({
  transferId,
  replaces: z.nullable(transferId),
  name: text,
  maxChunkBytes: chunkLimit,
  entries: count.check(z.maximum(MAX_ENTRIES)),
  files: count.check(z.maximum(MAX_ENTRIES)),
  bytes: z.nullable(count),
  digest,
  /** Whether MANIFEST pages follow: not where the receiver knows the manifest. */
  manifestFollows: z.boolean(),
  conflict: z.nullable(z.enum(CONFLICT_POLICIES)),
  /** Whether the one file is a text, to be shown and not saved. */
  text: z.optional(z.boolean()),
  /** 0 (last) … 9 (first), for a receiver that lets only so many in at once; default {@link DEFAULT_PRIORITY}. */
  priority: z.optional(z.int().check(z.minimum(0), z.maximum(MAX_PRIORITY))),
  /** Over how many streams the sender would like to send, where the receiver opens them; absent: one. */
  streams: z.optional(z.int().check(z.minimum(1), z.maximum(MAX_STREAMS))),
})
/** The epoch stands in four bytes of each chunk. A receiver that limits this sender says to how many bytes a second. */
const acceptSchema = z.object({
  epoch: count.check(z.maximum(0xffff_ffff)),
  bytesPerSecond: z.optional(z.int().check(z.minimum(1))),
})
const doneSchema = z.object({ published: count, skipped: count, failed: count })
const admitSchema = z.object({ needs: z.enum(ADMIT_NEEDS) })

export type Hello = z.infer<typeof helloSchema>
export type Offer = z.infer<typeof offerSchema>
export type Accept = z.infer<typeof acceptSchema>
export type Done = z.infer<typeof doneSchema>
/** First word of a server: what it asks for besides the keys; `nothing` lets the peer in. */
export type Admit = z.infer<typeof admitSchema>

/** A stretch of entries with one state. `code` is a wire error code where they failed, else 0. */
export interface StateRun {
  readonly first: number
  readonly count: number
  readonly state: number
  readonly code: number
}

export interface EntryDigest {
  readonly entry: number
  /** 32 bytes. */
  readonly sha256: Uint8Array
}

export interface ChunkMessage {
  readonly type: 'chunk'
  readonly codec: number
  readonly epoch: number
  readonly offset: number
  readonly rawBytes: number
  /** As the codec left them; a view of the record. */
  readonly packed: Uint8Array
}

export type Message =
  | { readonly type: 'hello'; readonly hello: Hello }
  | { readonly type: 'offer'; readonly offer: Offer }
  | { readonly type: 'manifest'; readonly last: boolean; readonly page: Uint8Array }
  | { readonly type: 'accept'; readonly accept: Accept }
  /** `roomBytes`: content that would be taken, where it is too much; else `null`. */
  | { readonly type: 'reject'; readonly code: number; readonly roomBytes: number | null }
  | { readonly type: 'states'; readonly runs: readonly StateRun[] }
  | { readonly type: 'safe'; readonly last: boolean; readonly page: Uint8Array }
  | ChunkMessage
  | { readonly type: 'digests'; readonly digests: readonly EntryDigest[] }
  | { readonly type: 'ack'; readonly page: Uint8Array }
  | { readonly type: 'nack'; readonly entry: number }
  | { readonly type: 'entryFailed'; readonly entry: number; readonly code: number }
  | { readonly type: 'entryEnd'; readonly sizeBytes: number }
  | { readonly type: 'done'; readonly done: Done }
  | { readonly type: 'ping' }
  | { readonly type: 'pong' }
  | { readonly type: 'close'; readonly code: number }
  | { readonly type: 'admit'; readonly admit: Admit }
  /** One whole frame of the handshake that runs inside a channel; a view of the record. */
  | { readonly type: 'auth'; readonly frame: Uint8Array }
  /** Place in line of an offer that is taken once its turn comes; 1 is the next. */
  | { readonly type: 'queued'; readonly place: number }

const STATE_RUN_BYTES = 11
const DIGEST_BYTES = 36
export const STATE_RUNS_PER_MESSAGE = Math.floor((MAX_PAGE_BYTES - 1) / STATE_RUN_BYTES)
export const DIGESTS_PER_MESSAGE = Math.floor((MAX_PAGE_BYTES - 1) / DIGEST_BYTES)

function encodeJson(type: number, value: unknown): Uint8Array {
  const body = encodeUtf8(JSON.stringify(value))
  const bytes = new Uint8Array(1 + body.length)
  bytes[0] = type
  bytes.set(body, 1)
  return bytes
}

/** The 64-byte header of a CHUNK; the packed bytes follow it in the same record. */
export function encodeChunkHeader(chunk: {
  codec: number
  epoch: number
  offset: number
  rawBytes: number
}): Uint8Array {
  const header = new Uint8Array(CHUNK_HEADER_BYTES)
  const view = new DataView(header.buffer)
  header[0] = MESSAGE.chunk
  header[1] = chunk.codec
  view.setUint32(4, chunk.epoch)
  view.setUint32(8, Math.floor(chunk.offset / 0x1_0000_0000))
  view.setUint32(12, chunk.offset % 0x1_0000_0000)
  view.setUint32(16, chunk.rawBytes)
  return header
}

/** Any message but CHUNK as the plaintext of one record. */
export function encodeMessage(message: Exclude<Message, ChunkMessage>): Uint8Array {
  const type = MESSAGE[message.type]
  const writer = new ByteWriter(64).u8(type)
  switch (message.type) {
    case 'hello':
      return encodeJson(type, message.hello)
    case 'offer':
      return encodeJson(type, message.offer)
    case 'accept':
      return encodeJson(type, message.accept)
    case 'done':
      return encodeJson(type, message.done)
    case 'admit':
      return encodeJson(type, message.admit)
    case 'auth':
      return writer.bytes(message.frame).finish()
    case 'manifest':
    case 'safe':
      return writer
        .u8(message.last ? 1 : 0)
        .bytes(message.page)
        .finish()
    case 'states':
      for (const run of message.runs) writer.u32(run.first).u32(run.count).u8(run.state).u16(run.code)
      return writer.finish()
    case 'digests':
      for (const { entry, sha256 } of message.digests) writer.u32(entry).bytes(sha256)
      return writer.finish()
    case 'ack':
      return writer.bytes(message.page).finish()
    case 'nack':
      return writer.u32(message.entry).finish()
    case 'entryFailed':
      return writer.u32(message.entry).u16(message.code).finish()
    case 'entryEnd':
      return writer.u64(message.sizeBytes).finish()
    case 'reject':
      writer.u16(message.code)
      return (message.roomBytes === null ? writer : writer.u64(message.roomBytes)).finish()
    case 'close':
      return writer.u16(message.code).finish()
    case 'queued':
      return writer.u32(message.place).finish()
    case 'ping':
    case 'pong':
      return writer.finish()
  }
}

function decodeJson<T extends z.ZodMiniType>(schema: T, body: Uint8Array): z.infer<T> {
  if (body.length > MAX_CONTROL_BYTES) throw new SealiftError('protocol_violation', 'a control message is too long')
  const json = decodeUtf8(body)
  let value: unknown
  try {
    value = JSON.parse(json ?? '')
  } catch {
    throw new SealiftError('protocol_violation', 'a control message is not JSON')
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new SealiftError('protocol_violation', 'a control message has wrong fields')
  return parsed.data
}

/**
 * Reads the plaintext of one record. Bodies that are bytes are views of it.
 * @throws SealiftError `protocol_violation` for whatever is not exactly a message
 */
export function decodeMessage(plaintext: Uint8Array): Message {
  const type = plaintext[0]
  const body = plaintext.subarray(1)
  const reader = new ByteReader(body)
  switch (type) {
    case MESSAGE.chunk:
      return decodeChunk(plaintext)
    case MESSAGE.ack:
      return { type: 'ack', page: paged(body) }
    case MESSAGE.digests:
      return { type: 'digests', digests: decodeDigests(reader) }
    case MESSAGE.states:
      return { type: 'states', runs: decodeStates(reader) }
    case MESSAGE.hello:
      return { type: 'hello', hello: decodeJson(helloSchema, body) }
    case MESSAGE.offer:
      return { type: 'offer', offer: decodeJson(offerSchema, body) }
    case MESSAGE.accept:
      return { type: 'accept', accept: decodeJson(acceptSchema, body) }
    case MESSAGE.done:
      return { type: 'done', done: decodeJson(doneSchema, body) }
    case MESSAGE.admit:
      return { type: 'admit', admit: decodeJson(admitSchema, body) }
    case MESSAGE.auth:
      return { type: 'auth', frame: authFrame(body) }
    case MESSAGE.manifest: {
      const last = flag(reader)
      return { type: 'manifest', last, page: paged(body.subarray(1)) }
    }
    case MESSAGE.safe: {
      const last = flag(reader)
      return { type: 'safe', last, page: paged(body.subarray(1)) }
    }
    case MESSAGE.nack:
      return whole(reader, { type: 'nack', entry: reader.u32() })
    case MESSAGE.entryFailed:
      return whole(reader, { type: 'entryFailed', entry: reader.u32(), code: reader.u16() })
    case MESSAGE.entryEnd:
      return whole(reader, { type: 'entryEnd', sizeBytes: reader.u64() })
    case MESSAGE.reject:
      return whole(reader, {
        type: 'reject',
        code: reader.u16(),
        roomBytes: reader.left === 0 ? null : reader.u64(),
      })
    case MESSAGE.close:
      return whole(reader, { type: 'close', code: reader.u16() })
    case MESSAGE.queued:
      return whole(reader, { type: 'queued', place: placeInLine(reader) })
    case MESSAGE.ping:
      return whole(reader, { type: 'ping' })
    case MESSAGE.pong:
      return whole(reader, { type: 'pong' })
    default:
      throw new SealiftError('protocol_violation', 'a message of unknown type')
  }
}

function whole(reader: ByteReader, message: Message): Message {
  reader.end()
  return message
}

function flag(reader: ByteReader): boolean {
  const value = reader.u8()
  if (value > 1) throw new SealiftError('protocol_violation', 'a flag is neither 0 nor 1')
  return value === 1
}

function placeInLine(reader: ByteReader): number {
  const place = reader.u32()
  if (place === 0) throw new SealiftError('protocol_violation', 'a place in line before the first')
  return place
}

function paged(page: Uint8Array): Uint8Array {
  if (page.length > MAX_PAGE_BYTES) throw new SealiftError('protocol_violation', 'a page is too long')
  return page
}

function authFrame(frame: Uint8Array): Uint8Array {
  if (frame.length < FRAME_HEADER_BYTES || frame.length > MAX_HANDSHAKE_FRAME_BYTES)
    throw new SealiftError('protocol_violation', 'a handshake frame has an impossible length')
  return frame
}

function decodeChunk(plaintext: Uint8Array): ChunkMessage {
  if (plaintext.length < CHUNK_HEADER_BYTES) throw new SealiftError('protocol_violation', 'a chunk has no header')
  const reader = new ByteReader(plaintext.subarray(1, CHUNK_HEADER_BYTES))
  const codec = reader.u8()
  const reserved = reader.u16()
  const epoch = reader.u32()
  const offset = reader.u64()
  const rawBytes = reader.u32()
  if (reserved !== 0 || !isZero(reader.bytes(reader.left))) {
    throw new SealiftError('protocol_violation', 'a chunk header has reserved bits set')
  }
  const packed = plaintext.subarray(CHUNK_HEADER_BYTES)
  if (
    rawBytes === 0 ||
    rawBytes > MAX_CHUNK_BYTES ||
    packed.length > rawBytes ||
    !Number.isSafeInteger(offset + rawBytes)
  ) {
    throw new SealiftError('protocol_violation', 'a chunk has an impossible length')
  }
  return { type: 'chunk', codec, epoch, offset, rawBytes, packed }
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}

function decodeDigests(reader: ByteReader): EntryDigest[] {
  if (reader.left === 0 || reader.left % DIGEST_BYTES !== 0 || reader.left > MAX_PAGE_BYTES) {
    throw new SealiftError('protocol_violation', 'a list of digests is cut')
  }
  const digests: EntryDigest[] = []
  while (reader.left > 0) digests.push({ entry: reader.u32(), sha256: reader.bytes(32) })
  return digests
}

function decodeStates(reader: ByteReader): StateRun[] {
  if (reader.left % STATE_RUN_BYTES !== 0 || reader.left > MAX_PAGE_BYTES) {
    throw new SealiftError('protocol_violation', 'a list of states is cut')
  }
  const runs: StateRun[] = []
  while (reader.left > 0) {
    const run = { first: reader.u32(), count: reader.u32(), state: reader.u8(), code: reader.u16() }
    if (run.count === 0 || run.first + run.count > MAX_ENTRIES) {
      throw new SealiftError('protocol_violation', 'a run of states is out of bounds')
    }
    runs.push(run)
  }
  return runs
}
