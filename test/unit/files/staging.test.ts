import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkFreeSpace, freeBytes, freeEntries } from '../../../src/files/free-space.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import { closeAnchor } from '../../../src/files/folder-handles.ts'
import {
  listStaging,
  openTarget,
  removeStaleStaging,
  setAsideStaging,
  stagingName,
} from '../../../src/files/staging.ts'
import { TreeWriter } from '../../../src/files/tree-writer.ts'
import { makePlace, manifestOf, plant, planFor, TRANSFER_ID } from './tree-place.ts'

const STAGING = `.sealift-${TRANSFER_ID}.part`
const DAY_MS = 24 * 3600 * 1000

function openWriter(outputDir: string, transferId = TRANSFER_ID): TreeWriter {
  const manifest = manifestOf({ file: 'x' })
  return TreeWriter.open({ outputDir, transferId, manifest, plan: planFor(manifest, outputDir) })
}

test.each(['', '..', '../x', 'a/b', 'a\0b', '.hidden', 'x'.repeat(65)])('an id that may not be in a path: %j', (id) => {
  expect(() => stagingName(id)).toThrow(expect.objectContaining({ code: 'protocol_violation' }))
  const place = makePlace()
  expect(() => openWriter(place, id)).toThrow(expect.objectContaining({ code: 'protocol_violation' }))
  expect(fs.readdirSync(place)).toEqual([])
})

describe('the output folder', () => {
  test('that is a file', () => {
    const place = makePlace()
    plant(place, { file: 'x' })
    for (const path of ['file', 'file/below']) {
      expect(() => openTarget(join(place, path))).toThrow(expect.objectContaining({ code: 'target_not_folder' }))
    }
  })

  test('is made with those above it, and cannot be made where the file system holds no folders', () => {
    const place = makePlace()
    closeAnchor(nodeFileSystem, openTarget(join(place, 'a/b')))
    expect(fs.readdirSync(place, { recursive: true }).sort()).toEqual(['a', 'a/b'])
    const mkdirSync = (): never => {
      throw Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'mkdir' })
    }
    expect(() => openTarget(join(place, 'c/d'), { ...nodeFileSystem, mkdirSync })).toThrow(
      expect.objectContaining({ code: 'target_read_only' }),
    )
  })

  test('may be reached through a link', () => {
    const place = makePlace()
    plant(place, { real: { folder: {} }, link: { link: 'real' } })
    const writer = openWriter(join(place, 'link'))
    expect(writer.outputPath).toBe(join(place, 'real'))
    writer.close()
  })

  test.each([
    ['EROFS', 'target_read_only'],
    ['EACCES', 'target_read_only'],
    ['ENOSPC', 'disk_full'],
    ['EDQUOT', 'disk_full'],
    ['EIO', 'disk_fault'],
  ])('in which no folder can be made: %s', (errno, code) => {
    const place = makePlace()
    const manifest = manifestOf({ file: 'x' })
    const port = {
      ...nodeFileSystem,
      mkdirSync: () => {
        throw Object.assign(new Error(errno), { code: errno, syscall: 'mkdir' })
      },
    }
    expect(() =>
      TreeWriter.open({
        outputDir: place,
        transferId: TRANSFER_ID,
        manifest,
        plan: planFor(manifest, place),
        fs: port,
      }),
    ).toThrow(expect.objectContaining({ code }))
  })

  test.each(['moved away', 'a link now', 'another one'])('%s before publishing', (how) => {
    const place = makePlace()
    const outputDir = join(place, 'out')
    const writer = openWriter(outputDir)
    void writer.write(0, 0, Buffer.from('x'))
    fs.renameSync(outputDir, join(place, 'moved'))
    fs.mkdirSync(join(place, 'elsewhere'))
    if (how === 'a link now') fs.symlinkSync('elsewhere', outputDir)
    if (how === 'another one') fs.mkdirSync(outputDir)
    expect(() => writer.preparePublish([0])).toThrow(expect.objectContaining({ code: 'target_gone' }))
    writer.close()
    expect(fs.readdirSync(join(place, 'elsewhere'))).toEqual([])
    expect(fs.readdirSync(join(place, 'moved'))).toEqual([STAGING])
  })

  test('removed while files come', () => {
    const outputDir = join(makePlace(), 'out')
    const writer = openWriter(outputDir)
    fs.rmSync(outputDir, { recursive: true })
    expect(() => writer.write(0, 0, Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'target_gone' }))
    writer.close()
  })
})

