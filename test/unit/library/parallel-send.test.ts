/** Lists of files by `sendFilesInParallel`: what arrives, what does not and why, and at what cost. */

import fs from 'node:fs'
import net from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ParallelProgress, SealiftError } from '../../../src/index.ts'
import { groupFiles } from '../../../src/library/file-groups.ts'
import { ClassPlace, sha256 } from '../../rigs/class-place.ts'

const MIB = 1 << 20
/** Such a file has a transfer of its own. */
const LARGE = 8 * MIB

const codeOf = (error: unknown): unknown => (error instanceof SealiftError ? error.code : error)

describe('sendFilesInParallel', () => {
  test('gives a result for each path, in their order, whatever was wrong with others', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const good = ['first.txt', 'second.txt', 'third.txt'].map((name) => place.plant(name, `${name}\n`.repeat(500)))
    const [first = '', second = '', third = ''] = good
    fs.mkdirSync(place.path('sources', 'folder'))
    const odd = [place.path('absent'), place.path('sources', 'folder'), `${first}\0`, '']
    const progress: ParallelProgress[] = []
    const results = await place.makeClient().sendFilesInParallel([first, ...odd, second, first, third], {
      concurrency: 3,
      compressionLevel: 9,
      onProgress: (event) => progress.push(event),
    })
    const sent = (path: string): object => {
      const content = fs.readFileSync(path)
      return { path, ok: true, status: 'ok', bytes: content.length, sha256: sha256(content) }
    }
    const failed = (path: string | undefined, code: string): object => ({ path, ok: false, error: { code } })
    expect(results).toMatchObject([
      sent(first),
      failed(odd[0], 'path_missing'),
      failed(odd[1], 'usage'),
      failed(odd[2], 'path_missing'),
      failed(odd[3], 'path_missing'),
      sent(second),
      sent(first),
      sent(third),
    ])
    expect(place.list()).toEqual(['first.txt', 'second.txt', 'third.txt'])
    expect(place.read('second.txt')).toBe(fs.readFileSync(second, 'utf8'))
    const bytes = good.reduce((sum, path) => sum + fs.statSync(path).size, 0)
    expect(progress.at(-1)).toEqual({ bytesDone: bytes, bytesTotal: bytes, filesDone: 3, filesTotal: 3 })
  })

  test('of a file that changes meanwhile says so, and sends the others of its transfer', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const files = ['a', 'b', 'c', 'd'].map((name) => place.plant(`${name}.txt`, `${name} `.repeat(1000)))
    const [, changing = ''] = files
    const onWarning = (): void => fs.appendFileSync(changing, 'more')
    const results = await place.makeClient().sendFilesInParallel(files, { onWarning })
    expect(results.map((result) => (result.ok ? result.status : result.error.code))).toEqual([
      'ok',
      'source_changed',
      'ok',
      'ok',
    ])
    expect(place.list()).toEqual(['a.txt', 'c.txt', 'd.txt'])
  })

  test('takes one handshake for many small files', async () => {
    const place = new ClassPlace()
    await place.startServer({ fileEvents: false })
    const files = Array.from({ length: 300 }, (_, at) => place.plant(`${at}.txt`, `this is number ${at}`))
    const results = await place.makeClient().sendFilesInParallel(files)
    expect(results.filter(({ ok }) => ok).length).toBe(300)
    expect(place.count('connected')).toBe(1)
    expect(place.list().length).toBe(300)
    expect(place.read('299.txt')).toBe('this is number 299')
  })

  test('keeps apart what has the same name', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const files = ['x/same.txt', 'y/same.txt', 'z/SAME.txt'].map((path) => place.plant(path, path))
    // What has the same size and time counts as the same file.
    files.forEach((file, at) => fs.utimesSync(file, 1_700_000_000 + at, 1_700_000_000 + at))
    const results = await place.makeClient().sendFilesInParallel(files)
    expect(results.every(({ ok }) => ok)).toBe(true)
    expect(place.list()).toEqual(['SAME.txt', 'same (1).txt', 'same.txt'])
    expect(new Set(place.list().map((name) => place.read(name)))).toEqual(
      new Set(['x/same.txt', 'y/same.txt', 'z/SAME.txt']),
    )
  })

  test('finds the one that is too large for the server among those that are not', async () => {
    const place = new ClassPlace()
    await place.startServer({ settings: { ST_MAX_TRANSFER_SIZE: '100kB' } })
    const sizes = [30_000, 30_000, 150_000, 30_000, 30_000, 30_000]
    const files = sizes.map((size, at) => place.plant(`${at}.bin`, new Uint8Array(size).fill(at)))
    const results = await place.makeClient().sendFilesInParallel(files)
    expect(results.map(({ ok }) => ok)).toEqual([true, true, false, true, true, true])
    expect(results[2]).toMatchObject({ error: { code: 'limit_exceeded' } })
    expect(place.list().length).toBe(5)
  })

  test.each([
    ['as many as was asked for', '64', 2],
    ['no more than the server takes', '4', 5],
  ])('runs %s of large ones at a time', async (_, perAddress, concurrency) => {
    const place = new ClassPlace()
    await place.startServer({ settings: { ST_MAX_CONCURRENT_PER_IP: perAddress }, fileEvents: false })
    const client = place.makeClient({ bytesPerSecond: 16 * MIB })
    const files = Array.from({ length: 5 }, (__, at) => place.plantSparse(`${at}.bin`, LARGE + at))
    const results = await client.sendFilesInParallel(files, { concurrency })
    expect(results.map(({ ok, error }) => [ok, error])).toEqual(new Array(5).fill([true, undefined]))
    const running = new Set<string>()
    let most = 0
    for (const event of place.events) {
      if (event.event === 'progress') running.add(event.transferId)
      if (event.event === 'done') running.delete(event.transferId)
      most = Math.max(most, running.size)
    }
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(Math.min(concurrency, Number(perAddress)))
    // It is not asked again and again whether there is room now.
    expect(place.count('error')).toBeLessThanOrEqual(Math.max(0, concurrency - Number(perAddress)))
    expect(fs.statSync(place.path('received', '4.bin')).size).toBe(LARGE + 4)
  })

  test('rejects where nothing can go on', async () => {
    const place = new ClassPlace()
    const server = await place.startServer({ open: false, token: 'four words of it' })
    const files = ['a.txt', 'b.txt'].map((name) => place.plant(name, name))
    const client = place.makeClient()
    expect(await client.sendFilesInParallel(files).catch(codeOf)).toBe('auth_failed')
    expect(await client.sendFilesInParallel(files, { concurrency: 0 }).catch(codeOf)).toBe('settings_invalid')
    expect(await client.sendFilesInParallel([5 as never]).catch(codeOf)).toBe('settings_invalid')
    expect(await client.sendFilesInParallel('a.txt' as never).catch(codeOf)).toBe('settings_invalid')
    await server.stop()
    expect(await client.sendFilesInParallel(files).catch(codeOf)).toBe('connect_failed')
    // Nobody needs to be there for that.
    expect(await client.sendFilesInParallel([place.path('absent')])).toMatchObject([
      { error: { code: 'path_missing' } },
    ])
    expect(await client.sendFilesInParallel([])).toEqual([])
    expect(place.list()).toEqual([])
  })

  test('comes again with what found no way to the server, where others did', async () => {
    const place = new ClassPlace()
    const server = place.makeServer({ port: 0, fileEvents: false })
    const { port } = await server.start()
    const files = [0, 1].map((at) => place.plantSparse(`${at}.bin`, LARGE + at))
    // One connection gets through; others are cut off until its transfer is done.
    let connections = 0
    let isDone = false
    const proxy = net.createServer((near) => {
      near.on('error', () => undefined)
      if (connections++ > 0 && !isDone) {
        near.resetAndDestroy()
        return
      }
      const far = net.connect(port, '127.0.0.1').on('error', () => undefined)
      near.pipe(far).pipe(near)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void proxy.close())
    const client = place.makeClient({ port: (proxy.address() as net.AddressInfo).port, bytesPerSecond: 4 * MIB })
    const onProgress = ({ filesDone }: ParallelProgress): void => void (isDone ||= filesDone === 1)
    const results = await client.sendFilesInParallel(files, { concurrency: 2, onProgress })
    expect(results.map(({ ok }) => ok)).toEqual([true, true])
    expect(connections).toBeGreaterThan(2)
    expect(place.list()).toEqual(['0.bin', '1.bin'])
  })

  test('asks once for the secret of all', async () => {
    const place = new ClassPlace()
    await place.startServer({ open: false, token: 'four words of it', fileEvents: false })
    const files = [0, 1, 2].map((at) => place.plantSparse(`${at}.bin`, LARGE + at))
    const asked: string[] = []
    const askSecret = async (what: 'token' | 'password'): Promise<string> => {
      asked.push(what)
      return 'four words of it'
    }
    const results = await place.makeClient({ askSecret }).sendFilesInParallel(files, { concurrency: 3 })
    expect([asked, results.map(({ ok }) => ok)]).toEqual([['token'], [true, true, true]])
  })

  test('goes on with its transfers when it is called again after it was stopped', async () => {
    const place = new ClassPlace()
    await place.startServer({ fileEvents: false })
    const small = Array.from({ length: 20 }, (_, at) => place.plant(`${at}.txt`, `small ${at}`))
    const large = [0, 1].map((at) => place.plant(`large ${at}.bin`, Buffer.alloc(LARGE + MIB, `large ${at} `)))
    const stop = new AbortController()
    const onProgress = ({ bytesDone }: ParallelProgress): void => {
      if (bytesDone > 0) stop.abort()
    }
    const files = [...small, ...large]
    const slow = place.makeClient({ bytesPerSecond: 8 * MIB })
    const first = await slow.sendFilesInParallel(files, { signal: stop.signal, onProgress }).catch(codeOf)
    expect(first).toBe('interrupted')
    const results = await place.makeClient().sendFilesInParallel(files)
    expect(results.filter(({ ok }) => ok).length).toBe(22)
    for (const file of large) {
      const name = file.split('/').at(-1) as string
      expect(fs.readFileSync(place.path('received', name)).equals(fs.readFileSync(file))).toBe(true)
    }
    // No second transfer of what was begun, nor a second copy.
    const ids = results.slice(20).map((result) => (result.ok ? result.transferId : ''))
    const moved = place.events.flatMap((event) =>
      event.event === 'progress' && (event.bytesTotal ?? 0) > LARGE ? [event.transferId] : [],
    )
    expect(new Set(moved)).toEqual(new Set(ids))
    expect(place.list().length).toBe(22)
  })
})

