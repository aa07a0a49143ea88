/**
 * The private folder beside the destination in which everything stands until it is whole: `.sealift-<id>.part/`
 * (PROTOCOL 4.2). Makes it, finds it again, sets it aside, removes it and what others left behind.
 *
 * Knows nothing of what stands in it.
 */

import { constants } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { STALE_STAGING_MS } from '../protocol/limits.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import type { Anchor, Reach } from './folder-handles.ts'
import { closeAnchor, openAnchor } from './folder-handles.ts'
import { makeFolders } from './folder-making.ts'
import { nearestFolder } from './free-space.ts'

/** Ids come from the other side and become part of a path. */
const TRANSFER_ID = /^[0-9A-Za-z][0-9A-Za-z-]{0,63}$/
const STAGING_NAME = /^\.sealift-(.+)\.part(\.stale-\d+)?$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Name of a transfer's staging folder in the output folder.
 * @throws SealiftError `protocol_violation` where the id may not be in a path
 */
export function stagingName(transferId: string): string {
  if (!TRANSFER_ID.test(transferId)) throw new SealiftError('protocol_violation', 'a transfer id that is none')
  return `.sealift-${transferId}.part`
}

/**
 * Opens the output folder, and makes it where it is missing. A link to a folder is followed here, once.
 * @throws SealiftError `target_not_folder`, `target_read_only`, `disk_full`, …
 */
export function openTarget(outputDir: string, fs: FileSystem = nodeFileSystem, reach?: Reach): Anchor {
  const shown = escapeForDisplay(outputDir)
  try {
    const stats = fs.statSync(outputDir, { throwIfNoEntry: false })
    if (stats === undefined) makeFolders(outputDir, 0o777, fs)
    else if (!stats.isDirectory()) throw new SealiftError('target_not_folder', `${shown} is not a folder`)
    const realPath = fs.realpathSync(outputDir)
    return openAnchor(fs, realPath, realPath, reach)
  } catch (error) {
    if (['ENOTDIR', 'EEXIST'].includes(errnoOf(error))) {
      throw new SealiftError('target_not_folder', `${shown} is not a folder`, { cause: error })
    }
    throw diskFault(error, `cannot use ${shown}`)
  }
}

/**
 * Whether something could be saved there, asked before a token is spent on it. Makes nothing.
 * @throws SealiftError `target_not_folder`, `target_read_only`, …
 */
