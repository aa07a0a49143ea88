/**
 * Writes the parts of the documents that are made from the sources, between `<!-- made: NAME -->` and
 * `<!-- end: NAME -->`: the table of errors, the limits, the settings of the server, and the states of the conversation.
 *
 *   node scripts/docs.ts             writes them anew
 *   node scripts/docs.ts --check     fails where one is stale
 */

import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SERVER_SETTINGS } from '../src/config/server-settings.ts'
import { CONVERSATION, type ConversationState, type Role } from '../src/protocol/conversation.ts'
import { ERROR_TABLE, type ErrorCode } from '../src/protocol/errors.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where each part stands and what it says now. */
const PARTS: readonly { readonly file: string; readonly name: string; readonly make: () => string }[] = [
  { file: 'docs/errors.md', name: 'errors', make: errorTable },
  { file: 'docs/limits.md', name: 'protocol limits', make: () => limitTable(['src/protocol/limits.ts'], () => true) },
  { file: 'docs/limits.md', name: 'other limits', make: otherLimits },
  { file: 'docs/cli.md', name: 'server settings', make: settingsTable },
  { file: 'docs/protocol.md', name: 'conversation diagram', make: conversationDiagram },
  { file: 'docs/protocol.md', name: 'conversation table', make: conversationTable },
]

/** Where each exit status comes from, for people. */
const EXIT_CLASSES: Readonly<Record<number, string>> = {
  1: 'unexpected',
  2: 'usage or settings',
  3: 'refused',
  4: 'authentication',
  5: 'network',
  6: 'integrity',
  7: 'disk, size or quota',
  8: 'done in part',
  130: 'interrupted',
  143: 'interrupted',
}

/** What limits mean whose names say it all to a reader of the source. */
const MEANINGS: Readonly<Record<string, string>> = {
  TAG_BYTES: 'Tag of a record.',
  MAX_ENTRIES: 'Files, folders and links of one transfer.',
  MAX_MANIFEST_BYTES: 'The entries of a manifest as they travel.',
  MAX_NAME_BYTES: 'One component of a path.',
  MAX_PATH_BYTES: 'Names from the root on, joined by `/`.',
  MAX_LINK_TARGET_BYTES: 'Where a link leads.',
  CHECKPOINT_BYTES: 'Written and not yet committed: then a checkpoint.',
  CHECKPOINT_MS: 'The longest time from a write to its checkpoint.',
  SYNC_BYTES: 'Committed and not yet synced: then a sync beside the transfer.',
  SYNC_MS: 'The longest time from a checkpoint to its sync.',
  HANDSHAKE_TIMEOUT_MS: 'From the connection to a confirmed session.',
  MAX_UNCONFIRMED_CONNECTIONS: 'Connections that have not proved anything; for one more the oldest goes.',
  DEFAULT_PORT: 'Where a sender listens.',
  DEFAULT_WAIT_MS: 'How long a sender waits for its receiver.',
  LEASE_TIMEOUT_MS: 'A lane that has chunks and hears of none for so long gives them back.',
  STALE_STAGING_MS: 'Staging that nobody touched for so long is removed.',
  CONNECT_TIMEOUT_MS: 'Name lookup and connecting together.',
  FIRST_BACK_OFF_MS: 'First pause before connecting again.',
  LONGEST_BACK_OFF_MS: 'Longest pause before connecting again.',
  BUSY_TIMEOUT_MS: 'How long a ledger that another process writes to is waited for.',
  FIRST_RETRY_MS: 'First pause before a busy ledger is tried again.',
  LAST_RETRY_MS: 'Longest pause before a busy ledger is tried again.',
  PAUSE_MS: 'Between two tries at the lock of a transfer.',
  GUARD_PAUSE_MS: 'Between two tries at the guard of that lock.',
  WATCH_INTERVAL_MS: 'Between two looks of `status --watch`.',
}

/** A constant as it is written in a source. */
export interface Constant {
  readonly name: string
  readonly value: number
  readonly comment: string
}

