/** A whole server in this process, watched: its log, /health and /metrics while senders come. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ServerPlace } from '../../rigs/server-place.ts'

/** With a folder for its log that goes with the test. */
function watched(settings: Record<string, string> = {}): { place: ServerPlace; logPath: string } {
  const logPath = fs.mkdtempSync(join(tmpdir(), 'sealift-log-'))
  onTestFinished(() => fs.rmSync(logPath, { recursive: true, force: true }))
  const watch = { ST_HEALTH: 'yes', ST_HEALTH_PORT: '0', ST_LOG_PATH: logPath, LOG_LEVEL: 'trace' }
  return { place: new ServerPlace({ ...watch, ...settings }), logPath }
}

/** Metrics by name with labels, without the comments. */
async function metricsOf(port: number | null): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]))
}

test('who came, what became of it and what arrived is counted and logged, without a secret', async () => {
  const { place, logPath } = watched()
  const { healthPort, token } = await place.start()
  const file = place.plant('ana', 'tree/a.txt', 'x'.repeat(1000))
  expect((await place.pushed('ana', place.path('ana', 'tree'))).error).toBeNull()
  expect((await place.pushed('bob', file, { token: 'canary-of-a-wrong-token' })).error).not.toBeNull()
  expect((await place.pushed('ana', file, { conflict: 'overwrite' })).error).not.toBeNull()
  await place.heard('error')
  expect(await metricsOf(healthPort)).toMatchObject({
    sealift_connections_total: 3,
    sealift_sessions_total: 2,
    'sealift_transfers_total{result="done"}': 1,
    'sealift_transfers_total{result="failed"}': 1,
    'sealift_failures_total{code="policy_refused"}': 1,
    'sealift_refusals_total{code="auth_failed"}': 1,
    sealift_files_received_total: 1,
    sealift_received_bytes_total: 1000,
    sealift_healthy: 1,
    sealift_transfers_running: 0,
  })
  await place.stop()
  const log = fs.readFileSync(join(logPath, 'server.log'), 'utf8')
  const said = log
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { msg: string }).msg)
  expect([said[0], said.at(-1)]).toEqual(['started', 'stopped'])
  expect(said).toEqual(expect.arrayContaining(['connected', 'progress', 'file', 'done', 'refused', 'failed']))
  expect(log).not.toMatch(/canary/)
  expect(log).not.toContain(token)
  await expect(fetch(`http://127.0.0.1:${healthPort}/health`)).rejects.toThrow()
})

test('an output folder that became something else is seen at once', async () => {
  const { place } = watched()
  const { healthPort } = await place.start()
  const get = async () => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/health`)
    return { status: answer.status, ...((await answer.json()) as object) }
  }
  fs.writeFileSync(place.out, '')
  expect(await get()).toMatchObject({ status: 'failing', output: 'target_not_folder', ledger: 'ok' })
})

test('a second server whose health port is taken does not start, and keeps no port', async () => {
  const { healthPort } = await watched().place.start()
  const { place: second, logPath } = watched({ ST_HEALTH_PORT: String(healthPort) })
  const message = expect.stringContaining('ST_HEALTH_PORT') as string
  await expect(second.start()).rejects.toMatchObject({ code: 'port_in_use', exitCode: 5, message })
  expect(fs.readFileSync(join(logPath, 'server.log'), 'utf8')).toMatch(/"code":"port_in_use".*"msg":"stopped"/)
})
