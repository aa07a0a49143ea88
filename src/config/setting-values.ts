/** How the values of settings are written: counts, durations, ports, choices. Each fault names the setting. */

import { SealiftError } from '../protocol/errors.ts'
import { parseSize } from './sizes.ts'

type Parse<Value> = (text: string, name: string) => Value

function fault(name: string, text: string, wanted: string): SealiftError {
  return new SealiftError('settings_invalid', `${name} must be ${wanted}, not ${JSON.stringify(text)}`)
}

/** A whole number in bounds, both included. */
export function count(low: number, high: number): Parse<number> {
  return (text, name) => {
    const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN
    if (!(value >= low && value <= high)) throw fault(name, text, `from ${String(low)} to ${String(high)}`)
    return value
  }
}

/** A whole number, or `null` for 0: no limit. */
export function liftableCount(high: number): Parse<number | null> {
  return (text, name) => count(0, high)(text, name) || null
}

/** Bytes, in bounds; `null` for 0 where that lifts a limit. */
export function size(low: number, high = Number.MAX_SAFE_INTEGER): Parse<number> {
  return (text, name) => {
    const bytes = parseSize(text, name)
    if (bytes < low || bytes > high) {
      const bound =
        high === Number.MAX_SAFE_INTEGER ? `at least ${String(low)}` : `from ${String(low)} to ${String(high)}`
      throw fault(name, text, `${bound} bytes`)
    }
    return bytes
  }
}

/** Bytes, or `null` for 0: no limit. */
export function liftableSize(low: number): Parse<number | null> {
  return (text, name) => (parseSize(text, name) === 0 ? null : size(low)(text, name))
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  '': 1000,
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
}

/** `60`, `90 s`, `10 min`, `7 days`, as milliseconds; a plain number is seconds. */
export function duration(lowMs: number, highMs: number): Parse<number> {
  return (text, name) => {
    const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(text.trim())
    const unitMs = DURATION_UNITS_MS[match?.[2]?.toLowerCase() ?? 'none']
    const valueMs = Math.round(Number(match?.[1]) * (unitMs ?? Number.NaN))
    if (!(valueMs >= lowMs && valueMs <= highMs))
      throw fault(name, text, `a time such as 60, 90 s, 10 min or 7 days, ${String(lowMs / 1000)} s at the least`)
    return valueMs
  }
}

/** One of a few words. */
export function choice<const Word extends string>(words: readonly Word[]): Parse<Word> {
  return (text, name) => {
    const word = words.find((candidate) => candidate === text.trim().toLowerCase())
    if (word === undefined) throw fault(name, text, `one of ${words.join(', ')}`)
    return word
  }
}

/** `true`, `yes`, `on` and `1` against their opposites. */
export function flag(text: string, name: string): boolean {
  const word = text.trim().toLowerCase()
  if (['true', 'yes', 'on', '1'].includes(word)) return true
  if (['false', 'no', 'off', '0', ''].includes(word)) return false
  throw fault(name, text, 'true or false')
}

/** Any text; `null` where it is empty. */
export function text(value: string): string | null {
  return value.trim() === '' ? null : value
}

/** A port; 0 takes any free one. */
export function port(value: string, name: string): number {
  return count(0, 65_535)(value, name)
}

/** Host name or address to listen on, brackets of IPv6 taken away. */
export function listenHost(value: string, name: string): string {
  const host = value.trim().replace(/^\[(.*)\]$/, '$1')
  if (host === '' || /[\s/]/.test(host)) throw fault(name, value, 'an address or host name')
  return host
}
