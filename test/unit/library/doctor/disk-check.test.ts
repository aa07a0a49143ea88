import { describe, expect, test } from 'vitest'
import type { DiskTrial, FileTrial } from '../../../../src/files/disk-trial.ts'
import type { Mount } from '../../../../src/files/mounts.ts'
import type { NameTrial } from '../../../../src/files/name-rules.ts'
import type { StagingFound } from '../../../../src/files/staging.ts'
import { checkDisk, type DiskContext, type DiskPort } from '../../../../src/library/doctor/disk-check.ts'
import type { Finding } from '../../../../src/library/doctor/finding.ts'
import { SealiftError } from '../../../../src/protocol/errors.ts'
import { collected } from '../../../rigs/collected.ts'

const GIB = 1 << 30
const DAY_MS = 24 * 3600 * 1000
const NOW_MS = Date.UTC(2026, 5, 1)
const ID = '4f2ed172-b3c1-4bfd-9e5e-22b5dab03089'
const EXT4: Mount = { type: 'ext4', folder: '/', isNetwork: false, isInMemory: false }

interface Faked {
  readonly disk?: Partial<DiskPort>
  readonly names?: Partial<NameTrial>
  readonly files?: Partial<FileTrial>
  readonly trial?: Partial<DiskTrial>
  readonly context?: Partial<DiskContext>
}

/** What is found on a good disk that differs so, and how often the trial was ended. */
async function found(faked: Faked): Promise<{ findings: Finding[]; closed: number }> {
  let closed = 0
  const trial: DiskTrial = {
    names: () => ({ foldsCase: false, foldsForms: false, notHeld: [], ...faked.names }),
    files: () => ({ hardLinks: true, exclusive: true, mtimeStepNs: 1000, clockAheadMs: 0, ...faked.files }),
    syncMs: async () => 2,
    writeBytesPerSecond: async () => 5e8,
    close: () => {
      closed++
    },
    ...faked.trial,
  }
  const disk: DiskPort = {
    folder: '/data',
    exists: true,
    check: () => undefined,
    mount: () => EXT4,
    freeBytes: () => 100 * GIB,
    freeEntries: () => 1_000_000,
    staging: () => [],
    tryOut: () => trial,
    ...faked.disk,
  }
  const findings = await collected(checkDisk(disk, { nowMs: NOW_MS, unfinished: [], ...faked.context }))
  return { findings, closed }
}

/** Those findings only that are not as they should be. */
async function faults(faked: Faked): Promise<Finding[]> {
  return (await found(faked)).findings.filter(({ status }) => status !== 'ok')
}

const throws = (code: 'target_read_only' | 'target_not_folder' | 'disk_full') => (): never => {
  throw new SealiftError(code, 'no', { hint: 'do this' })
}

