/**
 * What the receiver's terminal shows of an offer, and the question whether to take it.
 *
 * Owns the words and their order: what could do harm comes first. Everything that came from the other side is escaped,
 * and short however much there is of it.
 */

import { join } from 'node:path'
import { formatCount, formatFiles, formatSize } from '../config/sizes.ts'
import type { Conflict, EntryLook, OfferedEntry, PathSample } from '../library/offer-listing.ts'
import type { IncomingOffer, OfferAnswer } from '../library/options.ts'
import { cutToFit, displayWidth, wrapWords } from './columns.ts'
import { listNames, shownName, shownPath } from './name-lists.ts'
import { type Output, shown } from './output.ts'
import { choose, showPaged } from './prompt.ts'

export interface OfferViewOptions {
  readonly columns: number
  /** Absolute. */
  readonly currentFolder: string
  /** Whether what differs is about to be asked about. */
  readonly asksAboutConflicts: boolean
  readonly strong: (text: string) => string
  readonly caution: (text: string) => string
}

const INDENT = 2
const MAX_NAME_LINES = 3
const MAX_SENDER_COLUMNS = 60
const CONFLICTS_SHOWN = 5

/** @returns the lines, and whether there is a file in {@link entryLines} that they do not name */
export function offerLines(offer: IncomingOffer, options: OfferViewOptions): { lines: string[]; isCut: boolean } {
  const { columns, strong, caution } = options
  if (offer.kind === 'text') {
    const line = `${strong(`A text, ${formatSize(offer.bytes ?? 0)},`)} from ${senderOf(offer)}.`
    return { lines: wrapWords(line, columns).split('\n'), isCut: false }
  }
  const strip = stripRoot(offer)
  const lines: string[] = []
  let isCut = false
  const list = (label: string, sample: PathSample, paint = (text: string): string => text): void => {
    if (sample.paths === 0) return
    const names = sample.first.map(({ path, files }) =>
      path.endsWith('/') ? `${shownName(strip(path))} (${formatFiles(files)})` : shownName(strip(path)),
    )
    const indented = ' '.repeat(INDENT)
    const listed = listNames(names, {
      columns,
      label: label === '' ? indented : `${indented}${label}: `,
      indent: 2 * INDENT,
      maxLines: MAX_NAME_LINES,
      total: sample.paths,
    })
    if (listed.isCut || sample.first.some(({ files }) => files > 1)) isCut = true
    const [first = '', ...rest] = listed.lines
    lines.push(label === '' ? first : first.replace(`${label}:`, paint(`${label}:`)), ...rest)
  }
  list('hidden', offer.hidden, caution)
  list('executable', offer.executable, caution)
  list('', offer.top)
  const header = `${strong(amountOf(offer))} from ${senderOf(offer)}:`
  const [only] = lines
  // Where the names are few, all of it is one line.
  const isShort = only !== undefined && lines.length === 1 && offer.hidden.paths + offer.executable.paths === 0
  const together = `${header} ${only?.trim() ?? ''}`
  if (isShort && displayWidth(together) <= columns) lines.splice(0, 1, together)
  else lines.unshift(...wrapWords(lines.length === 0 ? header.slice(0, -1) : header, columns).split('\n'))
  lines.push(...wrapWords(targetLine(offer, options), columns).split('\n'))
  list('will be replaced', offer.replaced, caution)
  for (const line of meetingLines(offer, options)) lines.push(...wrapWords(line, columns).split('\n'))
  return { lines, isCut }
}

function amountOf({ files, bytes }: IncomingOffer): string {
  return `${formatFiles(files)}${bytes === null ? '' : `, ${formatSize(bytes)}`}`
}

function senderOf({ from, identity, peer }: IncomingOffer): string {
  if (identity !== null) return cutToFit(shown(identity), MAX_SENDER_COLUMNS)
  return `${cutToFit(shown(from), MAX_SENDER_COLUMNS)} (${shown(peer)})`
}

