/** The documents agree with the sources: links, made parts, events, exit codes, message numbers, limits of the wire. */

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { readConstants, staleDocuments } from '../../scripts/docs.ts'
import { SERVER_SETTINGS } from '../../src/config/server-settings.ts'
import { ERROR_TABLE } from '../../src/protocol/errors.ts'
import { MESSAGE } from '../../src/protocol/messages.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const DOCUMENTS = [...globSync('*.md', { cwd: root }), ...globSync('docs/**/*.md', { cwd: root })].map((file) =>
  file.replaceAll('\\', '/'),
)

/** Rows of the table below a heading, as cells. */
function tableBelow(text: string, heading: string): string[][] {
  const [, below = ''] = text.split(`\n${heading}\n`)
  const rows = below.split('\n').slice(below.split('\n').findIndex((line) => line.startsWith('|')))
  const table = rows.slice(
    0,
    rows.findIndex((line) => !line.startsWith('|')),
  )
  return table.slice(2).map((row) =>
    row
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  )
}

const namesIn = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name ?? '')

/** The anchors that a document's headings make, as the common viewers do. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replace(/```[\s\S]*?```/g, '').matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

describe('links', () => {
  test.each(DOCUMENTS)('of %s lead somewhere', (document) => {
    const prose = read(document)
      .replace(/```[\s\S]*?```/g, '')
      .replace(/`[^`\n]*`/g, '')
    const broken = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^(https?|mailto):/.test(link)) return []
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? document : posix.join(dirname(document), path)
      const found = globSync(target, { cwd: root }).length > 0
      return found && (anchor === undefined || anchorsOf(read(target)).has(anchor)) ? [] : [link]
    })
    expect(broken).toEqual([])
  })

  test('the files that documents name are there', () => {
    const missing = DOCUMENTS.flatMap((document) =>
      [...read(document).matchAll(/`((?:src|test|scripts|docs)\/[\w./-]+\.\w+)`/g)]
        .map(([, file]) => file ?? '')
        .filter((file) => globSync(file, { cwd: root }).length === 0)
        .map((file) => `${document}: ${file}`),
    )
    expect(missing).toEqual([])
  })
})

describe('what is made from the sources', () => {
  test('is up to date', () => {
    expect([...staleDocuments().keys()]).toEqual([])
  })

  test('constants are read as the engine reads them', () => {
    const source =
      '/** Why. */\nexport const A_BYTES = 1 << 10\nconst B_MS = 7 * 24 * 3_600\nexport const C = A_BYTES + 64 + 16\nconst D = 2 ** 3\n'
    expect(readConstants(source)).toEqual([
      { name: 'A_BYTES', value: 1024, comment: 'Why.' },
      { name: 'B_MS', value: 604_800, comment: '' },
      { name: 'C', value: 1104, comment: '' },
    ])
  })
})

