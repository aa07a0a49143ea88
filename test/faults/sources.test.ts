/** F-08: files change after the walk, before or while they are read. They fail on both sides; all others arrive. */

import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Planned } from '../rigs/chaos-proxy.ts'
import { makePlace } from '../rigs/place.ts'
import { differences, listTree } from '../rigs/small-tree.ts'
import { type SideRun, type TransferRun, withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
/** Far more than the sender reads ahead of what passed. */
const LARGE_BYTES = 28 * MIB
const UNDER_WAY_BYTES = 2 * MIB

interface Change {
  readonly name: string
  readonly change: (file: string) => void
  readonly codes: readonly string[]
}

const CHANGES: readonly Change[] = [
  { name: 'truncated', change: (file) => fs.truncateSync(file, fs.statSync(file).size - 5), codes: ['source_changed'] },
  { name: 'emptied', change: (file) => fs.truncateSync(file, 0), codes: ['source_changed'] },
  { name: 'grown', change: (file) => fs.appendFileSync(file, 'more'), codes: ['source_changed'] },
  {
    name: 'rewritten in place, at its old size and time',
    change: (file) => {
      const { size, atime, mtime } = fs.statSync(file)
      const fd = fs.openSync(file, 'r+')
      fs.writeSync(fd, Uint8Array.of(1, 2, 3), 0, 3, size - 3)
      fs.closeSync(fd)
      fs.utimesSync(file, atime, mtime)
    },
    codes: ['source_changed'],
  },
  { name: 'deleted', change: (file) => fs.rmSync(file), codes: ['source_vanished', 'source_changed'] },
  {
    name: 'replaced by another file',
    change: (file) => {
      fs.writeFileSync(`${file}.new`, 'another')
      fs.renameSync(`${file}.new`, file)
    },
    codes: ['source_changed'],
  },
  {
    name: 'replaced by a link out of the tree',
    change: (file) => {
      fs.rmSync(file)
      fs.symlinkSync('/etc/hostname', file)
    },
    codes: ['source_changed', 'source_vanished', 'source_unreadable'],
  },
  {
    name: 'replaced by a folder',
    change: (file) => {
      fs.rmSync(file)
      fs.mkdirSync(file)
    },
    codes: ['source_changed', 'source_vanished', 'source_unreadable'],
  },
]

/** One file failed on this side, and it said which and why. */
function expectFailed(side: SideRun, codes: readonly string[]): void {
  const files = side.events.filter((event) => event.event === 'file')
  expect(files.filter(({ status }) => status === 'failed').map(({ path }) => path)).toEqual(['tree/large'])
  expect(files.filter(({ status }) => status === 'ok')).toHaveLength(5)
  const warnings = side.events.filter((event) => event.event === 'warning').map(({ code }) => code)
  expect(warnings.filter((code) => codes.includes(code))).toHaveLength(1)
}

async function expectPartial(
  run: TransferRun,
  wanted: ReadonlyMap<string, string>,
  codes: readonly string[],
): Promise<void> {
  const receiver = run.receivers.at(-1) ?? run.startReceiver()
  const endings = await Promise.all([run.ended(receiver), run.ended(run.sender)])
  for (const { error } of endings) expect(error).toMatchObject({ code: 'partial', exitCode: 8 })
  expectFailed(receiver, codes)
  expectFailed(run.sender, codes)
  expect(differences(wanted, listTree(join(run.place.out, 'tree')))).toEqual([])
  expect(fs.readdirSync(run.place.out), 'no staging is left').toEqual(['tree'])
}

describe.each(CHANGES)('a file that is $name', ({ change, codes }) => {
  test.each(['between the walk and the first byte', 'while it is read'])('%s', async (moment) => {
    const place = makePlace(81, { largeBytes: LARGE_BYTES })
    const file = join(place.source, 'large')
    const others = listTree(place.source)
    others.delete('large')
    const run = (): void => change(file)
    const plan = (connection: number): Planned[] =>
      connection === 0 && moment === 'while it is read'
        ? [{ direction: 'down', spot: UNDER_WAY_BYTES, fault: { kind: 'call', run } }]
        : []
    await withRun(place, { plan }, async (run) => {
      if (moment !== 'while it is read') change(file)
      await expectPartial(run, others, codes)
    })
  })
})