export function checkTarget(outputDir: string, fs: FileSystem = nodeFileSystem): void {
  const nearest = nearestFolder(outputDir, fs)
  const shown = escapeForDisplay(nearest)
  try {
    if (!fs.statSync(nearest).isDirectory()) throw new SealiftError('target_not_folder', `${shown} is not a folder`)
    fs.accessSync(nearest, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw diskFault(error, `cannot save in ${shown}`)
  }
}

export interface Staging {
  readonly anchor: Anchor
  /** Whether the folder was there already, from an earlier process. */
  readonly resumed: boolean
}

/**
 * Makes or finds the staging folder of a transfer and marks it as used now.
 * @throws SealiftError `conflict` where something else has its name; `target_read_only`, `disk_full`, …
 */
export function openStaging(target: Anchor, transferId: string, fs: FileSystem = nodeFileSystem): Staging {
  const name = stagingName(transferId)
  const path = `${target.path}/${name}`
  try {
    let resumed = false
    try {
      fs.mkdirSync(path, 0o700)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      resumed = true
    }
    const stats = fs.lstatSync(path)
    if (!stats.isDirectory() || !isOwn(stats.uid)) {
      throw new SealiftError('conflict', `${name} is there and is not a staging folder of this user`)
    }
    const anchor = openAnchor(fs, path, `${target.realPath}/${name}`, target.reach)
    try {
      if ((stats.mode & 0o777) !== 0o700) fs.chmodSync(anchor.path, 0o700)
      if (resumed) touch(fs, anchor)
      return { anchor, resumed }
    } catch (error) {
      closeAnchor(fs, anchor)
      throw error
    }
  } catch (error) {
    throw diskFault(error, `cannot write to ${escapeForDisplay(target.realPath)}`)
  }
}

/** Marks staging as used now, so that it does not count as left behind. */
export function touch(fs: FileSystem, staging: Anchor): void {
  const seconds = Date.now() / 1000
  fs.utimesSync(staging.path, seconds, seconds)
}

/**
 * Moves a staging folder that no ledger knows out of the way; it is removed once it is stale.
 * @returns whether there was one
 * @throws SealiftError `target_read_only`, …
 */
export function setAsideStaging(outputDir: string, transferId: string, fs: FileSystem = nodeFileSystem): boolean {
  const path = `${outputDir}/${stagingName(transferId)}`
  try {
    if (fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) return false
    let number = 1
    while (fs.lstatSync(`${path}.stale-${number}`, { throwIfNoEntry: false }) !== undefined) number++
    fs.renameSync(path, `${path}.stale-${number}`)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw diskFault(error, `cannot write to ${escapeForDisplay(outputDir)}`)
  }
}

/** A staging folder that is there. */
export interface StagingFound {
  readonly name: string
  /** The transfer that it belongs to; `null` where it was set aside, or never was one's. */
  readonly transferId: string | null
  /** When it was last used, in milliseconds since 1970. */
  readonly touchedMs: number
}

/**
 * Staging folders of this user, the oldest first.
 * @throws SealiftError `target_read_only`, `target_gone`, …
 */
export function listStaging(outputDir: string, fs: FileSystem = nodeFileSystem): StagingFound[] {
  try {
    return fs
      .readdirSync(outputDir)
      .flatMap((name) => {
        const [, id = '', aside] = STAGING_NAME.exec(name) ?? []
        const stats = id === '' ? undefined : fs.lstatSync(`${outputDir}/${name}`, { throwIfNoEntry: false })
        if (stats?.isDirectory() !== true || !isOwn(stats.uid)) return []
        return [{ name, transferId: aside === undefined && UUID.test(id) ? id : null, touchedMs: stats.mtimeMs }]
      })
      .sort((a, b) => a.touchedMs - b.touchedMs)
  } catch (error) {
    throw diskFault(error, `cannot look into ${escapeForDisplay(outputDir)}`)
  }
}

/**
 * Removes staging folders of this user that nobody touched for seven days. What cannot be removed stays.
 * @param nowMs the time now, in milliseconds since 1970
 * @param unfinished ids of transfers that may still go on: theirs is kept, however old, unless it was set aside
 * @returns how many were removed
 */
export function removeStaleStaging(
  outputDir: string,
  nowMs: number,
  unfinished: ReadonlySet<string>,
  fs: FileSystem = nodeFileSystem,
): number {
  let removed = 0
  let target: Anchor | null = null
  try {
    const realPath = fs.realpathSync(outputDir)
    target = openAnchor(fs, realPath, realPath)
    for (const name of fs.readdirSync(target.path)) {
      const [, id = '', aside] = STAGING_NAME.exec(name) ?? []
      if (id === '' || (aside === undefined && unfinished.has(id))) continue
      const path = `${target.path}/${name}`
      const stats = fs.lstatSync(path, { throwIfNoEntry: false })
      if (stats?.isDirectory() !== true || !isOwn(stats.uid) || stats.mtimeMs > nowMs - STALE_STAGING_MS) continue
      if (removeQuietly(fs, target, name)) removed++
    }
  } catch {
    // Clearing up after others is no reason to fail.
  } finally {
    if (target !== null) closeAnchor(fs, target)
  }
  return removed
}

function removeQuietly(fs: FileSystem, parent: Anchor, name: string): boolean {
  try {
    removeTree(fs, parent, name)
    return true
  } catch {
    return false
  }
}

/**
 * Removes a folder with all that is in it, never through a link. Folders inside are moved up before they are
 * emptied, so that no depth needs more than two descriptors and no path grows long.
 * @throws errors of the system as they are; nothing where it is not there
 */
export function removeTree(fs: FileSystem, parent: Anchor, name: string): void {
  const path = `${parent.path}/${name}`
  if (fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) return
  const top = openAnchor(fs, path, `${parent.realPath}/${name}`, parent.reach)
  try {
    makeEnterable(fs, top)
    let moved = 0
    const folders: string[] = []
    const empty = (folder: Anchor): void => {
      for (const item of fs.readdirSync(folder.path, { withFileTypes: true })) {
        const itemPath = `${folder.path}/${item.name}`
        if (!item.isDirectory()) {
          fs.unlinkSync(itemPath)
        } else if (folder === top) {
          folders.push(item.name)
        } else {
          const lifted = `x-${process.pid}-${++moved}`
          const inside = openAnchor(fs, itemPath, `${folder.realPath}/${item.name}`, parent.reach)
          try {
            // A folder that may not be written cannot be given another parent.
            makeEnterable(fs, inside)
          } finally {
            closeAnchor(fs, inside)
          }
          fs.renameSync(itemPath, `${top.path}/${lifted}`)
          folders.push(lifted)
        }
      }
    }
    empty(top)
    for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
      const folder = openAnchor(fs, `${top.path}/${inside}`, `${top.realPath}/${inside}`, parent.reach)
      try {
        makeEnterable(fs, folder)
        empty(folder)
      } finally {
        closeAnchor(fs, folder)
      }
      fs.rmdirSync(`${top.path}/${inside}`)
    }
  } finally {
    closeAnchor(fs, top)
  }
  fs.rmdirSync(path)
}

/** A staging folder may have got its final permissions already, 0555 or 0000. */
function makeEnterable(fs: FileSystem, folder: Anchor): void {
  const stats = folder.fd >= 0 ? fs.fstatSync(folder.fd) : fs.lstatSync(folder.path)
  if ((stats.mode & 0o700) !== 0o700) fs.chmodSync(folder.path, 0o700)
}

/** Whether this user owns it; where the system knows no users, everything is. */
export function isOwn(uid: number): boolean {
  const own = process.geteuid?.()
  return own === undefined || own === uid
}
