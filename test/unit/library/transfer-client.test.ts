/** One file after another by `SecureFileTransferClient`, and the server that it sends them to. */

import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  type ProgressEvent,
  SealiftError,
  SecureFileTransferClient,
  SecureFileTransferServer,
} from '../../../src/index.ts'
import { sentFile } from '../../../src/library/sent-file.ts'
import { ClassPlace, sha256 } from '../../rigs/class-place.ts'

const MIB = 1 << 20
const text = 'the same again and again\n'.repeat(20_000)

const codeOf = (error: unknown): unknown => (error instanceof SealiftError ? error.code : error)

describe('sendFile', () => {
  test('sends a file, packed, and gives its checksum; both sides tell of it', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const progress: ProgressEvent[] = []
    const file = place.plant('example.txt', text)
    const sent = await place.makeClient().sendFile(file, {
      priority: 9,
      compressionLevel: 6,
      onProgress: (event) => progress.push(event),
    })
    expect(place.read('example.txt')).toBe(text)
    expect(sent).toMatchObject({
      path: file,
      bytes: text.length,
      sha256: sha256(text),
      status: 'ok',
      resumedBytes: 0,
    })
    // gzip by a level alone: zstd is what the command line means by one.
    expect(sent.bytesOnWire).toBeLessThan(text.length / 10)
    expect(progress.at(-1)).toMatchObject({ bytesDone: text.length, bytesTotal: text.length, filesDone: 1 })
    const told = place.events.filter(({ event }) => event === 'file' || event === 'done')
    expect(told).toMatchObject([
      { event: 'file', sha256: sha256(text), savedAs: 'example.txt', status: 'ok' },
      { event: 'done', transferId: sent.transferId },
    ])
  })

  test('says that the server has it already', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const client = place.makeClient()
    const file = place.plant('example.txt', text)
    await client.sendFile(file)
    const again = await client.sendFile(file)
    expect(again).toMatchObject({ status: 'skipped', bytes: text.length, sha256: null })
    expect(place.list()).toEqual(['example.txt'])
  })

  test('makes no file beside what is sent, and none for a while', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const file = place.plant('example.bin', new Uint8Array(3 * MIB).fill(7))
    const temporary = place.path('tmp')
    fs.mkdirSync(temporary)
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = temporary
    const seen: string[] = []
    const watchers = [temporary, place.path('sources')].map((folder) =>
      fs.watch(folder, (kind, name) => seen.push(`${kind} ${String(name)}`)),
    )
    try {
      for (const compressionLevel of [0, 1, 9])
        await place.makeClient().sendFile(file, { compressionLevel, conflict: 'rename' })
      await place.makeClient().sendFilesInParallel([file, place.path('absent')], { conflict: 'rename' })
      expect(seen).toEqual([])
      // What is seen at all is seen by now.
      fs.writeFileSync(place.path('sources', 'last'), '')
      await expect.poll(() => seen).toContain('rename last')
      expect(seen.filter((change) => !change.endsWith(' last'))).toEqual([])
    } finally {
      for (const watcher of watchers) watcher.close()
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    }
    expect(place.list()).toEqual(['example (1).bin', 'example (2).bin', 'example (3).bin', 'example.bin'])
  })

  test.each([
    ['a priority over 9', { priority: 10 }, 'settings_invalid'],
    ['a priority that is no whole number', { priority: 1.5 }, 'settings_invalid'],
    ['a level over 9', { compressionLevel: 10 }, 'settings_invalid'],
    ['a level under 0', { compressionLevel: -1 }, 'settings_invalid'],
    ['a level that zstd has not', { compress: 'zstd' as const, compressionLevel: 30 }, 'settings_invalid'],
    ['a codec that nobody has', { compress: 'rar' as never }, 'settings_invalid'],
    ['a listener that cannot be called', { onProgress: 'me' as never }, 'settings_invalid'],
  ])('refuses %s before anything is sent', async (_, options, code) => {
    const place = new ClassPlace()
    await place.startServer()
    const client = place.makeClient()
    const file = place.plant('example.txt', text)
    expect(await client.sendFile(file, options).catch(codeOf)).toBe(code)
    expect(await client.sendFilesInParallel([file], options).catch(codeOf)).toBe(code)
    expect(place.events).toEqual([])
  })

  test('refuses what is no file, and a client that goes nowhere', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const client = place.makeClient()
    const file = place.plant('folder/example.txt', text)
    expect(await client.sendFile(place.path('sources', 'folder')).catch(codeOf)).toBe('usage')
    expect(await client.sendFile(place.path('absent')).catch(codeOf)).toBe('path_missing')
    expect(await client.sendFile(undefined as never).catch(codeOf)).toBe('settings_invalid')
    expect(await new SecureFileTransferClient({} as never).sendFile(file).catch(codeOf)).toBe('settings_invalid')
    expect(await place.makeClient({ port: 0 }).sendFile(file).catch(codeOf)).toBe('settings_invalid')
    expect(
      await place
        .makeClient({ host: 5 as never })
        .sendFile(file)
        .catch(codeOf),
    ).toBe('settings_invalid')
    expect(place.events).toEqual([])
  })

  test('ends with why its file failed', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const file = place.plant('example.txt', text)
    // Said once the server is met, when the file was listed and not read yet.
    const onWarning = (): void => fs.appendFileSync(file, 'more')
    const failure = await place
      .makeClient()
      .sendFile(file, { onWarning })
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'source_changed', transferId: expect.any(String) as string })
    expect(place.list()).toEqual([])
  })

  test('ends with what a function of the caller throws', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const mistake = new Error('of the caller')
    const onProgress = (): never => {
      throw mistake
    }
    const file = place.plant('example.txt', text)
    expect(
      await place
        .makeClient()
        .sendFile(file, { onProgress })
        .catch((error: unknown) => error),
    ).toBe(mistake)
  })
})

