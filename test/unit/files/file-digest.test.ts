/** Digests come out right and once, however the bytes come, and what cannot be read back is said. */

import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { FrontierDigestsOptions } from '../../../src/files/file-digest.ts'
import { FrontierDigests } from '../../../src/files/file-digest.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { KIND_FILE, KIND_FOLDER, Manifest } from '../../../src/protocol/manifest.ts'

const MIB = 1 << 20

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function hexOf(digest: Uint8Array | null): string | null {
  return digest === null ? null : Buffer.from(digest).toString('hex')
}

/** Bytes that differ everywhere, so that no mix-up goes unseen. */
function noise(bytes: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + 1, 0x9e3779b1)
  return Buffer.from(words.buffer, 0, bytes)
}

function manifestOf(sizes: (number | null)[]): Manifest {
  const manifest = new Manifest()
  for (const [at, sizeBytes] of sizes.entries()) {
    const name = new TextEncoder().encode(String(at).padStart(6, '0'))
    manifest.add({ kind: KIND_FILE, parent: -1, name, mode: 0o644, mtimeNs: 0n, sizeBytes, priority: 5, target: '' })
  }
  return manifest
}

/** Digests over a disk in memory that answers when it is told to; nothing may be read that was not written. */
function bench(files: Buffer[], changes: Partial<FrontierDigestsOptions> = {}) {
  const done: number[] = []
  const failed: [number, string][] = []
  const reads: { entry: number; offset: number; bytes: number }[] = []
  const digests = new FrontierDigests({
    manifest: manifestOf(files.map((file) => file.length)),
    readBack: async (entry, offset, into) => {
      reads.push({ entry, offset, bytes: into.length })
      await nextTurn()
      return files[entry]!.copy(into, 0, offset, offset + into.length)
    },
    onDigest: (entry) => done.push(entry),
    onFailed: (entry, error) => failed.push([entry, error.code]),
    ...changes,
  })
  return { digests, done, failed, reads }
}

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn > 10_000) throw new Error('it never came')
    await nextTurn()
  }
}

