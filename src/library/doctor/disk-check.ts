/**
 * The disk of the output folder: whether anything can be saved there, how much, how fast, and what its file system
 * keeps of names and files. Each question is judged as soon as it is answered.
 */

import { formatCount, formatSize } from '../../config/sizes.ts'
import type { DiskTrial, FileTrial } from '../../files/disk-trial.ts'
import { HEADROOM_BYTES } from '../../files/free-space.ts'
import type { Mount } from '../../files/mounts.ts'
import type { NameTrial } from '../../files/name-rules.ts'
import type { StagingFound } from '../../files/staging.ts'
import { type SealiftError, toSealiftError } from '../../protocol/errors.ts'
import { STALE_STAGING_MS } from '../../protocol/limits.ts'
import { judgeDiskClock } from './clock-check.ts'
import { type Finding, finding, problem } from './finding.ts'

/** What can be asked about the disk of a folder. */
export interface DiskPort {
  /** The output folder, absolute. */
  readonly folder: string
  /** Whether it is there; if not, the nearest folder above it stands for it. */
  readonly exists: boolean
  /** @throws SealiftError `target_not_folder`, `target_read_only`, … */
  check(): void
  mount(): Mount | null
  freeBytes(): number
  freeEntries(): number | null
  staging(): readonly StagingFound[]
  /** @throws SealiftError `target_read_only`, `disk_full`, … */
  tryOut(): DiskTrial
}

export interface DiskContext {
  readonly nowMs: number
  /** Ids of transfers that the ledger can go on with; `null` where it cannot be asked. */
  readonly unfinished: readonly string[] | null
}

const LITTLE_BYTES = 1 << 30
const FEW_ENTRIES = 10_000
/** Under this there is nothing to be measured by writing. */
const MIN_SAMPLE_BYTES = 4 << 20
/** Making a small file durable takes a good disk a few milliseconds. */
const SLOW_SYNC_MS = 30
const SLOW_BYTES_PER_SECOND = 20_000_000
const EXACT_STEP_NS = 1000
const MANY_FILES = 10_000
const MAX_STAGING_SHOWN = 5
const NOTHING_SAVED = 'Nothing can be received into this folder.'

/** Findings on what can be known, one by one; what goes wrong on the way is a finding too. */
export async function* checkDisk(disk: DiskPort, context: DiskContext): AsyncGenerator<Finding> {
  const { folder } = disk
  try {
    disk.check()
  } catch (error) {
    yield trialFault(folder, toSealiftError(error))
    return
  }
  const mount = disk.mount()
  yield folderFinding(disk, mount)
  const room = roomFinding(disk)
  yield room
  if (disk.exists) yield* stagingFindings(disk.staging(), folder, context)
  let trial: DiskTrial
  try {
    trial = disk.tryOut()
  } catch (error) {
    yield* trialFaults(folder, error, room)
    return
  }
  try {
    yield nameFinding(trial.names())
    yield* fileFindings(trial.files())
    yield syncFinding(await trial.syncMs(), mount)
    const sampleBytes = disk.freeBytes() / 4
    if (sampleBytes >= MIN_SAMPLE_BYTES) yield speedFinding(await trial.writeBytesPerSecond(sampleBytes), mount)
  } catch (error) {
    yield* trialFaults(folder, error, room)
  } finally {
    trial.close()
  }
}

/** That a full disk is full need not be said twice. */
function trialFaults(folder: string, thrown: unknown, room: Finding): Finding[] {
  const error = toSealiftError(thrown)
  return room.code === error.code ? [] : [trialFault(folder, error)]
}

function trialFault(folder: string, error: SealiftError): Finding {
  const advice = error.hint ?? 'choose another folder with -o'
  return problem('disk', error.code, error.message, NOTHING_SAVED, { advice, details: { folder } })
}

function folderFinding({ folder, exists }: DiskPort, mount: Mount | null): Finding {
  const type = mount?.type ?? null
  const what = `${folder}${type === null ? '' : ` (${type})`}${exists ? '' : ', which is not there yet'}`
  const details = { folder, exists, fileSystem: type }
  if (mount?.isInMemory === true)
    return finding('disk', 'note', what, 'In memory: what is received there is gone when the machine stops.', {
      advice: 'name a folder on a disk with -o',
      details,
    })
  if (mount?.isNetwork === true)
    return finding(
      'disk',
      'note',
      what,
      'A network disk: what is received crosses the network twice, and its server says what is durable.',
      { advice: 'where it can be, receive on the machine that has the disk', details },
    )
  return finding('disk', 'ok', what, exists ? 'It can be written.' : 'It is made when something is received.', {
    details,
  })
}

function roomFinding(disk: DiskPort): Finding {
  const bytes = disk.freeBytes()
  const entries = disk.freeEntries()
  const details = { freeBytes: bytes, freeEntries: entries }
  const what = `${formatSize(bytes)} free${entries === null ? '' : `, room for ${formatCount(entries)} files`}`
  const advice = `free some space, or choose another folder with -o`
  if (bytes < HEADROOM_BYTES || entries === 0)
    return problem('disk', 'disk_full', `the disk is full: ${what}`, NOTHING_SAVED, {
      advice,
      details,
    })
  if (bytes < LITTLE_BYTES || (entries ?? FEW_ENTRIES) < FEW_ENTRIES)
    return finding('disk', 'warning', what, 'Little: a transfer that does not fit is refused before it begins.', {
      advice,
      details,
    })
  return finding('disk', 'ok', what, 'A transfer that does not fit is refused before it begins.', { details })
}

