/** The bounds of the doctor: a check that fails, hangs or is stopped never takes the others with it. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { diagnose } from '../../../src/library/diagnose.ts'
import { runCheck } from '../../../src/library/doctor/check-run.ts'
import { type Check, Examination } from '../../../src/library/doctor/checks.ts'
import { type Finding, finding } from '../../../src/library/doctor/finding.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { collected } from '../../rigs/collected.ts'

const signal = new AbortController().signal
const examination = new Examination({ outputDir: '/', port: 1, env: {} }, signal)
const FINE = finding('disk', 'ok', 'fine', 'fine')
const never = new Promise<never>(() => undefined)

async function run(check: Check['run'], stop = signal, timeoutMs = 30): Promise<Finding[]> {
  return collected(runCheck({ name: 'disk', run: check }, examination, stop, timeoutMs))
}

describe('a check', () => {
  test('that ends', async () => {
    expect(
      await run(async function* () {
        yield FINE
        yield FINE
      }),
    ).toEqual([FINE, FINE])
  })

  test('that throws is a finding', async () => {
    const findings = await run(async function* () {
      yield FINE
      throw new TypeError('x is not a function')
    })
    expect(findings).toMatchObject([
      FINE,
      { check: 'disk', status: 'warning', what: 'could not be checked: x is not a function' },
    ])
  })

  test('that hangs is a finding, is told to stop, and its clearing up is not waited for', async () => {
    let told = false
    const findings = await run(async function* (_examination, stop) {
      stop.addEventListener('abort', () => (told = true))
      yield FINE
      await never
    })
    expect(findings).toMatchObject([FINE, { status: 'warning', what: 'no answer within 0.03 s' }])
    expect(told).toBe(true)
  })

  test('that is stopped ends at once, with the reason', async () => {
    const stop = new AbortController()
    const ended = run(
      async function* () {
        yield FINE
        queueMicrotask(() => stop.abort(new SealiftError('terminated', 'stopped')))
        await never
      },
      stop.signal,
      60_000,
    )
    await expect(ended).rejects.toMatchObject({ code: 'terminated' })
    const late = run(async function* () {
      yield FINE
    }, AbortSignal.abort())
    await expect(late).rejects.toMatchObject({ code: 'interrupted' })
  })

  test('is ended when nobody listens any more', async () => {
    let cleared = false
    for await (const _found of runCheck(
      {
        name: 'disk',
        async *run() {
          try {
            yield FINE
            yield FINE
          } finally {
            cleared = true
          }
        },
      },
      examination,
      signal,
      1000,
    )) {
      break
    }
    expect(cleared).toBe(true)
  })
})

describe('the whole', () => {
  function makePlace(): string {
    const place = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'sealift-doctor-')))
    onTestFinished(() => fs.rmSync(place, { recursive: true, force: true }))
    return place
  }

  test('goes through every check in order and leaves nothing behind', async () => {
    const place = makePlace()
    const ledgerPath = join(place, 'data', 'ledger.db')
    const findings = await collected(diagnose({ outputDir: place, ledgerPath, port: 0 }))
    expect([...new Set(findings.map(({ check }) => check))]).toEqual([
      'runtime',
      'processor',
      'tailscale',
      'address',
      'port',
      'ledger',
      'disk',
      'clock',
      'terminal',
    ])
    for (const { what, meaning, status, code } of findings) {
      expect([what, meaning]).toEqual([expect.stringMatching(/^[^\n]+[^.\n]$/), expect.stringMatching(/^[^\n]+\.$/)])
      expect(code === null).toBe(status !== 'problem')
    }
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('stopped in the middle of trying out the disk', async () => {
    const place = makePlace()
    const stop = new AbortController()
    const seen: string[] = []
    const ended = (async () => {
      for await (const { what } of diagnose({
        outputDir: place,
        ledgerPath: join(place, 'l.db'),
        signal: stop.signal,
      })) {
        seen.push(what)
        if (what.includes('every name')) {
          expect(fs.readdirSync(place)).toHaveLength(1)
          stop.abort()
        }
      }
    })()
    await expect(ended).rejects.toMatchObject({ code: 'interrupted' })
    expect(seen.at(-1)).toMatch('every name')
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('a reader that goes away', async () => {
    const place = makePlace()
    for await (const { what } of diagnose({ outputDir: place, ledgerPath: join(place, 'l.db') })) {
      if (what.includes('every name')) break
    }
    expect(fs.readdirSync(place)).toEqual([])
  })

  test('a ledger that cannot be named is a finding', async () => {
    const findings = await collected(diagnose({ outputDir: makePlace(), ledgerPath: 'a\0b', port: 0 }))
    expect(findings.find(({ check }) => check === 'ledger')).toMatchObject({
      status: 'problem',
      code: 'settings_invalid',
    })
  })
})
