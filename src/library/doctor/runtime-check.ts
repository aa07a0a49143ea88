/** What Sealift runs on: Node and what its build has, the system, and what that allows. */

import { readFileSync } from 'node:fs'
import { zstdCompressSync } from 'node:zlib'
import { formatCount } from '../../config/sizes.ts'
import { nodeCrypto } from '../../crypto/node.ts'
import { canHoldFolders } from '../../files/folder-handles.ts'
import { VERSION } from '../version.ts'
import { type Finding, finding, problem } from './finding.ts'

const OLDEST_NODE = [24, 7] as const
/** Folders and files that a transfer holds open, its connection and its ledger, with room to spare. */
const ENOUGH_OPEN_FILES = 512

export interface RuntimeFacts {
  readonly version: string
  /** Without a `v` in front. */
  readonly nodeVersion: string
  readonly platform: string
  readonly architecture: string
  readonly hasZstd: boolean
  readonly hasMlKem: boolean
  /** Whether folders can be held by descriptors while files are written into them. */
  readonly holdsFolders: boolean
  /** How many files may be open at once; `null` where the system does not say. */
  readonly openFiles: number | null
}

export function readRuntime(): RuntimeFacts {
  return {
    version: VERSION,
    nodeVersion: process.versions.node,
    platform: process.platform,
    architecture: process.arch,
    hasZstd: typeof zstdCompressSync === 'function',
    hasMlKem: nodeCrypto.kem !== null,
    holdsFolders: canHoldFolders(),
    openFiles: readOpenFiles(),
  }
}

export function judgeRuntime(facts: RuntimeFacts): Finding[] {
  return [versionFinding(facts), kemFinding(facts), folderFinding(facts), ...openFilesFindings(facts)]
}

function versionFinding({ version, nodeVersion, platform, architecture, hasZstd }: RuntimeFacts): Finding {
  const what = `Sealift ${version}, Node ${nodeVersion}, ${platform} ${architecture}`
  const details = { version, nodeVersion, platform, architecture, zstd: hasZstd }
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    return problem('runtime', 'settings_invalid', what, `Sealift needs Node ${OLDEST_NODE.join('.')} or newer.`, {
      advice: 'install a newer Node: https://nodejs.org/en/download',
      details,
    })
  if (!hasZstd)
    return finding('runtime', 'note', `${what}, without zstd`, '--compress takes gzip and blosc-lz4 here, not zstd.', {
      details,
    })
  return finding('runtime', 'ok', what, 'New enough, with SQLite for the ledger and zstd for --compress.', { details })
}

function kemFinding({ hasMlKem }: RuntimeFacts): Finding {
  const details = { mlKem768: hasMlKem }
  return hasMlKem
    ? finding(
        'runtime',
        'ok',
        'ML-KEM-768 is there',
        'What is sent stays secret from quantum computers of later, where the other side has it too.',
        { details },
      )
    : finding(
        'runtime',
        'warning',
        'this Node has no ML-KEM-768',
        'Transfers are sealed as ever, but who records one may open it with a quantum computer of later.',
        { advice: 'use the Node of https://nodejs.org/en/download, which is built with OpenSSL 3.5', details },
      )
}

function folderFinding({ holdsFolders, platform }: RuntimeFacts): Finding {
  const details = { holdsFolders }
  if (holdsFolders)
    return finding(
      'runtime',
      'ok',
      'folders are held while files are written',
      'Nobody on this machine can swap one for a link meanwhile.',
      { details },
    )
  const meaning =
    'Folders are looked at again before each use. That leaves a moment in which somebody who may write to the ' +
    'output folder can swap one for a link.'
  const advice = 'receive into folders that only you may write to'
  return platform === 'linux'
    ? finding('runtime', 'warning', '/proc/self/fd is not there', meaning, {
        advice: `mount /proc, or ${advice}`,
        details,
      })
    : finding('runtime', 'note', 'this system cannot hold folders open', meaning, { advice, details })
}

function openFilesFindings({ openFiles }: RuntimeFacts): Finding[] {
  if (openFiles === null) return []
  const what = `${openFiles === Infinity ? 'any number of' : formatCount(openFiles)} files may be open at once`
  const details = { openFiles: openFiles === Infinity ? null : openFiles }
  return [
    openFiles < ENOUGH_OPEN_FILES
      ? finding('runtime', 'warning', `only ${what}`, 'A tree of many files may end with "too many open files".', {
          advice: 'raise it in this shell:\n  ulimit -n 1024',
          details,
        })
      : finding('runtime', 'ok', what, 'More than a transfer needs.', { details }),
  ]
}

/** Node raises the soft limit to the hard one when it starts; this is what it got. */
function readOpenFiles(): number | null {
  try {
    const [, limit] = /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    if (limit === undefined) return null
    return limit === 'unlimited' ? Infinity : Number(limit)
  } catch {
    return null
  }
}
