/**
 * What the log of a server says of each event: its level, a few fixed words, and fields.
 *
 * Pure. Tokens, passwords and texts never get into a line, and what came from elsewhere is escaped here.
 */

import type { ErrorCode, SealiftError } from '../protocol/errors.ts'
import { escapeControls, escapeForDisplay } from '../protocol/names.ts'
import type { ServerEvent } from './server-event.ts'

export interface LogLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error'
  /** Always the same words for the same event. */
  readonly message: string
  readonly fields: Readonly<Record<string, string | number | null>>
}

/** Ends of a transfer that whoever runs the server must do something about. */
const FOR_THE_OPERATOR: ReadonlySet<ErrorCode> = new Set([
  'internal',
  'ledger_corrupt',
  'ledger_unavailable',
  'ledger_newer',
  'disk_full',
  'disk_fault',
  'target_gone',
  'target_not_folder',
  'target_read_only',
])

/** @returns `null` for what a server does not do */
export function logLineOf(event: ServerEvent): LogLine | null {
  switch (event.event) {
    case 'connected': {
      const { peer, identity, suite, cipher } = event
      return line('info', 'connected', { peer, identity, suite, cipher })
    }
    case 'refused':
    case 'banned':
      return line('warn', event.event, { peer: event.peer, code: event.code, until: event.until })
    case 'warning':
      return { level: 'warn', message: 'warning', fields: { code: event.code, text: escapeControls(event.message) } }
    case 'progress': {
      const { transferId, bytesDone, bytesTotal, filesDone, filesTotal, bytesPerSecond } = event
      return line('trace', 'progress', { transferId, bytesDone, bytesTotal, filesDone, filesTotal, bytesPerSecond })
    }
    case 'file': {
      const { transferId, path, sizeBytes, status, savedAs } = event
      return line('debug', 'file', { transferId, path, sizeBytes, status, savedAs })
    }
    case 'queued':
      return line('info', 'queued', { transferId: event.transferId, place: event.place })
    case 'text':
      return line('info', 'text', { transferId: event.transferId, characters: event.text.length })
    case 'done': {
      const { transferId, files, bytes, bytesOnWire, resumedBytes, seconds } = event
      return line('info', 'done', { transferId, files, bytes, bytesOnWire, resumedBytes, seconds })
    }
    case 'error':
      return failure(event.error, event)
    case 'listening':
    case 'excluded':
      return null
  }
}

/** A failure with its words, and with the place in the program where it is a fault of Sealift. */
function failure(error: SealiftError, of: { readonly transferId: string | null; readonly peer: string }): LogLine {
  const level = FOR_THE_OPERATOR.has(error.code) ? 'error' : 'warn'
  const { message, fields } = line(level, 'failed', { transferId: of.transferId, peer: of.peer, code: error.code })
  const cause = error.code === 'internal' && error.cause instanceof Error ? (error.cause.stack ?? null) : null
  return {
    level,
    message,
    fields: {
      ...fields,
      text: escapeControls(error.message),
      ...(cause === null ? {} : { cause: cause.split('\n').map(escapeControls).join('\n') }),
    },
  }
}

function line(level: LogLine['level'], message: string, fields: LogLine['fields']): LogLine {
  const escaped = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === 'string' ? escapeForDisplay(value) : value,
  ])
  return { level, message, fields: Object.fromEntries(escaped) as LogLine['fields'] }
}
