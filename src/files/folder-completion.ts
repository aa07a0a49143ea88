/**
 * The last form of a root's folders: what holds nothing, links, times and permissions (PROTOCOL 4.4, 4.5).
 *
 * From the deepest up, as a change inside a folder changes its time. In two steps, as a folder that its owner may not
 * write can be neither moved nor synced: first everything else, and what owners may not do after publishing.
 */

import { KIND_FOLDER, KIND_LINK } from '../protocol/manifest.ts'
import { errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { writableTime } from './file-times.ts'
import type { FolderHandles } from './folder-handles.ts'
import type { ReceiveLayout, RootSpan } from './receive-layout.ts'
import type { StagedFiles } from './staged-files.ts'

/** Errors that say that a folder could not be made, or that somebody removed it or took its place. */
export const NOT_OURS: readonly string[] = ['ENOENT', 'ENOTDIR', 'ELOOP']

const OWNER_BITS = 0o700

/** The folders of a root that are received, from the deepest up. */
function* foldersUpwards(layout: ReceiveLayout, root: RootSpan): Generator<number> {
  for (let entry = root.end - 1; entry >= root.root; entry--) {
    if (layout.manifest.kind(entry) === KIND_FOLDER && layout.isReceived(entry)) yield entry
  }
}

/** Makes the folders of a new root that hold no files, and its links; then gives all folders time and permissions. */
export function completeStaged(fs: FileSystem, layout: ReceiveLayout, files: StagedFiles, root: RootSpan): void {
  const { manifest } = layout
  const { folders } = files
  for (let entry = root.root; entry < root.end; entry++) {
    if (!layout.isReceived(entry)) continue
    const kind = manifest.kind(entry)
    if (kind === KIND_FOLDER && !folders.isPresent(entry)) {
      folders.folder(entry, true)
      files.markChanged(entry)
    } else if (kind === KIND_LINK) {
      makeLink(fs, layout, entry, folders.path(entry, true))
      files.markChanged(entry)
    }
  }
  for (const folder of foldersUpwards(layout, root)) {
    setFolder(fs, layout, folder, folders.folder(folder))
    files.markChanged(folder)
  }
}

/** Gives the folders that a merged root got their times and permissions. @returns those that were there to be set */
export function completeMerged(
  fs: FileSystem,
  layout: ReceiveLayout,
  folders: FolderHandles,
  root: RootSpan,
): readonly number[] {
  const set: number[] = []
  for (const folder of foldersUpwards(layout, root)) {
    try {
      setFolder(fs, layout, folder, folders.folder(folder))
      set.push(folder)
    } catch (error) {
      // The last is a folder inside one that was restricted before a crash.
      if (![...NOT_OURS, 'EACCES'].includes(errnoOf(error))) throw error
    }
  }
  return set
}

/** Takes from the owners of a published root's folders what they may not do. */
export function restrictFolders(fs: FileSystem, layout: ReceiveLayout, folders: FolderHandles, root: RootSpan): void {
  for (const folder of foldersUpwards(layout, root)) {
    const mode = layout.finalMode(folder)
    if ((mode & OWNER_BITS) === OWNER_BITS) continue
    try {
      fs.chmodSync(folders.folder(folder), mode)
    } catch (error) {
      // A folder above it has its permissions from an earlier try, so this one has its own; or it is not ours.
      if (![...NOT_OURS, 'EACCES'].includes(errnoOf(error))) throw error
    }
  }
}

/** A link in staging, which may be there from an earlier process. */
function makeLink(fs: FileSystem, layout: ReceiveLayout, entry: number, path: string): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined) fs.unlinkSync(path)
  fs.symlinkSync(layout.manifest.target(entry), path)
  const time = writableTime(layout.manifest.mtimeNs(entry))
  fs.lutimesSync(path, time, time)
}

function setFolder(fs: FileSystem, layout: ReceiveLayout, folder: number, path: string): void {
  const time = writableTime(layout.manifest.mtimeNs(folder))
  fs.utimesSync(path, time, time)
  fs.chmodSync(path, layout.finalMode(folder) | OWNER_BITS)
}