/** Paths inside the one folder that is offered go without its name, which stands in the target; unless it is hidden itself. */
function stripRoot({ top, savedAs }: IncomingOffer): (path: string) => string {
  if (savedAs.length !== 1) return (path) => path
  const root = /^[^./][^/]*\//.exec(top.first[0]?.path ?? '')?.[0]
  return (path) => (root !== undefined && path.startsWith(root) && path !== root ? path.slice(root.length) : path)
}

function targetLine(offer: IncomingOffer, { currentFolder, asksAboutConflicts }: OfferViewOptions): string {
  const { kind, outputDir, savedAs, freeBytes } = offer
  if (kind === 'output') return 'into standard output'
  // Under which name is what the question is about.
  const only = asksAboutConflicts ? (offer.renamed[0]?.path ?? savedAs[0]) : savedAs[0]
  const target = savedAs.length === 1 && only !== undefined ? join(outputDir, only) : outputDir
  return `into ${shownPath(target, currentFolder)}${freeBytes === null ? '' : ` (${formatSize(freeBytes)} free)`}`
}

/** What is there already, and what becomes of it. */
function meetingLines(offer: IncomingOffer, { asksAboutConflicts, columns }: OfferViewOptions): string[] {
  const lines: string[] = []
  if (offer.unchanged > 0) lines.push(`There already, unchanged, and so not sent: ${formatFiles(offer.unchanged)}.`)
  if (asksAboutConflicts) return lines
  const { renamed, renamedRoots, kept, failing } = offer
  if (renamedRoots > 0) {
    const half = Math.floor(columns / 2)
    const names = renamed
      .slice(0, 3)
      .map(({ path, savedAs }) => `${cutToFit(shownName(path), half)} as ${cutToFit(shownName(savedAs), half)}`)
    const more = renamedRoots > names.length ? ` and ${formatCount(renamedRoots - names.length)} more` : ''
    lines.push(`Saved beside what is there: ${names.join(', ')}${more}.`)
  }
  if (kept > 0) lines.push(`Left as they are here, and so not sent: ${formatFiles(kept)}.`)
  if (failing > 0) lines.push(`Cannot be saved, as something is in the way: ${formatFiles(failing)}.`)
  return lines
}

/** Every file and link of an offer, one a line. */
export function* entryLines(offer: IncomingOffer): Generator<string> {
  for (const entry of offer.entries()) if (entry.kind !== 'folder') yield entryLine(entry)
}

function entryLine(entry: OfferedEntry): string {
  const size = entry.kind === 'link' ? 'link' : entry.sizeBytes === null ? '' : formatSize(entry.sizeBytes)
  const marks = [...(entry.isExecutable ? ['executable'] : []), ...FATE_MARKS[entry.fate]]
  return `${size.padStart(12)}  ${shownName(entry.path)}${marks.length === 0 ? '' : `  (${marks.join(', ')})`}`
}

const FATE_MARKS: Readonly<Record<OfferedEntry['fate'], readonly string[]>> = {
  save: [],
  replace: ['replaces yours'],
  unchanged: ['there already'],
  keep: ['yours stays'],
  fail: ['cannot be saved'],
}

/** What differs, file by file. */
function* conflictLines(conflicts: Iterable<Conflict>, columns: number): Generator<string> {
  for (const { path, theirs, mine } of conflicts) {
    const isNewer = mine !== null && mine.kind === 'file' && mine.modifiedMs > theirs.modifiedMs
    const text = `${cutToFit(shownName(path), columns - INDENT - 1)}: theirs ${lookText(theirs)}; yours ${mine === null ? 'is gone' : lookText(mine)}${isNewer ? ', newer' : ''}`
    for (const line of wrapWords(text, columns - INDENT).split('\n')) yield ' '.repeat(INDENT) + line
  }
}

function lookText({ kind, sizeBytes, modifiedMs }: EntryLook): string {
  if (kind !== 'file') return kind === 'other' ? 'something else' : `a ${kind}`
  return `${sizeBytes === null ? '' : `${formatSize(sizeBytes)}, `}${timeText(modifiedMs)}`
}

