/** What Sealift wants to be, and whether it was in this run. Owns the numbers; knows nothing of how they were measured. */

import type { AgainResult } from './cases.ts'
import { atLeast, atMost, cpuSeconds, ratio, seconds } from './report.ts'
import type { CaseResult, Goal } from './report.ts'

const MEMORY_GOAL_BYTES = 150e6
/** Paths, sizes and times of the tree's small files, against their content. */
const MANIFEST_SHARE = 0.05
/** What was reached of each goal; what was not measured is said too. */
export function judge(results: readonly CaseResult[], again: AgainResult | null, treeBytes: number): Goal[] {
  const find = (name: string): CaseResult | undefined => results.find((result) => result.name === name)
  const against = (
    name: string,
    below: string,
    above = 'sealift',
    of: Parameters<typeof ratio>[3] = seconds,
  ): number | null => {
    const result = find(name)
    return result === undefined ? null : ratio(result, above, below, of)
  }
  const onDisk = (what: string, name: string): Goal => {
    const floor = against(name, 'cp + sync', 'floor + sync')
    return atMost(`${what}: at most 1.3 of cp + sync`, 1.3, against(name, 'cp + sync'), floor)
  }
  const peaks = results.flatMap(({ runs }) =>
    [...runs]
      .filter(([name]) => name.startsWith('sealift'))
      .flatMap(([, measured]) => measured.map((run) => run.peakBytes)),
  )
  const peakBytes = Math.max(...peaks.map((peak) => peak ?? 0), 0)
  return [
    atMost('1 GiB: at most 0.7 of scp', 0.7, against('large', 'scp'), against('large', 'scp', 'floor')),
    atMost('1 GiB: at most 0.7 of croc', 0.7, against('large', 'croc'), against('large', 'croc', 'floor')),
    atMost('1 GiB: processor time not above that of scp', 1, against('large', 'scp', 'sealift', cpuSeconds)),
    atLeast('1 GiB: floor / sealift at least 0.85', 0.85, against('large', 'sealift', 'floor')),
    atMost(
      'tree: at most 0.75 of tar | ssh',
      0.75,
      against('tree', 'tar | ssh'),
      against('tree', 'tar | ssh', 'floor'),
    ),
    atLeast('tree: floor / sealift at least 0.85', 0.85, against('tree', 'sealift', 'floor')),
    atMost('again: at most 0.5 of the first time', 0.5, against('again', 'sealift, first', 'sealift, again')),
    noContent(again, treeBytes),
    {
      goal: 'memory: every process under 150 MB',
      reached: peakBytes === 0 ? '-' : `${(peakBytes / 1e6).toFixed(0)} MB`,
      state: peakBytes === 0 ? 'not measured' : peakBytes < MEMORY_GOAL_BYTES ? 'met' : 'missed',
    },
    onDisk('disk, 1 GiB', 'disk large'),
    onDisk('disk, tree', 'disk tree'),
    atMost('auto on random bytes: at most 1.02 of none', 1.02, against('auto random', 'sealift', 'sealift auto')),
    atMost(
      'auto on random bytes: processor time at most 1.02 of none',
      1.02,
      against('auto random', 'sealift', 'sealift auto', cpuSeconds),
    ),
    atLeast('tree at 100 Mbit/s: zstd at least 2 times faster', 2, against('line tree', 'sealift zstd')),
  ]
}

/** What travels for an unchanged tree is its manifest and the receiver's answer: far less than its content. */
function noContent(again: AgainResult | null, treeBytes: number): Goal {
  const goal = 'again: no content moved'
  const moved = again?.bytesOnWire ?? null
  if (moved === null) return { goal, reached: '-', state: 'not measured' }
  return { goal, reached: `${moved} bytes on the wire`, state: moved < treeBytes * MANIFEST_SHARE ? 'met' : 'missed' }
}
