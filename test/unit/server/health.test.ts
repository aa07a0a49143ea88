import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { Health, type HealthOptions } from '../../../src/server/health.ts'
import { VirtualClock } from '../transfer/virtual-time.ts'

function place(options: Partial<HealthOptions> = {}): { health: Health; clock: VirtualClock; outputDir: string } {
  const root = fs.mkdtempSync(join(tmpdir(), 'sealift-health-'))
  onTestFinished(() => fs.rmSync(root, { recursive: true, force: true }))
  const clock = new VirtualClock()
  const outputDir = join(root, 'received')
  const health = new Health({
    version: '1.2.3',
    outputDir,
    minFreeBytes: 1,
    transfersRunning: () => 3,
    transfersQueued: () => 4,
    askLedger: () => Promise.resolve(),
    clock,
    ...options,
  })
  return { health, clock, outputDir }
}

describe('a server', () => {
  test('is well where ledger, folder and disk are, also before the folder is made', async () => {
    const { health } = place()
    const { diskFreeBytes, ...report } = await health.report()
    expect(report).toEqual({
      status: 'ok',
      version: '1.2.3',
      uptimeSeconds: 0,
      transfersRunning: 3,
      transfersQueued: 4,
      ledger: 'ok',
      output: 'ok',
      disk: 'ok',
    })
    expect(diskFreeBytes).toBeGreaterThan(1)
  })

  test.each([
    [
      'ledger',
      'ledger_unavailable',
      { askLedger: () => Promise.reject(new SealiftError('ledger_unavailable', 'gone')) },
    ],
    ['disk', 'disk_full', { minFreeBytes: Number.MAX_SAFE_INTEGER }],
    ['output', 'target_not_folder', {}],
  ])('is not well where the %s is not', async (name, code, options) => {
    const { health, outputDir } = place(options)
    if (name === 'output') fs.writeFileSync(outputDir, '')
    expect(await health.report()).toMatchObject({ status: 'failing', [name]: code })
  })

  test('is looked at once a second at the most, however many ask', async () => {
    let looks = 0
    const { health, clock } = place({ askLedger: () => Promise.resolve(looks++) })
    await Promise.all([health.report(), health.report(), health.report()])
    await clock.pass(999)
    await health.report()
    expect(looks).toBe(1)
    await clock.pass(1)
    expect(await health.report()).toMatchObject({ uptimeSeconds: 1 })
    expect(looks).toBe(2)
  })
})
