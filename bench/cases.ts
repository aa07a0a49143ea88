/**
 * The cases that are measured, each a set of contenders over one source, run in turns A B C A B C.
 *
 * Owns the order of the runs, the empty target before each, and the comparison of what arrived. Knows no command lines
 * and no goals.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { spawnSync } from 'node:child_process'

import type { Contender } from './contenders.ts'
import { digestOf } from './fixtures.ts'
import { measure } from './measure.ts'
import type { Measured } from './measure.ts'
import type { CaseResult } from './report.ts'
import type { SealiftContender } from './sealift.ts'

export interface CaseOptions {
  readonly name: string
  readonly title: string
  readonly contenders: readonly Contender[]
  readonly source: string
  /** Made anew before every run. */
  readonly target: string
  /**
   * Gives every run a folder of its own and removes them after the last. For many files on a disk: ext4 without a journal
   * looks at each inode that was deleted in the last minutes before it makes one, ten seconds for 12,000 files.
   */
  readonly keepTargets?: boolean
  readonly runs: number
  /** Flushes the disk before every run, so that none pays for another's writes. */
  readonly flush?: boolean
  readonly notes?: readonly string[]
}

/** Runs the contenders in turns. One that fails is left out from then on. */
export async function runCase(options: CaseOptions): Promise<CaseResult> {
  const { name, title, contenders, source } = options
  const used: string[] = []
  const runs = new Map<string, Measured[]>()
  const failed = new Map<string, string>()
  const expected = digestOf(source)
  for (let run = 0; run < options.runs; run++) {
    for (const contender of contenders) {
      if (failed.has(contender.name)) continue
      say(`${name}: run ${run + 1} of ${options.runs}, ${contender.name}`)
      const target = options.keepTargets === true ? `${options.target}-${used.length}` : options.target
      used.push(target)
      try {
        emptyFolder(target)
        forget(contender)
        if (options.flush === true) spawnSync('sync')
        const measured = await measure((meter) => contender.transfer(meter, source, target))
        if (run === 0 && digestOf(join(target, basename(source))) !== expected) {
          throw new Error('what arrived is not what was sent')
        }
        runs.set(contender.name, [...(runs.get(contender.name) ?? []), measured])
      } catch (error) {
        runs.delete(contender.name)
        failed.set(contender.name, error instanceof Error ? error.message : String(error))
      }
    }
  }
  for (const target of used) rmSync(target, { recursive: true, force: true })
  return { name, title, runs, failed, notes: options.notes ?? [] }
}

export interface AgainResult extends CaseResult {
  /** The most that a second transfer put on the wire; `null` where none succeeded. */
  readonly bytesOnWire: number | null
}

/** Sends a tree, and sends it again into the same folder with nothing changed. */
export async function runAgain(
  options: Omit<CaseOptions, 'contenders'> & {
    readonly sealift: SealiftContender
    /** Rows for comparison, each sent twice as well. */
    readonly others: readonly Contender[]
  },
): Promise<AgainResult> {
  const { name, title, source, target, sealift } = options
  const runs = new Map<string, Measured[]>()
  const failed = new Map<string, string>()
  let bytesOnWire: number | null = null
  const expected = digestOf(source)
  for (let run = 0; run < options.runs; run++) {
    for (const contender of [...options.others, sealift]) {
      if (failed.has(contender.name)) continue
      say(`${name}: run ${run + 1} of ${options.runs}, ${contender.name}`)
      try {
        emptyFolder(target)
        forget(contender)
        const first = await measure((meter) => contender.transfer(meter, source, target))
        const again = await measure((meter) => contender.transfer(meter, source, target))
        if (run === 0 && digestOf(join(target, basename(source))) !== expected)
          throw new Error('the target has changed')
        for (const [row, measured] of [
          [`${contender.name}, first`, first],
          [`${contender.name}, again`, again],
        ] as const) {
          runs.set(row, [...(runs.get(row) ?? []), measured])
        }
      } catch (error) {
        failed.set(contender.name, error instanceof Error ? error.message : String(error))
      }
    }
  }
  try {
    await measure(async (meter) => {
      bytesOnWire = (await sealift.ask(meter, source, target)).bytesOnWire
    })
  } catch (error) {
    failed.set(sealift.name, error instanceof Error ? error.message : String(error))
  }
  rmSync(target, { recursive: true, force: true })
  const notes = [`Again, sealift put ${bytesOnWire ?? '?'} bytes on the wire.`]
  return { name, title, runs, failed, notes, bytesOnWire }
}

function forget(contender: Contender): void {
  if ('forget' in contender) (contender as SealiftContender).forget()
}

function emptyFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
}

/** What is going on, on a terminal. */
export function say(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`)
}
