/** `sealift keygen`: makes the key pair that a client is authorised by, or a server known by. */

import { countCharacters, MIN_PASSWORD_CHARACTERS, normalizePassword } from '../../identity/password.ts'
import { createIdentity } from '../../library/create-identity.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { Output, type OutputOptions, shown } from '../output.ts'
import { askNewPassword } from '../secret-prompt.ts'
import { findPassword } from '../secrets.ts'

export interface KeygenCommandOptions extends OutputOptions {
  readonly output?: string
  /** `true` without a value: to be asked for. */
  readonly password?: string | true
  readonly passwordFile?: string
}

/** @throws SealiftError `conflict` where there is a key already, `usage`, `settings_invalid`, and those of a disk */
export async function keygen(given: KeygenCommandOptions, signal: AbortSignal): Promise<void> {
  const output = new Output(given)
  let password: string | undefined
  const { privateKey, publicKey, fingerprint, line } = await createIdentity({
    outputDir: given.output,
    password: async () => (password = await choosePassword(given, output, signal)),
  })
  for (const [code, message] of warningsOf(given, password)) {
    output.event({ event: 'warning', code, message })
    output.warn(message)
  }
  output.event({
    event: 'key',
    privateKey,
    publicKey,
    fingerprint,
  })
  output.say(`Private key: ${shown(privateKey)}${password === undefined ? '' : ' (sealed by the password)'}`)
  output.say(`Public key:  ${shown(publicKey)}`)
  output.say(`Fingerprint: ${output.strong(fingerprint)}`)
  output.say()
  output.say(line)
  output.say()
  output.say('This line in the list of authorised keys of a server lets you send to it.')
}

async function choosePassword(
  { password, passwordFile }: KeygenCommandOptions,
  output: Output,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (typeof password === 'string' && passwordFile !== undefined)
    throw new SealiftError('usage', '--password with a value and --password-file exclude each other')
  if (typeof password === 'string') return password
  const found = findPassword(passwordFile)
  if (found !== undefined) return found
  if (password === undefined) return undefined
  if (output.canAsk) return askNewPassword((text) => void normalizePassword(text).fill(0), signal)
  throw new SealiftError('usage', 'there is no terminal to ask for the password', {
    hint: 'set SEALIFT_PASSWORD, or name a file that holds it with --password-file',
  })
}

function warningsOf(given: KeygenCommandOptions, password: string | undefined): (readonly [string, string])[] {
  if (password === undefined)
    return [
      ['key_unsealed', 'the private key is not sealed: whoever can read its file can use it (--password seals it)'],
    ]
  const warnings: (readonly [string, string])[] = []
  if (typeof given.password === 'string')
    warnings.push([
      'password_shown',
      'a password on the command line can be seen by others; --password alone asks for it',
    ])
  if (countCharacters(password) < MIN_PASSWORD_CHARACTERS)
    warnings.push(['password_short', `the password has fewer than ${String(MIN_PASSWORD_CHARACTERS)} characters`])
  return warnings
}
