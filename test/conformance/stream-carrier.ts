/**
 * The contract of stream carriers as a test suite: `src/carriers/carrier.ts`, line by line. Each carrier has a short
 * file beside this one that says how to make a connected pair.
 */

import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'

import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { ByteSink, ByteStream } from '../../src/carriers/carrier.ts'
import type { SealiftError } from '../../src/protocol/errors.ts'

export interface StreamCarrierSetup {
  /** A fresh connection: the side that dialled, the side that accepted. Neither is started. */
  pair(): Promise<[ByteStream, ByteStream]>
  close(): Promise<void>
}

const MIB = 1 << 20
const LOST = { name: 'SealiftError', code: 'connection_lost' }

/** A sink that keeps what came, and says so where it is called against the contract. */
class Collector implements ByteSink {
  readonly #room: Uint8Array
  readonly #pauseEvery: number
  readonly #onPause: () => void
  readonly #arrivals: { bytes: number; resolve: () => void }[] = []
  readonly #finished = Promise.withResolvers<SealiftError | null>()
  readonly #hash = createHash('sha256')
  readonly #kept: Buffer[] = []
  #paused = false
  #sincePause = 0
  received = 0
  ends = 0
  readonly faults: string[] = []

  /**
   * @param roomBytes what `space` offers each time
   * @param pauseEvery pauses after so many bytes; 0: never
   * @param onPause how to go on
   */
  constructor(roomBytes = 65_536, pauseEvery = 0, onPause: () => void = () => {}) {
    this.#room = new Uint8Array(roomBytes)
    this.#pauseEvery = pauseEvery
    this.#onPause = onPause
  }

