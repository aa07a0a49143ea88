/**
 * The container of compose.yaml, for real. `npm run test:docker` brings Docker up and says why where it cannot; what was
 * seen in the last run stands in docs/operations.md.
 */

import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest'
import { type Desk, type Ended, test } from '../rigs/cli-process.ts'
import { Docker } from '../rigs/docker/docker.ts'

const { SEALIFT_DOCKER_ARCHIVE: archive, SEALIFT_DOCKER_FOLDER: folder, SEALIFT_DOCKER_REASON: reason } = process.env
const isHere = archive !== undefined && folder !== undefined
const LONGEST_MS = 120_000
const BUILD_MS = 900_000
const BIG_BYTES = 200 << 20

/** There before any test that is not skipped. */
let docker: Docker
let port = 0
/** The package as it is in the image, taken out of it: what a sender outside runs. */
let packed = ''

const secondsSince = (startedMs: number): string => ((performance.now() - startedMs) / 1000).toFixed(1)
const tell = (line: string): void => void process.stdout.write(`${line}\n`)

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The newest token in the logs of the container. */
function tokenInLogs(): string {
  return [...docker.compose('logs', '--no-color').matchAll(/Token: (\S+)/g)].at(-1)?.[1] ?? ''
}

const health = (): string => docker.docker('inspect', '--format', '{{.State.Health.Status}}', docker.container).trim()

function killAndStart(): void {
  const { container } = docker
  docker.docker('kill', '--signal', 'KILL', container)
  expect(docker.docker('wait', container).trim()).toBe('137')
  docker.compose('start')
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const sha256Inside = (path: string): string => docker.inside('sha256sum', path).stdout.split(' ')[0] ?? ''

/** The packed command line, as a user of another machine runs it. */
function sending(desk: Desk, file: string, token: string | undefined, more = '') {
  const shell = `exec "$NODE" '${packed}/bin/sealift.js' send '${file}' --to 127.0.0.1:${port} --json ${more}`
  return desk.start([], { shell, env: { SEALIFT_TOKEN: token }, longestMs: LONGEST_MS })
}

function expectDone({ code, stderr, events }: Ended): void {
  expect([code, stderr.includes('error')], stderr).toEqual([0, false])
  expect(events.at(-1)).toMatchObject({ event: 'done' })
}

describe('the container', () => {
  beforeAll(async () => {
    if (!isHere) return
    port = await freePort()
    docker = await Docker.start(folder, archive, {
      ST_PORT: String(port),
      ST_HEALTH_PORT: String(await freePort()),
      ST_RATE_LIMIT_BYTES_PER_SEC: '0',
    })
    const started = performance.now()
    docker.compose('build')
    tell(`image built in ${secondsSince(started)} s`)
    docker.compose('up', '--detach')
    packed = `${folder}/packed`
    docker.docker('cp', `${docker.container}:/opt/sealift`, packed)
  }, BUILD_MS)
  afterAll(async () => {
    if (isHere) await docker.close()
  })
  beforeEach(({ skip }) => skip(!isHere, reason ?? 'npm run test:docker brings Docker up'))

  test('becomes healthy, and its token is in the logs', async () => {
    const started = performance.now()
    await docker.until('health', () => health() === 'healthy')
    tell(`healthy after another ${secondsSince(started)} s`)
    expect(tokenInLogs()).toMatch(/^[a-z]+(-[a-z]+){3}$/)
  })

  test('runs as nobody, without rights, on a root that cannot be written', () => {
    expect(docker.inside('id', '-u').stdout.trim()).toBe('10001')
    const status = docker.inside('cat', '/proc/1/status').stdout
    expect(status).toMatch(/^Uid:\t10001\t10001\t10001\t10001$/m)
    expect(status).toMatch(/^CapBnd:\t0+$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    for (const place of ['/x', '/opt/sealift/x', '/data/x'])
      expect(docker.inside('touch', place).stderr).toMatch(/Read-only file system/)
    for (const place of ['/data/received/x', '/var/log/sealift/x']) expect(docker.inside('touch', place).status).toBe(0)
    expect(docker.inside('stat', '-c', '%a', '/var/lib/sealift', '/var/log/sealift').stdout).toBe('700\n700\n')
  })

  test('takes a file from outside, is killed in the middle, started again, and has it whole', async ({ desk }) => {
    const content = randomBytes(BIG_BYTES)
    fs.writeFileSync(desk.path('big'), content)
    const started = performance.now()
    const sender = sending(desk, desk.path('big'), tokenInLogs(), '--bwlimit 50M')
    const third = ({ bytesDone }: { [field: string]: unknown }): boolean => (bytesDone as number) > BIG_BYTES / 3
    const { bytesDone } = await sender.event('progress', third)
    killAndStart()
    // It comes back by its own key: the token is another one now.
    const ended = await sender.end
    expectDone(ended)
    tell(`killed at ${bytesDone as number} of ${BIG_BYTES} bytes, whole after ${secondsSince(started)} s`)
    expect(sha256Inside('/data/received/big')).toBe(sha256(content))
    expect(docker.inside('ls', '-A', '/data/received').stdout).not.toContain('.part')
  })

  test('resumes what its sender gave up, after both were gone', async ({ desk }) => {
    const content = randomBytes(BIG_BYTES)
    fs.writeFileSync(desk.path('other'), content)
    const first = sending(desk, desk.path('other'), tokenInLogs(), '--bwlimit 50M')
    await first.event('progress', ({ bytesDone }) => (bytesDone as number) > BIG_BYTES / 3)
    first.killAll()
    await first.end
    killAndStart()
    await docker.until('health', () => health() === 'healthy')
    const ended = await sending(desk, desk.path('other'), undefined).end
    expectDone(ended)
    expect((ended.events.at(-1) as { resumedBytes?: number } | undefined)?.resumedBytes).toBeGreaterThan(BIG_BYTES / 4)
    expect(sha256Inside('/data/received/other')).toBe(sha256(content))
  })

  test('says all of it in its log, and stops in time when it is told to', () => {
    const log = docker.inside('cat', '/var/log/sealift/server.log').stdout
    expect(log.match(/"msg":"started"/g), log).toHaveLength(3)
    expect(log.match(/"msg":"done"/g), log).toHaveLength(2)
    const container = docker.container
    const started = performance.now()
    docker.compose('stop')
    tell(`stopped in ${secondsSince(started)} s`)
    expect(docker.docker('inspect', '--format', '{{.State.ExitCode}}', container).trim()).toBe('143')
    expect(performance.now() - started).toBeLessThan(5000)
  })
})
