import { describe, expect, test } from 'vitest'

import { ERROR_TABLE, errorCodeFromWire, SealiftError, toSealiftError } from '../../../src/protocol/errors.ts'
import type { ErrorCode } from '../../../src/protocol/errors.ts'

const codes = Object.keys(ERROR_TABLE) as ErrorCode[]

describe('the table of errors', () => {
  test('has a wire code of its own for each error, which fits the two bytes of CLOSE and is never 0', () => {
    const wires = codes.map((code) => ERROR_TABLE[code].wire as number)
    expect(new Set(wires).size).toBe(codes.length)
    for (const wire of wires) expect(wire > 0 && wire <= 0xffff).toBe(true)
    for (const code of codes) expect(errorCodeFromWire(ERROR_TABLE[code].wire)).toBe(code)
  })

  test('knows no code behind other numbers, such as those of a newer peer', () => {
    for (const wire of [0, 9999, -1, 1.5, Number.NaN]) expect(errorCodeFromWire(wire)).toBe(null)
  })

  test('keeps the exit codes that scripts rely on', () => {
    const exits = Object.fromEntries(codes.map((code) => [code, ERROR_TABLE[code].exit]))
    expect(exits).toMatchObject({
      internal: 1,
      usage: 2,
      conflict: 3,
      rejected: 3,
      declined: 3,
      auth_failed: 4,
      token_burned: 4,
      port_in_use: 5,
      nobody_came: 5,
      connection_lost: 5,
      record_invalid: 6,
      digest_mismatch: 6,
      disk_full: 7,
      target_read_only: 7,
      partial: 8,
      interrupted: 130,
      terminated: 143,
    })
    for (const code of codes) expect([1, 2, 3, 4, 5, 6, 7, 8, 130, 143]).toContain(ERROR_TABLE[code].exit)
  })
})

describe('SealiftError', () => {
  test('answers from the table, and from what one case says of itself', () => {
    const error = new SealiftError('disk_full', 'no room', { hint: 'make some', transferId: 'id', cause: 'why' })
    expect(error).toMatchObject({ exitCode: 7, wireCode: 70, retryable: true, hint: 'make some', transferId: 'id' })
    expect(error.cause).toBe('why')
    expect(error.name).toBe('SealiftError')
    expect(new SealiftError('disk_full', 'never again', { retryable: false }).retryable).toBe(false)
    expect(new SealiftError('usage', 'x').hint).toBe(undefined)
  })

  test('is what every thrown value becomes', () => {
    const own = new SealiftError('usage', 'x')
    expect(toSealiftError(own)).toBe(own)
    const fault = new TypeError('undefined is no function')
    expect(toSealiftError(fault)).toMatchObject({ code: 'internal', message: fault.message, cause: fault })
    for (const thrown of ['text', 7, null, undefined, { a: 1 }]) expect(toSealiftError(thrown).code).toBe('internal')
  })
})
