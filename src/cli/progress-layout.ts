/**
 * What the progress line says, for a width: how far, how fast, how long yet, and what is waited for. What matters least
 * goes first where there is no room; percent, bytes and time left stay longest.
 *
 * Pure: draws nothing and knows no stream.
 */

import { formatCount, formatFiles, formatSize } from '../config/sizes.ts'
import type { ProgressEvent } from '../transfer/events.ts'
import type { Waiting } from '../transfer/waiting.ts'
import { displayWidth } from './columns.ts'

export interface LineState {
  readonly role: 'sender' | 'receiver'
  /** `null` before anything may move. */
  readonly progress: ProgressEvent | null
  /** `null` while things move. */
  readonly waiting: Waiting | null
  /** Ctrl-C was pressed; a second one would end it at once. */
  readonly isStopping: boolean
  /** `null` where it cannot be told. */
  readonly secondsLeft: number | null
  /** Since anything could move. */
  readonly elapsedSeconds: number
  /** What does not let it be faster; `null` where nothing is known to. */
  readonly limitedBy: LimitSource | null
}

export type LimitSource = '--bwlimit' | 'the receiver'

/** Waits that pass by themselves at once are not worth a flicker. */
const SHORT_WAIT_MS = 400
const SHORTEST_BAR = 10
const LONGEST_BAR = 24
const GAP = '  '
/** Room that is kept for what changes its width, so that the line does not jump. */
const SPEED_COLUMNS = 10
const LEFT_COLUMNS = 11

const STOPPING = ['Stopping; Ctrl-C once more ends it at once', 'Stopping']

/** @returns one line that fits with a column to spare; empty where there is nothing to say */
export function layoutLine(state: LineState, columns: number): string {
  const room = columns - 1
  const { progress } = state
  if (state.isStopping) return STOPPING.find((text) => text.length <= room) ?? ''
  const waits = describeWaiting(state)
  if (progress === null) return waits.find((text) => text.length <= room) ?? ''
  if (progress.bytesTotal === null) return firstThatFits(linesWithoutTotal(state, waits), room)
  const done = progress.bytesTotal === 0 ? 1 : progress.bytesDone / progress.bytesTotal
  return firstThatFits(linesWithTotal(state, progress.bytesTotal, done, waits), room, done)
}

/** One way to say it: fields, with the room kept for each, and whether a bar is to stand in front. */
interface Line {
  readonly fields: readonly (readonly [text: string, columns: number])[]
  readonly hasBar: boolean
}

function firstThatFits(lines: readonly Line[], room: number, done = 0): string {
  for (const { fields, hasBar } of lines) {
    const shown = fields.filter(([text]) => text !== '')
    const kept = shown.reduce((sum, [text, columns]) => sum + Math.max(displayWidth(text), columns), 0)
    const width = kept + GAP.length * (shown.length - 1)
    const bar = Math.min(LONGEST_BAR, room - width - GAP.length)
    if (hasBar ? bar < SHORTEST_BAR : width > room) continue
    const text = shown.map(([field, columns], at) => (at === shown.length - 1 ? field : field.padStart(columns)))
    return (hasBar ? [drawBar(done, bar), ...text] : text).join(GAP)
  }
  return ''
}

function drawBar(done: number, columns: number): string {
  const full = Math.min(columns, Math.max(0, Math.floor(done * columns)))
  return '█'.repeat(full) + '░'.repeat(columns - full)
}

function linesWithTotal(state: LineState, bytesTotal: number, done: number, waits: readonly string[]): Line[] {
  const { bytesDone, filesDone, filesTotal, bytesPerSecond } = state.progress as ProgressEvent
  const percent = [`${String(Math.floor(done * 100))}%`, 4] as const
  const total = formatSize(bytesTotal)
  const amount = `${sizeInUnitOf(bytesDone, bytesTotal)} of ${total}`
  const bytes = [amount, 4 + total.length + (total.split(' ')[0] as string).length] as const
  if (waits.length > 0) {
    const texts = waits.map((wait) => [lowerFirst(wait), 0] as const)
    return [
      ...texts.flatMap((text) => [true, false].map((hasBar) => ({ fields: [percent, bytes, text], hasBar }))),
      ...texts.map((text) => ({ fields: [percent, text], hasBar: false })),
      { fields: [percent], hasBar: false },
    ]
  }
  const files = filesTotal === null || filesTotal === 1 ? '' : `${formatCount(filesDone)}/${formatFiles(filesTotal)}`
  const speeds = describeSpeed(bytesPerSecond, state.limitedBy).map((text) => [text, SPEED_COLUMNS] as const)
  const speed = speeds.at(-1) as readonly [string, number]
  const duration = state.secondsLeft === null ? '' : formatDuration(state.secondsLeft)
  const left = [duration === '' ? '' : `${duration} left`, LEFT_COLUMNS] as const
  return [
    ...speeds.map((each) => ({ fields: [percent, bytes, [files, 0], each, left], hasBar: true }) as const),
    { fields: [percent, bytes, speed, left], hasBar: true },
    { fields: [percent, bytes, speed, left], hasBar: false },
    { fields: [percent, bytes, left], hasBar: false },
    { fields: [percent, bytes, [duration, 0]], hasBar: false },
    { fields: [percent, left], hasBar: false },
    { fields: [percent, [duration, 0]], hasBar: false },
    { fields: [percent], hasBar: false },
  ]
}

