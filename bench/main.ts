/**
 * `npm run bench`: Sealift against whatever of its kind is installed, on this machine, now.
 *
 * Owns the options, the folders and the choice of cases. It exits with 0 when everything was measured, also
 * when goals are missed; with 1 when Sealift itself failed; with 2 for a wrong option.
 */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { runAgain, runCase } from './cases.ts'
import type { AgainResult } from './cases.ts'
import { makeAutoContenders, makeLineContenders, measureShares, tableOfShares } from './compression.ts'
import type { Shares } from './compression.ts'
import { atExit } from './cleanup.ts'
import { copy, copyAndSync, findNetcat, makeSshContenders, missingSsh, startCroc, startWormhole } from './contenders.ts'
import type { Contender, Missing } from './contenders.ts'
import { makeLargeFile, makeTree } from './fixtures.ts'
import { makeFloor } from './floor.ts'
import { findProgram, measure } from './measure.ts'
import { judge } from './goals.ts'
import { FULL_PARALLEL, measureParallel, QUICK_PARALLEL } from './parallel-bench.ts'
import { describeMachine, fileSystemOf, goalTable, machineText, tableOf, toJson } from './report.ts'
import type { CaseResult } from './report.ts'
import { buildSealift, makeSealift } from './sealift.ts'
import type { SealiftContender } from './sealift.ts'
import { goalsOfServer, measureServer, tableOfServer } from './server-bench.ts'
import type { ServerResult } from './server-bench.ts'
import { FULL_SIZES, QUICK_SIZES, ServerRows } from './server-rows.ts'
import { StreamRows } from './stream-rows.ts'
import { startSshd } from './sshd.ts'
import { measureTls } from './tls-bench.ts'

const CASES = ['large', 'tree', 'again', 'disk', 'compression', 'server', 'streams', 'parallel', 'tls'] as const
type CaseName = (typeof CASES)[number]

const USAGE = `usage: npm run bench -- [--runs N] [--only large,tree,again,disk,compression,server,streams,parallel,tls]
                        [--size 1GiB] [--files N] [--tmp DIR] [--disk DIR] [--json FILE] [--without NAME,NAME]
                        [--quick]
`