describe('docs/cli.md', () => {
  const cli = read('docs/cli.md')
  const documented = new Map(
    tableBelow(cli, '## Events of --json').map(([event, fields]) => [namesIn(event)[0], namesIn(fields)]),
  )

  test('names every event that is emitted, and no other', () => {
    const sources = globSync('src/{transfer,library,cli}/**/*.ts', { cwd: root }).map((file) => read(file))
    const emitted = new Set(
      sources.flatMap((source) => [...source.matchAll(/\bevent: '(\w+)'/g)].map(([, name]) => name)),
    )
    expect([...documented.keys()].sort()).toEqual([...emitted].sort())
  })

  test('has the fields of each event of a transfer, in order', () => {
    const source = read('src/transfer/events.ts')
    const interfaces = [...source.matchAll(/export interface \w+Event \{([^}]*)\}/g)]
    expect(interfaces.length).toBeGreaterThan(7)
    for (const [, body = ''] of interfaces) {
      const fields = [...body.matchAll(/readonly (\w+):/g)].map(([, name]) => name ?? '').slice(1)
      const name = /event: '(\w+)'/.exec(body)?.[1]
      expect({ name, fields: documented.get(name) }).toEqual({ name, fields })
    }
  })

  test.each([
    ['check', 'src/cli/commands/doctor.ts'],
    ['transfer', 'src/cli/commands/status.ts'],
    ['error', 'src/cli/output.ts'],
  ])('has the fields of %s', (name, file) => {
    const [, body = ''] = new RegExp(`event: '${name}',([\\s\\S]*?)\\n +\\}\\)?`).exec(read(file)) ?? []
    const fields = [...body.matchAll(/^ +(?:\.\.\..*\{ )?(\w+)(?=[:,]| \})/gm)].map(([, field]) => field ?? '')
    expect(documented.get(name)).toEqual(fields)
  })

  test('has every exit code of the table of errors, and 0', () => {
    const codes = new Set([0, ...Object.values(ERROR_TABLE).map(({ exit }) => exit)])
    const told = tableBelow(cli, '## Exit status').map(([status]) => Number(status))
    expect(told).toEqual([...codes].sort((a, b) => a - b))
  })

  test('names every option of the command line, and no other', () => {
    const options = [
      ...read('src/cli/command-definitions.ts').matchAll(/(?:option|Option)\(\s*'(?:-\w, )?(--[\w-]+)/g),
    ].map(([, option]) => option)
    const settings = Object.values(SERVER_SETTINGS).flatMap(({ flag }) => flag ?? [])
    const told = new Set(cli.match(/(?<=`|, `)--[\w-]+/g))
    expect([...new Set([...options, ...settings, '--help', '--version'])].sort()).toEqual([...told].sort())
  })
})

describe('docs/library.md', () => {
  const page = read('docs/library.md')
  const namesBelow = (heading: string): string[] => tableBelow(page, heading).flatMap(([names]) => namesIn(names))

  /** The public members of an interface or a class, in order; those that only tests need are none. */
  function membersOf(file: string, head: string): string[] {
    const [, body = ''] =
      new RegExp(`export (?:interface|class) ${head}\\b[^]*?\\{\\n([^]*?)\\n\\}`).exec(read(file)) ?? []
    return [...body.matchAll(/(@internal.*\n)?^ {2}(?:readonly |get )?(\w+)[?(:]/gm)]
      .filter(([, internal]) => internal === undefined)
      .map(([, , name]) => name ?? '')
      .filter((name) => name !== 'constructor')
  }

  test('has a row for every function that the library gives, and no other', () => {
    const given = [...read('src/index.ts').matchAll(/export (?!type)\{([^}]*)\}/g)]
      .flatMap(([, names = '']) => names.split(','))
      .map((name) => name.trim())
      .filter((name) => /^[a-z]\w+$/.test(name))
    const told = [...(page.match(/(?<=^\| `)\w+(?=\([^`]*\)` \| [^|]* \| )/gm) ?? [])]
    expect(told.sort()).toEqual(given.sort())
  })

  test.each([
    ['### TransferOptions', 'src/library/options.ts', 'TransferOptions'],
    ['### SendOptions', 'src/library/options.ts', 'SendOptions'],
    ['### StreamSendOptions', 'src/library/options.ts', 'StreamSendOptions'],
    ['### ReceiveOptions', 'src/library/options.ts', 'ReceiveOptions'],
  ])('%s has every option, and no other', (heading, file, name) => {
    expect(namesBelow(heading).sort()).toEqual(membersOf(file, name).sort())
  })

  test('has every field of an error, of a transfer and of its result', () => {
    const result = [
      ...membersOf('src/library/transfer.ts', 'TransferResult'),
      ...membersOf('src/transfer/events.ts', 'DoneEvent'),
    ]
    const fields = {
      error: [...membersOf('src/protocol/errors.ts', 'SealiftError'), 'message', 'cause'],
      transfer: membersOf('src/library/transfer.ts', 'Transfer'),
      result: result.filter((name) => name !== 'event'),
    }
    const rows = new Set(
      [...page.matchAll(/^\| ((?:`\w+(?:\(\w+\))?`(?:, )?)+) \|/gm)].flatMap(
        ([, cell = '']) => cell.match(/\w+(?=`|\()/g) ?? [],
      ),
    )
    for (const [what, names] of Object.entries(fields)) {
      expect(names.length, what).toBeGreaterThan(3)
      expect(
        names.filter((name) => !rows.has(name)),
        what,
      ).toEqual([])
    }
  })
})

test('the codes that functions of the library say they end with are codes', () => {
  const sources = globSync('src/library/**/*.ts', { cwd: root }).map((file) => [file, read(file)] as const)
  const said = sources.flatMap(([file, source]) =>
    [...source.matchAll(/@throws SealiftError((?:(?!\* @|\*\/)[^])*)/g)].flatMap(([, words = '']) =>
      [...words.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, code = '']) => ({ file, code })),
    ),
  )
  expect(said.length).toBeGreaterThan(80)
  expect(said.filter(({ code }) => !(code in ERROR_TABLE))).toEqual([])
})

describe('docs/protocol.md', () => {
  const protocol = read('docs/protocol.md')

  test('has the number of every message', () => {
    const told = tableBelow(protocol, '#### Messages').map(([type, name]) => [name, Number(type)])
    const numbers = Object.entries(MESSAGE).map(([name, type]) => [name.replace(/[A-Z]/g, '_$&').toUpperCase(), type])
    expect(told).toEqual(numbers)
  })

  test('has the items that comments of the sources point to', () => {
    const items = new Set([...protocol.matchAll(/^###? (\d(?:\.\d+)?)/gm)].map(([, item]) => item))
    const lost = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
      [...read(file).matchAll(/(?:PROTOCOL|protocol\.md) (\d[\d., ]*)/g)]
        .flatMap(([, list = '']) => list.match(/\d+(?:\.\d+)?/g) ?? [])
        .filter((item) => !items.has(item))
        .map((item) => `${file}: ${item}`),
    )
    expect(lost).toEqual([])
  })
})

test('docs/threat-model.md has every id that comments of the sources point to', () => {
  const told = new Set(read('docs/threat-model.md').match(/\b[SF]-\d\d\b/g))
  const used = globSync('src/**/*.ts', { cwd: root }).flatMap((file) => read(file).match(/\b[SF]-\d\d\b/g) ?? [])
  expect([...new Set(used)].filter((id) => !told.has(id))).toEqual([])
})
