/** A raw peer in the part of a sender: entries and offers with whatever lies a test wants, and what must come of them. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { expect } from 'vitest'
import type { ReceiveOptions } from '../../src/index.ts'
import { ByteWriter, concatBytes, encodeUtf8 } from '../../src/protocol/bytes.ts'
import { ERROR_TABLE, type ErrorCode } from '../../src/protocol/errors.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK } from '../../src/protocol/manifest.ts'
import { type Offer } from '../../src/protocol/messages.ts'
import { type HonestEnd, type HonestRun, type RawPeer, receiveFromRaw } from '../rigs/loopback-pair.ts'
import { listSurroundings, makePlace, type Place } from '../rigs/place.ts'

export interface RawEntry {
  readonly kind?: number
  readonly name: string | Uint8Array
  /** Index of the parent, plus one; 0 for a root. */
  readonly parent?: number
  readonly mode?: number
  readonly mtimeNs?: bigint
  readonly priority?: number
  /** High and low word, or the size itself. */
  readonly size?: number | readonly [number, number]
  readonly target?: string | Uint8Array
}

const bytesOf = (text: string | Uint8Array): Uint8Array => (typeof text === 'string' ? encodeUtf8(text) : text)

/** An entry's bytes, with whatever is said of it. */
export function entry({
  kind = KIND_FILE,
  name,
  parent = 0,
  mode = 0o644,
  mtimeNs = 0n,
  priority = 5,
  size = 0,
  target = '',
}: RawEntry): Uint8Array {
  const bytes = bytesOf(name)
  const writer = new ByteWriter().u8(kind).u8(priority).u16(mode).i64(mtimeNs).u32(parent).u8(bytes.length).bytes(bytes)
  if (kind === KIND_FILE) {
    if (typeof size === 'number') writer.u64(size)
    else writer.u32(size[0]).u32(size[1])
  } else if (kind === KIND_LINK) writer.u16(bytesOf(target).length).bytes(bytesOf(target))
  return writer.finish()
}

export const folder = (name: string, parent = 0): RawEntry => ({ kind: KIND_FOLDER, name, parent, mode: 0o755 })
export const link = (name: string, target: string, parent = 1): RawEntry => ({ kind: KIND_LINK, name, parent, target })
export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

const ID = '01234567-89ab-4cde-8f01-23456789abcd'
export const STAGING = `.sealift-${ID}.part`

export interface Meeting extends HonestRun {
  readonly place: Place
  readonly peer: RawPeer
}

/** An honest receiver that has said HELLO. */
export async function meet(options: ReceiveOptions = {}): Promise<Meeting> {
  const place = makePlace(1)
  const run = await receiveFromRaw({ outputDir: place.out, ledgerPath: place.receiverLedger, ...options })
  await run.peer.until('hello')
  return { ...run, place }
}

/** What an honest offer of these entries says, but for `lies`. */
export function offerOf(entries: readonly RawEntry[], lies: Partial<Offer> = {}): Offer {
  const sizes = entries.map(({ size = 0 }) => (typeof size === 'number' ? size : 0))
  return {
    transferId: ID,
    replaces: null,
    name: 'liar',
    maxChunkBytes: 1 << 20,
    entries: entries.length,
    files: entries.filter(({ kind = KIND_FILE }) => kind === KIND_FILE).length,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    digest: Buffer.from(sha256(concatBytes(entries.map(entry)))).toString('hex'),
    manifestFollows: true,
    conflict: null,
    ...lies,
  }
}

export function offer(peer: RawPeer, entries: readonly RawEntry[], lies: Partial<Offer> = {}): void {
  peer.say({ type: 'offer', offer: offerOf(entries, lies) })
  peer.say({ type: 'manifest', last: true, page: concatBytes(entries.map(entry)) })
}

/** The receiver ended with this error, told the sender so, and there is nothing but what was there before. */
export async function expectRefusal(
  { peer, end, place }: Meeting,
  code: ErrorCode,
  leaves: readonly string[] = [],
): Promise<HonestEnd> {
  const told = await peer.closed()
  const ended = await end
  expect(ended.error?.code).toBe(code)
  // A refusal is told by REJECT, all else by the code of the final record.
  const rejected = peer.heard.find((message) => message.type === 'reject')
  expect(rejected === undefined ? told : rejected.code).toBe(ERROR_TABLE[code].wire)
  expectNothing(place, leaves)
  return ended
}

/** The session ended with this error, which may be the line's fault: the receiver would come back. */
export async function expectBroken({ peer, end, transfer, place }: Meeting, code: ErrorCode): Promise<void> {
  expect(await peer.closed()).toBe(ERROR_TABLE[code].wire)
  transfer.cancel()
  const { events } = await end
  expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code }))
  expectNothing(place, [STAGING])
}

export function expectNothing(place: Place, leaves: readonly string[] = []): void {
  expect(fs.readdirSync(place.out)).toEqual(leaves)
  expect(listSurroundings(place)).toEqual(place.surroundings)
}