/** `2024-05-01 12:00`, in the time of this machine. */
function timeText(timeMs: number): string {
  const time = new Date(timeMs)
  if (Number.isNaN(time.getTime())) return 'of no known time'
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${String(time.getFullYear())}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`
}

/** What is in the way, and what each answer would do. */
export function conflictQuestion(offer: IncomingOffer, columns: number): { lines: string[]; isCut: boolean } {
  const { differing, older, newer, conflicts } = offer
  const others = differing - older - newer
  const more = differing - Math.min(conflicts.length, CONFLICTS_SHOWN)
  const lines = [
    `There already, and different: ${others === 0 ? formatFiles(differing) : formatCount(differing)}.`,
    ...conflictLines(conflicts.slice(0, CONFLICTS_SHOWN), columns),
    ...(more > 0 ? [`${' '.repeat(INDENT)}and ${formatCount(more)} more (? shows all)`] : []),
  ]
  const stays = others > 0 ? `; ${formatCount(others)} cannot be replaced, and will fail` : ''
  const renamed = offer.renamed[0]
  const kept =
    renamed === undefined || offer.renamedRoots > 1
      ? 'gets another name'
      : `is saved as ${cutToFit(shownName(renamed.savedAs), Math.max(10, columns - INDENT))}`
  const answers = [
    `k  keeps both: what comes ${kept}`,
    `o  overwrites ${formatFiles(older + newer)} of yours${stays}`,
    ...(isMixed(offer) ? [`u  overwrites only what is older: ${formatFiles(older)}${stays}`] : []),
    `l  leaves yours as they are, and takes the rest`,
    's  stops: nothing is received',
  ]
  for (const answer of answers)
    for (const line of wrapWords(answer, columns - INDENT).split('\n')) lines.push(' '.repeat(INDENT) + line)
  return { lines, isCut: more > 0 }
}

/** Whether "only what is older" is something else than all or nothing. */
function isMixed({ older, newer }: IncomingOffer): boolean {
  return older > 0 && newer > 0
}

/** Asks whether to take an offer that is shown already. */
export async function askToAccept(offer: IncomingOffer, isCut: boolean, signal: AbortSignal): Promise<OfferAnswer> {
  const answers = { '': true, y: true, yes: true, n: false, no: false, l: 'list', list: 'list' } as const
  for (;;) {
    const question = isCut ? 'Accept? [Y/n/l]' : 'Accept? [Y/n]'
    const answer = await choose(question, answers, 'Please answer y, n, or l, which lists all.', signal)
    if (answer !== 'list') return answer
    await showPaged(entryLines(offer), signal)
  }
}

type ConflictAnswer = OfferAnswer | 'list'

/** Asks what to do with what is in the way, which is the question whether to take the offer as well. */
export async function askAboutConflicts(
  offer: IncomingOffer,
  output: Output,
  signal: AbortSignal,
): Promise<OfferAnswer> {
  const { columns } = output
  for (const line of conflictQuestion(offer, columns).lines) output.tell(line)
  // Keeping both is what `auto` does where nobody is asked: roots that do not differ keep their names.
  const answers: Record<string, ConflictAnswer> = {
    '': 'auto',
    k: 'auto',
    keep: 'auto',
    'keep both': 'auto',
    o: 'overwrite',
    overwrite: 'overwrite',
    ...(isMixed(offer) ? { u: 'update', update: 'update' } : {}),
    l: 'skip',
    leave: 'skip',
    'leave mine': 'skip',
    s: false,
    stop: false,
    '?': 'list',
  }
  const update = isMixed(offer) ? ' [u]pdate,' : ''
  const letters = isMixed(offer) ? 'k, o, u, l or s' : 'k, o, l or s'
  for (;;) {
    const question = `[K]eep both, [o]verwrite,${update} [l]eave mine, or [s]top?`
    const answer = await choose(question, answers, `Please answer ${letters}.`, signal)
    if (answer !== 'list') return answer
    await showPaged(conflictLines(offer.allConflicts(), columns), signal)
  }
}
