/**
 * From staging to final names, in two steps around a commit of the ledger (PROTOCOL 3.5, 4.4, 4.6).
 *
 * `prepare` brings staging into its last form and says which inode will get which name; `publish` gives it that
 * name, never over something that may not be replaced; `recover` tells after a crash which step was the last.
 */

import type { ErrorCode } from '../protocol/errors.ts'
import { SealiftError } from '../protocol/errors.ts'
import { KIND_FOLDER } from '../protocol/manifest.ts'
import type { Manifest } from '../protocol/manifest.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import { diskFault, errnoOf } from './disk-faults.ts'
import type { FileSystem } from './file-system.ts'
import { writableTime } from './file-times.ts'
import { placeFile } from './file-placing.ts'
import type { Anchor } from './folder-handles.ts'
import { checkAnchor, FolderHandles } from './folder-handles.ts'
import { completeMerged, completeStaged, NOT_OURS, restrictFolders } from './folder-completion.ts'
import { nextFreeName } from './free-names.ts'
import type { ReceiveLayout, RootSpan } from './receive-layout.ts'
import type { StagedFiles } from './staged-files.ts'

/** What the ledger commits before something is published. */
export interface Intent {
  /** A new root, or an entry that is merged. */
  readonly entry: number
  /** Final path from the output folder on; only its last name may differ from the plan. */
  readonly savedAs: string
  /** Of what is staged; 0 for merged folders and links, which are made only when they are published. */
  readonly dev: bigint
  readonly ino: bigint
}

export type Outcome =
  | { readonly outcome: 'published'; readonly savedAs: string }
  /** The name was taken meanwhile: prepare again, commit, publish again. */
  | { readonly outcome: 'taken' }
  | { readonly outcome: 'skipped'; readonly reason: 'exists' | 'newer' }
  | { readonly outcome: 'failed'; readonly code: ErrorCode; readonly message: string }

/** Where tests strike. */
export type Stage =
  | 'staged'
  | 'synced'
  | 'publish-intent'
  | 'made-final-folder'
  | 'renamed'
  | 'linked'
  | 'published-synced'
  | 'staging-removed'

export interface PublisherOptions {
  readonly fs: FileSystem
  readonly target: Anchor
  readonly staging: Anchor
  readonly layout: ReceiveLayout
  readonly files: StagedFiles
  readonly probe: (stage: Stage) => void
}

/** Errors that concern one merged entry only. */
const ENTRY_FAULTS: Readonly<Record<string, ErrorCode>> = {
  ENOTDIR: 'entry_in_the_way',
  ELOOP: 'entry_in_the_way',
  EISDIR: 'entry_in_the_way',
  ENOTEMPTY: 'entry_in_the_way',
  EACCES: 'target_read_only',
  EPERM: 'target_read_only',
  ENAMETOOLONG: 'name_unusable',
  EINVAL: 'name_unusable',
  EILSEQ: 'name_unusable',
}

export class Publisher {
  /** Entries whose folder got a new name in it; -1 is the output folder. */
  readonly touchedFolders = new Set<number>()
  /** Folders of the trees that are merged into. */
  readonly folders: FolderHandles
  readonly #fs: FileSystem
  readonly #target: Anchor
  readonly #staging: Anchor
  readonly #layout: ReceiveLayout
  readonly #manifest: Manifest
  readonly #files: StagedFiles
  readonly #probe: (stage: Stage) => void
  /** Names of published roots. */
  readonly #rootNames = new Map<number, string>()
  /** Roots whose staging has its last form. */
  readonly #completed = new Set<number>()
  /** Entries whose name was found taken. */
  readonly #taken = new Set<number>()
  /** Names that an interrupted publishing may have made: an empty folder or file there is ours. */
  readonly #begun = new Set<string>()