function* stagingFindings(
  found: readonly StagingFound[],
  folder: string,
  { nowMs, unfinished }: DiskContext,
): Generator<Finding> {
  for (const { name, transferId, touchedMs } of found.slice(0, MAX_STAGING_SHOWN)) {
    const details = { name, transferId, lastUsed: new Date(touchedMs).toISOString() }
    const what = `${name}, last used ${ageOf(nowMs - touchedMs)}`
    const isStale = touchedMs < nowMs - STALE_STAGING_MS
    const next = isStale ? 'The next transfer into this folder removes it.' : 'It is removed 7 days after its last use.'
    if (transferId !== null && unfinished?.includes(transferId) === true)
      yield finding('disk', 'note', what, `It holds what is safe of an unfinished transfer. ${next}`, {
        advice: `go on with it: sealift resume ${transferId.slice(0, 8)}`,
        details,
      })
    else if (unfinished === null)
      yield finding('disk', 'note', what, 'Whether its transfer can be gone on with, the ledger does not say.', {
        details,
      })
    else
      yield finding('disk', 'note', what, `Left behind: no transfer in the ledger goes on with it. ${next}`, {
        advice: `to have its space now:\n  rm -r '${folder}/${name}'`,
        details,
      })
  }
  if (found.length > MAX_STAGING_SHOWN)
    yield finding(
      'disk',
      'note',
      `${formatCount(found.length - MAX_STAGING_SHOWN)} more folders of unfinished transfers`,
      'They are named .sealift-*.part.',
    )
}

function nameFinding({ foldsCase, foldsForms, notHeld }: NameTrial): Finding {
  const faults = [
    ...(foldsCase ? ['"A" and "a" are one name'] : []),
    ...(foldsForms ? ['two spellings of "é" are one name'] : []),
    ...(notHeld.length > 0 ? [`names like ${notHeld.map((name) => JSON.stringify(name)).join(', ')} cannot be`] : []),
  ]
  const details = { foldsCase, foldsForms, notHeld }
  if (faults.length === 0)
    return finding('disk', 'ok', 'every name can be saved as it is', 'No file is refused or renamed for its name.', {
      details,
    })
  return finding('disk', 'note', faults.join('; '), 'Files with such names fail and are named; all others arrive.', {
    advice: 'receive with --conflict rename: it saves them under names nearby',
    details,
  })
}

function* fileFindings({ hardLinks, exclusive, mtimeStepNs, clockAheadMs }: FileTrial): Generator<Finding> {
  if (!exclusive)
    yield finding(
      'disk',
      'warning',
      'a file can be made twice',
      'This file system breaks a promise: two programs that save the same name at once may overwrite each other.',
      { advice: 'let only one transfer write to this folder at a time', details: { exclusive } },
    )
  const details = { hardLinks, mtimeStepNs }
  if (mtimeStepNs > EXACT_STEP_NS)
    yield finding(
      'disk',
      'warning',
      `times of files are kept to ${stepText(mtimeStepNs)} only`,
      'Unchanged files are known by size and time, so here they are taken for changed: sent again, they are saved beside.',
      {
        advice: 'keep trees that are sent again and again on another file system, such as ext4 or APFS',
        details,
      },
    )
  else
    yield finding('disk', 'ok', 'times of files are kept', 'Unchanged files are known, and not sent again.', {
      details,
    })
  yield hardLinks
    ? finding('disk', 'ok', 'hard links can be made', 'A file gets its final name in one step.', { details })
    : finding(
        'disk',
        'note',
        'no hard links',
        'A file gets its final name in two steps: after a crash between them an empty file may stand there until the transfer goes on.',
        { details },
      )
  yield* judgeDiskClock(clockAheadMs)
}

function syncFinding(syncMs: number, mount: Mount | null): Finding {
  const details = { syncMs: Math.round(syncMs * 1000) / 1000 }
  const what = `making a file durable takes ${millisecondsText(syncMs)}`
  if (mount?.isInMemory === true) return finding('disk', 'ok', what, 'In memory nothing is made durable.', { details })
  const allSeconds = (syncMs * MANY_FILES) / 1000
  const oneByOne = allSeconds < 1 ? 'less than a second' : `${formatCount(Math.round(allSeconds))} s`
  const meaning =
    process.platform === 'linux'
      ? `One by one ${formatCount(MANY_FILES)} small files would take ${oneByOne}; many are made durable at once, so it is less.`
      : `${formatCount(MANY_FILES)} small files one by one take ${oneByOne}; several are made durable at a time.`
  return syncMs > SLOW_SYNC_MS
    ? finding('disk', 'note', what, `Slow. ${meaning}`, {
        advice: 'send many small files as one: tar c FOLDER | sealift send -',
        details,
      })
    : finding('disk', 'ok', what, meaning, { details })
}

function speedFinding(bytesPerSecond: number, mount: Mount | null): Finding {
  const details = { writeBytesPerSecond: Math.round(bytesPerSecond) }
  const what = `a short sample is written at ${formatSize(bytesPerSecond)}/s${mount?.isInMemory === true ? ', in memory' : ', durably'}`
  return bytesPerSecond < SLOW_BYTES_PER_SECOND
    ? finding('disk', 'note', what, 'The disk sets the pace of what is received, not the network.', { details })
    : finding('disk', 'ok', what, 'No transfer into this folder is faster for long.', { details })
}

function ageOf(ageMs: number): string {
  const minutes = Math.max(0, Math.round(ageMs / 60_000))
  if (minutes < 1) return 'just now'
  if (minutes < 120) return `${minutes} min ago`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`
}

function stepText(stepNs: number): string {
  return stepNs >= 1e9 ? `${stepNs / 1e9} s` : `${stepNs / 1e6} ms`
}

function millisecondsText(value: number): string {
  return value < 0.1 ? 'under 0.1 ms' : `${value < 10 ? value.toFixed(1) : String(Math.round(value))} ms`
}
