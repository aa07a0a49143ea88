/**
 * Writes the tree of one transfer safely below one folder (PROTOCOL 3.5, 3.9, 4): everything goes to staging first
 * and gets its final name when it is whole, checked and durable.
 *
 * Joins staging, publishing and durability. Knows neither ledger nor network; the caller commits between the steps:
 *
 *   write … finish → preparePublish → sync → (commit intents) → publish → finishRoot → syncPublished → (commit) → remove
 *
 * Errors with the codes `name_unusable` and `entry_in_the_way` concern one entry; all others end the transfer here.
 */

import { SealiftError } from '../protocol/errors.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { KIND_FILE } from '../protocol/manifest.ts'
import type { ReceivePlan } from './conflicts.ts'
import { diskFault } from './disk-faults.ts'
import type { SyncItem } from './durability.ts'
import { FEW_FILES, isInMemory, syncEach, syncFileSystem } from './durability.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './file-system.ts'
import type { Anchor, Reach } from './folder-handles.ts'
import { checkAnchor, closeAnchor } from './folder-handles.ts'
import { readOwnUmask } from './own-umask.ts'
import type { Intent, Outcome, Stage } from './publish.ts'
import { Publisher } from './publish.ts'
import { ReceiveLayout } from './receive-layout.ts'
import { StagedFiles } from './staged-files.ts'
import { openStaging, openTarget, removeTree, stagingName, touch } from './staging.ts'

/** More folders than this are not worth syncing one by one. */
const FEW_FOLDERS = 64
/** How often a long transfer marks its staging as used. */
const TOUCH_INTERVAL_MS = 3600_000

export interface TreeWriterOptions {
  readonly outputDir: string
  readonly transferId: string
  readonly manifest: Manifest
  readonly plan: ReceivePlan
  /** Permission bits that nothing gets; the process's own by default. */
  readonly umask?: number
  readonly fs?: FileSystem
  /** Called at named stages; a test throws from it to strike there. */
  readonly probe?: (stage: Stage) => void
  /** How folders are held; the best that the system has by default. */
  readonly reach?: Reach
}

export class TreeWriter {
  /** Whether staging was there already, from an earlier process. */
  readonly resumed: boolean
  /** Real path of the staging folder. */
  readonly stagingPath: string
  /** Real path of the output folder. */
  readonly outputPath: string
  readonly #fs: FileSystem
  readonly #target: Anchor
  readonly #staging: Anchor
  readonly #layout: ReceiveLayout
  readonly #files: StagedFiles
  readonly #publisher: Publisher
  readonly #probe: (stage: Stage) => void
  readonly #transferId: string
  readonly #inMemory: boolean
  /** Set by the first sync that failed; no later one may say that all is well. */
  #failed: SealiftError | undefined
  #touchedMs = Date.now()
  #closed = false

