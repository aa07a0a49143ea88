import { describe, expect, test } from 'vitest'
import { conflictQuestion, entryLines, offerLines } from '../../../src/cli/offer-view.ts'
import { planReceive } from '../../../src/files/conflicts.ts'
import { surveyTarget } from '../../../src/files/target-survey.ts'
import { listOffer } from '../../../src/library/offer-listing.ts'
import type { IncomingOffer } from '../../../src/library/options.ts'
import type { ConflictPolicy } from '../../../src/protocol/choices.ts'
import { makePlace, manifestOf, MTIME_NS, plant, type Tree } from '../files/tree-place.ts'

function offerOf(incoming: Tree, there: Tree = {}, policy: ConflictPolicy = 'auto'): IncomingOffer {
  const outputDir = makePlace()
  plant(outputDir, there)
  const manifest = manifestOf(incoming)
  const survey = surveyTarget(manifest, outputDir)
  const plan = planReceive(manifest, survey, policy)
  return {
    ...listOffer(manifest, survey, plan),
    transferId: '',
    from: 'alpha',
    identity: null,
    peer: '10.0.0.1',
    files: manifest.fileCount,
    bytes: manifest.totalBytes,
    kind: 'files',
    outputDir,
    savedAs: plan.roots.map(({ savedAs }) => savedAs),
    freeBytes: 2 ** 30,
  }
}

interface Looked {
  readonly columns?: number
  readonly asks?: boolean
}

function view(offer: IncomingOffer, { columns = 80, asks = false }: Looked = {}): { lines: string[]; isCut: boolean } {
  const plain = (text: string): string => text
  return offerLines(offer, {
    columns,
    currentFolder: offer.outputDir,
    asksAboutConflicts: asks,
    strong: plain,
    caution: plain,
  })
}

