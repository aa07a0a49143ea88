/**
 * The rows of `sendFilesInParallel`: many small files against one call for each, and the memory of many large ones at once.
 *
 * Owns what a run does and the goals. Files that are large are holes: they cost the sender no disk, and the server, which is
 * a process of its own, writes them.
 */

import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { say } from './cases.ts'
import { startGroup } from './measure.ts'
import type { ParallelAnswer, ParallelOrder } from './parallel-worker.ts'
import type { ServerFigure, ServerResult } from './server-bench.ts'
import { ServerProcess } from './server-process.ts'

const WORKER = fileURLToPath(new URL('parallel-worker.ts', import.meta.url))
const MEMORY_GOAL_BYTES = 200e6
const TIMES_AS_FAST = 5
const SMALL_BYTES = 10_000

/** How much of everything, so that a short look is short. */
export interface ParallelSizes {
  readonly smallFiles: number
  readonly largeFiles: number
  readonly largeBytes: number
}

export const FULL_PARALLEL: ParallelSizes = { smallFiles: 1000, largeFiles: 20, largeBytes: 1 << 30 }
export const QUICK_PARALLEL: ParallelSizes = { smallFiles: 100, largeFiles: 20, largeBytes: 32 << 20 }

/**
 * @param memory folder in memory, for the small files
 * @param disk folder with room for all large files; they are sent once, whatever `runs` is
 */
export async function measureParallel(
  memory: string,
  disk: string,
  sizes: ParallelSizes,
  runs: number,
): Promise<ServerResult> {
  const { smallFiles, largeFiles, largeBytes } = sizes
  const each: number[] = []
  const together: number[] = []
  const peaks: number[] = []
  const failed: string[] = []
  const note = (error: unknown): void => void failed.push(error instanceof Error ? error.message : String(error))
  for (let run = 1; run <= runs; run++) {
    say(`parallel: run ${run} of ${runs}`)
    try {
      const [alone, listed] = [
        await send(memory, smallFiles, SMALL_BYTES, null),
        await send(memory, smallFiles, SMALL_BYTES, 4),
      ]
      each.push(alone.seconds)
      together.push(listed.seconds)
    } catch (error) {
      note(error)
    }
  }
  say('parallel: large files')
  await send(disk, largeFiles, largeBytes, largeFiles).then(({ peakBytes }) => peaks.push(peakBytes), note)
  const seconds = (value: number): string => `${value.toFixed(2)} s`
  const small = `${smallFiles} files of 10 kB`
  const figures: ServerFigure[] = [
    { what: `${small}, a sendFile each`, values: each, format: seconds },
    { what: `${small}, sendFilesInParallel`, values: together, format: seconds },
    {
      what: `${small}: how many times as fast`,
      values: each.map((alone, at) => alone / (together[at] ?? Number.NaN)),
      format: (value) => value.toFixed(1),
      goal: { isMost: false, limit: TIMES_AS_FAST },
    },
    {
      what: `${largeFiles} files of ${(largeBytes / 2 ** 20).toFixed(0)} MiB at once: memory of the sender`,
      values: peaks,
      format: (value) => `${(value / 1e6).toFixed(0)} MB`,
      goal: { isMost: true, limit: MEMORY_GOAL_BYTES },
    },
  ]
  return { figures, failed }
}

/** Sends fresh files to a fresh server, by a process that has met it. @param concurrency `null`: a call for each */
async function send(
  parent: string,
  count: number,
  sizeBytes: number,
  concurrency: number | null,
): Promise<ParallelAnswer> {
  const folder = mkdtempSync(join(parent, 'parallel-'))
  const options = ['--rate-limit', '0', '--max-concurrent-per-ip', '64', '--max-transfer-size', '0', '--min-free', '0']
  const server = await ServerProcess.start(join(folder, 'server'), options)
  const worker = startGroup([process.execPath, WORKER, folder], ['pipe', 'pipe', 'pipe'])
  let stderr = ''
  worker.stderr?.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-2000)))
  try {
    const order: ParallelOrder = {
      port: server.port,
      token: server.token,
      greeting: makeFile(folder, 'greeting', 1),
      files: Array.from({ length: count }, (_, at) => makeFile(folder, `${at}.bin`, sizeBytes)),
      concurrency,
    }
    if (worker.stdin === null || worker.stdout === null) throw new Error('the sender has no pipes')
    worker.stdin.end(`${JSON.stringify(order)}\n`)
    for await (const line of createInterface({ input: worker.stdout })) {
      const answer = JSON.parse(line) as ParallelAnswer
      if (answer.error !== null) throw new Error(`the sender failed: ${answer.error}`)
      return answer
    }
    throw new Error(`the sender ended: ${stderr.trim()}`)
  } finally {
    worker.kill('SIGKILL')
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function makeFile(folder: string, name: string, sizeBytes: number): string {
  const path = join(folder, 'source', name)
  mkdirSync(join(folder, 'source'), { recursive: true })
  writeFileSync(path, `this is ${name}`)
  truncateSync(path, sizeBytes)
  return path
}
