/** An audit log of its own for each test, with a clock that passes when it is waited for. */

import fs from 'node:fs'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import type { Ledger } from '../../../src/ledger/ledger.ts'
import type { SealiftError } from '../../../src/protocol/errors.ts'
import { AuditLog, type AuditLogOptions } from '../../../src/server/audit-log.ts'
import { makeFolder, openTestLedger } from '../ledger/place.ts'

export const DAY_MS = 86_400_000

export class AuditPlace {
  readonly ledger: Ledger
  readonly folder: string
  readonly onFault = vi.fn<(error: SealiftError) => void>()
  wallMs = Date.parse('2026-05-01T12:00:00Z')
  nowMs = 1000

  private constructor(ledger: Ledger, folder: string) {
    this.ledger = ledger
    this.folder = folder
  }

  static async make(): Promise<AuditPlace> {
    const root = makeFolder()
    return new AuditPlace(await openTestLedger(root), join(root, 'logs'))
  }

  async open(options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
    const log = await AuditLog.open({
      records: this.ledger.audit,
      folder: this.folder,
      rotationBytes: 10_000_000,
      retentionMs: 7 * DAY_MS,
      wallMs: () => this.wallMs,
      clock: {
        nowMs: () => this.nowMs,
        after: (delayMs, call) => {
          this.nowMs += delayMs
          const timer = setImmediate(call)
          return () => clearImmediate(timer)
        },
      },
      onFault: this.onFault,
      ...options,
    })
    onTestFinished(() => log.close())
    return log
  }

  /** A log with so many lines of one file, closed. */
  async filled(lines: number, options: Partial<AuditLogOptions> = {}): Promise<void> {
    const log = await this.open(options)
    for (let at = 1; at <= lines; at++) {
      this.wallMs += 1000
      this.nowMs += 1000
      await log.write({ event: 'handshake', peer: '192.0.2.7', detail: { count: at } })
    }
    await log.close()
  }

  path(name = 'audit.jsonl'): string {
    return join(this.folder, name)
  }

  get names(): string[] {
    return fs.readdirSync(this.folder).sort()
  }

  lines(name?: string): string[] {
    return fs.readFileSync(this.path(name), 'utf8').split('\n').slice(0, -1)
  }

  /** Changes the lines of a file. */
  change(change: (lines: string[]) => readonly string[], name?: string): void {
    const lines = change(this.lines(name))
    fs.writeFileSync(this.path(name), lines.map((line) => `${line}\n`).join(''))
  }
}

/** What a line says. */
export function said(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line ?? '') as Record<string, unknown>
}
