import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { ChainPoint } from '../../../src/ledger/audit.ts'
import { encodeLine, pointOf } from '../../../src/server/audit-chain.ts'
import { type AuditReport, verifyAudit } from '../../../src/server/audit-verification.ts'
import { AuditPlace } from './audit-place.ts'

let place: AuditPlace
beforeEach(async () => {
  place = await AuditPlace.make()
})

const verify = (): Promise<AuditReport> => verifyAudit(place.ledger.audit)

async function kinds(): Promise<string[]> {
  return (await verify()).faults.map(({ kind, seq, lastSeq, where }) => {
    return `${kind} ${seq === lastSeq ? seq : `${seq}-${lastSeq}`} ${where}`
  })
}

function changeLedger(sql: string): void {
  const db = new DatabaseSync(place.ledger.path)
  db.exec(sql)
  db.close()
}

describe('a log', () => {
  test('that was never begun is whole', async () => {
    expect(await verify()).toMatchObject({ isWhole: true, files: 0, folder: null, last: { seq: 0 } })
  })

  test('that is whole says how long it is', async () => {
    await place.filled(8)
    expect(await verify()).toMatchObject({ isWhole: true, files: 1, firstSeq: 1, last: { seq: 8 }, faults: [] })
  })
})

describe('in the files it finds', () => {
  beforeEach(() => place.filled(8))

  test('an edited line', async () => {
    place.change((lines) => lines.with(2, (lines[2] ?? '').replace('192.0.2.7', '192.0.2.8')))
    expect(await kinds()).toEqual(['edited 3 audit.jsonl:3'])
  })

  test('a removed line', async () => {
    place.change((lines) => lines.toSpliced(2, 2))
    expect(await kinds()).toEqual(['missing 3-4 audit.jsonl:3'])
  })

  test('lines that changed places', async () => {
    place.change((lines) => [...lines.slice(0, 2), lines[3] ?? '', lines[2] ?? '', ...lines.slice(4)])
    expect(await kinds()).toEqual(['missing 3 audit.jsonl:3', 'misplaced 3 audit.jsonl:4'])
  })

  test('the last line removed, and the file removed', async () => {
    place.change((lines) => lines.slice(0, 7))
    expect(await kinds()).toEqual(['cut 8 audit.jsonl'])
    fs.rmSync(place.path())
    expect(await kinds()).toEqual(['cut 1-8 audit.jsonl'])
    fs.rmSync(place.folder, { recursive: true })
    expect(await kinds()).toEqual(['cut 1-8 audit.jsonl'])
  })

  test('a torn last line', async () => {
    fs.truncateSync(place.path(), fs.statSync(place.path()).size - 1)
    expect(await kinds()).toEqual(['torn 8 audit.jsonl:8', 'cut 8 audit.jsonl'])
  })

  test('a line that was added', async () => {
    const end = pointOf(place.lines()[7] ?? '') as ChainPoint
    place.change((lines) => [...lines, encodeLine({ event: 'error' }, 0, end).record.line])
    expect(await kinds()).toEqual(['foreign 9 audit.jsonl:9'])
  })

  test('a chain that was made anew from one line on', async () => {
    let end = pointOf(place.lines()[4] ?? '') as ChainPoint
    place.change((lines) =>
      lines.map((line, at) => {
        if (at < 5) return line
        const made = encodeLine({ event: 'handshake', peer: '192.0.2.8' }, 0, end)
        end = made.end
        return made.record.line
      }),
    )
    expect(await kinds()).toEqual([6, 7, 8].map((seq) => `replaced ${seq} audit.jsonl:${seq}`))
  })

  test('a byte that is no text where there was the sign for it', async () => {
    const log = await place.open()
    await log.write({ event: 'transfer', detail: { name: '\ufffd' } })
    await log.close()
    const bytes = fs.readFileSync(place.path(), 'latin1')
    fs.writeFileSync(place.path(), bytes.replace('\u00ef\u00bf\u00bd', '\u00ff'), 'latin1')
    expect(await kinds()).toEqual(['edited 9 audit.jsonl:9'])
  })
})

test('it finds a whole file that was removed between two others', async () => {
  await place.filled(15, { rotationBytes: 1200 })
  const [, second = ''] = place.names
  const [, from, to] = /-0*(\d+)-0*(\d+)/.exec(second) ?? []
  fs.rmSync(place.path(second))
  expect(await kinds()).toEqual([expect.stringContaining(`missing ${from}-${to} audit-`)])
})

describe('in the ledger it finds', () => {
  beforeEach(() => place.filled(8))

  test.each([
    ['an edited line', `UPDATE audit SET line = replace(line, '192.0.2.7', '192.0.2.8') WHERE seq = 3`, 'edited 3'],
    ['what a line is searched by, edited', `UPDATE audit SET peer = '192.0.2.8' WHERE seq = 3`, 'edited 3'],
    ['a removed line', 'DELETE FROM audit WHERE seq = 3', 'missing 3'],
    ['the last line removed', 'DELETE FROM audit WHERE seq = 8', 'cut 8'],
    ['another end of the chain', `UPDATE audit_head SET hash = '${'0'.repeat(64)}'`, 'replaced 8'],
  ])('%s', async (_, sql, found) => {
    changeLedger(sql)
    expect(await kinds()).toEqual([`${found} the ledger`])
  })

  test('a line with a right hash that says nothing', async () => {
    const [line = ''] = place.lines().slice(7)
    const body = line.slice(0, line.indexOf(',"hash":')).replace('"detail":{', '"detail":{{')
    const hash = createHash('sha256').update(body).digest('hex')
    changeLedger(`UPDATE audit SET line = '${body},"hash":"${hash}"}' WHERE seq = 8`)
    expect(await kinds()).toEqual(['edited 8 the ledger', 'replaced 8 audit.jsonl:8', 'replaced 8 the ledger'])
  })

  test('an end that was set back: the files have more than it knows', async () => {
    const [line = ''] = place.lines().slice(5, 6)
    changeLedger(`DELETE FROM audit WHERE seq > 6;
      UPDATE audit_head SET seq = 6, filed_seq = 6, hash = '${pointOf(line)?.hash ?? ''}'`)
    expect(await kinds()).toEqual(['foreign 7 audit.jsonl:7', 'foreign 8 audit.jsonl:8'])
  })
})

test('a file that cannot be read is no fault of the log, and one clear line', async () => {
  await place.filled(2)
  fs.rmSync(place.path())
  fs.mkdirSync(place.path())
  await expect(verify()).rejects.toMatchObject({
    code: 'disk_fault',
    exitCode: 7,
    message: /cannot be read in .*EISDIR/,
  })
})

test('it looks again where a line came while it looked', async () => {
  const log = await place.open()
  await log.write({ event: 'error' })
  const records = place.ledger.audit
  const before = await records.head()
  const head = vi.spyOn(records, 'head').mockResolvedValueOnce(before)
  await log.write({ event: 'error' })
  expect(await verify()).toMatchObject({ isWhole: true, last: { seq: 2 } })
  expect(head).toHaveBeenCalledTimes(4)
})

test('it tells of no fault while a server writes, rotates and removes', async () => {
  const log = await place.open({ rotationBytes: 2000, retentionMs: 20_000 })
  for (let at = 0; at < 30; at++) {
    place.wallMs += 1000
    place.nowMs += 60_000
    const [, report] = await Promise.all([log.write({ event: 'handshake', peer: '192.0.2.7' }), verify()])
    expect(report.faults).toEqual([])
  }
  expect((await verify()).firstSeq).toBeGreaterThan(1)
})
