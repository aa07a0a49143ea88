/**
 * Making what was written survive a loss of power (PROTOCOL 3.9): a few files one by one, many with one `sync -f`,
 * nothing where the file system lives in memory.
 *
 * A failed sync is final: the system may drop the pages that it could not write and report success the next time.
 */

import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import type { Anchor } from './folder-handles.ts'

/** So many are synced one by one; more cost more than one sync of the whole file system. */
export const FEW_FILES = 16

const TMPFS = 0x01021994
const RAMFS = 0x858458f6

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants

const SYNC_COMMANDS = ['/usr/bin/sync', '/bin/sync']
let syncCommand: Promise<string | null> | undefined

/** Whether the file system below a folder is gone with the power anyway. */
export function isInMemory(fs: FileSystem, anchor: Anchor): boolean {
  const { type } = fs.statfsSync(anchor.path)
  return type === TMPFS || type >>> 0 === RAMFS
}

/**
 * Writes out all of the file system that holds a folder, by the system's own `sync -f`.
 * @returns false where there is no such command; then nothing was done
 * @throws SealiftError `disk_fault` where the disk reports an error
 */
export async function syncFileSystem(fs: FileSystem, anchor: Anchor): Promise<boolean> {
  if (process.platform !== 'linux' || anchor.reach !== 'descriptors') return false
  const command = await (syncCommand ??= findSyncCommand(fs))
  if (command === null) return false
  const folder = fs.openSync(anchor.path, O_RDONLY | O_DIRECTORY)
  try {
    // The folder goes along as a descriptor: its path may lead elsewhere by now.
    const status = await run(command, ['-f', '/proc/self/fd/3'], folder)
    if (status.code === null) return false
    if (status.code !== 0) throw new SealiftError('disk_fault', 'the disk could not write out what was received')
    return true
  } finally {
    fs.closeSync(folder)
  }
}

/** Small systems have a `sync` that knows no `-f`; its own help tells. */
async function findSyncCommand(fs: FileSystem): Promise<string | null> {
  const command = SYNC_COMMANDS.find((path) => fs.existsSync(path))
  if (command === undefined) return null
  const help = await run(command, ['--help'], null)
  return help.output.includes('-f') ? command : null
}

/** @param folder descriptor that the command gets as its number 3 */
function run(
  command: string,
  args: readonly string[],
  folder: number | null,
): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe', ...(folder === null ? [] : [folder])],
      env: { LC_ALL: 'C' },
    })
    const collect = (text: Buffer): void => {
      if (output.length < 16_384) output += text.toString('latin1')
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    // It could not be started: as good as not there.
    child.once('error', () => resolve({ code: null, output }))
    // Ended by a signal counts as failed: what is on disk is not known.
    child.once('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** What is to be synced: a path that is good when it is asked for, and what lies there. */
export interface SyncItem {
  readonly path: () => string
  readonly isFolder: boolean
}

/**
 * Syncs files and folders one by one, {@link FEW_FILES} at once.
 * @returns false where a folder may not be read, not even by its owner; then that one was not synced
 * @throws SealiftError `disk_fault`, …
 */
export async function syncEach(fs: FileSystem, items: Iterable<SyncItem>): Promise<boolean> {
  let isComplete = true
  let batch: Promise<boolean>[] = []
  let failed: { readonly error: unknown } | undefined
  const settle = async (): Promise<void> => {
    for (const result of await Promise.allSettled(batch)) {
      if (result.status === 'rejected') failed ??= { error: result.reason }
      else isComplete &&= result.value
    }
    batch = []
  }
  try {
    for (const item of items) {
      batch.push(syncOne(fs, item))
      if (batch.length >= FEW_FILES) await settle()
      if (failed !== undefined) break
    }
  } catch (error) {
    failed ??= { error }
  }
  await settle()
  if (failed !== undefined) throw diskFault(failed.error, 'cannot write out what was received')
  return isComplete
}

async function syncOne(fs: FileSystem, item: SyncItem): Promise<boolean> {
  const fd = item.isFolder ? openFolder(fs, item) : openFile(fs, item.path())
  if (fd === null) return false
  try {
    await new Promise<void>((resolve, reject) => {
      fs.fsync(fd, (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  } finally {
    fs.closeSync(fd)
  }
  return true
}

/** `null` where it may not be read: folders have their final permissions once they are published. */
function openFolder(fs: FileSystem, item: SyncItem): number | null {
  try {
    // The path may be `/proc/self/fd/<n>`, which is a link as such.
    return fs.openSync(item.path(), O_RDONLY | O_DIRECTORY)
  } catch (error) {
    if (errnoOf(error) === 'EACCES') return null
    throw error
  }
}

/** Opens a staged file, which may have its final permissions already; they can keep even its owner from reading it. */
function openFile(fs: FileSystem, path: string): number {
  const flags = O_RDONLY | O_NOFOLLOW
  try {
    return fs.openSync(path, flags)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    const mode = fs.lstatSync(path).mode & 0o777
    fs.chmodSync(path, mode | 0o400)
    const fd = fs.openSync(path, flags)
    fs.fchmodSync(fd, mode)
    return fd
  }
}
