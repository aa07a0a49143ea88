/** A temporary folder, manifests from short descriptions, and whole receives: what the tests of writing share. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ReceivePlan } from '../../../src/files/conflicts.ts'
import type { ConflictPolicy } from '../../../src/protocol/choices.ts'
import { fatesOf, planReceive } from '../../../src/files/conflicts.ts'
import type { FileSystem } from '../../../src/files/file-system.ts'
import { nodeFileSystem } from '../../../src/files/file-system.ts'
import type { Intent, Outcome, Stage } from '../../../src/files/publish.ts'
import { surveyTarget } from '../../../src/files/target-survey.ts'
import { TreeWriter } from '../../../src/files/tree-writer.ts'
import { compareBytes } from '../../../src/protocol/bytes.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK, Manifest } from '../../../src/protocol/manifest.ts'

export const TRANSFER_ID = '6f1c7a52-3f0e-4a51-9d0c-0a4f2d5e8b11'
export const MTIME_NS = 1_700_000_000_123_456_789n

/** Text of a file, or what else stands there. */
export type Node =
  | string
  | { readonly text: string; readonly mode?: number; readonly mtimeNs?: bigint }
  | { readonly folder: Readonly<Record<string, Node>>; readonly mode?: number; readonly mtimeNs?: bigint }
  | { readonly link: string }

export type Tree = Readonly<Record<string, Node>>

/** In memory where there is such a place: these tests make some ten thousand files. */
const PLACES = fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** An empty folder that is removed after the test, with whatever permissions are in it. */
export function makePlace(): string {
  const place = fs.realpathSync(fs.mkdtempSync(join(PLACES, 'sealift-writing-')))
  onTestFinished(() => {
    loosen(place)
    fs.rmSync(place, { recursive: true, force: true })
  })
  return place
}

const EXT4 = 0xef53

/** Real calls on what looks like a real disk, but syncing takes no time. */
export const unsynced: FileSystem = {
  ...nodeFileSystem,
  fsync: ((_fd: number, done: (error: null) => void) => setImmediate(done, null)) as never,
  statfsSync: (() => ({ type: EXT4 })) as never,
}

/** Lets this user read and remove everything below a folder. */
export function loosen(folder: string): void {
  if (!fs.existsSync(folder)) return
  fs.chmodSync(folder, 0o700)
  for (const item of fs.readdirSync(folder, { withFileTypes: true })) {
    if (item.isDirectory()) loosen(join(folder, item.name))
    else if (item.isFile()) fs.chmodSync(join(folder, item.name), 0o600)
  }
}

const encoder = new TextEncoder()

export function manifestOf(tree: Tree): Manifest {
  const manifest = new Manifest()
  addAll(manifest, -1, tree)
  return manifest
}

function addAll(manifest: Manifest, parent: number, tree: Tree): void {
  const items = Object.entries(tree).map(([name, node]) => ({ name: encoder.encode(name), node }))
  items.sort((a, b) => compareBytes(a.name, b.name))
  for (const { name, node } of items) {
    const plain = typeof node === 'string' ? { text: node } : node
    const common = { parent, name, priority: 5, target: '', mtimeNs: MTIME_NS, sizeBytes: 0 }
    if ('link' in plain) {
      manifest.add({ ...common, kind: KIND_LINK, mode: 0o777, target: plain.link })
      continue
    }
    const mtimeNs = plain.mtimeNs ?? MTIME_NS
    if ('text' in plain) {
      const sizeBytes = encoder.encode(plain.text).length
      manifest.add({ ...common, kind: KIND_FILE, mode: plain.mode ?? 0o644, mtimeNs, sizeBytes })
      continue
    }
    const index = manifest.add({ ...common, kind: KIND_FOLDER, mode: plain.mode ?? 0o755, mtimeNs })
    addAll(manifest, index, plain.folder)
  }
}

/** The bytes of every file, by entry. */
export function contentsOf(manifest: Manifest, tree: Tree): Map<number, Uint8Array> {
  const contents = new Map<number, Uint8Array>()
  for (let entry = 0; entry < manifest.count; entry++) {
    if (manifest.kind(entry) !== KIND_FILE) continue
    let node: Node = { folder: tree }
    for (const name of manifest.path(entry).split('/')) {
      if (typeof node === 'string' || !('folder' in node)) throw new Error('the manifest is not of this tree')
      node = node.folder[name] as Node
    }
    contents.set(entry, encoder.encode(typeof node === 'string' ? node : 'text' in node ? node.text : ''))
  }
  return contents
}

/** Puts a tree where something is to be in the way. */
export function plant(folder: string, tree: Tree): void {
  for (const [name, node] of Object.entries(tree)) {
    const path = join(folder, name)
    const plain = typeof node === 'string' ? { text: node } : node
    if ('link' in plain) {
      fs.symlinkSync(plain.link, path)
      continue
    }
    if ('text' in plain) {
      fs.writeFileSync(path, plain.text)
    } else {
      fs.mkdirSync(path, { recursive: true })
      plant(path, plain.folder)
    }
    if (plain.mode !== undefined) fs.chmodSync(path, plain.mode)
    const seconds = Number(plain.mtimeNs ?? MTIME_NS) / 1e9
    fs.utimesSync(path, seconds, seconds)
  }
}

