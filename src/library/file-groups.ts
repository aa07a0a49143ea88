/**
 * Which files of a list travel together. A transfer costs a handshake, a row in the ledger and some syncs, whatever is in
 * it: small files share one, large ones have one each, so that several of them move side by side.
 */

import { collisionKey } from '../files/name-rules.ts'

/** From this size on a transfer's own cost is nothing beside its content. */
const LARGE_FILE_BYTES = 8 << 20
/** What is lost when a transfer is refused or breaks should not be the whole list. */
const MAX_FILES = 2000
const MAX_BYTES = 64 << 20

export interface GroupedFile {
  /** Its name at the receiver. */
  readonly name: string
  readonly sizeBytes: number
}

/**
 * The same list gives the same groups, so that a call that is made again finds the transfers of the one before.
 * @returns each file in one group, in the order of the list; no two of a group have names that some system takes for one
 */
export function groupFiles<File extends GroupedFile>(files: readonly File[]): File[][] {
  const groups: File[][] = []
  /** By how many files before have the same name: the group that is being filled, and its bytes. */
  const open: { group: File[]; bytes: number }[] = []
  const seen = new Map<string, number>()
  for (const file of files) {
    if (file.sizeBytes >= LARGE_FILE_BYTES) {
      groups.push([file])
      continue
    }
    const name = collisionKey(file.name)
    const twins = seen.get(name) ?? 0
    seen.set(name, twins + 1)
    let filling = open[twins]
    if (filling === undefined || filling.group.length >= MAX_FILES || filling.bytes + file.sizeBytes > MAX_BYTES) {
      filling = open[twins] = { group: [], bytes: 0 }
      groups.push(filling.group)
    }
    filling.group.push(file)
    filling.bytes += file.sizeBytes
  }
  return groups
}
