/**
 * Who listens on a port, where the system tells cheaply: Linux, and a process of this user. A guess for people; nothing
 * depends on it.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

export interface PortHolder {
  readonly pid: number
  /** File name of its program. */
  readonly program: string
}

const LISTENING = '0A'
/** A machine with very many processes is not searched to the end. */
const MAX_SEARCH_MS = 150

/** @param proc where the system describes its processes */
export function findPortHolder(port: number, proc = '/proc'): PortHolder | null {
  try {
    const tables = ['tcp', 'tcp6'].map((table) => readText(`${proc}/net/${table}`))
    const sockets = new Set(tables.flatMap((table) => listeningSockets(table, port)))
    return sockets.size === 0 ? null : findProcess(sockets, proc)
  } catch {
    return null
  }
}

/** Links by which processes hold sockets that listen on the port. */
function listeningSockets(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(wanted) === true && fields[3] === LISTENING)
    .map((fields) => `socket:[${fields[9] ?? ''}]`)
}

function findProcess(sockets: ReadonlySet<string>, proc: string): PortHolder | null {
  const endsAt = performance.now() + MAX_SEARCH_MS
  for (const pid of readdirSync(proc)) {
    if (!/^\d+$/.test(pid)) continue
    if (performance.now() > endsAt) return null
    if (holdsOne(`${proc}/${pid}/fd`, sockets)) return { pid: Number(pid), program: programOf(`${proc}/${pid}`) }
  }
  return null
}

/** Not its command line: that may hold a secret. */
function programOf(folder: string): string {
  const file = readLink(`${folder}/exe`)
  return file === '' ? readText(`${folder}/comm`).trim() : basename(file)
}

function holdsOne(folder: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(folder).some((fd) => sockets.has(readLink(`${folder}/${fd}`)))
  } catch {
    // Another user's, or gone meanwhile.
    return false
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