/** Standard input: nobody knows how much there will be. */
function linesWithoutTotal(state: LineState, waits: readonly string[]): Line[] {
  const { bytesDone, bytesPerSecond } = state.progress as ProgressEvent
  const bytes = [formatSize(bytesDone), SPEED_COLUMNS] as const
  const elapsed = [formatDuration(state.elapsedSeconds), 0] as const
  const speeds = describeSpeed(bytesPerSecond, state.limitedBy)
  const rest =
    waits.length > 0
      ? waits.map((wait) => [[lowerFirst(wait), 0] as const])
      : speeds.map((speed) => [[speed, SPEED_COLUMNS] as const, elapsed])
  return [...rest.map((fields) => ({ fields: [bytes, ...fields], hasBar: false })), { fields: [bytes], hasBar: false }]
}

function describeSpeed(bytesPerSecond: number, limitedBy: LimitSource | null): string[] {
  const speed = `${formatSize(bytesPerSecond)}/s`
  return limitedBy === null ? [speed] : [`${speed}, limited by ${limitedBy}`, `${speed} (${limitedBy})`, speed]
}

/** What is waited for, the longest way to say it first; none while things move. */
function describeWaiting({ role, progress, waiting }: LineState): string[] {
  const peer = role === 'sender' ? 'receiver' : 'sender'
  if (progress !== null && isWhole(progress) && isInSession(waiting))
    return role === 'sender'
      ? ['Finishing: the receiver syncs its disk', 'Finishing']
      : ['Finishing: syncing the disk', 'Finishing']
  if (waiting === null) return []
  const { reason, forMs, remainingMs, place = 1 } = waiting
  const since = formatDuration(forMs / 1000)
  const left = remainingMs === null ? '' : formatDuration(remainingMs / 1000, true)
  switch (reason) {
    case 'receiver':
      return [`Waiting for the receiver, ${left} left`, `Waiting, ${left} left`, `${left} left`]
    case 'return':
      return [
        `Waiting for the receiver to come back, ${left} left`,
        `Waiting for it to come back, ${left} left`,
        `Waiting, ${left} left`,
        `${left} left`,
      ]
    case 'queue':
      return [
        `${formatPlace(place)} in line at the receiver, ${since} now`,
        `${formatPlace(place)} in line at the receiver`,
        `${formatPlace(place)} in line`,
      ]
    case 'network':
      return [`No answer from the ${peer} for ${since}`, `No answer for ${since}`, 'No answer']
    case 'peer':
      return role === 'sender'
        ? [`The receiver is slow to save, ${since} now`, 'The receiver is slow']
        : [`The sender is slow to read, ${since} now`, 'The sender is slow']
    case 'disk':
      return [`This disk is slow to ${role === 'sender' ? 'read' : 'save'}, ${since} now`, 'This disk is slow']
    case 'input':
      return role === 'sender'
        ? [`Nothing comes through the pipe, ${since} now`, 'The pipe is silent']
        : [`The sender has nothing to send, ${since} now`, 'Nothing is sent']
    case 'output':
      return [`Whoever reads the output is slow, ${since} now`, 'The output is slow']
    default:
  }
  if (forMs < SHORT_WAIT_MS) return []
  switch (reason) {
    case 'files':
      return [`Looking through the files, ${since} now`, 'Looking through the files']
    case 'answer':
      return ['Waiting for the receiver to accept', 'Waiting for a yes']
    case 'connecting':
      return [`Connecting, ${since} now`, 'Connecting']
    case 'retry':
      return [`Connecting again in ${left}`, 'Connecting again']
    case 'offer':
      return ['Waiting for the list of files', 'Waiting']
  }
}

function isWhole({ bytesDone, bytesTotal }: ProgressEvent): boolean {
  return bytesTotal !== null && bytesDone >= bytesTotal
}

/** Whether both sides are joined, as far as is known. */
function isInSession(waiting: Waiting | null): boolean {
  return waiting === null || ['network', 'peer', 'disk', 'input', 'output'].includes(waiting.reason)
}

/** `18.0`, where the whole is in MiB. */
function sizeInUnitOf(bytes: number, whole: number): string {
  const unit = formatSize(whole).split(' ')[1] as string
  const at = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'].indexOf(unit) + 1
  return at === 0 ? formatCount(bytes) : (bytes / 1024 ** at).toFixed(1)
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

/** `1st`, `2nd`, `11th`, `1,023rd`. */
export function formatPlace(place: number): string {
  const [tens, ones] = [Math.floor(place / 10) % 10, place % 10]
  const ending = tens === 1 ? undefined : ['st', 'nd', 'rd'][ones - 1]
  return `${formatCount(place)}${ending ?? 'th'}`
}

/**
 * `42 s`, `3 min 5 s`, `25 min`, `2 h 10 min`, `3 days`.
 * @param exact whether seconds of a few minutes count one by one, as in a countdown, and not by fives
 */
export function formatDuration(seconds: number, exact = false): string {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return `${String(whole)} s`
  if (whole < 600) {
    const step = exact ? 1 : 5
    const [minutes, rest] = split(Math.round(whole / step) * step, 60)
    return rest === 0 ? `${String(minutes)} min` : `${String(minutes)} min ${String(rest)} s`
  }
  const minutes = Math.round(whole / 60)
  if (minutes < 60) return `${String(minutes)} min`
  if (minutes < 24 * 60) {
    const [hours, rest] = split(minutes, 60)
    return rest === 0 ? `${String(hours)} h` : `${String(hours)} h ${String(rest)} min`
  }
  const days = Math.round(minutes / (24 * 60))
  return days === 1 ? '1 day' : `${formatCount(days)} days`
}

function split(value: number, unit: number): [whole: number, rest: number] {
  return [Math.floor(value / unit), value % unit]
}
