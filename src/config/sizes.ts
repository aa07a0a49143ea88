/** Sizes and rates as people write them, in both directions. */

import { SealiftError } from '../protocol/errors.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kib: 1024,
  kb: 1000,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  mb: 1000 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  gb: 1000 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
  tb: 1000 ** 4,
}

/**
 * Reads `10M`, `64MiB` (binary), `10MB` (decimal) or a plain number of bytes.
 * @param setting the name of what is read, for the message
 * @returns whole bytes
 * @throws SealiftError `settings_invalid`
 */
export function parseSize(text: string, setting: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = UNITS[match?.[2]?.toLowerCase() ?? 'none']
  const bytes = Math.round(Number(match?.[1]) * (unit ?? Number.NaN))
  if (!Number.isSafeInteger(bytes)) {
    throw new SealiftError('settings_invalid', `${setting} is no size: ${JSON.stringify(text)}`, {
      hint: 'sizes look like 10M, 64MiB (binary), 10MB (decimal) or 1048576',
    })
  }
  return bytes
}

const BINARY_UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `3.1 GiB`, `812 bytes`. */
export function formatSize(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < BINARY_UNITS.length - 1) {
    value /= 1024
    unit++
  }
  // 1023.97 KiB would round to 1,024.0.
  if (unit > 0 && value >= 1023.95 && unit < BINARY_UNITS.length - 1) {
    value = 1
    unit++
  }
  if (unit === 0) return bytes === 1 ? '1 byte' : `${formatCount(bytes)} bytes`
  return `${value.toFixed(1)} ${BINARY_UNITS[unit] ?? ''}`
}

/** `1,204`. */
export function formatCount(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

/** `1 file`, `1,204 files`. */
export function formatFiles(files: number): string {
  return `${formatCount(files)} ${files === 1 ? 'file' : 'files'}`
}
