import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import { makeFolders } from '../../../src/files/folder-making.ts'
import { makePlace, plant } from './tree-place.ts'

const withCode = (code: string): unknown => expect.objectContaining({ code })

/** Whether folders are made is up to `make`. */
function systemOf(make: (path: string) => void): { mkdirSync: ReturnType<typeof vi.fn>; port: typeof nodeFileSystem } {
  const mkdirSync = vi.fn(make)
  return { mkdirSync, port: { ...nodeFileSystem, mkdirSync: mkdirSync as never } }
}

function failWith(code: string): never {
  throw Object.assign(new Error(code), { code, syscall: 'mkdir' })
}

test('all that are missing are made, with the mode that was asked for; what is there stays as it is', () => {
  const place = makePlace()
  fs.chmodSync(place, 0o755)
  makeFolders(join(place, 'a/b/c'), 0o700, nodeFileSystem)
  makeFolders(join(place, 'a/b/c'), 0o777, nodeFileSystem)
  const modes = ['.', 'a', 'a/b', 'a/b/c'].map((name) => fs.statSync(join(place, name)).mode & 0o777)
  expect(modes).toEqual([0o755, 0o700, 0o700, 0o700])
})

test('a file system that holds no folders, and says so as if the one above were missing, is tried once', () => {
  const { mkdirSync, port } = systemOf(() => failWith('ENOENT'))
  const path = join(makePlace(), 'a/b/c')
  expect(() => makeFolders(path, 0o700, port)).toThrow(withCode('target_read_only'))
  expect(mkdirSync).toHaveBeenCalledTimes(1)
})

test('one that somebody else makes in the same moment is taken', () => {
  const { port } = systemOf((path) => {
    fs.mkdirSync(path)
    failWith('EEXIST')
  })
  const path = join(makePlace(), 'a/b')
  makeFolders(path, 0o700, port)
  expect(fs.statSync(path).isDirectory()).toBe(true)
})

test.each([
  ['file/a', 'ENOTDIR'],
  ['dangling', 'EEXIST'],
  ['dangling/a', 'EEXIST'],
])('%s cannot be made: %s', (name, code) => {
  const place = makePlace()
  plant(place, { file: 'x', dangling: { link: 'nowhere' } })
  expect(() => makeFolders(join(place, name), 0o700, nodeFileSystem)).toThrow(withCode(code))
})