describe('an interruption', () => {
  const content = Buffer.alloc(9 * MIB, 'interrupted ')

  test('by the signal: the same call goes on with what is missing', async () => {
    const place = new ClassPlace()
    await place.startServer()
    const file = place.plant('example.bin', content)
    const stop = new AbortController()
    const onProgress = ({ bytesDone }: ProgressEvent): void => {
      if (bytesDone > 0) stop.abort()
    }
    const slow = place.makeClient({ bytesPerSecond: 8 * MIB })
    const first = await slow.sendFile(file, { signal: stop.signal, onProgress }).catch((error: unknown) => error)
    expect(first).toMatchObject({ code: 'interrupted' })
    const again = await place.makeClient().sendFile(file)
    expect(again).toMatchObject({ transferId: (first as SealiftError).transferId, sha256: sha256(content) })
    expect(again.resumedBytes).toBeGreaterThan(0)
    expect(again.bytesOnWire).toBeLessThan(content.length - again.resumedBytes + 100_000)
    expect(fs.readFileSync(place.path('received', 'example.bin')).equals(content)).toBe(true)
  })

  test('after the last byte: the checksum is there, although nothing was read any more', async () => {
    const place = new ClassPlace()
    const file = place.plant('example.bin', content)
    const common = { event: 'file', transferId: 'id', path: 'example.bin', savedAs: null } as const
    const event = { ...common, sizeBytes: content.length, sha256: null }
    expect(await sentFile(file, { ...event, status: 'ok' }, 'id')).toEqual({
      path: file,
      transferId: 'id',
      bytes: content.length,
      sha256: sha256(content),
      status: 'ok',
    })
    expect(await sentFile(file, { ...event, status: 'skipped' }, 'id')).toMatchObject({ sha256: null })
  })

  test('by stop() of the server: the call that waits goes on when it runs again, and so does a later one', async () => {
    const place = new ClassPlace()
    const server = await place.startServer()
    const file = place.plant('example.bin', content)
    const restarted: Promise<unknown>[] = []
    const onProgress = ({ bytesDone }: ProgressEvent): void => {
      if (bytesDone > 0 && restarted.length === 0) restarted.push(server.stop().then(() => place.startServer()))
    }
    const sent = await place.makeClient({ bytesPerSecond: 8 * MIB }).sendFile(file, { onProgress })
    await Promise.all(restarted)
    expect(sent).toMatchObject({ sha256: sha256(content), status: 'ok' })
    // Once before the stop and once after it.
    expect(place.count('connected')).toBe(2)
    expect(sent.bytesOnWire).toBeLessThan(1.5 * content.length)
    expect(fs.readFileSync(place.path('received', 'example.bin')).equals(content)).toBe(true)
  })
})

describe('SecureFileTransferServer', () => {
  test('does not start where nothing says who may send', async () => {
    const place = new ClassPlace()
    const failure = await place
      .makeServer({ open: false })
      .start()
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'settings_invalid', hint: expect.stringContaining('open: true') as string })
    expect(place.list()).toEqual([])
  })

  test('does not start on a port that is in use, twice, or with options that cannot be', async () => {
    const place = new ClassPlace()
    const server = await place.startServer()
    const other = { ledgerPath: place.path('other', 'l.db') }
    expect(await place.makeServer(other).start().catch(codeOf)).toBe('port_in_use')
    expect(await server.start().catch(codeOf)).toBe('usage')
    for (const options of [
      { port: 70_000 },
      { host: undefined as never },
      { outputDir: undefined as never },
      { host: null as never },
      { open: 'yes' as never },
      { settings: { ST_NOTHING: '1' } },
      { settings: { ST_QUOTA: 'much' } },
      { settings: { ST_QUOTA: 10 as never } },
    ])
      expect(await place.makeServer(options).start().catch(codeOf)).toBe('settings_invalid')
    await server.stop()
  })

  test('starts again where it was, after it was stopped, and its events end each time', async () => {
    const place = new ClassPlace()
    const server = place.makeServer({ port: 0 })
    await server.stop()
    for (let turn = 0; turn < 2; turn++) {
      // Also while it is still being stopped.
      const { port: chosen, fingerprint } = await server.start()
      expect(fingerprint).toMatch(/^SHA256:/)
      const file = place.plant(`turn ${turn}.txt`, text)
      const told: string[] = []
      const listening = (async () => {
        for await (const { event } of server) told.push(event)
      })()
      await place.makeClient({ port: chosen }).sendFile(file)
      const stopping = [server.stop(), server.stop()]
      if (turn === 1) await Promise.all(stopping)
      await listening
      expect(told).toContain('done')
    }
    expect(place.list()).toEqual(['turn 0.txt', 'turn 1.txt'])
  })

  test('asks for what it was given, and tells who brings something else', async () => {
    const place = new ClassPlace()
    await place.startServer({ open: false, token: 'four words of it' })
    const file = place.plant('example.txt', text)
    expect(await place.makeClient().sendFile(file).catch(codeOf)).toBe('auth_failed')
    expect(await place.makeClient({ token: 'other words than these' }).sendFile(file).catch(codeOf)).toBe('auth_failed')
    expect(place.list()).toEqual([])
    const sent = await place.makeClient({ token: 'Four words, of it' }).sendFile(file)
    expect(sent.sha256).toBe(sha256(text))
  })

  test('looks at nothing before it starts', () => {
    expect(() => new SecureFileTransferServer(null as never)).not.toThrow()
  })
})
