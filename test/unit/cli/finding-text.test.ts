import { describe, expect, test } from 'vitest'
import { findingLines } from '../../../src/cli/finding-text.ts'
import { finding, problem } from '../../../src/library/doctor/finding.ts'

const plain = (text: string): string => text
const FOUND = problem(
  'ledger',
  'ledger_unavailable',
  'others may read or write the ledger: /home/a-user-with-a-long-name/.local/share/sealift/ledger.db',
  'Until this is mended nothing can be sent or received.',
  {
    advice:
      "Close it to them, if you trust what is in it:\n  chmod 600 '/home/a-user-with-a-long-name/x'\nor choose another",
  },
)

describe('a finding', () => {
  test('at 80 columns', () => {
    expect(findingLines(FOUND, 80, plain)).toEqual([
      ' PROBLEM  others may read or write the ledger:',
      '          /home/a-user-with-a-long-name/.local/share/sealift/ledger.db',
      '          Until this is mended nothing can be sent or received.',
      '          > Close it to them, if you trust what is in it:',
      "              chmod 600 '/home/a-user-with-a-long-name/x'",
      '            or choose another',
    ])
  })

  test('at 40 columns: words stay whole, and so do commands', () => {
    const lines = findingLines(FOUND, 40, plain)
    expect(lines.slice(0, 5)).toEqual([
      ' PROBLEM  others may read or write the',
      '          ledger:',
      '          /home/a-user-with-a-long-name/.local/share/sealift/ledger.db',
      '          Until this is mended nothing',
      '          can be sent or received.',
    ])
    const command = "              chmod 600 '/home/a-user-with-a-long-name/x'"
    expect(lines).toContain(command)
    for (const line of lines) expect(line.length <= 40 || line === command || /^ *\S+$/.test(line)).toBe(true)
  })

  test('wide letters take two columns', () => {
    const lines = findingLines(finding('disk', 'ok', '\u65e5\u672c\u8a9e '.repeat(8).trim(), 'Fine.'), 40, plain)
    expect(lines[0]).toBe(` ok       ${'\u65e5\u672c\u8a9e '.repeat(4).trim()}`)
  })

  test('a number is not parted from its unit', () => {
    const speed = finding('processor', 'ok', 'AES-256-GCM, SHA-256 1.5 GiB/s', 'In 10 s.')
    expect(findingLines(speed, 40, plain)[1]).toBe('          1.5 GiB/s')
  })

  test('on a terminal narrower or wider than anyone reads', () => {
    expect(findingLines(FOUND, 3, plain)).toEqual(findingLines(FOUND, 40, plain))
    expect(findingLines(FOUND, 500, plain)).toEqual(findingLines(FOUND, 100, plain))
  })

  test('stands out only where it is grave', () => {
    const bold = (text: string): string => `*${text}*`
    expect(findingLines(FOUND, 80, bold)[0]).toMatch(/^ \*PROBLEM {2}\*/)
    expect(findingLines(finding('clock', 'note', 'late', 'Late.'), 80, bold)).toEqual([
      ' note     late',
      '          Late.',
    ])
  })

  test('draws nothing on the terminal', () => {
    const hostile = finding('disk', 'ok', 'a\u001b[2Jb\nc', 'd\u202ee.', { advice: '  rm \u0007' })
    expect(findingLines(hostile, 80, plain).join('')).not.toMatch(/[\u0000-\u001f\u202e]/)
  })
})
