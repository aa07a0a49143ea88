/** Whoever comes to the port for health and metrics: clients as they should be, and others. */

import net from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { HealthReport } from '../../../src/server/health.ts'
import { type HealthPort, type HealthPortOptions, openHealthPort } from '../../../src/server/health-port.ts'

const REPORT: HealthReport = {
  status: 'ok',
  version: '1',
  uptimeSeconds: 1,
  transfersRunning: 0,
  transfersQueued: 0,
  ledger: 'ok',
  output: 'ok',
  disk: 'ok',
  diskFreeBytes: 1,
}

async function open(options: Partial<HealthPortOptions> = {}): Promise<HealthPort> {
  const port = await openHealthPort({
    port: 0,
    health: () => Promise.resolve(REPORT),
    metrics: () => Promise.resolve({ contentType: 'text/plain', text: 'sealift_x 1\n' }),
    ...options,
  })
  onTestFinished(() => port.close())
  return port
}

/** Sends these bytes and gives all that comes until the other side closes. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let said = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setEncoding('latin1').on('data', (text: string) => (said += text))
    socket.on('error', () => undefined).on('close', () => resolve(said))
  })
}

const request = (line: string, more = '', host = '127.0.0.1:9001'): string =>
  `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`

describe('the port', () => {
  test('answers for health, with 503 where it is not well, and for metrics', async () => {
    let report = REPORT
    const { port } = await open({ health: () => Promise.resolve(report) })
    const get = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${port}${path}`, { method })
    const well = await get('/health')
    expect([well.status, await well.json()]).toEqual([200, REPORT])
    report = { ...REPORT, status: 'failing', ledger: 'ledger_corrupt' }
    const unwell = await get('/health?now')
    expect([unwell.status, await unwell.json()]).toEqual([503, report])
    const head = await get('/health', 'HEAD')
    expect([head.status, await head.text()]).toEqual([503, ''])
    expect(await (await get('/metrics')).text()).toBe('sealift_x 1\n')
    expect((await get('/')).status).toBe(404)
  })

  test.each([
    ['another method', request('POST /health', 'Content-Length: 5\r\n'), /^HTTP\/1.1 405 [^]*Allow: GET, HEAD/],
    ['a host that is not this machine', request('GET /health', '', 'evil.example'), /^HTTP\/1.1 421 /],
    ['a host that begins like it', request('GET /health', '', '127.0.0.1.evil.example'), /^HTTP\/1.1 421 /],
    ['no host', 'GET /health HTTP/1.0\r\n\r\n', /^HTTP\/1.1 421 /],
    ['huge headers', request('GET /health', `X: ${'x'.repeat(5000)}\r\n`), /^HTTP\/1.1 431 /],
    ['what is no HTTP', '\u0016\u0003\u0001 hello\r\n\r\n', /^HTTP\/1.1 400 /],
    [
      'a body that does not end',
      request('GET /health', 'Content-Length: 9999999\r\n'),
      /^HTTP\/1.1 200 [^]*Connection: close/,
    ],
  ])('turns away %s, and closes', async (_, bytes, answer) => {
    const { port } = await open()
    expect(await exchange(port, bytes)).toMatch(answer)
  })

  test('lets go of whoever is slow, and bounds how many there are', async () => {
    const { port } = await open({ timeoutMs: 200 })
    const slow = Array.from({ length: 64 }, (_, count) =>
      exchange(port, count % 2 === 0 ? '' : 'GET /health HTTP/1.1\r\nX-'),
    )
    // Those before it hold all places until their time is over.
    expect(await exchange(port, request('GET /health'))).toBe('')
    await Promise.all(slow)
    expect(await exchange(port, request('GET /health'))).toMatch(/^HTTP\/1.1 200 /)
  })

  test('that another has is named, with its setting and what to do', async () => {
    const { port } = await open()
    await expect(openHealthPort({ ...({} as HealthPortOptions), port })).rejects.toMatchObject({
      code: 'port_in_use',
      exitCode: 5,
      message: `cannot listen on 127.0.0.1:${port} for /health and /metrics (ST_HEALTH_PORT): the port is in use`,
      hint: expect.stringContaining(`--health-port ${port + 1}`) as string,
    })
  })
})
