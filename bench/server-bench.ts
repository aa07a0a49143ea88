/**
 * The rows of the receiving server, in turns, and what each of them wants to be.
 *
 * Owns goals and table. What a run does is `server-rows.ts`.
 */

import { say } from './cases.ts'
import { markdown, median } from './report.ts'
import type { Goal } from './report.ts'
import type { ServerRows } from './server-rows.ts'

const MEMORY_GOAL_BYTES = 400e6

/** One thing that is measured, with what it was in each run. */
export interface ServerFigure {
  readonly what: string
  readonly values: readonly number[]
  /** As people read it. */
  readonly format: (value: number) => string
  /** Which side of the limit the median is to be on; absent: it is only told. */
  readonly goal?: { readonly isMost: boolean; readonly limit: number }
}

export interface ServerResult {
  readonly figures: readonly ServerFigure[]
  /** Why a run of a row failed; it is left out. */
  readonly failed: readonly string[]
}

export const asRatio = (value: number): string => value.toFixed(2)
const asPercent = (value: number): string => `${(value * 100).toFixed(1)} %`
export const asSeconds = (value: number): string => `${value.toFixed(2)} s`
const asMegabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`
export const atMost = (limit: number): ServerFigure['goal'] => ({ isMost: true, limit })
const atLeast = (limit: number): ServerFigure['goal'] => ({ isMost: false, limit })

/** Every row once, and all of them again, so that none is measured in a better hour than the others. */
export async function measureServer(rows: ServerRows, runs: number): Promise<ServerResult> {
  const large: Awaited<ReturnType<ServerRows['large']>>[] = []
  const many: Awaited<ReturnType<ServerRows['many']>>[] = []
  const throttled: Awaited<ReturnType<ServerRows['throttled']>>[] = []
  const stalled = {
    sameAfter: [] as number[],
    sameBeside: [] as number[],
    otherAfter: [] as number[],
    otherBeside: [] as number[],
  }
  const finished: Awaited<ReturnType<ServerRows['finished']>>[] = []
  const failed: string[] = []
  const add = async <T>(to: T[], measured: Promise<T>): Promise<void> => {
    await measured.then(
      (value) => to.push(value),
      (error: unknown) => failed.push(error instanceof Error ? error.message : String(error)),
    )
  }
  for (let run = 1; run <= runs; run++) {
    say(`server: run ${run} of ${runs}`)
    await add(large, rows.large())
    await add(many, rows.many())
    await add(throttled, rows.throttled())
    await add(stalled.sameAfter, rows.stalled(SAME, 'after'))
    await add(stalled.sameBeside, rows.stalled(SAME, 'beside'))
    await add(stalled.otherAfter, rows.stalled(OTHER, 'after'))
    await add(stalled.otherBeside, rows.stalled(OTHER, 'beside'))
    await add(finished, rows.finished())
  }
  const second = atMost(1)
  const { senders, stalledSockets, finishedTransfers } = rows.sizes
  const held = `${stalledSockets} stalled sockets`
  const figures = [
    figure(
      'large file, direct',
      large.map(({ direct }) => direct),
      asSeconds,
    ),
    figure(
      'the same to a server',
      large.map(({ server }) => server),
      asSeconds,
    ),
    figure(
      'large file: server / direct',
      large.map(({ server, direct }) => server / direct),
      asRatio,
      atMost(1.1),
    ),
    figure(
      'large file: processor time of the server',
      large.map(({ cpuSeconds }) => cpuSeconds),
      asSeconds,
    ),
    figure(
      `${senders} senders: sum of rates / that of one`,
      many.map(({ one, all }) => one / all),
      asRatio,
      atLeast(0.8),
    ),
    figure(
      `${senders} senders: slowest / fastest`,
      many.map(({ fairness }) => fairness),
      asRatio,
      atLeast(0.5),
    ),
    figure(
      `${senders} senders: memory of the server`,
      many.map(({ peakBytes }) => peakBytes),
      asMegabytes,
      atMost(MEMORY_GOAL_BYTES),
    ),
    figure(
      '10 MB/s: the second that is furthest off',
      throttled.map(({ deviation }) => deviation),
      asPercent,
      atMost(0.05),
    ),
    figure(
      '10 MB/s: part of a core',
      throttled.map(({ core }) => core),
      asPercent,
      atMost(0.03),
    ),
    figure(`${held} of the same address, opened before: delay`, stalled.sameAfter, asSeconds, second),
    figure(`${held} of the same address, opened beside it: delay`, stalled.sameBeside, asSeconds, second),
    figure(`${held} of another address, opened before: delay`, stalled.otherAfter, asSeconds, second),
    figure(`${held} of another address, opened beside it: delay`, stalled.otherBeside, asSeconds, second),
    figure(
      '1 MiB, new ledger',
      finished.map(({ empty }) => empty),
      asSeconds,
    ),
    figure(
      `1 MiB, ${finishedTransfers} transfers in the ledger / new ledger`,
      finished.map(({ empty, full }) => full / empty),
      asRatio,
      atMost(1.1),
    ),
  ]
  return { figures, failed }
}

const SAME = '127.0.0.1'
const OTHER = '127.0.0.2'

export function figure(
  what: string,
  values: readonly number[],
  format: ServerFigure['format'],
  goal?: ServerFigure['goal'],
): ServerFigure {
  return goal === undefined ? { what, values, format } : { what, values, format, goal }
}

export function tableOfServer({ figures, failed }: ServerResult, heading: string): string {
  const rows = figures
    .filter(({ values }) => values.length > 0)
    .map(({ what, values, format }) => [
      what,
      format(median(values)),
      `${format(Math.min(...values))} – ${format(Math.max(...values))}`,
    ])
  const lines = [`## ${heading}`, '', ...markdown([['', 'median', 'min – max'], ...rows])]
  for (const reason of failed) lines.push('', `One run failed and is left out: ${reason}`)
  return lines.join('\n') + '\n'
}

export function goalsOfServer({ figures }: ServerResult): Goal[] {
  return figures.flatMap(({ what, values, format, goal }): Goal[] => {
    if (goal === undefined) return []
    const name = `${what}: ${goal.isMost ? 'at most' : 'at least'} ${format(goal.limit)}`
    if (values.length === 0) return [{ goal: name, reached: '-', state: 'not measured' }]
    const reached = median(values)
    const isMet = goal.isMost ? reached <= goal.limit : reached >= goal.limit
    return [{ goal: name, reached: format(reached), state: isMet ? 'met' : 'missed' }]
  })
}
