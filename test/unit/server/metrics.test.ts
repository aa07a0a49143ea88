import { expect, test } from 'vitest'
import { type ErrorCode, SealiftError } from '../../../src/protocol/errors.ts'
import type { HealthReport } from '../../../src/server/health.ts'
import { ServerMetrics } from '../../../src/server/metrics.ts'

const REPORT: HealthReport = {
  status: 'failing',
  version: '1',
  uptimeSeconds: 7,
  transfersRunning: 2,
  transfersQueued: 3,
  ledger: 'ok',
  output: 'target_gone',
  disk: 'target_gone',
  diskFreeBytes: null,
}

test('ends are told apart by whether the sender may come back, and nothing that a stranger chooses is a label', async () => {
  const metrics = new ServerMetrics('1')
  const end = (code: ErrorCode) =>
    metrics.event({
      event: 'error',
      transferId: 'stranger',
      peer: 'stranger',
      error: new SealiftError(code, 'stranger'),
    })
  for (const code of ['connection_lost', 'limit_exceeded', 'limit_exceeded'] as const) end(code)
  metrics.event({ event: 'banned', peer: 'stranger', code: 'auth_failed', until: 'stranger' })
  metrics.event({ event: 'refused', peer: 'stranger', code: 'peer_refused', until: null })
  metrics.received(10)
  // A file that must come again is no reason to count backwards.
  metrics.received(-4)
  const text = await metrics.text(REPORT)
  const values = text.split('\n').filter((line) => line.startsWith('sealift_'))
  expect(values).toEqual(
    expect.arrayContaining([
      'sealift_transfers_total{result="done"} 0',
      'sealift_transfers_total{result="interrupted"} 1',
      'sealift_transfers_total{result="failed"} 2',
      'sealift_failures_total{code="limit_exceeded"} 2',
      'sealift_refusals_total{code="peer_refused"} 1',
      'sealift_bans_total 1',
      'sealift_received_bytes_total 10',
      'sealift_transfers_running 2',
      'sealift_transfers_queued 3',
      'sealift_healthy 0',
      'sealift_ledger_up 1',
      'sealift_output_writable 0',
      'sealift_disk_free_bytes Nan',
    ]),
  )
  expect(text).not.toContain('stranger')
})