  private constructor(options: TreeWriterOptions, fs: FileSystem, target: Anchor, staging: Anchor, resumed: boolean) {
    const processUmask = readOwnUmask(fs, staging)
    this.resumed = resumed
    this.stagingPath = staging.realPath
    this.outputPath = target.realPath
    this.#fs = fs
    this.#target = target
    this.#staging = staging
    this.#transferId = options.transferId
    this.#probe = options.probe ?? ((): void => undefined)
    this.#inMemory = isInMemory(fs, staging)
    this.#layout = new ReceiveLayout(options.manifest, options.plan, options.umask ?? processUmask)
    this.#files = new StagedFiles({ fs, staging, resumed, layout: this.#layout, processUmask })
    this.#publisher = new Publisher({
      fs,
      target,
      staging,
      layout: this.#layout,
      files: this.#files,
      probe: this.#probe,
    })
  }

  /**
   * Makes or finds the transfer's staging; the output folder is made where it is missing.
   * @throws SealiftError `target_not_folder`, `target_read_only`, `disk_full`, `conflict` (something else has the
   *   staging folder's name), …
   */
  static open(options: TreeWriterOptions): TreeWriter {
    const fs = options.fs ?? nodeFileSystem
    stagingName(options.transferId)
    const target = openTarget(options.outputDir, fs, options.reach)
    let staging: Anchor | undefined
    try {
      const opened = openStaging(target, options.transferId, fs)
      staging = opened.anchor
      return new TreeWriter(options, fs, target, staging, opened.resumed)
    } catch (error) {
      if (staging !== undefined) closeAnchor(fs, staging)
      closeAnchor(fs, target)
      throw diskFault(error, 'cannot make a staging folder')
    }
  }

  /**
   * Writes bytes of a file. A whole file in one call is made, written and finished at once, synchronously; parts go
   * through the thread pool and `finish` must follow.
   * @param fileOffset where in the file
   * @param bytes the caller's again when this returned or its promise resolved
   * @throws SealiftError `protocol_violation` where it is more than was declared; `disk_full`, `name_unusable`, …
   */
  write(entry: number, fileOffset: number, bytes: Uint8Array): void | Promise<void> {
    return this.#files.write(entry, fileOffset, bytes)
  }

  /** Makes a file without bytes; nothing more is needed for it. @throws SealiftError as {@link write} */
  writeEmpty(entry: number): void {
    void this.#files.write(entry, 0, new Uint8Array(0))
  }

  /**
   * Gives a file that was written in parts its permissions and time. All its writes must have resolved.
   * @throws SealiftError `disk_fault` where staging does not have as many bytes as declared
   */
  finish(entry: number): void {
    this.#files.finish(entry)
  }

  /** Bytes of a file in staging; -1 where it is not there. */
  stagedSize(entry: number): number {
    return this.#files.stagedSize(entry)
  }

  /** Reads staged bytes. @returns how many; 0 at the end. @throws SealiftError `disk_fault`, `target_gone`, … */
  read(entry: number, fileOffset: number, into: Uint8Array): Promise<number> {
    return this.#files.read(entry, fileOffset, into)
  }

  /** Removes what is staged of a file; nothing where nothing is. An entry that failed is absent in the end. */
  drop(entry: number): void {
    this.#files.drop(entry)
  }

  /**
   * Takes over the staged bytes of a file from a transfer that this one replaces (PROTOCOL 3.1), in the same output
   * folder. Where they are all, `finish` must follow.
   */
  adopt(entry: number, from: TreeWriter, fromEntry: number): void {
    from.#files.settle(fromEntry)
    this.#files.adopt(entry, from.#files.path(fromEntry))
  }

  /** Final path of an entry, from the output folder on. @param rootName what its root was published as, if not planned */
  savedPath(entry: number, rootName?: string): string {
    return this.#layout.savedPath(entry, rootName)
  }

  /**
   * Makes everything durable that was staged or prepared so far.
   * @throws SealiftError `disk_fault`, …; once it failed it fails for ever, as the system may forget what it lost
   */
  async sync(): Promise<void> {
    await this.#durably(async () => {
      const { count, marks } = this.#files.takeDirty()
      if (this.#inMemory || count === 0) return
      await this.#syncStaged(count, marks)
    })
    this.#keepFresh()
    this.#probe('synced')
  }

  async #durably(act: () => Promise<void>): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed
    try {
      await act()
    } catch (error) {
      throw (this.#failed = diskFault(error, 'cannot write out what was received'))
    }
  }

  async #syncStaged(count: number, marks: Uint8Array): Promise<void> {
    const parents = new Set<number>([-1])
    if (count <= FEW_FILES) {
      for (let entry = marks.indexOf(1); entry >= 0; entry = marks.indexOf(1, entry + 1)) {
        this.#addStagedParents(entry, parents)
      }
    }
    const isFew = count <= FEW_FILES && parents.size <= FEW_FOLDERS
    if (!isFew && (await syncFileSystem(this.#fs, this.#staging))) return
    await syncEach(this.#fs, this.#stagedItems(marks, parents))
    // The staging folder itself has a name to lose.
    await syncEach(this.#fs, [folderItem(() => this.#target.path)])
  }

  #addStagedParents(entry: number, parents: Set<number>): void {
    if (!this.#layout.isNew(entry)) return
    const { manifest } = this.#layout
    for (let at = manifest.parent(entry); at >= 0 && !parents.has(at); at = manifest.parent(at)) parents.add(at)
  }

  /** What was written, then the folders that hold it; a dropped file is gone and needs nothing. */
  *#stagedItems(marks: Uint8Array, parents: Set<number>): Generator<SyncItem> {
    const { manifest } = this.#layout
    const { folders } = this.#files
    for (let entry = marks.indexOf(1); entry >= 0; entry = marks.indexOf(1, entry + 1)) {
      this.#addStagedParents(entry, parents)
      if (manifest.kind(entry) === KIND_FILE && this.#files.stagedSize(entry) >= 0) {
        yield { path: () => this.#files.path(entry), isFolder: false }
      } else if (this.#layout.isNew(entry) && folders.isPresent(entry)) {
        parents.add(entry)
      }
    }
    for (const folder of parents) yield folderItem(() => folders.folder(folder))
  }

  /**
   * Brings new roots into their last form (links, folders' permissions and times) and says what will be published
   * as what. Entries of roots that are merged are prepared one by one, folders and links among them; the files of a
   * new root must be finished and those that failed be dropped.
   * @param entries new roots, and received entries of merged roots, ascending
   * @throws SealiftError `target_gone` where the output folder was replaced, `disk_full`, …
   */
  preparePublish(entries: Iterable<number>): Intent[] {
    return this.#publisher.prepare(entries)
  }

  /**
   * Gives what is staged its final name. The intent must be committed.
   * @throws SealiftError `target_gone`, `disk_full`, `disk_fault`, …; what concerns one merged entry is an outcome
   */
  publish(intent: Intent): Outcome {
    return this.#publisher.publish(intent)
  }

  /**
   * Tells for committed intents, after a crash, which are published. Pending ones are published again as they are;
   * an empty folder that the crash left under the final name is used.
   */
  recover(intents: Iterable<Intent>): ('published' | 'pending')[] {
    return this.#publisher.recover(intents)
  }

  /** Gives the folders that a merged root got their permissions and times; last of all in that root. */
  finishRoot(root: number): void {
    this.#publisher.finishRoot(root)
  }

  /** Makes durable what was published, and all that was staged. @throws SealiftError as {@link sync} */
  async syncPublished(): Promise<void> {
    await this.#durably(async () => {
      const { count, marks } = this.#files.takeDirty()
      const touched = this.#publisher.touchedFolders
      if (this.#inMemory || (count === 0 && touched.size === 0)) return
      checkAnchor(this.#fs, this.#target)
      const folders = new Set<number>([-1])
      for (const folder of touched) {
        for (let at = folder; at >= 0 && !folders.has(at); at = this.#layout.manifest.parent(at)) folders.add(at)
        if (folders.size > FEW_FOLDERS) break
      }
      const isFew = folders.size <= FEW_FOLDERS && count <= FEW_FILES
      if (!isFew && (await syncFileSystem(this.#fs, this.#staging))) return
      if (count > 0) await this.#syncStaged(count, marks)
      for (const folder of touched) folders.add(folder)
      const handles = this.#publisher.folders
      await syncEach(
        this.#fs,
        [...folders].map((folder) => folderItem(() => handles.folder(folder))),
      )
    })
    this.#publisher.touchedFolders.clear()
    this.#probe('published-synced')
  }

  #keepFresh(): void {
    const nowMs = Date.now()
    if (Math.abs(nowMs - this.#touchedMs) < TOUCH_INTERVAL_MS) return
    this.#touchedMs = nowMs
    try {
      touch(this.#fs, this.#staging)
    } catch (error) {
      throw diskFault(error, 'cannot mark staging as used')
    }
  }

  /** Removes staging with all that is left in it, and closes. @throws SealiftError `target_read_only`, … */
  remove(): void {
    if (this.#closed) throw new SealiftError('internal', 'staging is removed after it was closed')
    this.#files.close()
    try {
      removeTree(this.#fs, this.#target, stagingName(this.#transferId))
    } catch (error) {
      throw diskFault(error, 'cannot remove staging')
    } finally {
      this.close()
    }
    this.#probe('staging-removed')
  }

  /** Closes all descriptors; staging stays. No write may be under way. Harmless when repeated. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#files.close()
    this.#publisher.close()
    closeAnchor(this.#fs, this.#staging)
    closeAnchor(this.#fs, this.#target)
  }
}

function folderItem(path: () => string): SyncItem {
  return { path, isFolder: true }
}