describe('FrontierDigests', () => {
  test('content over many files, cut anywhere, is hashed from memory alone', () => {
    const files = [noise(10), Buffer.alloc(0), noise(3000), noise(1)]
    const { digests, done, reads } = bench(files)
    const content = Buffer.concat(files)
    for (let at = 0; at < content.length; at += 7) digests.addContent(at, content.subarray(at, at + 7))
    expect(done).toEqual([0, 2, 3])
    expect(files.map((_, entry) => hexOf(digests.digest(entry)))).toEqual(files.map(sha256))
    expect(reads).toEqual([])
  })

  test('folders are passed over, and have no digest', () => {
    const manifest = new Manifest()
    const add = (kind: 0 | 1, name: string, parent: number, sizeBytes: number): number =>
      manifest.add({
        kind,
        parent,
        name: Buffer.from(name),
        mode: 0o755,
        mtimeNs: 0n,
        sizeBytes,
        priority: 5,
        target: '',
      })
    add(KIND_FOLDER, 'a', -1, 0)
    add(KIND_FILE, 'f', 0, 3)
    add(KIND_FOLDER, 'b', -1, 0)
    add(KIND_FILE, 'f', 2, 3)
    const digests = new FrontierDigests({ manifest, readBack: () => Promise.reject(new Error('no')) })
    digests.addContent(0, Buffer.from('onetwo'))
    expect([0, 1, 2, 3].map((entry) => hexOf(digests.digest(entry)))).toEqual([
      null,
      sha256(Buffer.from('one')),
      null,
      sha256(Buffer.from('two')),
    ])
  })

  test('the frontier stands at a gap and runs on by reading back when it closes', async () => {
    const file = noise(4 * MIB)
    const { digests, done, reads } = bench([file])
    digests.add(0, 2 * MIB, file.subarray(2 * MIB, 4 * MIB))
    digests.add(0, 0, file.subarray(0, MIB))
    expect(digests.frontier(0)).toBe(MIB)
    await nextTurn()
    expect(reads).toEqual([])
    expect(digests.digest(0)).toBeNull()
    digests.add(0, MIB, file.subarray(MIB, 2 * MIB))
    expect(digests.frontier(0)).toBe(2 * MIB)
    await until(() => done.length > 0)
    expect(reads).toEqual([
      { entry: 0, offset: 2 * MIB, bytes: MIB },
      { entry: 0, offset: 3 * MIB, bytes: MIB },
    ])
    expect(hexOf(digests.digest(0))).toBe(sha256(file))
    expect(digests.frontier(0)).toBe(file.length)
  })

  test('after a restart a file is read from byte 0 while its end still comes', async () => {
    const file = noise(3 * MIB + 5)
    const { digests, done } = bench([file])
    digests.addStored(0, 0, 2 * MIB)
    digests.add(0, 2 * MIB, file.subarray(2 * MIB, 3 * MIB))
    await nextTurn()
    digests.add(0, 3 * MIB, file.subarray(3 * MIB))
    await until(() => done.length > 0)
    expect(hexOf(digests.digest(0))).toBe(sha256(file))
  })

  test('one read of a file at a time, a few in all', async () => {
    const files = Array.from({ length: 12 }, () => noise(2 * MIB + 1))
    const busy = new Set<number>()
    let most = 0
    const { digests, done } = bench(files, {
      readBack: async (entry, offset, into) => {
        expect(busy.has(entry)).toBe(false)
        busy.add(entry)
        most = Math.max(most, busy.size)
        await nextTurn()
        busy.delete(entry)
        return files[entry]!.copy(into, 0, offset, offset + into.length)
      },
    })
    for (const entry of files.keys()) digests.addStored(entry, 0, 2 * MIB + 1)
    await until(() => done.length === files.length)
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(4)
    for (const [entry, file] of files.entries()) expect(hexOf(digests.digest(entry))).toBe(sha256(file))
  })

  test('bytes that come twice count once', () => {
    const file = noise(100)
    const { digests, done } = bench([file])
    digests.add(0, 0, file.subarray(0, 60))
    digests.add(0, 10, file.subarray(10, 50))
    digests.add(0, 0, file.subarray(0, 60))
    digests.add(0, 30, file.subarray(30))
    digests.add(0, 0, file)
    expect(done).toEqual([0])
    expect(hexOf(digests.digest(0))).toBe(sha256(file))
  })

  test('a dropped file begins again, and a read from before the drop changes nothing', async () => {
    const file = noise(100)
    const wrong = Buffer.alloc(100, 'w')
    let answer: (() => void) | undefined
    let stored: Buffer = wrong
    const { digests, done } = bench([file], {
      readBack: async (_entry, offset, into) => {
        const bytes = stored.copy(into, 0, offset, offset + into.length)
        await new Promise<void>((resolve) => (answer = resolve))
        return bytes
      },
    })
    digests.addStored(0, 0, 50)
    await until(() => answer !== undefined)
    digests.drop(0)
    stored = file
    digests.addStored(0, 0, 100)
    answer!()
    answer = undefined
    await until(() => answer !== undefined)
    answer!()
    await until(() => done.length > 0)
    expect(hexOf(digests.digest(0))).toBe(sha256(file))
    digests.drop(0)
    expect(digests.digest(0)).toBeNull()
    expect(digests.frontier(0)).toBe(0)
    digests.add(0, 0, wrong)
    expect(hexOf(digests.digest(0))).toBe(sha256(wrong))
    expect(done).toEqual([0, 0])
  })

  test('a whole file read before a drop is not taken for what comes after it', async () => {
    const file = noise(100)
    let answer: (() => void) | undefined
    const { digests, done } = bench([file], {
      readBack: async (_entry, _offset, into) => {
        await new Promise<void>((resolve) => (answer = resolve))
        return file.copy(into)
      },
    })
    digests.addStored(0, 0, 100)
    await until(() => answer !== undefined)
    digests.drop(0)
    answer!()
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    expect(digests.digest(0)).toBeNull()
    expect(done).toEqual([])
  })

  test('reads that fail or give nothing fail that file only', async () => {
    const files = [noise(10), noise(10), noise(10), noise(10)]
    const { digests, done, failed } = bench(files, {
      readBack: async (entry, offset, into) => {
        if (entry === 0) throw new SealiftError('source_changed', 'made up')
        if (entry === 1) return 0
        if (entry === 2) throw new Error('made up')
        // Fewer than asked for are asked for again.
        return files[entry]!.copy(into, 0, offset, offset + Math.min(3, into.length))
      },
    })
    for (const entry of files.keys()) digests.addStored(entry, 0, 10)
    await until(() => done.length > 0 && failed.length === 3)
    expect(failed.sort()).toEqual([
      [0, 'source_changed'],
      [1, 'disk_fault'],
      [2, 'internal'],
    ])
    expect(hexOf(digests.digest(3))).toBe(sha256(files[3]!))
    expect(digests.digest(0)).toBeNull()
  })

  test('a file of unknown size is known when its end is', () => {
    for (const bytes of [0, 9]) {
      const manifest = manifestOf([null])
      const done: number[] = []
      const digests = new FrontierDigests({
        manifest,
        readBack: () => Promise.reject(new Error('no')),
        onDigest: (entry) => done.push(entry),
      })
      const file = noise(bytes)
      digests.addContent(0, file)
      expect(digests.digest(0)).toBeNull()
      expect(digests.frontier(0)).toBe(bytes)
      manifest.settleSize(bytes)
      digests.settle(0)
      expect(hexOf(digests.digest(0))).toBe(sha256(file))
      expect(done).toEqual(bytes === 0 ? [] : [0])
    }
  })

  test('thousands of files begun at once keep few hashes running and still end right', async () => {
    const files = Array.from({ length: 2500 }, (_, at) => noise(40 + (at % 7)))
    const { digests, done, reads } = bench(files)
    for (const [entry, file] of files.entries()) digests.add(entry, 0, file.subarray(0, 20))
    for (const [entry, file] of files.entries()) digests.add(entry, 20, file.subarray(20))
    await until(() => done.length === files.length)
    for (const [entry, file] of files.entries()) expect(hexOf(digests.digest(entry))).toBe(sha256(file))
    // Those whose hash was given back, and only those, are read.
    expect(reads.length).toBe(1500)
  })

  test('nothing is reported after close', async () => {
    const { digests, done, failed } = bench([noise(3 * MIB)])
    digests.addStored(0, 0, 3 * MIB)
    void digests.close()
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    digests.add(0, 0, noise(3 * MIB))
    expect([done, failed]).toEqual([[], []])
  })
})
