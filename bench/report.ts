/**
 * What the bench says: tables, the goals with what was reached, the machine, and all of it as JSON.
 *
 * Owns the arithmetic of medians and ratios and the wording. Runs nothing.
 */

import { statfsSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type } from 'node:os'

import type { Measured } from './measure.ts'

export interface CaseResult {
  /** As `--only` names it. */
  readonly name: string
  readonly title: string
  /** Each contender's runs in order: run i of one was beside run i of every other. */
  readonly runs: ReadonlyMap<string, readonly Measured[]>
  /** Contenders that failed, with the reason. */
  readonly failed: ReadonlyMap<string, string>
  readonly notes: readonly string[]
}

export interface Goal {
  readonly goal: string
  readonly reached: string
  readonly state: 'met' | 'missed' | 'not measured' | 'under the floor'
}

export interface Machine {
  readonly system: string
  readonly cpu: string
  readonly cores: number
  readonly memoryMib: number
  readonly node: string
  /** Of the last minute before the bench: what others do on this machine takes time from everybody here. */
  readonly loadAverage: number
  readonly fileSystems: Readonly<Record<string, string>>
}

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0x01021994: 'tmpfs',
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
  0x2fc12fc1: 'zfs',
  0x6969: 'nfs',
}

/** The kind of file system of a folder, `unknown` where it is none of the usual. */
export function fileSystemOf(folder: string): string {
  return FILE_SYSTEMS[statfsSync(folder).type] ?? 'unknown'
}

export function describeMachine(folders: Readonly<Record<string, string>>): Machine {
  const processors = cpus()
  return {
    system: `${type()} ${release()}`,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryMib: Math.round(totalmem() / 2 ** 20),
    node: process.version,
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
    fileSystems: Object.fromEntries(
      Object.entries(folders).map(([use, folder]) => [use, `${fileSystemOf(folder)} (${folder})`]),
    ),
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The median of the ratios of runs that were beside each other; `null` where one of both was not measured. */
export function ratio(
  result: CaseResult,
  above: string,
  below: string,
  of: (run: Measured) => number | null,
): number | null {
  const upper = result.runs.get(above) ?? []
  const lower = result.runs.get(below) ?? []
  const ratios: number[] = []
  for (let i = 0; i < Math.min(upper.length, lower.length); i++) {
    const a = of(upper[i] as Measured)
    const b = of(lower[i] as Measured)
    if (a !== null && b !== null && b > 0) ratios.push(a / b)
  }
  return ratios.length === 0 ? null : median(ratios)
}

export const seconds = (run: Measured): number => run.seconds
export const cpuSeconds = (run: Measured): number | null => run.cpuSeconds

/** A goal that a ratio must not exceed. */
export function atMost(goal: string, limit: number, value: number | null, floor: number | null = null): Goal {
  if (value === null) return { goal, reached: '-', state: 'not measured' }
  if (value <= limit) return { goal, reached: value.toFixed(2), state: 'met' }
  if (floor !== null && floor > limit) {
    return { goal, reached: `${value.toFixed(2)} (floor ${floor.toFixed(2)})`, state: 'under the floor' }
  }
  return { goal, reached: value.toFixed(2), state: 'missed' }
}

/** A goal that a ratio must reach. */
export function atLeast(goal: string, limit: number, value: number | null): Goal {
  if (value === null) return { goal, reached: '-', state: 'not measured' }
  return { goal, reached: value.toFixed(2), state: value >= limit ? 'met' : 'missed' }
}

/** The table of a case, in Markdown. */
export function tableOf(result: CaseResult, reference: string): string {
  const rows = [...result.runs].map(([name, runs]) => {
    const wall = runs.map(seconds)
    const against = ratio(result, reference, name, seconds)
    return [
      name,
      `${median(wall).toFixed(2)} s`,
      `${Math.min(...wall).toFixed(2)} – ${Math.max(...wall).toFixed(2)}`,
      optional(runs, cpuSeconds, (value) => `${value.toFixed(2)} s`),
      optional(
        runs,
        (run) => run.peakBytes,
        (value) => `${Math.round(value / 2 ** 20)} MiB`,
      ),
      against === null || name === reference ? '-' : against.toFixed(2),
    ]
  })
  const head = ['', 'median', 'min – max', 'processor time, both ends', 'peak memory of a process', `${reference} / it`]
  const lines = [`## ${result.title}`, '', ...markdown([head, ...rows])]
  for (const [name, reason] of result.failed) lines.push('', `${name} failed and is left out: ${reason}`)
  for (const note of result.notes) lines.push('', note)
  return lines.join('\n') + '\n'
}

export function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map(({ goal, reached, state }) => [goal, reached, state])
  return ['## Goals', '', ...markdown([['goal', 'reached', ''], ...rows])].join('\n') + '\n'
}

export function machineText(machine: Machine): string {
  const places = Object.entries(machine.fileSystems).map(([use, kind]) => `${use}: ${kind}`)
  return (
    `${machine.cores} cores of ${machine.cpu}, ${machine.memoryMib} MiB, ${machine.system}, Node ${machine.node}; ` +
    `${places.join('; ')}; load average before ${machine.loadAverage}\n` +
    (machine.loadAverage > machine.cores / 2
      ? '\n**This machine is busy with other things: trust the processor times more than the clock.**\n'
      : '')
  )
}

/** Everything, for machines. */
export function toJson(
  machine: Machine,
  results: readonly CaseResult[],
  goals: readonly Goal[],
  shares: readonly object[],
  server: readonly object[],
): string {
  const cases = results.map(({ name, title, runs, failed, notes }) => ({
    name,
    title,
    contenders: Object.fromEntries(
      [...runs].map(([contender, measured]) => [
        contender,
        { medianSeconds: median(measured.map(seconds)), runs: measured },
      ]),
    ),
    failed: Object.fromEntries(failed),
    notes,
  }))
  return JSON.stringify({ machine, cases, shares, server, goals }, null, 2) + '\n'
}

function optional(
  runs: readonly Measured[],
  of: (run: Measured) => number | null,
  format: (value: number) => string,
): string {
  const values = runs.map(of).filter((value) => value !== null)
  return values.length === 0 ? '-' : format(median(values))
}

/** A table, its first column to the left and all others to the right. */
export function markdown(raw: readonly (readonly string[])[]): string[] {
  const rows = raw.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map(
    (row) =>
      `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`,
  )
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [lines[0] ?? '', rule, ...lines.slice(1)]
}
