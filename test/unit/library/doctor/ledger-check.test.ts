import { describe, expect, test } from 'vitest'
import type { LedgerInspection } from '../../../../src/ledger/inspection.ts'
import { judgeLedger } from '../../../../src/library/doctor/ledger-check.ts'
import { SealiftError } from '../../../../src/protocol/errors.ts'

const path = '/home/u/ledger.db'
const GOOD: LedgerInspection = {
  exists: true,
  folder: '/home/u',
  folderMode: 0o700,
  sizeBytes: 4096,
  schemaVersion: 1,
  knownVersion: 1,
  checked: true,
  unfinished: [],
  running: [],
}
const judged = (found: Partial<LedgerInspection>) => judgeLedger({ path, found: { ...GOOD, ...found }, mount: null })
const disk = (type: string, isNetwork: boolean, isInMemory: boolean) => ({ type, folder: '/', isNetwork, isInMemory })

describe('the ledger', () => {
  test('whole and closed to others', () => {
    expect(judged({}).map(({ status, what }) => [status, what])).toEqual([
      ['ok', '/home/u/ledger.db (4.0 KiB, version 1, whole)'],
      ['ok', 'no unfinished transfer'],
    ])
  })

  test('not there yet', () => {
    expect(judged({ exists: false })).toMatchObject([
      { status: 'ok', what: `no ledger yet: ${path}`, meaning: expect.stringMatching('first transfer makes it') },
    ])
  })

  test('of an older version, and too large to be read', () => {
    expect(judged({ schemaVersion: 1, knownVersion: 2, checked: false })[0]).toMatchObject({
      status: 'ok',
      what: expect.stringMatching('not checked'),
      meaning: expect.stringMatching('brings it to version 2'),
    })
  })

  test('in a folder that others see', () => {
    expect(judged({ folderMode: 0o755 })[1]).toMatchObject({
      status: 'note',
      what: expect.stringMatching('0755'),
      advice: expect.stringMatching("chmod 700 '/home/u'"),
    })
    expect(judged({ folderMode: null })).toHaveLength(2)
  })

  test('with unfinished transfers, one of them running', () => {
    const running = [{ id: 'a', role: 'sender', pid: 7 }] as const
    expect(judged({ unfinished: ['a', 'b'], running }).at(-1)).toMatchObject({
      status: 'note',
      what: '2 unfinished transfers; the sender of one is process 7',
      advice: expect.stringMatching('sealift resume'),
      details: { unfinished: 2, running: ['a'] },
    })
    expect(judged({ unfinished: ['a'] }).at(-1)?.what).toBe('1 unfinished transfer')
  })

  test.each(['ledger_corrupt', 'ledger_newer', 'ledger_unavailable'] as const)('%s', (code) => {
    const error = new SealiftError(code, 'it is so', { hint: 'do this' })
    expect(judgeLedger({ path, found: error, mount: null })).toMatchObject([
      { status: 'problem', code, what: 'it is so', advice: 'do this', details: { path } },
    ])
  })

  test('on a network disk, and in memory', () => {
    const statuses = (mount: ReturnType<typeof disk>) =>
      judgeLedger({ path, found: GOOD, mount }).map(({ status }) => status)
    expect(statuses(disk('nfs4', true, false))).toEqual(['ok', 'ok', 'warning'])
    expect(statuses(disk('tmpfs', false, true))).toEqual(['ok', 'ok', 'note'])
    expect(statuses(disk('ext4', false, false))).toEqual(['ok', 'ok'])
    // Also where something else is wrong: that may be why.
    const error = new SealiftError('ledger_corrupt', 'damaged')
    expect(judgeLedger({ path, found: error, mount: disk('cifs', true, false) })).toHaveLength(2)
  })
})
