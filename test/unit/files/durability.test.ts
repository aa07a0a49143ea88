import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isInMemory, syncFileSystem } from '../../../src/files/durability.ts'
import type { FileSystem } from '../../../src/files/file-system.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import { closeAnchor, openAnchor } from '../../../src/files/folder-handles.ts'
import { TreeWriter } from '../../../src/files/tree-writer.ts'
import type { Tree } from './tree-place.ts'
import { contentsOf, makePlace, manifestOf, plant, planFor, TRANSFER_ID } from './tree-place.ts'

const EXT4 = 0xef53
const TMPFS = 0x01021994

interface Watched {
  readonly port: FileSystem
  /** Real paths of what was synced one by one. */
  readonly synced: string[]
}

/** A file system of a kind of our choice that tells what is synced, and fails the n-th sync. */
function watched(type: number, failAt = Infinity): Watched {
  const synced: string[] = []
  const fsync = ((fd: number, done: (error: Error | null) => void) => {
    synced.push(fs.readlinkSync(`/proc/self/fd/${fd}`))
    if (synced.length === failAt) done(Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'fsync' }))
    else fs.fsync(fd, done)
  }) as FileSystem['fsync']
  return { port: { ...nodeFileSystem, fsync, statfsSync: (() => ({ type })) as never }, synced }
}

function openWriter(place: string, tree: Tree, port: FileSystem): TreeWriter {
  const manifest = manifestOf(tree)
  return TreeWriter.open({
    outputDir: place,
    transferId: TRANSFER_ID,
    manifest,
    plan: planFor(manifest, place),
    fs: port,
  })
}

const TREE: Tree = {
  tree: { folder: { a: 'A', sub: { folder: { b: { text: 'B', mode: 0 }, link: { link: 'b' } }, mode: 0o555 } } },
}

test('a few files are synced with the folders that hold them, then what is published', async () => {
  const place = makePlace()
  const { port, synced } = watched(EXT4)
  const writer = openWriter(place, TREE, port)
  for (const [entry, bytes] of contentsOf(manifestOf(TREE), TREE)) void writer.write(entry, 0, bytes)
  const intents = writer.preparePublish([0])
  await writer.sync()
  const staging = writer.stagingPath
  const root = join(staging, 'root-0')
  const expected = [place, staging, root, join(root, 'a'), join(root, 'sub'), join(root, 'sub/b')]
  expect([...synced].sort()).toEqual(expected)
  expect(synced.at(-1)).toBe(place)

  synced.length = 0
  await writer.sync()
  expect(synced).toEqual([])
  for (const intent of intents) writer.publish(intent)
  await writer.syncPublished()
  expect(synced).toEqual([place])
  writer.close()
})

test('what was merged is synced with its folders', async () => {
  const place = makePlace()
  plant(place, { tree: { folder: {} } })
  const { port, synced } = watched(EXT4)
  const writer = openWriter(place, TREE, port)
  for (const [entry, bytes] of contentsOf(manifestOf(TREE), TREE)) void writer.write(entry, 0, bytes)
  for (const intent of writer.preparePublish([1, 2, 3, 4])) expect(writer.publish(intent).outcome).toBe('published')
  writer.finishRoot(0)
  await writer.syncPublished()
  expect(synced).toEqual(expect.arrayContaining([place, join(place, 'tree'), join(place, 'tree/sub')]))
  writer.close()
})

test('many files are synced at once, or one by one where the system has no command for it', async () => {
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`f${n}`, 'x']))
  for (const hasCommand of [true, false]) {
    const place = makePlace()
    const { port, synced } = watched(EXT4)
    const tree: Tree = { tree: { folder: files } }
    const manifest = manifestOf(tree)
    const plan = planFor(manifest, place)
    const reach = hasCommand ? 'descriptors' : 'paths'
    const writer = TreeWriter.open({ outputDir: place, transferId: TRANSFER_ID, manifest, plan, fs: port, reach })
    for (const [entry, bytes] of contentsOf(manifest, tree)) void writer.write(entry, 0, bytes)
    await writer.sync()
    // 40 files, three folders and the output folder.
    expect(synced.length).toBe(hasCommand && fs.existsSync('/usr/bin/sync') ? 0 : 43)
    writer.close()
  }
})

test('nothing is synced where all is in memory', async () => {
  const { port, synced } = watched(TMPFS)
  const writer = openWriter(makePlace(), { file: 'x' }, port)
  void writer.write(0, 0, Buffer.from('x'))
  await writer.sync()
  await writer.syncPublished()
  expect(synced).toEqual([])
  writer.close()
})

describe('a sync that failed', () => {
  test.each([1, 2, 3])('at call %i: no later one says that all is well', async (failAt) => {
    const { port, synced } = watched(EXT4, failAt)
    const writer = openWriter(makePlace(), { file: 'x' }, port)
    void writer.write(0, 0, Buffer.from('x'))
    await expect(writer.sync()).rejects.toMatchObject({ code: 'disk_fault' })
    const calls = synced.length
    await expect(writer.sync()).rejects.toMatchObject({ code: 'disk_fault' })
    await expect(writer.syncPublished()).rejects.toMatchObject({ code: 'disk_fault' })
    expect(synced.length).toBe(calls)
    writer.close()
  })
})

test('the system tells what lives in memory, and syncs what a descriptor names', async () => {
  const place = makePlace()
  const anchor = openAnchor(nodeFileSystem, place, place)
  expect(await syncFileSystem(nodeFileSystem, anchor)).toBe(
    fs.existsSync('/usr/bin/sync') || fs.existsSync('/bin/sync'),
  )
  closeAnchor(nodeFileSystem, anchor)
  if (fs.existsSync('/dev/shm')) {
    const memory = openAnchor(nodeFileSystem, '/dev/shm', '/dev/shm')
    expect(isInMemory(nodeFileSystem, memory)).toBe(true)
    closeAnchor(nodeFileSystem, memory)
  }
})
