/** Where secrets come from: the environment, a file, or a prompt that shows nothing; never an option that holds them. */

import { readFileSync } from 'node:fs'
import { SealiftError } from '../protocol/errors.ts'
import type { Output } from './output.ts'
import { askSecret } from './secret-prompt.ts'

function ofEnvironment(name: string): string | undefined {
  const set = process.env[name]
  return set === undefined || set.trim() === '' ? undefined : set
}

/** `SEALIFT_TOKEN`. */
export function tokenOfEnvironment(): string | undefined {
  return ofEnvironment('SEALIFT_TOKEN')
}

/**
 * The password by file or `SEALIFT_PASSWORD`; what was named is stronger than what was set.
 * @throws SealiftError `settings_invalid` where the file cannot be read
 */
export function findPassword(passwordFile: string | undefined): string | undefined {
  if (passwordFile === undefined) return ofEnvironment('SEALIFT_PASSWORD')
  try {
    return readFileSync(passwordFile, 'utf8').split(/\r?\n/, 1)[0] ?? ''
  } catch (cause) {
    throw new SealiftError('settings_invalid', `the file of --password-file cannot be read: ${passwordFile}`, { cause })
  }
}

/** Finds the password of a sealed key, once it is known to be sealed. */
export function identityPasswordFinder(output: Output, signal: AbortSignal): () => Promise<string | undefined> {
  return async () => {
    const set = ofEnvironment('SEALIFT_KEY_PASSWORD')
    return set === undefined && output.canAsk ? askSecret('Password of the key:', signal) : set
  }
}
