/** The ledger: where it is, whether it can be used, and what is unfinished in it. */

import { formatCount, formatSize } from '../../config/sizes.ts'
import type { Mount } from '../../files/mounts.ts'
import type { LedgerInspection } from '../../ledger/inspection.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { type Finding, finding, problemOf } from './finding.ts'

export interface LedgerFacts {
  readonly path: string
  /** What was found, or the error that any command would end with. */
  readonly found: LedgerInspection | SealiftError
  /** What its folder is on; `null` where the system does not say. */
  readonly mount: Mount | null
}

const NOTHING_GOES = 'Until this is mended nothing can be sent or received.'

export function judgeLedger({ path, found, mount }: LedgerFacts): Finding[] {
  const onDisk = mountFindings(mount)
  if (found instanceof SealiftError) return [problemOf('ledger', found, NOTHING_GOES, { path }), ...onDisk]
  return [stateFinding(path, found), ...folderFindings(found), ...unfinishedFindings(found), ...onDisk]
}

function stateFinding(path: string, found: LedgerInspection): Finding {
  const { exists, sizeBytes, schemaVersion, knownVersion, checked } = found
  const details = { path, exists, sizeBytes, schemaVersion, checked }
  if (!exists)
    return finding('ledger', 'ok', `no ledger yet: ${path}`, 'The first transfer makes it, readable by you alone.', {
      details,
    })
  const state = checked ? 'whole' : 'not checked, being large'
  const what = `${path} (${formatSize(sizeBytes)}, version ${schemaVersion}, ${state})`
  const meaning =
    schemaVersion < knownVersion
      ? `The next transfer brings it to version ${knownVersion}; an older Sealift cannot use it after that.`
      : 'It holds what is needed to go on after an interruption, readable by you alone.'
  return finding('ledger', 'ok', what, meaning, { details })
}

function folderFindings({ folder, folderMode }: LedgerInspection): Finding[] {
  if (folderMode === null || (folderMode & 0o077) === 0) return []
  return [
    finding(
      'ledger',
      'note',
      `others may look into the folder of the ledger (${folderMode.toString(8).padStart(4, '0')})`,
      'They cannot read the ledger itself, but they see when it is used.',
      { advice: `where that is not wanted:\n  chmod 700 '${folder}'`, details: { folder } },
    ),
  ]
}

function unfinishedFindings({ exists, unfinished, running }: LedgerInspection): Finding[] {
  if (!exists) return []
  const details = { unfinished: unfinished.length, running: running.map(({ id }) => id) }
  if (unfinished.length === 0)
    return [finding('ledger', 'ok', 'no unfinished transfer', 'Nothing waits to be gone on with.', { details })]
  const transfers = `${formatCount(unfinished.length)} unfinished ${unfinished.length === 1 ? 'transfer' : 'transfers'}`
  const now = running.map(({ role, pid }) => `the ${role} of one is process ${pid}`).join(', ')
  return [
    finding(
      'ledger',
      'note',
      now === '' ? transfers : `${transfers}; ${now}`,
      'What is safe of them is kept: they go on with what is missing.',
      { advice: 'sealift status lists them, sealift resume ID goes on with one', details },
    ),
  ]
}

function mountFindings(mount: Mount | null): Finding[] {
  if (mount?.isNetwork === true)
    return [
      finding(
        'ledger',
        'warning',
        `the ledger is on a network disk (${mount.type})`,
        'Locks are not reliable there: two transfers at once can damage it, and each is slower.',
        { advice: 'let DB_PATH name a file on a disk of this machine', details: { fileSystem: mount.type } },
      ),
    ]
  if (mount?.isInMemory === true)
    return [
      finding(
        'ledger',
        'note',
        `the ledger is in memory (${mount.type})`,
        'It is gone when the machine stops: unfinished transfers then begin again.',
        { advice: 'let DB_PATH name a file on a disk', details: { fileSystem: mount.type } },
      ),
    ]
  return []
}
