/**
 * What compression costs where it brings nothing, what it brings over a slow line, and how small each kind of data gets.
 *
 * Owns the codecs that are compared, the line, and the kinds of data. The two timed cases are ordinary ones.
 */

import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { say } from './cases.ts'
import { makeLargeFile } from './fixtures.ts'
import { measure } from './measure.ts'
import { markdown } from './report.ts'
import { makeSealift } from './sealift.ts'
import type { SealiftContender } from './sealift.ts'

/** 100 Mbit a second, in the bytes of `--bwlimit`. */
const LINE = '12.5MB'
const CODECS = ['auto', 'zstd', 'gzip', 'blosc-lz4'] as const
const KIND_BYTES = 32 << 20

/** Without and with `--compress auto`, on a line without a limit. */
export function makeAutoContenders(folder: string, home: string): SealiftContender[] {
  return [makeSealift(folder, home), makeSealift(folder, home, 'sealift auto', ['--compress', 'auto'])]
}

/** Without compression and with each codec, over the same slow line. */
export function makeLineContenders(folder: string, home: string): SealiftContender[] {
  const limit = ['--bwlimit', LINE]
  return [
    makeSealift(folder, home, 'sealift', limit),
    ...CODECS.map((codec) => makeSealift(folder, home, `sealift ${codec}`, [...limit, '--compress', codec])),
  ]
}

/** How much of each kind of data travels, by codec: the share of the content's bytes that was on the wire. */
export interface Shares {
  readonly kind: string
  readonly bytes: number
  /** In the order of {@link CODECS}. */
  readonly shares: readonly number[]
}

/** @param folder an empty folder @param tree of sources and documents */
export async function measureShares(folder: string, home: string, tree: string): Promise<Shares[]> {
  const target = join(folder, 'target')
  const kinds = makeKinds(join(folder, 'kinds'), tree)
  const measured: Shares[] = []
  for (const { kind, path } of kinds) {
    let bytes = 0
    const shares: number[] = []
    for (const codec of CODECS) {
      say(`shares: ${kind}, ${codec}`)
      const sealift = makeSealift(folder, home, codec, ['--compress', codec])
      sealift.forget()
      rmSync(target, { recursive: true, force: true })
      mkdirSync(target)
      await measure(async (meter) => {
        const done = await sealift.ask(meter, path, target)
        bytes = done.bytes
        shares.push(done.bytesOnWire / done.bytes)
      })
    }
    measured.push({ kind, bytes, shares })
  }
  return measured
}

export function tableOfShares(measured: readonly Shares[]): string {
  const rows = measured.map(({ kind, bytes, shares }) => [
    kind,
    `${(bytes / 1e6).toFixed(0)} MB`,
    ...shares.map((share) => share.toFixed(3)),
  ])
  const lines = ['## What travels of each kind of data', '', ...markdown([['', 'content', ...CODECS], ...rows])]
  return `${lines.join('\n')}\n`
}

function makeKinds(folder: string, tree: string): { kind: string; path: string }[] {
  mkdirSync(folder)
  const path = (name: string): string => join(folder, name)
  const text = join(folder, 'text.txt')
  writeText(text, tree)
  writeLog(path('service.log'))
  copyHead(process.execPath, path('program'))
  makeLargeFile(path('random.bin'), KIND_BYTES)
  const packed = path('text.txt.gz')
  write(packed, [gzipSync(readFileSync(text))])
  write(path('mixed.bin'), [readFileSync(text), readFileSync(path('random.bin')), readFileSync(path('program'))])
  return [
    { kind: 'tree of sources and documents', path: tree },
    { kind: 'the same in one file', path: text },
    { kind: 'log', path: path('service.log') },
    { kind: 'program (Node itself)', path: path('program') },
    { kind: 'text, random bytes, program in one file', path: path('mixed.bin') },
    { kind: 'text packed by gzip', path: packed },
    { kind: 'random bytes', path: path('random.bin') },
  ]
}

function write(path: string, parts: readonly Uint8Array[]): void {
  const file = openSync(path, 'wx', 0o644)
  for (const part of parts) writeSync(file, part)
  closeSync(file)
}

/** The files of a tree, one behind the other. */
function writeText(path: string, tree: string): void {
  const file = openSync(path, 'wx', 0o644)
  let bytes = 0
  for (const entry of readdirSync(tree, { withFileTypes: true, recursive: true })) {
    if (bytes >= KIND_BYTES) break
    if (entry.isFile()) bytes += writeSync(file, readFileSync(join(entry.parentPath, entry.name)))
  }
  closeSync(file)
}

/** Lines as a web server writes them: the same few words, and numbers that never come again. */
function writeLog(path: string): void {
  const file = openSync(path, 'wx', 0o644)
  let state = 1
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
  const routes = ['/', '/login', '/api/items/', '/static/app.js', '/health']
  let bytes = 0
  for (let second = 0; bytes < KIND_BYTES; second++) {
    let text = ''
    for (let line = 0; line < 100; line++) {
      const time = new Date(Date.UTC(2026, 0, 1) + second * 1000 + line * 10).toISOString()
      const address = `10.${next(4)}.${next(256)}.${next(256)}`
      const route = `${routes[next(routes.length)] ?? ''}${next(100_000)}`
      text += `${time} INFO ${address} "GET ${route}" ${next(20) === 0 ? 404 : 200} ${next(50_000)} ${next(900)}ms\n`
    }
    bytes += writeSync(file, text)
  }
  closeSync(file)
}

function copyHead(from: string, to: string): void {
  const head = Buffer.alloc(KIND_BYTES)
  const file = openSync(from, 'r')
  // the first megabytes are tables; what is behind them is code and data
  const length = readSync(file, head, 0, KIND_BYTES, KIND_BYTES / 2)
  closeSync(file)
  write(to, [head.subarray(0, length)])
}
