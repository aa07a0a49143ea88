import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { ServerLog, type ServerLogOptions } from '../../../src/server/log.ts'
import { mountSmall } from '../../rigs/small-disk.ts'

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2026, 0, 1)
const REFUSED = { event: 'refused', peer: '192.0.2.1', code: 'auth_failed', until: null } as const

/** A log in a folder of its own, and its wall clock. */
class Place {
  readonly folder = fs.mkdtempSync(join(tmpdir(), 'sealift-log-'))
  wallMs = START_MS

  constructor() {
    onTestFinished(() => fs.rmSync(this.folder, { recursive: true, force: true }))
  }

  open(options: Partial<ServerLogOptions> = {}): ServerLog {
    const rules = { rotationBytes: 1000, retentionMs: 7 * DAY_MS, level: 'info' } as const
    return ServerLog.open({ folder: this.folder, wallMs: () => this.wallMs, ...rules, ...options })
  }

  names(): string[] {
    return fs.readdirSync(this.folder).sort()
  }

  lines(name = 'server.log'): Record<string, unknown>[] {
    const text = fs.readFileSync(join(this.folder, name), 'utf8')
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
}

describe('a line', () => {
  test('has level, time, words and fields, by the level that was chosen', () => {
    const place = new Place()
    const log = place.open({ level: 'warn' })
    log.event({
      event: 'done',
      transferId: 'x',
      files: 1,
      bytes: 1,
      bytesOnWire: 1,
      resumedBytes: 0,
      seconds: 1,
      bytesPerSecond: 1,
    })
    log.event(REFUSED)
    expect(place.lines()).toEqual([
      {
        level: 'warn',
        time: '2026-01-01T00:00:00.000Z',
        peer: '192.0.2.1',
        code: 'auth_failed',
        until: null,
        msg: 'refused',
      },
    ])
  })

  test.each([
    ['connection_lost', 'warn'],
    ['disk_full', 'error'],
    ['internal', 'error'],
  ] as const)('about a failure by %s is %s', (code, level) => {
    const place = new Place()
    const error = new SealiftError(code, 'why', { cause: new Error('where') })
    place.open().event({ event: 'error', transferId: null, peer: 'a', error })
    const [line] = place.lines()
    expect(line).toMatchObject({ level, code, text: 'why' })
    expect('cause' in (line ?? {})).toBe(code === 'internal')
  })

  test('shows what came from elsewhere harmless, on one line, and no text that was sent', () => {
    const place = new Place()
    const log = place.open({ level: 'trace' })
    const path = 'a\u001b[2J\n\u202egpj.exe\u0085\\'
    log.event({ event: 'file', transferId: 't', path, sizeBytes: 1, sha256: null, status: 'ok', savedAs: path })
    log.event({ event: 'warning', code: 'w', message: 'bad \u009b1m name' })
    log.event({ event: 'text', transferId: 't', text: 'the code is 1234' })
    const text = fs.readFileSync(join(place.folder, 'server.log'), 'utf8')
    expect(text).not.toMatch(/[\u007f-\u009f\u202e]|(?!\n)\p{Cc}|1234/u)
    expect(place.lines()).toMatchObject([
      { path: 'a\\x1b[2J\\x0a\\u{202e}gpj.exe\\x85\\\\' },
      { text: 'bad \\x9b1m name' },
      { characters: 16 },
    ])
  })
})

describe('the file', () => {
  test('is put aside before it grows over its size, and removed when it is too old', () => {
    const place = new Place()
    const log = place.open()
    for (let count = 0; count < 20; count++) log.event(REFUSED)
    const names = place.names()
    expect(names).toEqual([
      'server-2026-01-01T00-00-00.000Z-1.log',
      'server-2026-01-01T00-00-00.000Z.log',
      'server.log',
    ])
    expect(names.flatMap((name) => place.lines(name))).toHaveLength(20)
    for (const name of names) expect(fs.statSync(join(place.folder, name)).size).toBeLessThanOrEqual(1000)
    fs.writeFileSync(join(place.folder, 'audit-2025.jsonl'), '')
    place.wallMs += 7 * DAY_MS
    place.open()
    expect(place.names()).toContain('server-2026-01-01T00-00-00.000Z.log')
    place.wallMs++
    place.open()
    expect(place.names()).toEqual(['audit-2025.jsonl', 'server.log'])
  })

  test('is for its owner alone, and goes on after a torn line', () => {
    const place = new Place()
    place.open().event(REFUSED)
    const path = join(place.folder, 'server.log')
    expect(fs.statSync(path).mode & 0o777).toBe(0o600)
    fs.appendFileSync(path, '{"level":"in')
    place.open().event(REFUSED)
    expect(fs.readFileSync(path, 'utf8')).toMatch(/\{"level":"in\n\{"level":"warn".*\}\n$/)
  })

  test('on a full disk loses lines, says how many, and never fails', (context) => {
    const place = new Place()
    mountSmall(context, place.folder, 'size=16k')
    const log = place.open({ rotationBytes: 1 << 20 })
    fs.writeFileSync(join(place.folder, 'fill'), new Uint8Array(8 << 10))
    for (let count = 0; count < 200; count++) log.event(REFUSED)
    fs.unlinkSync(join(place.folder, 'fill'))
    log.event(REFUSED)
    const text = fs.readFileSync(join(place.folder, 'server.log'), 'utf8').trimEnd().split('\n')
    const lost = JSON.parse(text.at(-2) ?? '') as { msg: string; lines: number }
    expect(lost.msg).toBe('lines were lost')
    // One of them is there in part.
    expect(lost.lines).toBe(200 - (text.length - 3))
  })

  test.each(['a file is there', 'it cannot be made'])('is refused at the start where %s', (why) => {
    const place = new Place()
    const folder = why === 'a file is there' ? join(place.folder, 'file') : '/proc/no/such'
    if (why === 'a file is there') fs.writeFileSync(folder, '')
    const opened = (): unknown => place.open({ folder })
    expect(opened).toThrow(expect.objectContaining({ code: 'settings_invalid', exitCode: 2 }))
    expect(opened).toThrow(/log cannot be kept in \S+: \w/)
  })
})