interface Options {
  readonly runs: number
  readonly only: ReadonlySet<CaseName>
  readonly sizeBytes: number
  readonly files: number
  readonly tmp: string
  readonly disk: string
  readonly json: string
  readonly without: ReadonlySet<string>
  readonly quick: boolean
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string' },
      only: { type: 'string', default: CASES.join(',') },
      size: { type: 'string' },
      files: { type: 'string' },
      tmp: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
      disk: { type: 'string', default: fileSystemOf(tmpdir()) === 'tmpfs' ? process.cwd() : tmpdir() },
      json: { type: 'string', default: join(tmpdir(), 'bench-results.json') },
      without: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  const only = values.only.split(',').map((name) => {
    const found = CASES.find((known) => known === name)
    if (found === undefined) throw new Error(`--only knows ${CASES.join(', ')}, not ${name}`)
    return found
  })
  return {
    runs: wholeNumber('--runs', values.runs ?? (values.quick ? '1' : '5')),
    only: new Set(only),
    sizeBytes: parseSize(values.size ?? (values.quick ? '64MiB' : '1GiB')),
    files: wholeNumber('--files', values.files ?? (values.quick ? '1000' : '12001')),
    tmp: values.tmp,
    disk: values.disk,
    json: values.json,
    without: new Set(values.without.split(',')),
    quick: values.quick,
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} takes a whole number from 1 on, not ${text}`)
  return value
}

function parseSize(text: string): number {
  const match = /^(\d+)(KiB|MiB|GiB)$/.exec(text)
  if (match === null) throw new Error(`--size takes KiB, MiB or GiB, as in 256MiB, not ${text}`)
  return Number(match[1]) * { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[match[2] as 'KiB' | 'MiB' | 'GiB']
}

/** A folder of the bench's own, removed at the end. */
function makeFolder(parent: string): string {
  const folder = mkdtempSync(join(parent, 'sealift-bench-'))
  atExit(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Everybody who can run here. The rest are in `missing`. */
class Field {
  readonly floor: Contender
  /** `null` with `--without sealift`, for a look at the others. */
  readonly sealift: SealiftContender | null
  readonly nc: Contender | null
  readonly scp: Contender | null
  readonly tar: Contender | null
  readonly rsync: Contender | null
  readonly croc: Contender | null
  readonly wormhole: Contender | null
  readonly missing: readonly Missing[]

  private constructor(floor: Contender, sealift: SealiftContender | null, found: readonly (Contender | Missing)[]) {
    const named = (name: string): Contender | null => found.filter(isPresent).find((one) => one.name === name) ?? null
    this.floor = floor
    this.sealift = sealift
    this.nc = named('nc')
    this.scp = named('scp')
    this.tar = named('tar | ssh')
    this.rsync = named('rsync')
    this.croc = named('croc')
    this.wormhole = named('wormhole')
    this.missing = found.filter((one): one is Missing => !isPresent(one))
  }

  static async gather(folder: string, home: string, without: ReadonlySet<string>): Promise<Field> {
    const wanted = async (name: string, start: () => Promise<readonly (Contender | Missing)[]>) =>
      without.has(name) ? [] : await start()
    const found = [
      ...(await wanted('nc', async () => [findNetcat()])),
      ...(await wanted('ssh', () => gatherSsh(join(folder, 'ssh')))),
      ...(await wanted('croc', async () => [await startCroc(folder)])),
      ...(await wanted('wormhole', async () => [await startWormhole(folder)])),
    ].filter((one) => !without.has(one.name))
    const sealift = without.has('sealift') ? null : makeSealift(folder, home)
    return new Field(makeFloor(folder), sealift, found)
  }
}

function isPresent(one: Contender | Missing): one is Contender {
  return 'transfer' in one
}

async function gatherSsh(folder: string): Promise<(Contender | Missing)[]> {
  const sshd = findProgram('sshd')
  if (sshd === null || findProgram('ssh') === null) return missingSsh('sshd or ssh is not installed')
  mkdirSync(folder, { mode: 0o700 })
  try {
    const { scp, tar, rsync } = makeSshContenders(await startSshd(sshd, folder))
    return [scp, tar, rsync]
  } catch (error) {
    return missingSsh(error instanceof Error ? error.message : String(error))
  }
}

function present(contenders: readonly (Contender | null)[]): Contender[] {
  return contenders.filter((one) => one !== null)
}

async function main(options: Options): Promise<void> {
  const startedMs = performance.now()
  // Before the bench itself loads the machine.
  const machine = describeMachine({ memory: options.tmp, disk: options.disk })
  if (!options.without.has('sealift')) buildSealift()
  const memory = makeFolder(options.tmp)
  const home = join(memory, 'home')
  mkdirSync(home)
  const large = join(memory, 'large.bin')
  const target = join(memory, 'target')
  makeLargeFile(large, options.sizeBytes)
  const nodeModules = fileURLToPath(new URL('../node_modules', import.meta.url))
  const tree = makeTree(join(memory, 'tree'), nodeModules, options.files)
  const field = await Field.gather(memory, home, options.without)
  for (const { name, install } of field.missing) process.stderr.write(`bench: no ${name} here: ${install}\n`)
  await warmUp(field, memory)

  process.stdout.write(`# Sealift bench\n\n${machineText(machine)}\n`)
  const sizeText = `${(options.sizeBytes / 2 ** 20).toFixed(0)} MiB`
  const treeText = `${tree.files} files, ${(tree.bytes / 1e6).toFixed(0)} MB`
  const { runs } = options
  const results: CaseResult[] = []
  const report = (result: CaseResult): void => {
    results.push(result)
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
    const reference = result.name === 'again' ? 'sealift, again' : 'sealift'
    process.stdout.write(`${tableOf(result, reference)}\n`)
  }