/** A line for each setting of the server. */
function settingsTable(): string {
  const lines = Object.values(SERVER_SETTINGS).map(({ option, env, meaning, byDefault }) => {
    const flag = option === null ? '' : `\`${option.replace('|', '\\|')}\``
    return `| ${flag} | \`${env}\` | ${meaning} | ${byDefault === '' ? '' : `\`${byDefault}\``} |`
  })
  return ['| option | environment, file | meaning | default |', '| --- | --- | --- | --- |', ...lines].join('\n')
}

/** The documents whose made parts are stale, brought up to date; unchanged ones are left out. */
export function staleDocuments(): Map<string, string> {
  const texts = new Map<string, string>()
  const stale = new Map<string, string>()
  for (const { file, name, make } of PARTS) {
    const before = texts.get(file) ?? readFileSync(join(root, file), 'utf8')
    const after = replacePart(before, file, name, make())
    texts.set(file, after)
    if (after !== before) stale.set(file, after)
  }
  for (const file of stale.keys()) stale.set(file, texts.get(file) ?? '')
  return stale
}

function replacePart(text: string, file: string, name: string, made: string): string {
  const start = `<!-- made: ${name} -->`
  const end = `<!-- end: ${name} -->`
  const from = text.indexOf(start)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`${file} has no place for "${name}": ${start} … ${end}`)
  return `${text.slice(0, from + start.length)}\n\n${made}\n\n${text.slice(to)}`
}

function errorTable(): string {
  const rows = (Object.keys(ERROR_TABLE) as ErrorCode[]).map((code) => {
    const { wire, http, exit, retryable, meaning } = ERROR_TABLE[code]
    return [`\`${code}\``, wire, http, `${exit} ${EXIT_CLASSES[exit] ?? ''}`.trim(), retryable ? 'yes' : 'no', meaning]
  })
  return markdownTable(['code', 'wire', 'HTTP', 'exit', 'retry', 'meaning'], rows)
}

/** Limits that one side keeps for itself, outside of the protocol's own page, by folder. */
function otherLimits(): string {
  const isLimit = ({ name, comment }: Constant): boolean =>
    name.endsWith('_MS') || (comment !== '' && /^(MAX|MIN|FEW)_|_BYTES$/.test(name))
  const folders = ['transfer', 'library', 'identity', 'files', 'ledger', 'carriers', 'codecs', 'cli', 'guard', 'server']
  const parts = folders.map((folder) => {
    const files = globSync(`src/${folder}/**/*.ts`, { cwd: root }).map((file) => file.replaceAll('\\', '/'))
    const table = limitTable(files.sort(), isLimit)
    return table === '' ? '' : `### src/${folder}\n\n${table}`
  })
  return parts.filter((part) => part !== '').join('\n\n')
}

function limitTable(files: readonly string[], wanted: (constant: Constant) => boolean): string {
  const rows = files.flatMap((file) =>
    readConstants(readFileSync(join(root, file), 'utf8'))
      .filter(wanted)
      .map(({ name, value, comment }) => [
        `\`${name}\``,
        formatValue(name, value),
        ...(files.length === 1 ? [] : [`\`${file.split('/').at(-1) ?? file}\``]),
        comment === '' ? (MEANINGS[name] ?? '') : comment,
      ]),
  )
  if (rows.length === 0) return ''
  return markdownTable(['name', 'value', ...(files.length === 1 ? [] : ['file']), 'what it limits'], rows)
}

/** Constants of a module that are numbers, with the comment before them. Names of other constants are looked up. */
export function readConstants(source: string): Constant[] {
  const pattern =
    /((?:^\/\*\*(?:[^*]|\*(?!\/))*\*\/\n)?)^(?:export )?const ([A-Z][A-Z0-9_]*)(?:: number)? = ([^\n]+)$/gm
  const values = new Map<string, number>()
  const found: Constant[] = []
  for (const [, block = '', name = '', expression = ''] of source.matchAll(pattern)) {
    const value = evaluate(expression, values)
    if (value === null) continue
    values.set(name, value)
    found.push({ name, value, comment: commentText(block) })
  }
  return found
}

