/**
 * What TLS costs: the same large file to the same server, by the records of Sealift and by TLS, in turns.
 *
 * Owns the runs and their figures. How servers and senders run is `server-process.ts` and `pusher.ts`.
 */

import { linkSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { makeAuthority, makeLeaf } from '../src/identity/certificate-making.ts'
import { createTrustedFile } from '../src/identity/trusted-file.ts'
import { say } from './cases.ts'
import { makeLargeFile } from './fixtures.ts'
import { Pusher } from './pusher.ts'
import { asRatio, asSeconds, atMost, figure, type ServerResult } from './server-bench.ts'
import { ServerProcess } from './server-process.ts'

/** Of TLS to the sealed transfer. */
const GOAL = 1.2

interface Run {
  /** From acceptance to the end, as the server says it. */
  readonly seconds: number
  /** Processor time of the server. */
  readonly cpuSeconds: number
}

/** @param folder an empty one @param sizeBytes of the file */
export async function measureTls(folder: string, sizeBytes: number, runs: number): Promise<ServerResult> {
  const source = join(folder, 'large.bin')
  makeLargeFile(source, sizeBytes)
  const paths = await plantCertificates(join(folder, 'tls'))
  const byTls = ['--tls', '--cert', paths.cert, '--key', paths.key]
  const sealed: Run[] = []
  const tls: Run[] = []
  const failed: string[] = []
  for (let run = 1; run <= runs; run++) {
    say(`tls: run ${run} of ${runs}`)
    try {
      sealed.push(await pushOnce(join(folder, `sealed-${run}`), source, [], {}))
      tls.push(await pushOnce(join(folder, `tls-${run}`), source, byTls, { tls: true, ca: paths.ca }))
    } catch (error) {
      failed.push(error instanceof Error ? error.message : String(error))
    }
  }
  const ratios = tls.map(({ seconds }, at) => seconds / (sealed[at]?.seconds ?? Number.NaN))
  const seconds = (of: readonly Run[]): number[] => of.map((run) => run.seconds)
  const cpu = (of: readonly Run[]): number[] => of.map((run) => run.cpuSeconds)
  const figures = [
    figure('large file to a server, sealed', seconds(sealed), asSeconds),
    figure('the same by TLS', seconds(tls), asSeconds),
    figure('large file: TLS / sealed', ratios, asRatio, atMost(GOAL)),
    figure('processor time of the server, sealed', cpu(sealed), asSeconds),
    figure('processor time of the server, by TLS', cpu(tls), asSeconds),
  ]
  return { figures, failed }
}

async function pushOnce(
  folder: string,
  source: string,
  serverOptions: readonly string[],
  met: { readonly tls?: boolean; readonly ca?: string },
): Promise<Run> {
  mkdirSync(folder)
  const server = await ServerProcess.start(folder, ['--rate-limit', '0', ...serverOptions])
  const pusher = await Pusher.start(join(folder, 'sender'))
  try {
    // What is there already would not be sent.
    const file = join(folder, 'large.bin')
    linkSync(source, file)
    const before = server.cpuSeconds
    await pusher.push(server, file, met)
    const { seconds = Number.NaN } = await server.next('done')
    return { seconds, cpuSeconds: server.cpuSeconds - before }
  } finally {
    pusher.stop()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function plantCertificates(folder: string): Promise<{ ca: string; cert: string; key: string }> {
  const authority = await makeAuthority('Bench CA', Date.now())
  const made = await makeLeaf(authority, { purpose: 'server', name: 'bench', hosts: ['127.0.0.1'] }, Date.now())
  const paths = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  createTrustedFile(paths.ca, authority.cert, 0o644, 'the CA')
  createTrustedFile(paths.cert, made.cert, 0o644, 'the certificate')
  createTrustedFile(paths.key, made.key, 0o600, 'the key')
  return paths
}
