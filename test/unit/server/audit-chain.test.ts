import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { CHAIN_START, type ChainPoint } from '../../../src/ledger/audit.ts'
import { ChainCheck, encodeLine, pointOf } from '../../../src/server/audit-chain.ts'
import { Chance, seedOr } from '../../rigs/seeds.ts'
import { said } from './audit-place.ts'

function chainOf(count: number): string[] {
  const lines: string[] = []
  let end: ChainPoint = CHAIN_START
  for (let at = 0; at < count; at++) {
    const made = encodeLine({ event: 'connection', peer: '192.0.2.7', detail: { port: at } }, at * 1000, end)
    lines.push(made.record.line)
    end = made.end
  }
  return lines
}

function check(lines: readonly string[]) {
  const chain = new ChainCheck(CHAIN_START)
  return lines.map((line) => chain.add(line)).filter((fault) => fault !== null)
}

describe('a line', () => {
  test('says what it is about, in one order, with the hash of the line before', () => {
    const end = { seq: 6, hash: 'ab'.repeat(32) }
    const { record, end: next } = encodeLine(
      {
        event: 'transfer',
        peer: '2001:db8::7',
        owner: 'SHA256:x',
        transfer: 'id',
        detail: { bytes: 5, status: 'completed' },
      },
      Date.parse('2026-05-01T12:00:00.123Z'),
      end,
    )
    expect(record.line).toBe(
      `{"seq":7,"time":"2026-05-01T12:00:00.123Z","event":"transfer","peer":"2001:db8::7","owner":"SHA256:x",` +
        `"transfer":"id","detail":{"status":"completed","bytes":5},"prev":"${'ab'.repeat(32)}","hash":"${next.hash}"}`,
    )
    const [body = ''] = record.line.split(',"hash":')
    expect(next).toEqual({ seq: 7, hash: createHash('sha256').update(body).digest('hex') })
    expect(pointOf(record.line)).toEqual(next)
  })

  test('is one line that draws on no terminal, whatever names it has, and no longer than it may be', () => {
    const name = `\u001b[2J\r\n\u009b31m\u202egpj.exe\u2028${'x'.repeat(100_000)}`
    const { record } = encodeLine(
      { event: 'transfer', peer: '\u0007', owner: name, transfer: name, detail: { name, message: '"}\n{"seq":1' } },
      0,
      CHAIN_START,
    )
    expect(record.line).toMatch(/^[\x20-\x7e]+$/)
    expect(record.line.length).toBeLessThan(4000)
    expect(said(record.line)['detail']).toMatchObject({ message: String.raw`"}\x0a{"seq":1` })
  })

  test('has only the fields that are meant for it', () => {
    const detail = { status: 'completed', token: 'coral-magnet', resumeKey: 'secret' }
    const { record } = encodeLine({ event: 'transfer', detail }, 0, CHAIN_START)
    expect(record.line).not.toMatch(/coral|secret|token|resumeKey/)
  })
})

describe('a chain', () => {
  const lines = chainOf(12)

  test('that is whole has no fault', () => {
    expect(check(lines)).toEqual([])
  })

  test('shows an edited line, and that one alone', () => {
    const edited = lines.with(4, (lines[4] ?? '').replace('192.0.2.7', '192.0.2.8'))
    expect(check(edited)).toEqual([{ kind: 'edited', seq: 5, lastSeq: 5 }])
  })

  test('shows a line that was edited together with its hash', () => {
    const end = pointOf(lines[3] ?? '') as ChainPoint
    const forged = encodeLine({ event: 'connection', peer: '192.0.2.8' }, 0, end).record.line
    expect(check(lines.with(4, forged))).toEqual([{ kind: 'replaced', seq: 5, lastSeq: 5 }])
  })

  test('shows how many lines are missing', () => {
    expect(check(lines.toSpliced(4, 3))).toEqual([{ kind: 'missing', seq: 5, lastSeq: 7 }])
    expect(check(lines.slice(2))).toEqual([{ kind: 'missing', seq: 1, lastSeq: 2 }])
  })

  test('shows lines that were moved, repeated, or are none', () => {
    const [a = '', b = ''] = lines.slice(4, 6)
    expect(check(lines.toSpliced(4, 2, b, a)).map(({ kind }) => kind)).toEqual(['missing', 'misplaced'])
    expect(check(lines.toSpliced(5, 0, a))).toEqual([{ kind: 'misplaced', seq: 5, lastSeq: 5 }])
    expect(check(lines.with(4, 'not json'))).toEqual([{ kind: 'unreadable', seq: 5, lastSeq: 5 }])
  })

  test('shows every change of one character', () => {
    const chance = new Chance(seedOr(59))
    for (let times = 0; times < 300; times++) {
      const index = chance.integer(0, lines.length - 1)
      const line = lines[index] ?? ''
      const at = chance.integer(0, line.length)
      const other = chance.pick(['0', '1', 'a', '"', ' ', '}', 'é', ''])
      const changed = line.slice(0, at) + other + line.slice(at + 1)
      if (changed === line) continue
      expect(check(lines.with(index, changed)), `seed ${chance.seed}: ${changed}`).not.toEqual([])
    }
  })
})
