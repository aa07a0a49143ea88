/** The disk of an output folder, asked through the system. */

import { existsSync } from 'node:fs'
import { openDiskTrial } from '../../files/disk-trial.ts'
import { nodeFileSystem } from '../../files/file-system.ts'
import { freeBytes, freeEntries, nearestFolder } from '../../files/free-space.ts'
import { findMount } from '../../files/mounts.ts'
import { checkTarget, listStaging } from '../../files/staging.ts'
import type { DiskPort } from './disk-check.ts'

/**
 * @param folder absolute
 * @param signal removes at once what was made to try things out
 */
export function outputDisk(folder: string, signal: AbortSignal): DiskPort {
  return {
    folder,
    exists: existsSync(folder),
    check: () => checkTarget(folder),
    mount: () => findMount(nodeFileSystem.realpathSync(nearestFolder(folder))),
    freeBytes: () => freeBytes(folder),
    freeEntries: () => freeEntries(folder),
    staging: () => listStaging(folder),
    tryOut: () => openDiskTrial(nearestFolder(folder), signal),
  }
}