  space(): Uint8Array {
    if (this.#paused) this.faults.push('asked for room while paused')
    return this.#room
  }

  filled(bytes: number): boolean {
    if (this.#paused) this.faults.push('filled while paused')
    if (this.ends > 0) this.faults.push('filled after the end')
    if (!(bytes >= 1 && bytes <= this.#room.length)) this.faults.push(`filled ${bytes} of ${this.#room.length}`)
    this.#hash.update(this.#room.subarray(0, bytes))
    if (this.received < MIB) this.#kept.push(Buffer.from(this.#room.subarray(0, bytes)))
    // whatever is still written there belongs to nobody
    this.#room.fill(0xee, 0, bytes)
    this.received += bytes
    this.#sincePause += bytes
    for (const waiting of this.#arrivals.splice(0)) {
      if (this.received >= waiting.bytes) waiting.resolve()
      else this.#arrivals.push(waiting)
    }
    if (this.#pauseEvery === 0 || this.#sincePause < this.#pauseEvery) return true
    this.#sincePause = 0
    this.#paused = true
    this.#onPause()
    return false
  }

  ended(error: SealiftError | null): void {
    this.ends++
    this.#finished.resolve(error)
  }

  /** Call `resume` of the stream behind this. */
  unpause(): void {
    this.#paused = false
  }

  async arrived(bytes: number): Promise<void> {
    if (this.received >= bytes) return
    await new Promise<void>((resolve) => this.#arrivals.push({ bytes, resolve }))
  }

  get finished(): Promise<SealiftError | null> {
    return this.#finished.promise
  }

  get text(): string {
    return Buffer.concat(this.#kept).toString()
  }

  digest(): string {
    return this.#hash.digest('hex')
  }
}

/** A collector that pauses after every so many bytes and goes on in a later turn. */
function hesitating(stream: ByteStream, roomBytes: number, pauseEvery: number): Collector {
  const collector: Collector = new Collector(roomBytes, pauseEvery, () => {
    setImmediate(() => {
      collector.unpause()
      stream.resume()
    })
  })
  return collector
}

/** Bytes that are the same for the same seed, and no two stretches alike. */
function pattern(sizeBytes: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4))
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    words[at] = state
  }
  return new Uint8Array(words.buffer, 0, sizeBytes)
}

/** Waits until a number has not changed for many turns of the event loop. */
async function settled(read: () => number): Promise<number> {
  let last = read()
  for (let quiet = 0; quiet < 300; quiet++) {
    await turn()
    const now = read()
    if (now !== last) quiet = 0
    last = now
  }
  return last
}

export function streamCarrierSuite(name: string, setup: () => Promise<StreamCarrierSetup>): void {
  describe(`${name} is a stream carrier`, () => {
    let carrier: StreamCarrierSetup
    const open: ByteStream[] = []

    beforeAll(async () => {
      carrier = await setup()
    })
    afterEach(() => {
      for (const stream of open.splice(0)) stream.destroy()
    })
    afterAll(() => carrier.close())

    async function pair(): Promise<[ByteStream, ByteStream]> {
      const streams = await carrier.pair()
      open.push(...streams)
      return streams
    }

    /** Both directions of a pair, each its own test: carriers may read differently where they dialled and where they accepted. */
    const DIRECTIONS = [
      ['from the dialling side', 0],
      ['from the accepting side', 1],
    ] as const

    async function directed(writerIndex: 0 | 1): Promise<{ writer: ByteStream; reader: ByteStream }> {
      const streams = await pair()
      return { writer: streams[writerIndex], reader: streams[1 - writerIndex]! }
    }

    test('says who is at the other end', async () => {
      for (const { peer } of await pair()) {
        expect(peer.address).not.toBe('')
        expect(peer.address).not.toMatch(/^::ffff:/i)
        expect(Number.isInteger(peer.port) && peer.port > 0 && peer.port < 65_536).toBe(true)
      }
    })

    describe.each(DIRECTIONS)('%s', (_, side) => {
      test('delivers nothing before the start, and then all of it', async () => {
        const { writer, reader } = await directed(side)
        await writer.write([Buffer.from('early ')])
        const ended = writer.end()
        await settled(() => 0)
        const sink = new Collector()
        reader.start(sink)
        expect(sink.received).toBe(0)
        await ended
        expect(await sink.finished).toBeNull()
        expect(sink.text).toBe('early ')
        expect(sink.faults).toEqual([])
      })

      test('any writes arrive in order, whatever the room and the pauses', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.array(fc.oneof(fc.nat(20), fc.nat(40_000)), { maxLength: 4 }), { maxLength: 12 }),
            fc.constantFrom(1, 3, 1000, 65_536),
            fc.constantFrom(0, 1, 997, 30_000),
            async (writes, roomBytes, pauseEvery) => {
              const { writer, reader } = await directed(side)
              const total = writes.flat().reduce((sum, size) => sum + size, 0)
              // one byte at a time is for few bytes
              const scale = roomBytes < 10 || pauseEvery === 1 ? Math.max(1, Math.ceil(total / 2000)) : 1
              const sink = hesitating(reader, roomBytes, pauseEvery)
              reader.start(sink)
              const hash = createHash('sha256')
              let seed = 0
              const under = writes.map((sizes) => {
                const parts = sizes.map((size) => pattern(Math.floor(size / scale), seed++))
                for (const part of parts) hash.update(part)
                return writer.write(parts)
              })
              await Promise.all(under)
              await writer.end()
              expect(await sink.finished).toBeNull()
              expect(sink.digest()).toBe(hash.digest('hex'))
              expect(sink.faults).toEqual([])
              expect(sink.ends).toBe(1)
              writer.destroy()
              reader.destroy()
            },
          ),
          { numRuns: 25 },
        )
      })

      test('the parts are the caller’s again when a write resolves', async () => {
        const { writer, reader } = await directed(side)
        const sink = new Collector()
        reader.start(sink)
        const parts = [Buffer.alloc(30_000, 'a'), Buffer.alloc(30_000, 'b')]
        await writer.write(parts)
        for (const part of parts) part.fill('x')
        await writer.write([new Uint8Array(0)])
        await writer.write([])
        await writer.end()
        await sink.finished
        expect(sink.received).toBe(60_000)
        expect(/^a{30000}b{30000}$/.test(sink.text)).toBe(true)
      })

      test('writes resolve in their order', async () => {
        const { writer, reader } = await directed(side)
        const sink = hesitating(reader, 4096, 50_000)
        reader.start(sink)
        const order: number[] = []
        const sizes = [300_000, 1, 0, 70_000, 0, 5]
        await Promise.all(sizes.map((size, n) => writer.write([pattern(size, n)]).then(() => order.push(n))))
        expect(order).toEqual([0, 1, 2, 3, 4, 5])
        await sink.arrived(370_006)
      })

      test('64 MiB arrive whole, and the writer does not run ahead of a reader that stands still', async () => {
        const { writer, reader } = await directed(side)
        const pauses: (() => void)[] = []
        let stopped = true
        const sink: Collector = new Collector(256 << 10, 64 << 10, () => {
          const go = (): void => {
            sink.unpause()
            reader.resume()
          }
          if (stopped) pauses.push(go)
          else setImmediate(go)
        })
        reader.start(sink)
        const block = pattern(MIB, 7)
        const hash = createHash('sha256')
        let resolved = 0
        const writing = (async () => {
          for (let n = 0; n < 64; n++) {
            block[n] = n
            hash.update(block)
            await writer.write([block.subarray(0, 9), block.subarray(9)])
            resolved++
          }
          await writer.end()
        })()
        const ahead = await settled(() => resolved)
        // what the system itself holds for a connection is some MiB
        expect(ahead).toBeLessThan(48)
        expect(sink.received).toBeLessThan(MIB)
        stopped = false
        for (const go of pauses) go()
        await writing
        expect(await sink.finished).toBeNull()
        expect(sink.received).toBe(64 * MIB)
        expect(sink.digest()).toBe(hash.digest('hex'))
        expect(sink.faults).toEqual([])
      })

      test('an ended side still receives', async () => {
        const { writer, reader } = await directed(side)
        const early = new Collector()
        const late = new Collector()
        reader.start(early)
        writer.start(late)
        await writer.write([Buffer.from('question')])
        await Promise.all([writer.end(), writer.end()])
        expect(await early.finished).toBeNull()
        expect(late.ends).toBe(0)
        await reader.write([Buffer.from('ans')])
        await late.arrived(3)
        await reader.write([Buffer.from('wer')])
        await reader.end()
        expect(await late.finished).toBeNull()
        expect([early.text, late.text]).toEqual(['question', 'answer'])
        expect([early.ends, late.ends]).toEqual([1, 1])
        await expect(writer.write([Buffer.from('more')])).rejects.toMatchObject(LOST)
      })

      test.each([
        ['behind what it has not taken', '0123456789abcde'],
        ['though it has taken all', '0123456789'],
      ])('an end waits for a sink that is paused, %s', async (_why, words) => {
        const { writer, reader } = await directed(side)
        const sink = new Collector(10, 10)
        reader.start(sink)
        writer.start(new Collector())
        // with both sides ended the connection itself goes away, and this is no loss
        await reader.end()
        await writer.write([Buffer.from(words)])
        await writer.end()
        await sink.arrived(10)
        await settled(() => sink.ends)
        expect([sink.received, sink.ends]).toEqual([10, 0])
        sink.unpause()
        reader.resume()
        if (words.length === 10) expect(sink.ends).toBe(0)
        expect(await sink.finished).toBeNull()
        expect(sink.text).toBe(words)
        expect(sink.faults).toEqual([])
      })

      test('destroying fails the writes under way, here and there', async () => {
        const { writer, reader } = await directed(side)
        const sink: Collector = new Collector(4096, 4096, () => {})
        reader.start(sink)
        const block = pattern(8 * MIB, 3)
        let resolved = 0
        const writes = Array.from({ length: 16 }, () => writer.write([block]).then(() => resolved++))
        const results = Promise.allSettled(writes)
        await sink.arrived(4096)
        const resolvedBefore = resolved
        writer.destroy()
        writer.destroy()
        const failed = (await results).filter((result) => result.status === 'rejected')
        expect(failed.length).toBe(16 - resolvedBefore)
        expect(failed.length).toBeGreaterThan(0)
        for (const { reason } of failed) expect(reason).toMatchObject(LOST)
        await expect(writer.write([block])).rejects.toMatchObject(LOST)
        await writer.end()
        // what is on its way may still come; the sink takes it until the end
        const going = (async () => {
          while (sink.ends === 0) {
            sink.unpause()
            reader.resume()
            await turn()
          }
        })()
        expect(await sink.finished).toMatchObject(LOST)
        await going
        expect(sink.ends).toBe(1)
      })

      test('when the reader is destroyed, the writer hears of it', async () => {
        const { writer, reader } = await directed(side)
        const back = new Collector()
        writer.start(back)
        reader.start(new Collector())
        const block = pattern(MIB, 5)
        const writing = (async () => {
          for (;;) await writer.write([block])
        })()
        await turn()
        reader.destroy()
        await expect(writing).rejects.toMatchObject(LOST)
        await back.finished
        await turn()
        expect(back.ends).toBe(1)
        // nothing is left to do, and nothing of it throws
        writer.resume()
        await writer.end()
        writer.destroy()
      })

      test('what was written before a quiet end is not lost by destroying', async () => {
        const { writer, reader } = await directed(side)
        const sink = new Collector()
        reader.start(sink)
        await writer.write([Buffer.from('last words')])
        writer.destroy()
        await sink.finished
        expect(sink.text).toBe('last words')
        expect(sink.ends).toBe(1)
      })

      test('nor is it where the sink is paused meanwhile', async () => {
        const { writer, reader } = await directed(side)
        const sink: Collector = new Collector(4, 4)
        reader.start(sink)
        await writer.write([Buffer.from('last words')])
        writer.destroy()
        await sink.arrived(4)
        await settled(() => sink.ends)
        expect([sink.received, sink.ends]).toEqual([4, 0])
        while (sink.ends === 0) {
          sink.unpause()
          reader.resume()
          await turn()
        }
        expect(sink.text).toBe('last words')
      })
    })

    test('destroyed streams stay silent and safe', async () => {
      const [left, right] = await pair()
      const sink = new Collector()
      left.destroy()
      left.start(sink)
      left.resume()
      await left.end()
      await expect(left.write([new Uint8Array(1)])).rejects.toMatchObject(LOST)
      right.destroy()
      await settled(() => sink.received)
      expect(sink.received).toBe(0)
    })

    test('both sides talk at once', async () => {
      const [left, right] = await pair()
      const sinks = [hesitating(left, 10_000, 100_000), hesitating(right, 10_000, 100_000)]
      left.start(sinks[0]!)
      right.start(sinks[1]!)
      const bytes = pattern(4 * MIB, 11)
      const sent = createHash('sha256').update(bytes).digest('hex')
      await Promise.all(
        [left, right].map(async (stream) => {
          const under: Promise<void>[] = []
          for (let at = 0; at < bytes.length; at += 60_001) under.push(stream.write([bytes.subarray(at, at + 60_001)]))
          await Promise.all(under)
          await stream.end()
        }),
      )
      for (const sink of sinks) {
        expect(await sink.finished).toBeNull()
        expect(sink.digest()).toBe(sent)
        expect(sink.faults).toEqual([])
      }
    })

    test('20,000 small writes leave nothing behind', async () => {
      const warnings: Error[] = []
      const warn = (warning: Error): void => void warnings.push(warning)
      process.on('warning', warn)
      const [left, right] = await pair()
      const sink = new Collector()
      right.start(sink)
      for (let n = 0; n < 200; n++) {
        await Promise.all(Array.from({ length: 100 }, () => left.write([Buffer.from('ab'), Buffer.from('c')])))
      }
      await left.end()
      await sink.finished
      await turn()
      process.off('warning', warn)
      expect(sink.received).toBe(60_000)
      expect(warnings).toEqual([])
    })
  })
}
