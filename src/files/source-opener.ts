/**
 * Opens the files of a manifest for reading, never through a link below their root (S-41): every folder on the way
 * is held by a handle, so that one which is swapped for a link leads nowhere.
 *
 * Owns the folder handles; the descriptors that it gives belong to who asked.
 */

import { constants } from 'node:fs'
import { basename, dirname } from 'node:path'

import type { Manifest } from '../protocol/manifest.ts'
import type { FileSystem } from './file-system.ts'
import type { Anchor } from './folder-handles.ts'
import { closeAnchor, FolderHandles, openAnchor } from './folder-handles.ts'
import type { SourceTable } from './source-table.ts'

/** O_NONBLOCK: what became a named pipe since must not hold everything up. Windows lacks both. */
const READ_FLAGS =
  constants.O_RDONLY |
  ((constants.O_NOFOLLOW as number | undefined) ?? 0) |
  ((constants.O_NONBLOCK as number | undefined) ?? 0)

export class SourceOpener {
  readonly #manifest: Manifest
  readonly #sources: SourceTable
  readonly #fs: FileSystem
  /** The root whose folders are held; one at a time, as content is read in order for the most part. */
  #tree: {
    readonly root: number
    readonly end: number
    readonly anchor: Anchor
    readonly folders: FolderHandles
  } | null = null

  constructor(manifest: Manifest, sources: SourceTable, fs: FileSystem) {
    this.#manifest = manifest
    this.#sources = sources
    this.#fs = fs
  }

  /** @returns a descriptor, the caller's own. @throws the system's error, or SealiftError `target_gone` of a folder */
  open(entry: number): number {
    const isRoot = this.#manifest.parent(entry) < 0
    return this.#fs.openSync(isRoot ? this.#sources.sourcePath(entry) : this.#folders(entry).path(entry), READ_FLAGS)
  }

  /** Lets go of all folders; the next `open` takes them again. */
  close(): void {
    if (this.#tree === null) return
    this.#tree.folders.close()
    closeAnchor(this.#fs, this.#tree.anchor)
    this.#tree = null
  }

  #folders(entry: number): FolderHandles {
    const tree = this.#tree
    if (tree !== null && entry > tree.root && entry < tree.end) return tree.folders
    this.close()
    const root = this.#sources.rootOf(entry)
    const rootPath = this.#sources.sourcePath(root)
    const rootName = basename(rootPath)
    const manifest = this.#manifest
    const nameOf = (index: number): string => (index === root ? rootName : manifest.name(index))
    const above = dirname(rootPath)
    const anchor = openAnchor(this.#fs, above, above)
    const folders = new FolderHandles({ fs: this.#fs, anchor, manifest, nameOf })
    this.#tree = { root, end: manifest.subtreeEnd(root), anchor, folders }
    return folders
  }
}
