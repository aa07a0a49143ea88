import { describe, expect, test } from 'vitest'
import { displayWidth } from '../../../src/cli/columns.ts'
import { formatDuration, formatPlace, layoutLine, type LineState } from '../../../src/cli/progress-layout.ts'
import type { ProgressEvent } from '../../../src/transfer/events.ts'
import type { WaitReason } from '../../../src/transfer/waiting.ts'

const MIB = 1 << 20

const progress = (fields: Partial<ProgressEvent> = {}): ProgressEvent => ({
  event: 'progress',
  transferId: 'x',
  bytesDone: 18 * MIB,
  bytesTotal: 47.7 * MIB,
  filesDone: 12,
  filesTotal: 812,
  bytesPerSecond: 9.7 * MIB,
  ...fields,
})
const state = (fields: Partial<LineState> = {}): LineState => ({
  role: 'sender',
  progress: progress(),
  waiting: null,
  isStopping: false,
  secondsLeft: 185,
  elapsedSeconds: 12,
  limitedBy: null,
  ...fields,
})
const waiting = (reason: WaitReason, fields: Partial<LineState> = {}): LineState =>
  state({ waiting: { reason, forMs: 12_000, remainingMs: 271_000, place: 3 }, ...fields })
const huge = progress({
  bytesDone: 1000.1 * 1024 ** 3,
  bytesTotal: 1023.9 * 1024 ** 3,
  filesDone: 999_999,
  filesTotal: 1_000_000,
  bytesPerSecond: 1023.9 * MIB,
})
const REASONS: readonly WaitReason[] = [
  'receiver',
  'return',
  'answer',
  'queue',
  'connecting',
  'retry',
  'offer',
  'network',
  'peer',
  'disk',
]

