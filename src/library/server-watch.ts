/**
 * What lets a server be watched while it runs: its log, and health and metrics on a port of this machine.
 *
 * Opens what the settings ask for and loads nothing else.
 */

import { resolve } from 'node:path'
import type { ServerSettings } from '../config/server-settings.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { SealiftError } from '../protocol/errors.ts'
import type { HealthPort } from '../server/health-port.ts'
import type { ServerLog, StartedServer } from '../server/log.ts'
import type { ServerMetrics } from '../server/metrics.ts'
import type { ReceivingServer } from '../server/receiving-server.ts'
import type { ServerEvent } from '../server/server-event.ts'
import { systemClock } from '../transfer/clock.ts'
import { VERSION } from './version.ts'

type WatchSettings = Pick<
  ServerSettings,
  | 'outputDir'
  | 'minFreeBytes'
  | 'healthPort'
  | 'healthEnabled'
  | 'logPath'
  | 'logLevel'
  | 'logRotationBytes'
  | 'logRetentionMs'
>

export class ServerWatch {
  readonly #settings: WatchSettings
  readonly #log: ServerLog | null
  readonly #metrics: ServerMetrics | null
  #healthPort: HealthPort | null = null

  private constructor(settings: WatchSettings, log: ServerLog | null, metrics: ServerMetrics | null) {
    this.#settings = settings
    this.#log = log
    this.#metrics = metrics
  }

  /** @throws SealiftError `settings_invalid` where the log cannot be written */
  static async open(settings: WatchSettings): Promise<ServerWatch> {
    const { logPath, healthEnabled } = settings
    const metrics = healthEnabled ? new (await import('../server/metrics.ts')).ServerMetrics(VERSION) : null
    return new ServerWatch(settings, logPath === null ? null : await openLog(settings, resolve(logPath)), metrics)
  }

  event(event: ServerEvent): void {
    this.#metrics?.event(event)
    this.#log?.event(event)
  }

  connection(): void {
    this.#metrics?.connection()
  }

  received(bytes: number): void {
    this.#metrics?.received(bytes)
  }

  /**
   * The server listens: says so, and opens the port for health and metrics.
   * @returns that port; `null` where there is none
   * @throws SealiftError `port_in_use`, `address_unavailable`
   */
  async started(
    server: Pick<ReceivingServer, 'transfersRunning' | 'transfersQueued'>,
    ledger: Ledger,
    about: Pick<StartedServer, 'address' | 'port' | 'fingerprint' | 'others'>,
  ): Promise<number | null> {
    const { minFreeBytes, healthPort: port } = this.#settings
    const outputDir = resolve(this.#settings.outputDir ?? '.')
    const metrics = this.#metrics
    if (metrics !== null) {
      const [{ Health }, { openHealthPort }] = await Promise.all([
        import('../server/health.ts'),
        import('../server/health-port.ts'),
      ])
      const health = new Health({
        version: VERSION,
        outputDir,
        minFreeBytes,
        transfersRunning: () => server.transfersRunning,
        transfersQueued: () => server.transfersQueued,
        askLedger: () => ledger.transfers.get(0),
        clock: systemClock,
      })
      this.#healthPort = await openHealthPort({
        port,
        health: () => health.report(),
        metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text(await health.report()) }),
      })
    }
    const healthPort = this.#healthPort?.port ?? null
    this.#log?.started({ version: VERSION, ...about, outputDir, healthPort })
    return healthPort
  }

  async stopped(error: SealiftError): Promise<void> {
    await this.#healthPort?.close()
    this.#log?.stopped(error)
  }
}

async function openLog(settings: WatchSettings, folder: string): Promise<ServerLog> {
  const { ServerLog } = await import('../server/log.ts')
  const { logLevel: level, logRotationBytes: rotationBytes, logRetentionMs: retentionMs } = settings
  return ServerLog.open({ folder, level, rotationBytes, retentionMs, wallMs: () => Date.now() })
}
