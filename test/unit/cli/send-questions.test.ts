import { describe, expect, test } from 'vitest'
import { displayWidth, wrapWords } from '../../../src/cli/columns.ts'
import { leaveOutQuestion, type LeftOut } from '../../../src/cli/send-questions.ts'

const MIB = 1024 * 1024
const one = (path: string, files = 1, bytes = MIB): LeftOut => ({ path, files, bytes })

describe('the question what to leave out', () => {
  test('names what was found, inside the one path that is sent, with count and size', () => {
    expect(leaveOutQuestion([one('project/.venv', 4120, 310 * MIB)], true, 80)).toBe(
      'Leave out .venv (4,120 files, 310.0 MiB)?',
    )
    expect(leaveOutQuestion([one('a/.venv')], false, 80)).toBe('Leave out a/.venv (1 file, 1.0 MiB)?')
  })

  test('names the largest and counts the rest, where it is much', () => {
    const found = [
      one('p/a/__pycache__', 3, 10),
      ...Array.from({ length: 12 }, (_, at) => one(`p/m${at}/__pycache__`, 1, 1)),
      one('p/.venv', 4120, 310 * MIB),
    ]
    expect(leaveOutQuestion(found, true, 80)).toBe(
      'Leave out .venv (4,120 files, 310.0 MiB), a/__pycache__ (3 files, 10 bytes) and 12 more (4,135 files, 310.0 MiB in all)?',
    )
  })

  test.each([40, 60, 80, 200])('goes on two lines of %i columns, or names no more than one', (columns) => {
    const found = Array.from({ length: 20 }, (_, at) =>
      one(`project/folder-${at}/${'n'.repeat(at * 10)}/.venv`, 1, 20 - at),
    )
    const text = leaveOutQuestion(found, true, columns)
    const lines = wrapWords(`${text} [Y/n]`, columns).split('\n')
    for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns)
    if (lines.length > 2) expect(text).toMatch(/^Leave out \S+ \([^)]*\) and 19 more/)
    expect(text).toMatch(/ and 1\d more \(20 files, 210 bytes in all\)\?$/)
  })

  test('escapes and cuts names', () => {
    const text = leaveOutQuestion([one(`p/\u001b[2J${'x'.repeat(300)}`)], true, 80)
    expect(text).toMatch(/^Leave out \\x1b\[2Jx+…x+ \(1 file, 1\.0 MiB\)\?$/)
    expect(text.length).toBeLessThan(80)
  })
})
