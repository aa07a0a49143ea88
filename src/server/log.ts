/**
 * The log of a server: JSON lines in a file, by level (docs/operations.md).
 *
 * Joins the lines of log-line.ts, pino and the file. It is for operators and may lose a line; what must not be lost is in
 * the audit log.
 */

import { type Logger, pino } from 'pino'
import type { LogLevel } from '../config/log-levels.ts'
import type { SealiftError } from '../protocol/errors.ts'
import { escapeControls } from '../protocol/names.ts'
import { LogFile, type LogFileOptions } from './log-file.ts'
import { logLineOf } from './log-line.ts'
import type { ServerEvent } from './server-event.ts'

export interface ServerLogOptions extends LogFileOptions {
  readonly level: LogLevel
}

/** What the first line of a run says; no secret is in it. */
export interface StartedServer {
  readonly version: string
  readonly address: string
  readonly port: number
  readonly fingerprint: string
  readonly outputDir: string
  /** What those are asked for whose key is not authorised. */
  readonly others: string | null
  /** Of /health and /metrics; `null` where there are none. */
  readonly healthPort: number | null
}

export class ServerLog {
  readonly #file: LogFile
  readonly #logger: Logger

  private constructor(file: LogFile, { level, wallMs }: ServerLogOptions) {
    this.#file = file
    this.#logger = pino(
      {
        level,
        base: null,
        timestamp: () => `,"time":"${new Date(wallMs()).toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
      },
      file,
    )
  }

  /** @throws SealiftError `settings_invalid` where the folder cannot be written */
  static open(options: ServerLogOptions): ServerLog {
    return new ServerLog(LogFile.open(options), options)
  }

  started(server: StartedServer): void {
    this.#logger.info(server, 'started')
  }

  event(event: ServerEvent): void {
    const line = logLineOf(event)
    if (line !== null) this.#logger[line.level](line.fields, line.message)
  }

  /** The last line, then the file is closed. */
  stopped({ code, message }: SealiftError): void {
    this.#logger.info({ code, text: escapeControls(message) }, 'stopped')
    this.#file.close()
  }
}