describe('the progress line', () => {
  test('says all of it where there is room, and drops what matters least where there is not', () => {
    expect(layoutLine(state(), 120)).toBe(
      '█████████░░░░░░░░░░░░░░░   37%  18.0 of 47.7 MiB  12/812 files   9.7 MiB/s  3 min 5 s left',
    )
    expect(layoutLine(state(), 80)).toBe(
      '████░░░░░░░░░   37%  18.0 of 47.7 MiB  12/812 files   9.7 MiB/s  3 min 5 s left',
    )
    expect(layoutLine(state(), 60)).toBe(' 37%  18.0 of 47.7 MiB   9.7 MiB/s  3 min 5 s left')
    expect(layoutLine(state(), 40)).toBe(' 37%  18.0 of 47.7 MiB  3 min 5 s left')
    expect(layoutLine(state(), 20)).toBe(' 37%  3 min 5 s')
    expect(layoutLine(state(), 8)).toBe('37%')
    expect(layoutLine(state(), 2)).toBe('')
  })

  test('leaves a column free at every width, whatever it says', () => {
    const states = [
      state(),
      state({ limitedBy: '--bwlimit' }),
      state({ isStopping: true }),
      state({ progress: huge, secondsLeft: 86_000 }),
      state({ progress: huge, secondsLeft: null }),
      state({ progress: progress({ bytesTotal: null, filesTotal: null }) }),
      state({ progress: progress({ bytesDone: 47.7 * MIB }) }),
      ...REASONS.flatMap((reason) => [
        waiting(reason),
        waiting(reason, { role: 'receiver', progress: huge }),
        waiting(reason, { progress: null }),
        waiting(reason, { progress: progress({ bytesTotal: null, filesTotal: null }) }),
      ]),
    ]
    for (const each of states)
      for (let columns = 1; columns <= 200; columns++) {
        const line = layoutLine(each, columns)
        expect(displayWidth(line)).toBeLessThan(columns)
        expect(line).not.toMatch(/\n|undefined|NaN/)
        if (columns >= 40) expect(line).not.toBe('')
      }
  })

  test('keeps percent, bytes and time left at 40 columns, and percent and time left at 20', () => {
    for (const each of [state(), state({ limitedBy: '--bwlimit' }), state({ progress: huge, secondsLeft: 86_000 })]) {
      expect(layoutLine(each, 40)).toMatch(/^ ?\d+% {2}[\d.]+ of [\d.]+ \wiB {2}\d+ (min|h) \d+ (s|min)( left)?$/)
      expect(layoutLine(each, 20)).toMatch(/^ ?\d+% {2}\d+ (min|h) \d+ (s|min)$/)
    }
  })

  test('does not jump while the numbers grow', () => {
    const at = (bytesDone: number, filesDone: number): number =>
      layoutLine(state({ progress: progress({ bytesDone, filesDone }), secondsLeft: null }), 120).indexOf('MiB')
    expect(new Set([at(0, 0), at(MIB, 9), at(40 * MIB, 100), at(47.6 * MIB, 811)]).size).toBe(1)
  })

  test('is at 100 % only at the end, and says then what is left to do', () => {
    expect(layoutLine(state({ progress: progress({ bytesDone: 47.7 * MIB - 1 }) }), 80)).toMatch(/ 99%/)
    const whole = progress({ bytesDone: 47.7 * MIB })
    expect(layoutLine(state({ progress: whole }), 80)).toMatch(/ 100%.*finishing: the receiver syncs its disk$/)
    expect(layoutLine(state({ progress: whole, role: 'receiver' }), 80)).toMatch(/finishing: syncing the disk$/)
    expect(layoutLine(waiting('return', { progress: whole }), 100)).toMatch(/waiting for the receiver to come back/)
    expect(layoutLine(state({ progress: progress({ bytesDone: 0, bytesTotal: 0 }) }), 80)).toMatch(/ 100%/)
  })

  test('says that it stops, and how to stop it at once', () => {
    for (const each of [state({ isStopping: true }), waiting('receiver', { isStopping: true, progress: null })]) {
      expect(layoutLine(each, 80)).toBe('Stopping; Ctrl-C once more ends it at once')
      expect(layoutLine(each, 40)).toBe('Stopping')
    }
  })

  test('of standard input has no percent', () => {
    const pipe = progress({ bytesTotal: null, filesTotal: 1 })
    expect(layoutLine(state({ progress: pipe }), 80)).toBe('  18.0 MiB   9.7 MiB/s  12 s')
    expect(layoutLine(waiting('network', { progress: pipe }), 40)).toBe('  18.0 MiB  no answer for 12 s')
  })

  test('says what limits it', () => {
    expect(layoutLine(state({ limitedBy: '--bwlimit' }), 140)).toMatch(/9\.7 MiB\/s, limited by --bwlimit/)
    expect(layoutLine(state({ limitedBy: '--bwlimit', progress: progress({ filesTotal: 1 }) }), 80)).toMatch(
      /9\.7 MiB\/s \(--bwlimit\)/,
    )
    expect(layoutLine(state({ limitedBy: 'the receiver' }), 140)).toMatch(/9\.7 MiB\/s, limited by the receiver/)
    expect(layoutLine(state(), 140)).not.toMatch(/bwlimit|limited/)
  })

  test.each([
    ['receiver', 'sender', 'Waiting for the receiver, 4 min 31 s left'],
    ['return', 'sender', 'Waiting for the receiver to come back, 4 min 31 s left'],
    ['answer', 'sender', 'Waiting for the receiver to accept'],
    ['connecting', 'receiver', 'Connecting, 12 s now'],
    ['queue', 'sender', '3rd in line at the receiver, 12 s now'],
    ['retry', 'receiver', 'Connecting again in 4 min 31 s'],
    ['offer', 'receiver', 'Waiting for the list of files'],
    ['network', 'sender', 'No answer from the receiver for 12 s'],
    ['network', 'receiver', 'No answer from the sender for 12 s'],
    ['peer', 'sender', 'The receiver is slow to save, 12 s now'],
    ['peer', 'receiver', 'The sender is slow to read, 12 s now'],
    ['disk', 'sender', 'This disk is slow to read, 12 s now'],
    ['disk', 'receiver', 'This disk is slow to save, 12 s now'],
  ] as const)('says that it waits (%s, %s)', (reason, role, text) => {
    expect(layoutLine(waiting(reason, { role, progress: null }), 80)).toBe(text)
    const later = layoutLine(waiting(reason, { role }), 120)
    expect(later).toContain(' 37%')
    expect(later).toContain(text.slice(1))
    expect(later).not.toMatch(/MiB\/s/)
  })

  test('counts places in line as people do', () => {
    const places = [1, 2, 3, 4, 10, 11, 12, 13, 21, 22, 101, 111, 1003, 1000].map(formatPlace)
    const told = '1st 2nd 3rd 4th 10th 11th 12th 13th 21st 22nd 101st 111th 1,003rd 1,000th'
    expect(places.join(' ')).toBe(told)
  })

  test('does not flicker for what passes at once', () => {
    for (const reason of ['answer', 'connecting', 'retry', 'offer'] as const) {
      const short = { waiting: { reason, forMs: 50, remainingMs: null } }
      expect(layoutLine(state({ ...short, progress: null }), 80)).toBe('')
      expect(layoutLine(state(short), 80)).toBe(layoutLine(state(), 80))
    }
  })
})

describe('durations', () => {
  test.each([
    [0, '1 s'],
    [59.4, '59 s'],
    [61, '1 min'],
    [185, '3 min 5 s'],
    [183, '3 min 5 s'],
    [599, '10 min'],
    [3570, '1 h'],
    [7800, '2 h 10 min'],
    [86_399, '1 day'],
    [1_000_000, '12 days'],
  ])('%d s are %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })

  test('count down second by second', () => {
    expect([300, 299, 271, 60, 59].map((seconds) => formatDuration(seconds, true))).toEqual([
      '5 min',
      '4 min 59 s',
      '4 min 31 s',
      '1 min',
      '59 s',
    ])
  })
})
