/** A peer that knows the token, answers every PING and does nothing: neither side waits for it for ever. In virtual time. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../src/protocol/bytes.ts'
import type { Offer } from '../../src/protocol/messages.ts'
import { type IdleClock, startIdleClock } from '../rigs/idle-clock.ts'
import { type HonestRun, type RawPeer, receiveFromRaw, sendToRaw } from '../rigs/loopback-pair.ts'
import { makePlace } from '../rigs/place.ts'

const MINUTE_MS = 60_000

/** One file `a` of this size. */
function manifestOf(size: number): Uint8Array {
  return new ByteWriter().u8(0).u8(5).u16(0o644).i64(0n).u32(0).u8(1).u8(0x61).u64(size).finish()
}

const OFFER: Offer = {
  transferId: '01234567-89ab-4cde-8f01-23456789abcd',
  replaces: null,
  name: 'idler',
  maxChunkBytes: 1 << 20,
  entries: 1,
  files: 1,
  bytes: 5,
  digest: createHash('sha256').update(manifestOf(5)).digest('hex'),
  manifestFollows: true,
  conflict: null,
}

/**
 * Meets the honest side, brings it to a stage, pings and answers pings until it has had enough.
 * @returns how long that took, in virtual time
 */
async function idle(
  meet: () => Promise<HonestRun & { peer: RawPeer }>,
  reach: (peer: RawPeer) => void | Promise<unknown>,
): Promise<number> {
  let moves = 0
  let events: HonestRun['events'] = []
  let warnedMs: number | null = null
  const hasEnough = (): boolean => events.some(({ event }) => event === 'warning')
  // Before the session, so that its timers run in this time too.
  const clock: IdleClock = startIdleClock(() => {
    if (hasEnough()) warnedMs ??= performance.now()
    return moves + events.length
  })
  try {
    const run = await meet()
    events = run.events
    await reach(run.peer)
    const startedMs = performance.now()
    const ping = (): void => {
      if (run.peer.isOver || hasEnough()) return
      run.peer.say({ type: 'ping' })
      moves++
      setTimeout(ping, 5000)
    }
    ping()
    await run.peer.closed(20 * MINUTE_MS)
    run.transfer.cancel()
    await run.end
    expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'peer_silent' }))
    return (warnedMs ?? performance.now()) - startedMs
  } finally {
    clock.stop()
  }
}

describe('a sender that only pings', () => {
  const stages: Record<string, [(peer: RawPeer) => void | Promise<unknown>, number]> = {
    'before its offer': [() => undefined, MINUTE_MS],
    'before its manifest': [(peer) => peer.say({ type: 'offer', offer: OFFER }), MINUTE_MS],
    'before its chunks': [
      (peer) => {
        peer.say({ type: 'offer', offer: OFFER })
        peer.say({ type: 'manifest', last: true, page: manifestOf(5) })
        return peer.until('safe')
      },
      10 * MINUTE_MS,
    ],
  }
  test.each(Object.keys(stages))('%s', async (name) => {
    const [reach, limitMs] = stages[name] as (typeof stages)[string]
    const place = makePlace(4)
    const meet = () => receiveFromRaw({ outputDir: place.out, ledgerPath: place.receiverLedger })
    const tookMs = await idle(meet, async (peer) => {
      await peer.until('hello')
      await reach(peer)
    })
    expect(tookMs).toBeGreaterThanOrEqual(limitMs * 0.9)
    expect(tookMs).toBeLessThan(limitMs * 1.3)
  })
})

describe('a receiver that only pings', () => {
  const stages: Record<string, [(peer: RawPeer) => void | Promise<unknown>, number]> = {
    'before its greeting': [() => undefined, MINUTE_MS],
    'before its answer': [
      (peer) => {
        peer.say({ type: 'hello', hello: { name: 'idler', maxChunkBytes: 1 << 20, known: null } })
        return peer.until('manifest')
      },
      11 * MINUTE_MS,
    ],
    'behind its word that others go first': [
      async (peer) => {
        peer.say({ type: 'hello', hello: { name: 'idler', maxChunkBytes: 1 << 20, known: null } })
        await peer.until('manifest')
        peer.say({ type: 'queued', place: 3 })
      },
      11 * MINUTE_MS,
    ],
    'before it says what is safe': [
      async (peer) => {
        peer.say({ type: 'hello', hello: { name: 'idler', maxChunkBytes: 1 << 20, known: null } })
        await peer.until('manifest')
        peer.say({ type: 'accept', accept: { epoch: 1 } })
      },
      MINUTE_MS,
    ],
    'before it acknowledges': [
      async (peer) => {
        peer.say({ type: 'hello', hello: { name: 'idler', maxChunkBytes: 1 << 20, known: null } })
        await peer.until('manifest')
        peer.say({ type: 'accept', accept: { epoch: 1 } })
        peer.say({ type: 'safe', last: true, page: new Uint8Array() })
        await peer.until('digests')
      },
      MINUTE_MS,
    ],
  }
  test.each(Object.keys(stages))('%s', async (name) => {
    const [reach, limitMs] = stages[name] as (typeof stages)[string]
    const place = makePlace(5)
    fs.writeFileSync(join(place.root, 'file'), 'hello')
    const meet = () => sendToRaw(join(place.root, 'file'), { ledgerPath: place.senderLedger, waitMs: 30 * MINUTE_MS })
    const tookMs = await idle(meet, reach)
    expect(tookMs).toBeGreaterThanOrEqual(limitMs * 0.9)
    expect(tookMs).toBeLessThan(limitMs * 1.4)
  })
})
