/** Two files that are made together and are of use together only, a key and what belongs to it. Nothing is ever replaced. */

import { lstatSync, statSync, unlinkSync } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'

/** What is said where the pair cannot be made. */
export interface PairWords {
  readonly noFolderHint: string
  /** As a message begins, which the path ends. */
  readonly occupied: string
  readonly occupiedHint: string
}

/** @throws SealiftError `conflict` where one of the paths is taken, `target_not_folder` */
export function refuseOccupied(folder: string, paths: readonly string[], words: PairWords): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new SealiftError('target_not_folder', `this is no folder: ${escapeForDisplay(folder)}`, {
      hint: words.noFolderHint,
    })
  for (const path of paths) {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue
    throw new SealiftError('conflict', `${words.occupied}, and it is not replaced: ${escapeForDisplay(path)}`, {
      hint: words.occupiedHint,
    })
  }
}

/**
 * Makes the second file.
 * @param first path of the one that is there by now; removed where the second cannot be made
 */
export function completePair(first: string, makeSecond: () => void): void {
  try {
    makeSecond()
  } catch (error) {
    // Half a pair is of no use, and would be in the way the next time.
    unlinkSync(first)
    throw error
  }
}