describe('groupFiles', () => {
  const file = (name: string, sizeBytes: number): { name: string; sizeBytes: number } => ({ name, sizeBytes })
  const names = (groups: readonly (readonly { name: string }[])[]): string[][] =>
    groups.map((group) => group.map(({ name }) => name))

  test('gives large files a group each, and lets small ones share', () => {
    expect(names(groupFiles([file('a', 1), file('b', LARGE), file('c', LARGE - 1), file('d', LARGE)]))).toEqual([
      ['a', 'c'],
      ['b'],
      ['d'],
    ])
  })

  test('keeps names apart that some system takes for one', () => {
    expect(names(groupFiles([file('a', 1), file('A', 1), file('b', 1), file('a', 1), file('B', 1)]))).toEqual([
      ['a', 'b'],
      ['A', 'B'],
      ['a'],
    ])
  })

  test('lets no group grow beyond what is worth losing', () => {
    const many = Array.from({ length: 4500 }, (_, at) => file(String(at), 10))
    expect(groupFiles(many).map((group) => group.length)).toEqual([2000, 2000, 500])
    const heavy = Array.from({ length: 20 }, (_, at) => file(String(at), 5 * MIB))
    expect(groupFiles(heavy).map((group) => group.length)).toEqual([12, 8])
  })
})
