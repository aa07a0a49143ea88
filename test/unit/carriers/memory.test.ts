/** What the memory carrier promises beyond the contract: exact windows and slices, no clock, its own small network. */

import { setImmediate as turn } from 'node:timers/promises'

import { afterEach, describe, expect, test, vi } from 'vitest'

import type { ByteSink, ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryNetwork, memoryPipe } from '../../../src/carriers/memory.ts'

afterEach(() => {
  vi.useRealTimers()
})

function recorder(roomBytes = 1000): ByteSink & { pieces: string[]; ends: unknown[] } {
  const room = new Uint8Array(roomBytes)
  const pieces: string[] = []
  const ends: unknown[] = []
  return {
    pieces,
    ends,
    space: () => room,
    filled: (bytes) => pieces.push(Buffer.from(room.subarray(0, bytes)).toString()) > 0,
    ended: (error) => ends.push(error),
  }
}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await turn()
}

describe('memoryPipe', () => {
  test('cuts into slices of the size asked for', async () => {
    const [left, right] = memoryPipe({ sliceBytes: 3 })
    const sink = recorder()
    right.start(sink)
    await left.write([Buffer.from('ab'), Buffer.from('cdefgh')])
    await turns(3)
    expect(sink.pieces.join('')).toBe('abcdefgh')
    for (const piece of sink.pieces) expect(piece.length).toBeLessThanOrEqual(3)
  })

  test('a write resolves when its last byte has a place in the window, not before', async () => {
    const [left, right] = memoryPipe({ windowBytes: 10 })
    const done: number[] = []
    for (const [n, size] of [6, 4, 1, 25].entries()) {
      void left.write([Buffer.alloc(size, 'x')]).then(() => done.push(n))
    }
    await turns(20)
    expect(done).toEqual([0, 1])
    const sink = recorder()
    right.start(sink)
    await turns(20)
    expect(done).toEqual([0, 1, 2, 3])
    expect(sink.pieces.join('')).toBe('x'.repeat(36))
  })

  test('never calls the sink within the writer’s own call, nor a microtask later', async () => {
    const [left, right] = memoryPipe()
    const sink = recorder()
    right.start(sink)
    void left.write([Buffer.from('x')])
    expect(sink.pieces).toEqual([])
    await Promise.resolve()
    expect(sink.pieces).toEqual([])
    await turns(2)
    expect(sink.pieces).toEqual(['x'])
  })

  test('goes on under a false clock', async () => {
    const [left, right] = memoryPipe()
    const sink = recorder()
    vi.useFakeTimers()
    right.start(sink)
    const arrived = new Promise((resolve) => {
      sink.ended = resolve
    })
    await left.write([Buffer.from('x')])
    await left.end()
    expect(await arrived).toBeNull()
  })

  test('destroying one side tells the other that the connection is lost', async () => {
    const [left, right] = memoryPipe()
    const sink = recorder()
    const own = recorder()
    right.start(sink)
    left.start(own)
    left.destroy()
    expect(sink.ends).toEqual([])
    await turns(3)
    expect(sink.ends).toMatchObject([{ code: 'connection_lost' }])
    expect(own.ends).toEqual([])
    await expect(right.write([Buffer.from('x')])).rejects.toMatchObject({ code: 'connection_lost' })
  })

  test('refuses a window or slice of nothing', () => {
    for (const options of [{ windowBytes: 0 }, { sliceBytes: 0 }, { windowBytes: NaN }]) {
      expect(() => memoryPipe(options)).toThrow(expect.objectContaining({ code: 'settings_invalid' }))
    }
  })
})

describe('memoryNetwork', () => {
  test('connects those who dial with the one who listens, and knows them apart', async () => {
    const network = memoryNetwork()
    const accepted: ByteStream[] = []
    network.listen((stream) => accepted.push(stream))
    const near = [await network.dial(), await network.dial()]
    expect(near.map(({ peer }) => peer.port)).toEqual([1, 1])
    expect(new Set(accepted.map(({ peer }) => peer.port)).size).toBe(2)
    const sinks = accepted.map((stream) => {
      const sink = recorder()
      stream.start(sink)
      return sink
    })
    await near[1]!.write([Buffer.from('second')])
    await near[0]!.write([Buffer.from('first')])
    await turns(2)
    expect(sinks.map((sink) => sink.pieces.join(''))).toEqual(['first', 'second'])
  })

  test('one listener at a time; without one nobody gets in; streams outlive it', async () => {
    const network = memoryNetwork()
    await expect(network.dial()).rejects.toMatchObject({ code: 'connect_failed' })
    const accepted: ByteStream[] = []
    const listener = network.listen((stream) => accepted.push(stream))
    expect(() => network.listen(() => {})).toThrow(expect.objectContaining({ code: 'port_in_use' }))
    const near = await network.dial()
    await listener.close()
    await listener.close()
    await expect(network.dial()).rejects.toMatchObject({ code: 'connect_failed' })
    const sink = recorder()
    accepted[0]!.start(sink)
    await near.write([Buffer.from('on')])
    await turns(2)
    expect(sink.pieces).toEqual(['on'])
    await network.listen(() => {}).close()
  })
})
