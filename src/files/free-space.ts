/**
 * Whether a transfer fits on the disk, asked before a byte is sent for (S-37). A guess: others write too.
 */

import { dirname, resolve } from 'node:path'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'

/** What stays free beside the content: folders, the ledger, others. */
export const HEADROOM_BYTES = 16 << 20
/** What an entry takes beside its bytes, about: half a block and its inode. */
const ENTRY_BYTES = 2048

/**
 * Bytes that this user may still write below a folder, or below where it will be made.
 * @throws SealiftError `disk_fault`, …
 */
export function freeBytes(outputDir: string, fs: FileSystem = nodeFileSystem): number {
  try {
    const stats = fs.statfsSync(nearestFolder(outputDir, fs))
    return stats.bavail * stats.bsize
  } catch (error) {
    throw diskFault(error, `cannot look into ${escapeForDisplay(outputDir)}`)
  }
}

/**
 * Files and folders that may still be made there; `null` where the file system makes room for them as it goes.
 * @throws SealiftError `disk_fault`, …
 */
export function freeEntries(outputDir: string, fs: FileSystem = nodeFileSystem): number | null {
  try {
    const stats = fs.statfsSync(nearestFolder(outputDir, fs))
    return stats.files === 0 ? null : stats.ffree
  } catch (error) {
    throw diskFault(error, `cannot look into ${escapeForDisplay(outputDir)}`)
  }
}

/**
 * @param neededBytes content that is still to come
 * @param entries files and folders that are still to be made
 * @throws SealiftError `disk_full`, saying how much is needed and free
 */
export function checkFreeSpace(
  outputDir: string,
  neededBytes: number,
  entries: number,
  fs: FileSystem = nodeFileSystem,
): void {
  const needed = neededBytes + entries * ENTRY_BYTES + (neededBytes > 0 ? HEADROOM_BYTES : 0)
  const free = freeBytes(outputDir, fs)
  if (needed <= free) return
  throw new SealiftError('disk_full', `not enough space: ${sizeText(needed)} needed, ${sizeText(free)} free`, {
    hint: `Free some space below ${escapeForDisplay(outputDir)}, or choose another --output-dir.`,
  })
}

/**
 * For content whose size nobody knows: whether there is room to go on.
 * @throws SealiftError `disk_full` where what stays free is nearly gone
 */
export function checkRoomLeft(outputDir: string, fs: FileSystem = nodeFileSystem): void {
  const free = freeBytes(outputDir, fs)
  if (free >= HEADROOM_BYTES) return
  throw new SealiftError('disk_full', `the disk is nearly full: ${sizeText(free)} free`, {
    hint: `Free some space below ${escapeForDisplay(outputDir)} and run the same line again while the sender waits.`,
  })
}

/** The folder itself, or the nearest one above it that exists. */
export function nearestFolder(path: string, fs: FileSystem = nodeFileSystem): string {
  let folder = resolve(path)
  while (!fs.existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

function sizeText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] as string}`
}