  if (options.only.has('large')) {
    const { nc, scp, rsync, croc, wormhole, floor, sealift } = field
    const contenders = present([copy, nc, scp, rsync, croc, wormhole, floor, sealift])
    report(await runCase({ name: 'large', title: `${sizeText} random file`, contenders, source: large, target, runs }))
  }
  if (options.only.has('tree')) {
    const { tar, scp, rsync, croc, wormhole, floor, sealift } = field
    const contenders = present([copy, tar, scp, rsync, croc, wormhole, floor, sealift])
    report(await runCase({ name: 'tree', title: `Tree: ${treeText}`, contenders, source: tree.path, target, runs }))
  }
  let again: AgainResult | null = null
  if (options.only.has('again') && field.sealift !== null) {
    const { sealift, rsync } = field
    const others = present([rsync])
    const title = `Tree again, unchanged: ${treeText}`
    again = await runAgain({ name: 'again', title, sealift, others, source: tree.path, target, runs })
    report(again)
  }
  if (options.only.has('disk')) {
    const disk = makeFolder(options.disk)
    const sealift = field.sealift === null ? null : makeSealift(disk, home)
    const contenders = present([copyAndSync, makeFloor(memory, true), sealift])
    const diskLarge = join(disk, 'large.bin')
    makeLargeFile(diskLarge, options.sizeBytes)
    const diskTree = makeTree(join(disk, 'tree'), nodeModules, options.files)
    const notes = ['Durable at the end. The disk is flushed before each run; caches are not dropped.']
    const common = { contenders, target: join(disk, 'target'), runs, flush: true, notes }
    const onDisk = `on ${fileSystemOf(disk)}`
    const forTree = { ...common, source: diskTree.path, keepTargets: true }
    report(await runCase({ ...common, name: 'disk large', title: `${sizeText} ${onDisk}`, source: diskLarge }))
    report(await runCase({ ...forTree, name: 'disk tree', title: `Tree ${onDisk}: ${treeText}` }))
  }
  let shares: Shares[] = []
  if (options.only.has('compression') && field.sealift !== null) {
    const folder = makeFolder(options.tmp)
    const common = { target, runs }
    const [ofRandom, ofTree] = [`${sizeText} random file, with and without \`auto\``, `Tree at 100 Mbit/s: ${treeText}`]
    report(
      await runCase({
        ...common,
        name: 'auto random',
        title: ofRandom,
        contenders: makeAutoContenders(folder, home),
        source: large,
      }),
    )
    report(
      await runCase({
        ...common,
        name: 'line tree',
        title: ofTree,
        contenders: makeLineContenders(folder, home),
        source: tree.path,
      }),
    )
    shares = await measureShares(folder, home, tree.path)
    process.stdout.write(`${tableOfShares(shares)}\n`)
  }
  // What no other program does: nothing is measured beside it.
  const own: ServerResult[] = []
  const show = (result: ServerResult, heading: string): void => {
    own.push(result)
    process.stdout.write(`${tableOfServer(result, heading)}\n`)
  }
  if (options.only.has('server') && field.sealift !== null) {
    const sizes = options.quick ? QUICK_SIZES : { ...FULL_SIZES, largeBytes: options.sizeBytes }
    const rows = new ServerRows(makeFolder(options.tmp), sizes, field.sealift)
    show(await measureServer(rows, runs), 'The receiving server')
  }
  if (options.only.has('streams') && field.sealift !== null) {
    const pathBytes = options.quick ? 16 << 20 : 64 << 20
    const rows = new StreamRows(makeFolder(options.tmp), pathBytes, options.sizeBytes)
    show(await rows.measure(runs), 'Several streams, on a path of 50 ms with windows of 256 KiB')
  }
  if (options.only.has('parallel') && field.sealift !== null) {
    const sizes = options.quick ? QUICK_PARALLEL : { ...FULL_PARALLEL, largeBytes: options.sizeBytes }
    const large = options.quick ? options.tmp : options.disk
    show(await measureParallel(makeFolder(options.tmp), makeFolder(large), sizes, runs), 'Files in parallel')
  }
  if (options.only.has('tls') && field.sealift !== null)
    show(await measureTls(makeFolder(options.tmp), options.sizeBytes, runs), 'TLS')

  const goals = [...judge(results, again, tree.bytes), ...own.flatMap((result) => goalsOfServer(result))]
  const figures = own.flatMap((result) => result.figures)
  process.stdout.write(goalTable(goals))
  writeFileSync(options.json, toJson(machine, results, goals, shares, figures))
  const minutes = (performance.now() - startedMs) / 60_000
  process.stdout.write(`\n${runs} runs each, interleaved; ${minutes.toFixed(1)} minutes; JSON: ${options.json}\n`)
  if (own.some(({ failed }) => failed.length > 0)) process.exitCode = 1
  if (results.some(({ failed }) => [...failed.keys()].some((name) => name.startsWith('sealift')))) process.exitCode = 1
}

/** Nobody is measured while code caches are cold that are warm on every later day. Finds out early what does not run. */
async function warmUp(field: Field, folder: string): Promise<void> {
  const source = join(folder, 'small.bin')
  const target = join(folder, 'warm')
  makeLargeFile(source, 1 << 20)
  for (const contender of present([field.floor, field.sealift])) {
    mkdirSync(target)
    await measure((meter) => contender.transfer(meter, source, target))
    rmSync(target, { recursive: true })
  }
}

try {
  await main(readOptions())
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  const isUsage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true || message.startsWith('--')
  process.stderr.write(`bench: ${message}\n${isUsage ? USAGE : ''}`)
  process.exitCode = isUsage ? 2 : 1
}
// Servers of other contenders still run: the clean-up ends them.
process.exit()