  constructor(options: PublisherOptions) {
    this.#fs = options.fs
    this.#target = options.target
    this.#staging = options.staging
    this.#layout = options.layout
    this.#manifest = options.layout.manifest
    this.#files = options.files
    this.#probe = options.probe
    this.folders = new FolderHandles({
      fs: options.fs,
      anchor: options.target,
      manifest: this.#manifest,
      nameOf: (entry) => options.layout.nameIn(entry, (root) => this.#rootNames.get(root.root) ?? root.savedAs),
    })
  }

  /** See `TreeWriter.preparePublish`. */
  prepare(entries: Iterable<number>): Intent[] {
    try {
      checkAnchor(this.#fs, this.#target)
      const intents: Intent[] = []
      for (const entry of entries) {
        const root = this.#layout.rootOf(entry)
        if (root.layout === 'merge') {
          intents.push(this.#prepareMerged(entry))
        } else if (root.root === entry) {
          intents.push(this.#prepareNew(root))
        } else {
          throw new SealiftError('internal', 'an entry of a new root cannot be published alone')
        }
      }
      this.#probe('publish-intent')
      return intents
    } catch (error) {
      throw diskFault(error, 'cannot bring what was received into its last form')
    }
  }

  #prepareNew(root: RootSpan): Intent {
    const { root: entry } = root
    if (!this.#completed.has(entry)) {
      if (this.#manifest.kind(entry) === KIND_FOLDER) completeStaged(this.#fs, this.#layout, this.#files, root)
      this.#completed.add(entry)
      this.#probe('staged')
    }
    const { dev, ino } = this.#fs.lstatSync(this.#files.path(entry), { bigint: true })
    return { entry, savedAs: this.#freeRootName(root), dev, ino }
  }

  /** The planned name; beside it, where it was taken meanwhile and the policy keeps both. */
  #freeRootName(root: RootSpan): string {
    const isTaken = (name: string): boolean =>
      this.#fs.lstatSync(`${this.#target.path}/${name}`, { throwIfNoEntry: false }) !== undefined
    const isFile = this.#layout.isFile(root.root)
    const wanted = root.savedAs
    if (!this.#keepsBoth() || this.#begun.has(wanted) || !isTaken(wanted)) return wanted
    const isPromised = (name: string): boolean => this.#layout.roots.some((other) => other.savedAs === name)
    return nextFreeName(this.#manifest.name(root.root), isFile, (name) => isPromised(name) || isTaken(name))
  }

  #keepsBoth(): boolean {
    return this.#layout.policy === 'auto' || this.#layout.policy === 'rename'
  }

  #prepareMerged(entry: number): Intent {
    const savedAs = this.#mergedName(entry)
    if (!this.#layout.isFile(entry)) return { entry, savedAs, dev: 0n, ino: 0n }
    const path = this.#files.path(entry)
    const { dev, ino } = this.#fs.lstatSync(path, { bigint: true })
    this.#fs.chmodSync(path, this.#layout.finalMode(entry))
    this.#files.markChanged(entry)
    return { entry, savedAs, dev, ino }
  }

  #mergedName(entry: number): string {
    const planned = this.#layout.savedPath(entry)
    if (!this.#taken.has(entry) || !this.#keepsBoth()) return planned
    const folder = this.folders.folder(this.#manifest.parent(entry), true)
    const isTaken = (name: string): boolean =>
      this.#fs.lstatSync(`${folder}/${name}`, { throwIfNoEntry: false }) !== undefined
    const cut = planned.lastIndexOf('/') + 1
    return planned.slice(0, cut) + nextFreeName(planned.slice(cut), this.#layout.isFile(entry), isTaken)
  }

  /** See `TreeWriter.publish`. */
  publish(intent: Intent): Outcome {
    const root = this.#layout.rootOf(intent.entry)
    const kind = this.#manifest.kind(intent.entry)
    let result: Outcome
    try {
      if (root.layout === 'merge') {
        result = this.#publishMerged(intent)
      } else {
        checkAnchor(this.#fs, this.#target)
        result = kind === KIND_FOLDER ? this.#publishFolder(intent) : this.#publishFile(intent, this.#target.path)
      }
    } catch (error) {
      const code = root.layout === 'merge' ? ENTRY_FAULTS[errnoOf(error)] : undefined
      const fault = diskFault(error, `cannot save ${escapeForDisplay(intent.savedAs)}`)
      if (code === undefined) throw fault
      return { outcome: 'failed', code, message: fault.message }
    }
    if (result.outcome === 'taken') this.#taken.add(intent.entry)
    if (result.outcome !== 'published') return result
    this.touchedFolders.add(this.#manifest.parent(intent.entry))
    return result
  }

  #publishMerged(intent: Intent): Outcome {
    const { entry, savedAs } = intent
    const parent = this.#manifest.parent(entry)
    if (parent >= 0 && !this.folders.isPresent(parent)) {
      this.folders.folder(parent, true)
      this.touchedFolders.add(this.#manifest.parent(parent))
    }
    const folder = this.folders.folder(parent, true)
    if (this.#layout.isFile(entry)) return this.#publishFile(intent, folder)
    if (this.#manifest.kind(entry) === KIND_FOLDER) {
      this.folders.folder(entry, true)
      return { outcome: 'published', savedAs }
    }
    return this.#publishLink(intent, `${folder}/${lastName(savedAs)}`)
  }

  #publishLink({ entry, savedAs }: Intent, path: string): Outcome {
    const fs = this.#fs
    const target = this.#manifest.target(entry)
    try {
      fs.symlinkSync(target, path)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      const isSame = fs.lstatSync(path).isSymbolicLink() && fs.readlinkSync(path) === target
      return isSame ? { outcome: 'published', savedAs } : this.#whenTaken(savedAs)
    }
    this.#probe('linked')
    const time = writableTime(this.#manifest.mtimeNs(entry))
    fs.lutimesSync(path, time, time)
    return { outcome: 'published', savedAs }
  }

  #publishFile({ entry, savedAs }: Intent, folder: string): Outcome {
    const { policy } = this.#layout
    const placed = placeFile({
      fs: this.#fs,
      from: this.#files.path(entry),
      to: `${folder}/${lastName(savedAs)}`,
      replace: policy === 'overwrite' || policy === 'update' ? policy : 'never',
      mtimeNs: this.#manifest.mtimeNs(entry),
      reuseEmpty: this.#begun.has(savedAs),
      probe: this.#probe,
    })
    if (placed === 'placed') return { outcome: 'published', savedAs }
    if (placed === 'newer') return { outcome: 'skipped', reason: 'newer' }
    return this.#whenTaken(savedAs)
  }

  #publishFolder({ entry, savedAs, ino }: Intent): Outcome {
    const fs = this.#fs
    const from = `${this.#staging.path}/root-${entry}`
    if (fs.lstatSync(from, { bigint: true }).ino !== ino) {
      throw new SealiftError('target_gone', 'a folder in staging was replaced by something else')
    }
    const final = `${this.#target.path}/${savedAs}`
    let made = false
    try {
      fs.mkdirSync(final, 0o700)
      made = true
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      const mayBeEmpty = this.#begun.has(savedAs) || ['overwrite', 'update'].includes(this.#layout.policy)
      if (!mayBeEmpty || !fs.lstatSync(final).isDirectory()) return this.#whenTaken(savedAs)
    }
    this.#probe('made-final-folder')
    try {
      fs.renameSync(from, final)
    } catch (error) {
      const isGone = made && this.#removeQuietly(final)
      // Somebody put something into the empty folder, or in its place: it is theirs now.
      if (!isGone && ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error))) return this.#whenTaken(savedAs)
      throw error
    }
    this.#probe('renamed')
    this.#files.folders.close()
    this.#rootNames.set(entry, savedAs)
    restrictFolders(this.#fs, this.#layout, this.folders, this.#layout.rootOf(entry))
    return { outcome: 'published', savedAs }
  }

  /** @returns whether it was removed: only an empty folder is */
  #removeQuietly(folder: string): boolean {
    try {
      this.#fs.rmdirSync(folder)
      return true
    } catch {
      // The error that led here is the one to tell.
      return false
    }
  }

  #whenTaken(savedAs: string): Outcome {
    if (this.#keepsBoth()) return { outcome: 'taken' }
    if (this.#layout.policy === 'skip') return { outcome: 'skipped', reason: 'exists' }
    const message = `${escapeForDisplay(savedAs)}: something that may not be replaced has this name`
    return { outcome: 'failed', code: 'entry_in_the_way', message }
  }

  /** See `TreeWriter.recover`. */
  recover(intents: Iterable<Intent>): ('published' | 'pending')[] {
    try {
      return [...intents].map((intent) => {
        if (this.#isPublished(intent)) return 'published'
        this.#begun.add(intent.savedAs)
        return 'pending'
      })
    } catch (error) {
      throw diskFault(error, 'cannot look at what was published')
    }
  }

  #isPublished({ entry, savedAs, ino }: Intent): boolean {
    const fs = this.#fs
    const path = this.#finalPath(entry, savedAs)
    if (path === null) return false
    const stats = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return false
    const kind = this.#manifest.kind(entry)
    if (ino === 0n) {
      if (kind === KIND_FOLDER) return stats.isDirectory()
      return stats.isSymbolicLink() && fs.readlinkSync(path) === this.#manifest.target(entry)
    }
    // Device numbers may change with a reboot; staging is on the same device as what was published from it.
    if (stats.ino !== ino || stats.dev !== this.#staging.dev) return false
    this.touchedFolders.add(this.#manifest.parent(entry))
    if (kind === KIND_FOLDER) {
      if (!stats.isDirectory()) return false
      this.#rootNames.set(entry, savedAs)
      restrictFolders(this.#fs, this.#layout, this.folders, this.#layout.rootOf(entry))
      return true
    }
    if (!stats.isFile()) return false
    // Between link and unlink: both names are there.
    if (stats.nlink > 1n) this.#files.drop(entry)
    return true
  }

  #finalPath(entry: number, savedAs: string): string | null {
    if (this.#layout.rootOf(entry).layout === 'new') return `${this.#target.path}/${savedAs}`
    try {
      return `${this.folders.folder(this.#manifest.parent(entry))}/${lastName(savedAs)}`
    } catch (error) {
      if (NOT_OURS.includes(errnoOf(error))) return null
      throw error
    }
  }

  /** See `TreeWriter.finishRoot`. */
  finishRoot(entry: number): void {
    const root = this.#layout.rootOf(entry)
    if (root.layout === 'new') return
    try {
      const set = completeMerged(this.#fs, this.#layout, this.folders, root)
      for (const folder of set) this.touchedFolders.add(folder)
      restrictFolders(this.#fs, this.#layout, this.folders, root)
    } catch (error) {
      throw diskFault(error, `cannot finish ${escapeForDisplay(root.savedAs)}`)
    }
  }

  close(): void {
    this.folders.close()
  }
}

function lastName(savedAs: string): string {
  return savedAs.slice(savedAs.lastIndexOf('/') + 1)
}