describe('a disk', () => {
  test('that has everything', async () => {
    const { findings, closed } = await found({})
    expect(findings.map(({ status }) => status)).toEqual(Array(7).fill('ok'))
    expect(findings.map(({ what }) => what).join('\n')).toMatch(/100\.0 GiB free, room for 1,000,000 files/)
    expect(closed).toBe(1)
  })

  test('whose folder is not there yet: the one above is tried, and no staging looked for', async () => {
    const { findings } = await found({ disk: { exists: false, staging: throws('target_read_only') } })
    expect(findings[0]).toMatchObject({ status: 'ok', what: '/data (ext4), which is not there yet' })
    expect(findings).toHaveLength(7)
  })

  test.each(['target_not_folder', 'target_read_only'] as const)('that is refused: %s', async (code) => {
    expect((await found({ disk: { check: throws(code) } })).findings).toMatchObject([
      { status: 'problem', code, what: 'no', advice: 'do this', details: { folder: '/data' } },
    ])
  })

  test('that lets itself be looked at, but not written', async () => {
    expect(await faults({ disk: { tryOut: throws('target_read_only') } })).toMatchObject([
      { status: 'problem', code: 'target_read_only' },
    ])
  })

  test('that is full, or nearly', async () => {
    const full = [{ status: 'problem', code: 'disk_full' }]
    expect(await faults({ disk: { freeBytes: () => 1 << 20 } })).toMatchObject(full)
    expect(await faults({ disk: { freeEntries: () => 0, tryOut: throws('disk_full') } })).toMatchObject(full)
    expect(await faults({ disk: { freeBytes: () => 1 << 20, tryOut: throws('target_read_only') } })).toHaveLength(2)
    expect(await faults({ disk: { freeBytes: () => GIB / 2 } })).toMatchObject([{ status: 'warning' }])
    expect(await faults({ disk: { freeEntries: () => 500 } })).toMatchObject([{ status: 'warning' }])
    expect(await faults({ disk: { freeEntries: () => null } })).toEqual([])
  })

  test('without room for a sample is not measured by writing', async () => {
    const { findings } = await found({
      disk: { freeBytes: () => 15 << 20 },
      trial: { writeBytesPerSecond: () => Promise.reject(new Error('not to be asked')) },
    })
    expect(findings.map(({ what }) => what).join()).not.toMatch(/sample|not to be asked/)
  })

  test('that fills up while it is tried', async () => {
    const { findings, closed } = await found({ trial: { syncMs: async () => throws('disk_full')() } })
    expect(findings.at(-1)).toMatchObject({ status: 'problem', code: 'disk_full', advice: 'do this' })
    expect(closed).toBe(1)
  })

  test('in memory, and of another machine', async () => {
    const memory: Mount = { ...EXT4, type: 'tmpfs', isInMemory: true }
    expect(await faults({ disk: { mount: () => memory } })).toMatchObject([
      { status: 'note', meaning: expect.stringMatching('gone when the machine stops') },
    ])
    const network: Mount = { ...EXT4, type: 'nfs4', isNetwork: true }
    expect(await faults({ disk: { mount: () => network }, files: { clockAheadMs: -90_000 } })).toMatchObject([
      { status: 'note', check: 'disk' },
      { status: 'warning', check: 'clock', what: 'the clock of the disk is 90 s behind' },
    ])
    expect((await found({ disk: { mount: () => null } })).findings[0]?.what).toBe('/data')
  })

  test('that changes names', async () => {
    expect(await faults({ names: { foldsCase: true, notHeld: ['a:b', 'a.'] } })).toMatchObject([
      { status: 'note', what: '"A" and "a" are one name; names like "a:b", "a." cannot be' },
    ])
    expect(await faults({ names: { foldsForms: true } })).toMatchObject([{ what: expect.stringMatching('spellings') }])
  })

  test('without hard links, exclusive creation or exact times', async () => {
    expect(await faults({ files: { hardLinks: false } })).toMatchObject([{ status: 'note', what: 'no hard links' }])
    expect(await faults({ files: { exclusive: false } })).toMatchObject([{ status: 'warning' }])
    expect(await faults({ files: { mtimeStepNs: 2e9 } })).toMatchObject([
      { status: 'warning', what: 'times of files are kept to 2 s only', meaning: expect.stringMatching('sent again') },
    ])
    expect((await faults({ files: { mtimeStepNs: 1e7 } }))[0]?.what).toMatch('10 ms')
  })

  test('that is slow', async () => {
    const slow = await faults({ trial: { syncMs: async () => 120, writeBytesPerSecond: async () => 4e6 } })
    expect(slow).toMatchObject([
      { status: 'note', what: 'making a file durable takes 120 ms', meaning: expect.stringMatching('1,200 s') },
      { status: 'note', meaning: expect.stringMatching('disk sets the pace') },
    ])
  })
})

describe('what was left behind', () => {
  const staging = (over: Partial<StagingFound>): StagingFound[] => [
    { name: `.sealift-${ID}.part`, transferId: ID, touchedMs: NOW_MS - 3 * 3600 * 1000, ...over },
  ]
  const told = (over: Partial<StagingFound>, unfinished: readonly string[] | null) =>
    faults({ disk: { staging: () => staging(over) }, context: { unfinished } })

  test('of a transfer that can be gone on with', async () => {
    expect(await told({}, [ID])).toMatchObject([
      {
        status: 'note',
        what: `.sealift-${ID}.part, last used 3 h ago`,
        meaning: expect.stringMatching('unfinished transfer'),
        advice: 'go on with it: sealift resume 4f2ed172',
      },
    ])
  })

  test('of a transfer that the ledger does not know, new and old', async () => {
    expect(await told({}, [])).toMatchObject([
      { meaning: expect.stringMatching(/Left behind.*7 days after/), advice: expect.stringMatching(`rm -r '/data/`) },
    ])
    expect(await told({ touchedMs: NOW_MS - 8 * DAY_MS }, [])).toMatchObject([
      { what: expect.stringMatching('8 days ago'), meaning: expect.stringMatching('next transfer .* removes it') },
    ])
  })

  test('nothing is called useless where the ledger cannot be asked', async () => {
    expect(await told({}, null)).toMatchObject([{ meaning: expect.stringMatching('does not say'), advice: null }])
  })

  test('a few are named, the rest counted', async () => {
    const many = Array.from({ length: 8 }, () => staging({})).flat()
    const findings = await faults({ disk: { staging: () => many } })
    expect(findings).toHaveLength(6)
    expect(findings[5]?.what).toMatch(/^3 more/)
  })
})
