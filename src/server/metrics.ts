/**
 * What a server counts, for Prometheus: names begin with `sealift_` (docs/operations.md).
 *
 * No label has a value that comes from elsewhere: codes are those of the table of errors. Addresses, names and ids would
 * let strangers fill the memory of whoever collects this.
 */

import { Counter, Gauge, Registry } from 'prom-client'
import type { SealiftError } from '../protocol/errors.ts'
import type { HealthReport } from './health.ts'
import type { ServerEvent } from './server-event.ts'

/** How a session's transfer ended: an interrupted one goes on when its sender comes back. */
type Result = 'done' | 'interrupted' | 'failed'

export class ServerMetrics {
  readonly #registry = new Registry()
  readonly #connections = this.#counter('connections_total', 'Connections that were accepted.')
  readonly #sessions = this.#counter('sessions_total', 'Sessions of senders that were let in.')
  readonly #transfers = this.#counter('transfers_total', 'Ends of sessions by what became of the transfer.', 'result')
  readonly #failures = this.#counter('failures_total', 'Transfers that were interrupted or failed, by code.', 'code')
  readonly #files = this.#counter('files_received_total', 'Files of finished transfers.')
  readonly #bytes = this.#counter('received_bytes_total', 'Content that is safe on the disk.')
  readonly #refusals = this.#counter('refusals_total', 'Connections that were turned away, by code.', 'code')
  readonly #bans = this.#counter('bans_total', 'Bans of addresses.')
  readonly #running = this.#gauge('transfers_running', 'Sessions that bring something now.')
  readonly #queued = this.#gauge('transfers_queued', 'Sessions that wait for their turn.')
  readonly #uptime = this.#gauge('uptime_seconds', 'Time since the start.')
  readonly #memory = this.#gauge('resident_memory_bytes', 'Memory of the process.')
  readonly #healthy = this.#gauge('healthy', 'Whether /health says ok.')
  readonly #ledger = this.#gauge('ledger_up', 'Whether the ledger answers.')
  readonly #writable = this.#gauge('output_writable', 'Whether the output folder can be written.')
  readonly #free = this.#gauge('disk_free_bytes', 'What may still be written below the output folder.')

  constructor(version: string) {
    const info = new Gauge({
      name: 'sealift_info',
      help: 'The version.',
      labelNames: ['version'],
      registers: [this.#registry],
    })
    info.set({ version }, 1)
    // So that a rate can be had of the first one, too.
    for (const result of ['done', 'interrupted', 'failed'] satisfies Result[]) this.#transfers.inc({ result }, 0)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Somebody connected. */
  connection(): void {
    this.#connections.inc()
  }

  /** More content is safe; less, where a file must come again, is not counted back. */
  received(bytes: number): void {
    if (bytes > 0) this.#bytes.inc(bytes)
  }

  event(event: ServerEvent): void {
    switch (event.event) {
      case 'connected':
        this.#sessions.inc()
        break
      case 'refused':
        this.#refusals.inc({ code: event.code })
        break
      case 'banned':
        this.#bans.inc()
        break
      case 'done':
        this.#transfers.inc({ result: 'done' satisfies Result })
        this.#files.inc(event.files)
        break
      case 'error':
        this.#transfers.inc({ result: resultOf(event.error) })
        this.#failures.inc({ code: event.error.code })
        break
      default:
    }
  }

  /** Everything, in the text format of Prometheus. */
  async text(health: HealthReport): Promise<string> {
    this.#running.set(health.transfersRunning)
    this.#queued.set(health.transfersQueued)
    this.#uptime.set(health.uptimeSeconds)
    this.#memory.set(process.memoryUsage.rss())
    this.#healthy.set(Number(health.status === 'ok'))
    this.#ledger.set(Number(health.ledger === 'ok'))
    this.#writable.set(Number(health.output === 'ok'))
    this.#free.set(health.diskFreeBytes ?? Number.NaN)
    return this.#registry.metrics()
  }

  #counter(name: string, help: string, ...labelNames: string[]): Counter {
    return new Counter({ name: `sealift_${name}`, help, labelNames, registers: [this.#registry] })
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `sealift_${name}`, help, registers: [this.#registry] })
  }
}

function resultOf({ retryable }: SealiftError): Result {
  return retryable ? 'interrupted' : 'failed'
}
