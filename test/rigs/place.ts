/**
 * Where one transfer between two sides takes place: a source, an output folder, a ledger for each side, and what must
 * not change beside them. In memory where the system has such a folder, since these tests make thousands of syncs.
 */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { onTestFinished } from 'vitest'
import { Chance } from './seeds.ts'
import { listTree, makeTree, type TreeOptions } from './small-tree.ts'

export interface Place {
  readonly root: string
  /** The folder that is sent. */
  readonly source: string
  /** The output folder of the receiver; the tree arrives as `tree` in it. */
  readonly out: string
  readonly senderLedger: string
  readonly receiverLedger: string
  /** For what a test moves out of the way. */
  readonly aside: string
  /** What is beside all that, as it was at the start. */
  readonly surroundings: ReadonlyMap<string, string>
  remove(): void
}

const MEMORY = '/dev/shm'

/** A fresh place, removed after the test or by `remove`. */
export function makePlace(seed: number, tree: TreeOptions = {}): Place {
  const base = isWritable(MEMORY) ? MEMORY : tmpdir()
  const root = fs.realpathSync(fs.mkdtempSync(join(base, 'sealift-fault-')))
  const remove = (): void => fs.rmSync(root, { recursive: true, force: true })
  onTestFinished(remove)
  const source = join(root, 'source', 'tree')
  makeTree(source, new Chance(seed), tree)
  const out = join(root, 'target', 'out')
  fs.mkdirSync(out, { recursive: true })
  makeTree(join(root, 'target', 'beside'), new Chance(seed + 1), { files: 1 })
  fs.mkdirSync(join(root, 'ledgers'), { mode: 0o700 })
  const aside = join(root, 'aside')
  fs.mkdirSync(aside)
  const ledgers = { senderLedger: join(root, 'ledgers/s/s.db'), receiverLedger: join(root, 'ledgers/r/r.db') }
  const place = { root, source, out, aside, ...ledgers, remove }
  return { ...place, surroundings: listSurroundings(place) }
}

/** Everything in the place but the output folder, the ledgers and what was moved aside. */
export function listSurroundings({ root }: Pick<Place, 'root'>): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, line] of listTree(root)) {
    if (!/^(ledgers|aside|target\/out)(\/|$)/.test(name)) found.set(name, line)
  }
  return found
}

function isWritable(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The resume keys that a ledger holds now. */
export function readResumeKeys(ledger: string): Uint8Array[] {
  if (!fs.existsSync(ledger)) return []
  const db = new DatabaseSync(ledger, { readOnly: true, timeout: 2000 })
  try {
    return db
      .prepare('SELECT resume_key FROM resume_keys')
      .all()
      .map((row) => row['resume_key'] as Uint8Array)
  } catch {
    // The tables are just being made.
    return []
  } finally {
    db.close()
  }
}

/** Does something to a ledger that nobody has open. */
export function changeLedger(ledger: string, sql: string): void {
  const db = new DatabaseSync(ledger, { timeout: 2000 })
  try {
    db.exec(sql)
  } finally {
    db.close()
  }
}
