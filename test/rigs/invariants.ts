/**
 * What must hold after every fault, whatever it was (I1–I7 of the fault matrix). Each check gives the breaks it found, in
 * words, so that a failure shows all of them at once.
 */

import fs from 'node:fs'
import { join } from 'node:path'
import { listSurroundings, type Place } from './place.ts'
import { differences, listTree } from './small-tree.ts'

/** Tokens and keys that were in use, for {@link secretsInTheOpen}. */
export class Secrets {
  readonly tokens = new Set<string>()
  readonly keys = new Map<string, Uint8Array>()

  addKey(key: Uint8Array): void {
    this.keys.set(Buffer.from(key).toString('hex'), key)
  }

  /** The forms in which a text could hold one. */
  get texts(): string[] {
    const keys = [...this.keys.values()].flatMap((key) => {
      const bytes = Buffer.from(key)
      return [bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')]
    })
    const tokens = [...this.tokens].flatMap((token) => [token, token.replaceAll('-', ' '), token.replaceAll('-', '')])
    return [...keys, ...tokens]
  }
}

/** Also what was set aside because no ledger knows it. */
const STAGING = /^\.sealift-.*\.part(\.stale-\d+)?$/

/** I1: what has a final name is what its source is; while a transfer is unfinished, files may be absent. */
export function wrongFiles({ source, out }: Place): string[] {
  const wanted = listTree(source)
  const breaks: string[] = []
  for (const root of fs.existsSync(out) ? fs.readdirSync(out) : []) {
    if (STAGING.test(root)) continue
    for (const [name, line] of listTree(join(out, root))) {
      // A folder's name is taken empty before the finished one is renamed onto it.
      if (line === 'folder' || wanted.get(name) === line) continue
      breaks.push(`I1: ${join(root, name)} is ${line}, its source ${wanted.get(name) ?? 'nothing'}`)
    }
  }
  return breaks
}

/** I1 and I5: all of the source is in the output folder, under its own name, and nothing else is there. */
export function incomplete({ source, out }: Place): string[] {
  const breaks = differences(listTree(source), listTree(join(out, 'tree'))).map((line) => `I5: ${line}`)
  for (const name of fs.readdirSync(out)) if (name !== 'tree') breaks.push(`I7: left in the output folder: ${name}`)
  return breaks
}

/** I2: nothing beside the output folder changed. */
export function changedSurroundings(place: Place): string[] {
  return differences(place.surroundings, listSurroundings(place)).map((line) => `I2: ${line}`)
}

/** I6: no text holds a secret; no file holds a token, nor a key in any form but the ledgers' own rows. */
export function secretsInTheOpen({ root, source }: Place, secrets: Secrets, texts: readonly string[]): string[] {
  const breaks: string[] = []
  const needles = secrets.texts
  for (const text of texts) {
    for (const needle of needles) if (text.includes(needle)) breaks.push(`I6: a secret is shown: ${text}`)
  }
  const visit = (folder: string): void => {
    for (const item of fs.readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, item.name)
      // The source is as it was before there were secrets: see I2.
      if (item.isDirectory() && path !== source) visit(path)
      if (!item.isFile()) continue
      const bytes = fs.readFileSync(path)
      for (const needle of needles) if (bytes.includes(needle)) breaks.push(`I6: a secret rests as text in ${path}`)
      if (path.startsWith(join(root, 'ledgers'))) continue
      for (const key of secrets.keys.values()) if (bytes.includes(key)) breaks.push(`I6: a key rests in ${path}`)
    }
  }
  visit(root)
  return breaks
}

/** Open sockets and files of this process that are no pipe of the test runner. */
export function openHandles(): string[] {
  return (
    fs
      .readdirSync('/proc/self/fd')
      .map((fd) => {
        try {
          return fs.readlinkSync(`/proc/self/fd/${fd}`)
        } catch {
          // The descriptor that read this folder.
          return ''
        }
      })
      .filter((target) => target !== '' && !/^(pipe:|anon_inode:|\/dev\/(null|pts|urandom))/.test(target))
      // Read by Node in a thread of its own, some time after the start.
      .filter((target) => target !== process.env['NODE_EXTRA_CA_CERTS'])
      .sort()
  )
}

/** I7: what is open now and was not then. */
export function leftOpen(before: readonly string[], after: readonly string[]): string[] {
  const unmatched = [...before]
  const left = after.filter((target) => {
    // Which of its own sockets a process still has is not told by their numbers.
    const at = unmatched.findIndex(
      (other) => other === target || (other.startsWith('socket:') && target.startsWith('socket:')),
    )
    if (at < 0) return true
    unmatched.splice(at, 1)
    return false
  })
  return left.map((target) => `I7: still open: ${target}`)
}
