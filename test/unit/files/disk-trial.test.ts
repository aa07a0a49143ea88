/** Trying out a disk: what it says of real and of faked file systems, and that nothing is left behind. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { diskAnswers } from '../../../src/files/disk-answer.ts'
import { type DiskTrial, openDiskTrial } from '../../../src/files/disk-trial.ts'
import { type FileSystem, nodeFileSystem } from '../../../src/files/file-system.ts'
import { findMount } from '../../../src/files/mounts.ts'
import { makePlace } from './tree-place.ts'

const signal = new AbortController().signal
const faultOf = (errno: string, syscall: string): Error =>
  Object.assign(new Error(errno), { code: errno, syscall, errno: -1 })

function openTrial(place: string, port: Partial<FileSystem> = {}): DiskTrial {
  return openDiskTrial(place, signal, { ...nodeFileSystem, ...port })
}

describe('a trial', () => {
  test('of a Linux disk', async () => {
    const place = makePlace()
    const trial = openTrial(place)
    expect(fs.readdirSync(place)).toEqual([expect.stringMatching(/^\.sealift-doctor-.*\.part$/)])
    expect(fs.statSync(join(place, fs.readdirSync(place)[0]!)).mode & 0o777).toBe(0o700)
    expect(trial.names()).toEqual({ foldsCase: false, foldsForms: false, notHeld: [] })
    const { clockAheadMs, ...files } = trial.files()
    expect(files).toEqual({ hardLinks: true, exclusive: true, mtimeStepNs: 1000 })
    expect(Math.abs(clockAheadMs)).toBeLessThan(1000)
    expect(await trial.syncMs()).toBeGreaterThan(0)
    expect(await trial.writeBytesPerSecond(3 << 20)).toBeGreaterThan(0)
    trial.close()
    trial.close()
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('writes no more than it is told', async () => {
    const place = makePlace()
    let written = 0
    const write = ((fd: number, bytes: Uint8Array, at: number, length: number, ...rest: unknown[]) => {
      written += length
      Reflect.apply(fs.write, fs, [fd, bytes, at, length, ...rest])
    }) as FileSystem['write']
    const trial = openTrial(place, { write })
    await trial.writeBytesPerSecond(8 << 20)
    expect(written).toBe(7 << 20)
    trial.close()
  })

  test('stops before a file that would take too long', async () => {
    const place = makePlace()
    let files = 0
    const open = ((path: string, ...rest: [string, number]) => {
      if (rest[0] === 'wx') files++
      return fs.openSync(path, ...rest)
    }) as FileSystem['openSync']
    const fsync = ((_fd: number, done: (error: null) => void) => {
      setTimeout(() => done(null), 500)
    }) as FileSystem['fsync']
    const trial = openTrial(place, { openSync: open, fsync })
    expect(await trial.writeBytesPerSecond(64 << 20)).toBeLessThan(3 << 20)
    expect(files).toBe(1)
    trial.close()
  })

  test('of a file system without hard links, exclusive creation and exact times', () => {
    const place = makePlace()
    const trial = openTrial(place, {
      linkSync: () => {
        throw faultOf('EPERM', 'link')
      },
      openSync: ((path: string, flags: string | number, mode?: number) =>
        fs.openSync(path, flags === 'wx' ? 'w' : flags, mode)) as FileSystem['openSync'],
      futimesSync: (fd, atime, mtime) => fs.futimesSync(fd, atime, Math.trunc(Number(mtime) / 2) * 2),
    })
    expect(trial.files()).toMatchObject({ hardLinks: false, exclusive: false, mtimeStepNs: 2_000_000_000 })
    trial.close()
    expect(fs.readdirSync(place)).toEqual([])
  })

  test.each([
    [1_700_000_001.98, 10_000_000],
    [1_700_000_001.987, 1_000_000],
    [1_700_000_001, 1_000_000_000],
  ])('of one that keeps a time as %d', (kept, mtimeStepNs) => {
    const trial = openTrial(makePlace(), { futimesSync: (fd) => fs.futimesSync(fd, kept, kept) })
    expect(trial.files()).toMatchObject({ mtimeStepNs })
    trial.close()
  })

  test('of one whose clock is another', () => {
    const place = makePlace()
    const fstat = ((fd: number, options?: fs.StatOptions) => {
      const stats = fs.fstatSync(fd, options)
      if (options?.bigint !== true) (stats as fs.Stats).mtimeMs += 60_000
      return stats
    }) as FileSystem['fstatSync']
    const trial = openTrial(place, { fstatSync: fstat })
    expect(Math.round(trial.files().clockAheadMs / 1000)).toBe(60)
    trial.close()
  })

  test.each([
    ['EROFS', 'target_read_only'],
    ['EACCES', 'target_read_only'],
    ['ENOSPC', 'disk_full'],
  ])('of one that cannot be written: %s', (errno, code) => {
    const place = makePlace()
    const mkdirSync = (): never => {
      throw faultOf(errno, 'mkdir')
    }
    expect(() => openTrial(place, { mkdirSync })).toThrow(expect.objectContaining({ code }))
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('of one that fills up meanwhile', async () => {
    const place = makePlace()
    const write = ((...args: unknown[]) =>
      (args.at(-1) as (error: Error) => void)(faultOf('ENOSPC', 'write'))) as FileSystem['write']
    const trial = openTrial(place, { write })
    await expect(trial.syncMs()).rejects.toMatchObject({ code: 'disk_full' })
    trial.close()
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('that is called off: all is gone at once, while a sync is under way', async () => {
    const place = makePlace()
    const stop = new AbortController()
    const { promise: started, resolve: start } = Promise.withResolvers<() => void>()
    const fsync = ((_fd: number, done: (error: null) => void) => start(() => done(null))) as FileSystem['fsync']
    const trial = openDiskTrial(place, stop.signal, { ...nodeFileSystem, fsync })
    const ended = expect(trial.syncMs()).rejects.toMatchObject({ code: 'interrupted' })
    const finish = await started
    expect(fs.readdirSync(place)).toHaveLength(1)
    stop.abort()
    expect(fs.readdirSync(place)).toEqual([])
    finish()
    await ended
    expect(() => openDiskTrial(place, stop.signal)).toThrow()
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('does not follow a folder that is swapped for a link', async (context) => {
    if (process.platform !== 'linux') return context.skip('folders are held on Linux only')
    const place = makePlace()
    const elsewhere = makePlace()
    const trial = openTrial(place)
    const name = fs.readdirSync(place)[0]!
    fs.renameSync(join(place, name), join(place, 'moved'))
    fs.symlinkSync(elsewhere, join(place, name))
    await trial.syncMs()
    trial.close()
    expect(fs.readdirSync(elsewhere)).toEqual([])
  })
})

describe('whether a disk answers', () => {
  test('one that is there, and a path that is not', async () => {
    expect(await diskAnswers(makePlace(), 5000, signal)).toBe(true)
    expect(await diskAnswers(join(makePlace(), 'nothing', 'there'), 5000, signal)).toBe(true)
  })

  test('nobody is asked after the end', async () => {
    expect(await diskAnswers('/', 5000, AbortSignal.abort())).toBe(true)
  })
})

describe('mounts', () => {
  const TABLE = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '30 22 0:25 / /run rw,nosuid shared:5 master:2 - tmpfs tmpfs rw,size=1',
    '31 22 0:40 / /mnt/my\\040disk rw - fuse.sshfs me@host: rw,user_id=0',
    '32 22 0:41 / /mnt/nas rw - nfs4 nas:/x rw',
    '33 22 8:2 / /run/media ro - vfat /dev/sdb1 ro',
    '34 33 0:42 / /run/media rw - exfat /dev/sdc1 rw',
    '',
  ].join('\n')

  test.each([
    ['/', 'ext4', false, false],
    ['/running', 'ext4', false, false],
    ['/run', 'tmpfs', false, true],
    ['/run/x/y', 'tmpfs', false, true],
    ['/mnt/my disk/a', 'fuse.sshfs', true, false],
    ['/mnt/nas', 'nfs4', true, false],
    // What was mounted last hides what was there.
    ['/run/media/usb', 'exfat', false, false],
  ])('%s is on %s', (path, type, isNetwork, isInMemory) => {
    expect(findMount(path, TABLE)).toMatchObject({ type, isNetwork, isInMemory })
  })

  test('where the system does not say', () => {
    expect(findMount('/', null)).toBeNull()
    expect(findMount('/', 'nonsense\n\n')).toBeNull()
  })
})
