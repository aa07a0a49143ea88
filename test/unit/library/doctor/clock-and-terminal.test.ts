import { describe, expect, test } from 'vitest'
import { judgeClock, judgeDiskClock, NOT_BEFORE_MS, readClock } from '../../../../src/library/doctor/clock-check.ts'
import { judgeTerminal, readTerminal, type TerminalFacts } from '../../../../src/library/doctor/terminal-check.ts'

describe('the clock', () => {
  const nowMs = Date.UTC(2027, 2, 4, 5, 6, 7, 890)

  test('is right, as far as can be seen', () => {
    expect(judgeClock({ nowMs, isSynchronized: true })).toMatchObject([{ status: 'ok', what: '2027-03-04T05:06:07Z' }])
    expect(judgeClock({ nowMs, isSynchronized: null })[0]?.status).toBe('ok')
  })

  test('is not kept right by the network', () => {
    expect(judgeClock({ nowMs, isSynchronized: false })).toMatchObject([
      { status: 'note', advice: expect.stringMatching('set-ntp') },
    ])
  })

  test('cannot be right', () => {
    expect(judgeClock({ nowMs: 0, isSynchronized: true })[0]?.status).toBe('warning')
    expect(judgeClock({ nowMs: NOT_BEFORE_MS - 1, isSynchronized: true })[0]?.status).toBe('warning')
    expect(judgeClock({ nowMs: Date.UTC(2099, 0, 1), isSynchronized: null })[0]?.status).toBe('warning')
    expect(Date.now()).toBeGreaterThan(NOT_BEFORE_MS)
  })

  test('of a disk may differ a little', () => {
    expect(judgeDiskClock(-2000)).toEqual([])
    expect(judgeDiskClock(61_000)).toMatchObject([
      { status: 'warning', what: 'the clock of the disk is 61 s ahead', details: { diskAheadMs: 61_000 } },
    ])
  })

  test('of this machine; a stopped question is no answer', async () => {
    expect(Math.abs((await readClock(new AbortController().signal)).nowMs - Date.now())).toBeLessThan(5000)
    expect((await readClock(AbortSignal.abort())).isSynchronized).toBeNull()
  })
})

describe('the terminal', () => {
  const GOOD: TerminalFacts = {
    inputIsTerminal: true,
    outputIsTerminal: true,
    columns: 80,
    isDumb: false,
    showsUnicode: true,
  }
  const judged = (facts: Partial<TerminalFacts>) => judgeTerminal({ ...GOOD, ...facts })[0]

  test('that shows everything', () => {
    expect(judged({})).toMatchObject({
      status: 'ok',
      what: 'terminal, 80 columns, UTF-8',
      meaning: 'Questions are asked.',
    })
  })

  test('none: no question, no progress line', () => {
    const found = judged({ inputIsTerminal: false, outputIsTerminal: false, columns: null, showsUnicode: false })
    expect(found).toMatchObject({ status: 'ok', what: 'no terminal, no UTF-8' })
    expect(found?.meaning).toMatch(/No question is asked.*No progress line/)
    expect(judged({ isDumb: true })?.meaning).toMatch('No progress line')
    expect(judged({ inputIsTerminal: false })?.meaning).toMatch('No question')
  })

  test('that cannot show all letters', () => {
    expect(judged({ showsUnicode: false })).toMatchObject({ status: 'note', advice: expect.stringMatching('C.UTF-8') })
  })

  test.each([
    [{ LANG: 'de_DE.UTF-8' }, true],
    [{ LC_ALL: 'C', LANG: 'de_DE.UTF-8' }, false],
    [{ LC_ALL: '', LC_CTYPE: 'C.utf8' }, true],
    [{}, false],
  ])('locale of %j', (env, shows) => {
    expect(readTerminal(env, 'linux').showsUnicode).toBe(shows)
    expect(readTerminal(env, 'darwin').showsUnicode).toBeNull()
  })
})