describe('staging of another origin', () => {
  test('a file or link with its name is not used', () => {
    const place = makePlace()
    plant(place, { elsewhere: { folder: {} }, [STAGING]: { link: 'elsewhere' } })
    expect(() => openWriter(place)).toThrow(expect.objectContaining({ code: 'conflict' }))
    fs.rmSync(join(place, STAGING))
    plant(place, { [STAGING]: 'x' })
    expect(() => openWriter(place)).toThrow(expect.objectContaining({ code: 'conflict' }))
  })

  test('a link in place of a staged file is not written through', async () => {
    const place = makePlace()
    plant(place, { victim: 'untouched', [STAGING]: { folder: { 'root-0': { link: '../victim' } } } })
    const manifest = manifestOf({ file: 'long enough' })
    const writer = TreeWriter.open({
      outputDir: place,
      transferId: TRANSFER_ID,
      manifest,
      plan: planFor(manifest, place),
    })
    await expect(writer.write(0, 0, Buffer.from('part'))).rejects.toMatchObject({ code: 'target_gone' })
    void writer.write(0, 0, Buffer.from('long enough'))
    writer.close()
    expect(fs.readFileSync(join(place, 'victim'), 'utf8')).toBe('untouched')
  })

  test('a second name for a staged file is found', async () => {
    const place = makePlace()
    plant(place, { victim: 'untouched', [STAGING]: { folder: {} } })
    fs.linkSync(join(place, 'victim'), join(place, STAGING, 'root-0'))
    const writer = openWriter(place)
    await expect(writer.read(0, 0, new Uint8Array(1))).rejects.toMatchObject({ code: 'target_gone' })
    writer.close()
  })

  test('is set aside, as often as it must', () => {
    const place = makePlace()
    expect(setAsideStaging(place, TRANSFER_ID)).toBe(false)
    for (let number = 1; number <= 3; number++) {
      openWriter(place).close()
      expect(setAsideStaging(place, TRANSFER_ID)).toBe(true)
      expect(fs.readdirSync(place)).toContain(`${STAGING}.stale-${number}`)
    }
  })
})

test('staging that nobody touched for seven days is removed, and nothing else', () => {
  const place = makePlace()
  const victims = { outside: { folder: { keep: 'x' } } }
  const inside = {
    folder: { link: { link: '../outside' }, deep: { folder: { closed: { folder: { f: 'x' }, mode: 0o500 } } } },
  }
  const names = {
    old: '.sealift-a.part',
    aside: '.sealift-b.part.stale-2',
    fresh: '.sealift-c.part',
    other: '.sealift-x',
    unfinished: '.sealift-u.part',
    unfinishedAside: '.sealift-u.part.stale-1',
  }
  plant(place, { ...victims, ...Object.fromEntries(Object.values(names).map((name) => [name, inside])) })
  plant(place, { '.sealift-f.part': 'a file', '.sealift-l.part': { link: 'outside' } })
  const nowMs = fs.statSync(join(place, names.old)).mtimeMs + 7 * DAY_MS + 1000
  fs.utimesSync(join(place, names.fresh), nowMs / 1000, nowMs / 1000 - 6 * 24 * 3600)
  expect(removeStaleStaging(place, nowMs, new Set(['u']))).toBe(3)
  expect(fs.readdirSync(place).sort()).toEqual(
    ['.sealift-c.part', '.sealift-f.part', '.sealift-l.part', '.sealift-u.part', '.sealift-x', 'outside'].sort(),
  )
  expect(fs.readdirSync(join(place, 'outside'))).toEqual(['keep'])
  expect(removeStaleStaging(join(place, 'not there'), nowMs, new Set())).toBe(0)
})

test('opening staging again marks it as used', () => {
  const place = makePlace()
  openWriter(place).close()
  fs.utimesSync(join(place, STAGING), 1000, 1000)
  openWriter(place).close()
  expect(fs.statSync(join(place, STAGING)).mtimeMs).toBeGreaterThan(Date.now() - DAY_MS)
})

test('too little space is said with how much is needed and free', () => {
  const place = makePlace()
  const free = freeBytes(join(place, 'not', 'yet'))
  expect(free).toBeGreaterThan(0)
  expect(() => checkFreeSpace(place, 0, 0)).not.toThrow()
  const port = { ...nodeFileSystem, statfsSync: (() => ({ bavail: 1024, bsize: 4096 })) as never }
  expect(() => checkFreeSpace(place, 3 << 20, 10, port)).toThrow(
    expect.objectContaining({ code: 'disk_full', message: 'not enough space: 19.0 MiB needed, 4.0 MiB free' }),
  )
})

describe('staging that is there', () => {
  test('is listed, the oldest first, with the transfer where it is one', () => {
    const place = makePlace()
    const names = [STAGING, `${STAGING}.stale-1`, '.sealift-names-7-1.part']
    names.forEach((name, at) => {
      fs.mkdirSync(join(place, name))
      fs.utimesSync(join(place, name), 1000 - at, 1000 - at)
    })
    // Not a folder, and not named so.
    plant(place, { '.sealift-x.part': 'x', '.sealift-y.other': { folder: {} }, '.sealift-z.part': { link: STAGING } })
    expect(listStaging(place)).toEqual([
      { name: names[2], transferId: null, touchedMs: 998_000 },
      { name: names[1], transferId: null, touchedMs: 999_000 },
      { name: names[0], transferId: TRANSFER_ID, touchedMs: 1_000_000 },
    ])
  })

  test('cannot be listed where the folder is gone', () => {
    expect(() => listStaging(join(makePlace(), 'gone'))).toThrow(expect.objectContaining({ code: 'target_gone' }))
  })
})

test('room for files, where the file system has a number for it', () => {
  const place = makePlace()
  expect(freeEntries(join(place, 'not', 'there'))).toBeGreaterThan(0)
  const statfs = (): unknown => Object.assign(fs.statfsSync(place), { files: 0, ffree: 0 })
  const statfsSync = statfs as typeof nodeFileSystem.statfsSync
  expect(freeEntries(place, { ...nodeFileSystem, statfsSync })).toBeNull()
})