const crowd = (name: string, count: number, text = '1'): Tree =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${name}${String(at).padStart(3, '0')}`, text]))

describe('what a receiver is shown', () => {
  test('is one line and the target, where there is little', () => {
    const offer = offerOf({ project: { folder: { 'README.md': '12', src: { folder: { a: '1', b: '1' } } } } })
    expect(view(offer)).toEqual({
      lines: ['3 files, 4 bytes from alpha (10.0.0.1): README.md  src/ (2 files)', 'into ./project (1.0 GiB free)'],
      isCut: true,
    })
  })

  test('is the size of a text and not its name, which it does not get', () => {
    const lines = ['A text, 2 bytes, from alpha (10.0.0.1).']
    expect(view({ ...offerOf({ 'text.txt': 'ab' }), kind: 'text' })).toEqual({ lines, isCut: false })
  })

  test('is the file and no folder, where it goes to an output', () => {
    const offer: IncomingOffer = { ...offerOf({ 'a.tar': 'ab' }), kind: 'output', savedAs: [], freeBytes: null }
    expect(view(offer).lines).toEqual(['1 file, 2 bytes from alpha (10.0.0.1): a.tar', 'into standard output'])
  })

  test('says who sends by what Tailscale knows, where it does', () => {
    const offer = { ...offerOf({ a: '1' }), from: 'mallory', identity: 'alpha (ana@example.com)' }
    expect(view(offer).lines[0]).toBe('1 file, 1 byte from alpha (ana@example.com): a')
  })

  test('has what is hidden and what can be run first, and called so', () => {
    const offer = offerOf({
      project: {
        folder: {
          'a.txt': '1',
          '.env': '1',
          bin: { folder: { run: { text: '1', mode: 0o755 } } },
          '.git': { folder: crowd('o', 30) },
        },
      },
    })
    expect(view(offer).lines).toEqual([
      '33 files, 33 bytes from alpha (10.0.0.1):',
      '  hidden: .env  .git/ (30 files)',
      '  executable: bin/run',
      '  a.txt  bin/run',
      'into ./project (1.0 GiB free)',
    ])
  })

  test('names a hidden root in full', () => {
    const offer = offerOf({ '.ssh': { folder: { authorized_keys: '1', config: '1' } } })
    expect(view(offer).lines.slice(1, 2)).toEqual(['  hidden: .ssh/ (2 files)'])
    expect(view(offerOf({ '.ssh': { folder: { authorized_keys: '1' } } })).lines[1]).toBe(
      '  hidden: .ssh/authorized_keys',
    )
  })

  test('is cut with a count where there is much, on few lines of any width', () => {
    const offer = offerOf({ ...crowd('.h', 200), ...crowd('name-', 300) })
    for (const columns of [40, 80, 200]) {
      const { lines, isCut } = view(offer, { columns })
      expect(isCut).toBe(true)
      expect(lines.length).toBeLessThanOrEqual(9)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
      expect(lines.join('\n')).toMatch(/hidden: \.h000 .*and 1\d\d more/s)
      expect(lines.join('\n')).toMatch(/name-000 .*and 2\d\d more/s)
    }
  })

  test.each([
    ['of 200 columns', 'n'.repeat(200), /nnn…nnn/],
    ['with controls', 'red\u001b[31m\r\u0007', /red\\x1b\[31m\\x0d\\x07/],
    ['with a turned direction', 'cod\u202egpj.exe', /cod\\u\{202e\}gpj\.exe/],
    ['with zero width', 'a\u200bb\ufeff', /a\\u\{200b\}b\\u\{feff\}/],
    ['with words of the list', 'x  and 3 more', /'x {2}and 3 more'/],
    ['of wide characters', '漢'.repeat(80), /漢…漢/],
  ])('a name %s stays on its line, and changes nothing else', (_, name, expected) => {
    const offer = { ...offerOf({ [name]: '1', b: '1' }), from: name, peer: name }
    for (const columns of [40, 80]) {
      const { lines } = view(offer, { columns })
      expect(lines.join('\n')).toMatch(expected)
      expect(lines.join('\n')).not.toMatch(
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/,
      )
      const widest = Math.max(...lines.slice(-2).map((line) => line.length))
      expect(widest).toBeLessThanOrEqual(columns)
    }
  })

  test('says what is replaced by name, what stays, what is there already and what cannot be saved', () => {
    const incoming: Tree = { p: { folder: { a: 'new', b: 'new', c: 'new', d: 'same' } } }
    const there: Tree = { p: { folder: { a: 'mine', b: 'mine', c: { folder: {} }, d: 'same' } } }
    expect(view(offerOf(incoming, there, 'overwrite')).lines.slice(1)).toEqual([
      'into ./p (1.0 GiB free)',
      '  will be replaced: a  b',
      'There already, unchanged, and so not sent: 1 file.',
      'Cannot be saved, as something is in the way: 1 file.',
    ])
    expect(view(offerOf(incoming, there, 'skip')).lines.slice(1)).toEqual([
      'into ./p (1.0 GiB free)',
      'There already, unchanged, and so not sent: 1 file.',
      'Left as they are here, and so not sent: 3 files.',
    ])
    expect(view(offerOf(incoming, there)).lines.slice(1)).toEqual([
      "into './p (1)' (1.0 GiB free)",
      "Saved beside what is there: p as 'p (1)'.",
    ])
  })
})

describe('what differs', () => {
  const EARLIER = MTIME_NS - 86_400_000_000_000n
  const LATER = MTIME_NS + 86_400_000_000_000n
  const incoming: Tree = { 'notes.txt': 'theirs' }

  test('is named with size and time of both, and each answer says what it does', () => {
    const offer = offerOf(incoming, { 'notes.txt': { text: 'mine', mtimeNs: LATER } })
    expect(view(offer, { asks: true }).lines).toEqual([
      '1 file, 6 bytes from alpha (10.0.0.1): notes.txt',
      'into ./notes.txt (1.0 GiB free)',
    ])
    const { lines, isCut } = conflictQuestion(offer, 120)
    expect(lines).toEqual([
      'There already, and different: 1 file.',
      expect.stringMatching(
        /^ {2}notes\.txt: theirs 6 bytes, \d{4}-\d\d-\d\d \d\d:\d\d; yours 4 bytes, \d{4}-\d\d-\d\d \d\d:\d\d, newer$/,
      ),
      "  k  keeps both: what comes is saved as 'notes (1).txt'",
      '  o  overwrites 1 file of yours',
      '  l  leaves yours as they are, and takes the rest',
      '  s  stops: nothing is received',
    ])
    expect(isCut).toBe(false)
  })

  test('offers to take only what is newer where that is something else than all or nothing', () => {
    const both: Tree = { a: { text: '1', mtimeNs: EARLIER }, b: { text: '1', mtimeNs: LATER }, c: { folder: {} } }
    const { lines } = conflictQuestion(offerOf({ a: 'new', b: 'new', c: 'new' }, both), 120)
    expect(lines).toContain('  o  overwrites 2 files of yours; 1 cannot be replaced, and will fail')
    expect(lines).toContain('  u  overwrites only what is older: 1 file; 1 cannot be replaced, and will fail')
    expect(lines).toContain('  k  keeps both: what comes gets another name')
    expect(lines.some((line) => line.includes('c: theirs') && line.includes('yours a folder'))).toBe(true)
  })

  test('stays short however much it is, and on narrow terminals', () => {
    const offer = offerOf(crowd('x'.repeat(150), 300), crowd('x'.repeat(150), 300, 'mine'))
    const { lines, isCut } = conflictQuestion(offer, 40)
    expect(isCut).toBe(true)
    expect(lines).toContain('  and 295 more (? shows all)')
    expect(lines.length).toBeLessThan(30)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(40)
  })
})

test('the whole list has every file and link with its size, and what is to be known of it', () => {
  const offer = offerOf(
    { p: { folder: { a: 'new', '.b': { text: '1', mode: 0o755 }, l: { link: 'a' }, d: { folder: {} } } } },
    { p: { folder: { a: 'mine' } } },
    'overwrite',
  )
  expect([...entryLines(offer)].map((line) => line.trim())).toEqual([
    '1 byte  p/.b  (executable)',
    '3 bytes  p/a  (replaces yours)',
    'link  p/l',
  ])
})