/** What stands below a folder: text of files, `-> target` of links, `/` for folders, by path; hidden names too. */
export function lookAt(folder: string, prefix = ''): Record<string, string> {
  const seen: Record<string, string> = {}
  for (const item of fs.readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, item.name)
    const name = prefix + item.name
    if (item.isSymbolicLink()) {
      seen[name] = `-> ${fs.readlinkSync(path)}`
    } else if (item.isDirectory()) {
      seen[name] = '/'
      Object.assign(seen, lookAt(path, `${name}/`))
    } else if (item.isFile()) {
      seen[name] = fs.readFileSync(path, 'utf8')
    } else {
      seen[name] = '?'
    }
  }
  return seen
}

export interface ReceiveOptions {
  readonly policy?: ConflictPolicy
  readonly plan?: ReceivePlan
  readonly fs?: FileSystem
  readonly reach?: 'descriptors' | 'paths'
  readonly probe?: (stage: Stage) => void
  readonly umask?: number
  /** Files longer than this come in parts of this size. */
  readonly partBytes?: number
  /** Called when all is staged, before anything is published. */
  readonly beforePublish?: (writer: TreeWriter) => void
  /** What the ledger has committed; filled as the receive goes on. */
  readonly committed?: Intent[]
}

export interface Received {
  readonly plan: ReceivePlan
  readonly outcomes: ReadonlyMap<number, Outcome>
}

/** Receives a tree as the engine does, from plan to removed staging. */
export async function receive(outputDir: string, tree: Tree, options: ReceiveOptions = {}): Promise<Received> {
  const manifest = manifestOf(tree)
  const plan = options.plan ?? planFor(manifest, outputDir, options)
  const { fs: port, reach, probe, umask } = options
  const writer = TreeWriter.open({
    outputDir,
    transferId: TRANSFER_ID,
    manifest,
    plan,
    umask: umask ?? 0o022,
    ...(port === undefined ? {} : { fs: port }),
    ...(reach === undefined ? {} : { reach }),
    ...(probe === undefined ? {} : { probe }),
  })
  try {
    const recovered = recoverCommitted(writer, options.committed ?? [])
    await writeContents(writer, manifest, plan, contentsOf(manifest, tree), recovered, options.partBytes)
    options.beforePublish?.(writer)
    const outcomes = await publishAll(writer, manifest, plan, recovered, options.committed)
    writer.remove()
    return { plan, outcomes }
  } finally {
    writer.close()
  }
}

export function planFor(manifest: Manifest, outputDir: string, options: ReceiveOptions = {}): ReceivePlan {
  const survey = surveyTarget(
    manifest,
    outputDir,
    options.fs,
    options.reach === undefined ? {} : { reach: options.reach },
  )
  // Through JSON, as the ledger keeps it.
  return JSON.parse(JSON.stringify(planReceive(manifest, survey, options.policy ?? 'auto'))) as ReceivePlan
}

function recoverCommitted(writer: TreeWriter, committed: readonly Intent[]): Set<number> {
  const outcomes = writer.recover(committed)
  return new Set(committed.filter((_, index) => outcomes[index] === 'published').map(({ entry }) => entry))
}

async function writeContents(
  writer: TreeWriter,
  manifest: Manifest,
  plan: ReceivePlan,
  contents: ReadonlyMap<number, Uint8Array>,
  done: ReadonlySet<number>,
  partBytes = Infinity,
): Promise<void> {
  const fates = fatesOf(plan, manifest.count)
  const roots = plan.roots.filter(({ layout, root }) => layout === 'new' && done.has(root))
  const isDone = (entry: number): boolean =>
    done.has(entry) || roots.some(({ root }) => entry >= root && entry < manifest.subtreeEnd(root))
  for (const [entry, bytes] of contents) {
    if ((fates[entry] as number) > 1 || isDone(entry)) continue
    if (bytes.length === 0) {
      writer.writeEmpty(entry)
    } else if (bytes.length <= partBytes) {
      await writer.write(entry, 0, bytes)
    } else {
      for (let at = 0; at < bytes.length; at += partBytes) {
        await writer.write(entry, at, bytes.subarray(at, at + partBytes))
      }
      writer.finish(entry)
    }
  }
}

async function publishAll(
  writer: TreeWriter,
  manifest: Manifest,
  plan: ReceivePlan,
  done: ReadonlySet<number>,
  committed: Intent[] = [],
): Promise<Map<number, Outcome>> {
  const fates = fatesOf(plan, manifest.count)
  const outcomes = new Map<number, Outcome>()
  let waiting: number[] = []
  for (const { root, layout } of plan.roots) {
    const end = layout === 'new' ? root + 1 : manifest.subtreeEnd(root)
    for (let entry = root; entry < end; entry++) {
      if ((fates[entry] as number) <= 1 && !done.has(entry)) waiting.push(entry)
    }
  }
  while (waiting.length > 0) {
    const intents = writer.preparePublish(waiting)
    await writer.sync()
    for (const intent of intents) {
      const known = committed.findIndex(({ entry }) => entry === intent.entry)
      committed.splice(known < 0 ? committed.length : known, known < 0 ? 0 : 1, intent)
    }
    waiting = []
    for (const intent of intents) {
      const outcome = writer.publish(intent)
      outcomes.set(intent.entry, outcome)
      if (outcome.outcome === 'taken') waiting.push(intent.entry)
    }
  }
  for (const { root } of plan.roots) writer.finishRoot(root)
  await writer.syncPublished()
  return outcomes
}