/** Sums, products and shifts of numbers, and nothing else. */
function evaluate(expression: string, values: ReadonlyMap<string, number>): number | null {
  const text = expression
    .replace(/\s*\/\/.*$/, '')
    .replace('Number.MAX_SAFE_INTEGER', String(Number.MAX_SAFE_INTEGER))
    .replace(/[A-Z][A-Z0-9_]+/g, (name) => String(values.get(name) ?? name))
    .replace(/(?<=\d)_(?=\d)/g, '')
  const terms = /^\(?[\d\s+*<().]+$/.test(text) && !text.includes('**') ? text.replace(/[()]/g, '').split('<<') : []
  if (terms.length === 0 || terms.length > 2) return null
  const [base = Number.NaN, shift = 0] = terms.map(sum)
  const value = base * 2 ** shift
  return Number.isSafeInteger(value) ? value : null
}

function sum(text: string): number {
  return text
    .split('+')
    .map((product) => product.split('*').reduce((total, factor) => total * Number(factor), 1))
    .reduce((total, part) => total + part, 0)
}

function commentText(block: string): string {
  return block
    .replace(/^\/\*\*|\*\/\s*$/g, '')
    .replace(/\n \* ?/g, ' ')
    .replace(/\{@link (\w+)\}/g, '`$1`')
    .replaceAll('|', '\\|')
    .trim()
}

function formatValue(name: string, value: number): string {
  if (name.endsWith('_MS')) return formatDuration(value)
  if (name.endsWith('_BYTES')) return formatBytes(value)
  return withSeparators(value)
}

function formatDuration(milliseconds: number): string {
  const units = [
    ['day', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const
  for (const [unit, size] of units) {
    const count = milliseconds / size
    if (count >= 1 && Number.isInteger(count))
      return `${withSeparators(count)} ${unit}${unit === 'day' && count > 1 ? 's' : ''}`
  }
  return `${withSeparators(milliseconds)} ms`
}

function formatBytes(bytes: number): string {
  if (bytes === Number.MAX_SAFE_INTEGER) return '2^53 − 1'
  const units = ['KiB', 'MiB', 'GiB']
  for (let unit = units.length; unit > 0; unit--) {
    const count = bytes / 1024 ** unit
    if (count >= 1 && Number.isInteger(count)) return `${withSeparators(count)} ${units[unit - 1] ?? ''}`
  }
  return `${withSeparators(bytes)} bytes`
}

function withSeparators(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

const ROLES: readonly Role[] = ['receiver', 'sender']

/** State, speaker, words, next state. */
function moves(): { state: ConversationState; by: Role; words: string[]; next: ConversationState }[] {
  return (Object.keys(CONVERSATION) as ConversationState[]).flatMap((state) =>
    ROLES.flatMap((by) => {
      const bySpeaker = Object.entries(CONVERSATION[state][by])
      const nexts = [...new Set(bySpeaker.map(([, next]) => next))]
      return nexts.map((next) => ({
        state,
        by,
        words: bySpeaker.filter(([, to]) => to === next).map(([word]) => WORDS[word] ?? wordOf(word)),
        next,
      }))
    }),
  )
}

const WORDS: Readonly<Record<string, string>> = {
  manifestLast: 'MANIFEST (last)',
  safeLast: 'SAFE (last)',
  offerKnown: 'OFFER (manifest known)',
  admit: 'ADMIT (token, password)',
  admitNothing: 'ADMIT (nothing)',
}

function wordOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

function conversationDiagram(): string {
  const lines = moves().map(({ state, by, words, next }) => `    ${state} --> ${next}: ${by} ${words.join(', ')}`)
  const end = ['    note right of closed: from every state, once both sides have said CLOSE']
  const starts = [
    '    [*] --> greeting: purpose direct',
    '    [*] --> admitting: purpose server',
    '    [*] --> carrying: purpose direct, join 1',
    '    [*] --> joining: purpose server, join 1',
  ]
  const all = [...starts, ...lines, '    ending --> closed: both CLOSE', '    closed --> [*]', ...end]
  return ['```mermaid', 'stateDiagram-v2', ...all, '```'].join('\n')
}

function conversationTable(): string {
  return markdownTable(
    ['state', 'speaker', 'may say', 'then'],
    moves().map(({ state, by, words, next }) => [`\`${state}\``, by, words.join(', '), `\`${next}\``]),
  )
}

function markdownTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

if (import.meta.main) {
  const stale = staleDocuments()
  if (process.argv.includes('--check')) {
    if (stale.size > 0) {
      process.stderr.write(`docs: ${[...stale.keys()].join(', ')} stale; run node scripts/docs.ts\n`)
      process.exitCode = 1
    }
  } else {
    for (const [file, text] of stale) writeFileSync(join(root, file), text)
    process.stdout.write(`docs: ${stale.size === 0 ? 'nothing to do' : `wrote ${[...stale.keys()].join(', ')}`}\n`)
  }
}
