import { join } from 'node:path'
import { networkInterfaces } from 'node:os'
import { describe, expect, test, vi } from 'vitest'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import { settleSending } from '../../../src/library/open-questions.ts'
import type { SendOptions } from '../../../src/library/options.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { makePlace, plant } from '../files/tree-place.ts'

function project(): string {
  const place = makePlace()
  plant(place, {
    project: {
      folder: {
        'main.py': 'main',
        venv: { folder: { 'pyvenv.cfg': 'cfg', lib: { folder: { a: '1' } } } },
        sub: { folder: { __pycache__: { folder: { b: '22' } } } },
      },
    },
  })
  return join(place, 'project')
}

const never = new AbortController().signal
const ask = (path: string, options: SendOptions, signal = never): ReturnType<typeof settleSending> =>
  settleSending([path], { pod: true, ...options }, signal)
const yes = (): boolean => true
const no = (): boolean => false

describe('what is left out by default', () => {
  test('is asked about once, with all that was found; yes leaves it out and looks at nothing again', async () => {
    const leaveOut = vi.fn(yes)
    const looks = vi.spyOn(nodeFileSystem, 'lstatSync')
    const { walk, options } = await ask(project(), { leaveOut })
    const looksAtMain = looks.mock.calls.filter(([path]) => String(path).endsWith('/main.py')).length
    looks.mockRestore()
    expect(leaveOut.mock.calls).toEqual([
      [
        [
          { event: 'excluded', path: 'project/sub/__pycache__', files: 1, bytes: 2, reason: 'cache' },
          { event: 'excluded', path: 'project/venv', files: 2, bytes: 4, reason: 'venv' },
        ],
        never,
      ],
    ])
    expect([walk.manifest.fileCount, options.all, looksAtMain]).toEqual([1, undefined, 1])
  })

  test('is sent after a no, by the very options of --all', async () => {
    const path = project()
    const { walk, options } = await ask(path, { leaveOut: async () => false, priority: 3 })
    const { walk: whole } = await ask(path, { all: true, priority: 3 })
    expect(options.all).toBe(true)
    expect([walk.manifest.fileCount, walk.excluded]).toEqual([whole.manifest.fileCount, []])
  })

  test.each([
    ['nothing is found', { exclude: ['venv', '__pycache__'] }],
    ['all is wanted', { all: true }],
  ])('is not asked about where %s', async (_, options) => {
    const leaveOut = vi.fn(no)
    await ask(project(), { ...options, leaveOut })
    expect(leaveOut).not.toHaveBeenCalled()
  })

  test('comes after the paths: one that is not there is all that is said', async () => {
    const leaveOut = vi.fn(yes)
    const chooseCompression = vi.fn(() => 'none' as const)
    const asked = settleSending([project(), '/nowhere/at/all'], { leaveOut, chooseCompression }, never)
    await expect(asked).rejects.toMatchObject({ code: 'path_missing' })
    expect([leaveOut, chooseCompression].map(({ mock }) => mock.calls)).toEqual([[], []])
  })
})

describe('compression', () => {
  test('is asked about after that, and the answer is what holds', async () => {
    const asked: string[] = []
    const { options } = await ask(project(), {
      chooseCompression: () => (asked.push('compression'), 'blosc-lz4'),
      leaveOut: () => asked.push('leave out') > 0,
    })
    expect([asked, options.compress]).toEqual([['leave out', 'compression'], 'blosc-lz4'])
  })

  test.each([{ compress: 'none' }, { compressionLevel: 3 }] as const)('is not asked about with %o', async (given) => {
    const chooseCompression = vi.fn(() => 'gzip' as const)
    const { options } = await ask(project(), { ...given, chooseCompression })
    expect(chooseCompression).not.toHaveBeenCalled()
    expect(options).toMatchObject(given)
  })
})

describe('where to listen', () => {
  const hasLan = Object.values(networkInterfaces()).some((found) => found?.some(({ internal }) => !internal))

  test('is asked last of all', async ({ skip }) => {
    if (!hasLan) skip('this machine has no address on a local network')
    vi.stubEnv('TS_SOCKET', '/nowhere/at/all')
    const asked: string[] = []
    const { options } = await ask(project(), {
      pod: false,
      listenOnLan: (_, reason) => asked.push(reason) > 0,
      chooseCompression: () => (asked.push('compression'), 'none'),
      leaveOut: () => asked.push('leave out') > 0,
    }).finally(() => vi.unstubAllEnvs())
    expect(asked).toEqual(['leave out', 'compression', expect.any(String)])
    expect(options.compress).toBe('none')
  })

  test('is no question where it cannot be: that is said before anything is asked', async () => {
    const leaveOut = vi.fn(yes)
    await expect(ask(project(), { pod: true, lan: true, leaveOut })).rejects.toMatchObject({ code: 'usage' })
    expect(leaveOut).not.toHaveBeenCalled()
  })
})

test('a question that nobody answers ends with the signal, whoever listens to it', async () => {
  const stop = new AbortController()
  const leaveOut = (): Promise<boolean> =>
    new Promise(() => queueMicrotask(() => stop.abort(new SealiftError('interrupted', 'stopped'))))
  await expect(ask(project(), { leaveOut }, stop.signal)).rejects.toMatchObject({ code: 'interrupted' })
})
