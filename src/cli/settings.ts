/** What the options of a command mean: numbers, sizes and files read from their texts, each fault one clear line. */

import { readFileSync } from 'node:fs'
import { parsePort } from '../config/address.ts'
import { parseSize } from '../config/sizes.ts'
import type { SendOptions } from '../library/options.ts'
import { SealiftError } from '../protocol/errors.ts'
import { MAX_STREAMS } from '../protocol/limits.ts'
import type { OutputOptions } from './output.ts'

/** Options that commands share, as commander gives them. */
export interface SharedOptions extends OutputOptions {
  readonly yes?: boolean
  readonly bwlimit?: string | undefined
  readonly streams?: string | undefined
}

/** Where a sender listens, for how long and whom it lets in, as commander gives it. */
export interface PlaceOptions {
  readonly pod?: boolean
  readonly lan?: boolean
  readonly listen?: string
  readonly allowUser?: string[]
  readonly allowTag?: string[]
  readonly port?: string | undefined
  readonly wait?: string | undefined
}

/** @throws SealiftError `usage`, `settings_invalid` */
export function readPlace(
  given: PlaceOptions,
): Pick<SendOptions, 'pod' | 'lan' | 'listen' | 'allowUsers' | 'allowTags' | 'port' | 'waitMs'> {
  return {
    pod: given.pod,
    lan: given.lan,
    listen: given.listen,
    allowUsers: given.allowUser,
    allowTags: given.allowTag,
    port: readPort(given.port),
    waitMs: readWait(given.wait),
  }
}

/** @throws SealiftError `settings_invalid` */
export function readRate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const rate = parseSize(text.replace(/\/s$/, ''), '--bwlimit')
  if (rate === 0) return undefined
  if (rate < 1024)
    throw new SealiftError('settings_invalid', '--bwlimit is under 1 KiB a second', {
      hint: 'rates are in bytes: 500K, 10M',
    })
  return rate
}

/** @throws SealiftError `settings_invalid` */
export function readStreams(text: string | undefined): number | undefined {
  return readNumber(text, '--streams', 1, MAX_STREAMS)
}

export function readPort(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parsePort(text, '--port')
}

/** Seconds, as milliseconds. @throws SealiftError `settings_invalid` */
function readWait(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (!(seconds > 0 && seconds <= 7 * 24 * 3600)) {
    throw new SealiftError('settings_invalid', `--wait is no number of seconds: ${JSON.stringify(text)}`, {
      hint: 'from 1 to 604800',
    })
  }
  return seconds * 1000
}

/** A whole number in bounds. @throws SealiftError `settings_invalid` */
export function readNumber(text: string | undefined, setting: string, low: number, high: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^-?\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= low && value <= high)) {
    throw new SealiftError(
      'settings_invalid',
      `${setting} must be from ${String(low)} to ${String(high)}, not ${JSON.stringify(text)}`,
    )
  }
  return value
}

/** Texts of the files of `--exclude-from`. @throws SealiftError `settings_invalid` */
export function readPatternFiles(paths: readonly string[] | undefined): string[] {
  return (paths ?? []).map((path) => {
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      throw new SealiftError('settings_invalid', `the file of --exclude-from cannot be read: ${path}`, { cause })
    }
  })
}
