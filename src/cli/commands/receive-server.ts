/** `sealift receive --host … --port …`: the receiving server. */

import { readFileSync } from 'node:fs'
import { formatAddress } from '../../config/address.ts'
import { SERVER_SETTINGS, type ServerSettings } from '../../config/server-settings.ts'
import { type FoundSetting, resolveSettings } from '../../config/settings.ts'
import { formatCount, formatFiles, formatSize } from '../../config/sizes.ts'
import { startReceivingServer, type RunningServer } from '../../library/receive-server.ts'
import { SealiftError, toSealiftError } from '../../protocol/errors.ts'
import type { ServerEvent } from '../../server/server-event.ts'
import { Output, type OutputOptions, shown } from '../output.ts'
import { formatPlace } from '../progress-layout.ts'
import { findPassword, identityPasswordFinder, tokenOfEnvironment } from '../secrets.ts'

/** Beside these, the options of `SERVER_SETTINGS` under the names that commander gives them. */
export interface ReceiveServerCommandOptions extends OutputOptions {
  readonly host?: string
  readonly port?: string
  readonly tls?: boolean
  readonly config?: string
  readonly passwordFile?: string
  readonly printConfig?: boolean
}

/** Whether a command line asks for the server: an option or a variable that only it has. */
export function isServerWanted({ host, port, tls, printConfig }: ReceiveServerCommandOptions): boolean {
  const { ST_HOST = '', ST_PORT = '' } = process.env
  return (
    host !== undefined || port !== undefined || tls === true || printConfig === true || ST_HOST !== '' || ST_PORT !== ''
  )
}

/** Both ways to receive have them. */
const SHARED_FLAGS: ReadonlySet<string> = new Set(['--output-dir', '--bwlimit'])

/** Options on a line that only the server has, as they are typed. */
export function serverOptionsOf(given: ReceiveServerCommandOptions): string[] {
  return Object.values(SERVER_SETTINGS)
    .map(({ flag }) => flag)
    .filter((flag) => flag !== null && !SHARED_FLAGS.has(flag) && valueOf(given, flag) !== undefined) as string[]
}

/** What commander has for a long option: text, or `true` where it takes no value. */
function valueOf(given: object, flag: string): string | undefined {
  const attribute = flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
  const value = (given as Record<string, unknown>)[attribute]
  return typeof value === 'string' || value === true ? String(value) : undefined
}

/** Runs until it is stopped. @throws SealiftError what it could not start with, or what ended it */
export async function receiveAsServer(given: ReceiveServerCommandOptions, signal: AbortSignal): Promise<void> {
  const { values: settings, found } = readSettings(given)
  // Who asks for a talkative log and keeps none wants to see it here.
  const isTalkative = settings.logLevel === 'debug' || settings.logLevel === 'trace'
  const output = new Output({ ...given, verbose: given.verbose === true || isTalkative })
  if (given.printConfig === true) {
    printConfig(found, output)
    return
  }
  const givenToken = tokenOfEnvironment()
  const server = await startReceivingServer({
    settings,
    token: givenToken,
    password: findPassword(given.passwordFile),
    identityPassword: identityPasswordFinder(output, signal),
    fileEvents: output.json || output.verbose,
    onEvent: (event) => showEvent(event, output),
  })
  // One that was given is known to whoever gave it, and has no business in a log of this output.
  sayListening(givenToken === undefined ? server : { ...server, token: null }, settings, output)
  const stopped = new Promise<never>((_, reject) => {
    const stop = (): void => reject(toSealiftError(signal.reason))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  try {
    await Promise.race([server.end, stopped])
  } catch (thrown) {
    const error = toSealiftError(thrown)
    await server.stop(error)
    throw error
  }
}

function readSettings(given: ReceiveServerCommandOptions): {
  values: ServerSettings
  found: readonly FoundSetting[]
} {
  const flags: Record<string, string | undefined> = {}
  for (const [key, { flag }] of Object.entries(SERVER_SETTINGS)) if (flag !== null) flags[key] = valueOf(given, flag)
  return resolveSettings(SERVER_SETTINGS, { flags, environment: process.env, file: readConfig(given.config) })
}

/** @throws SealiftError `settings_invalid` */
function readConfig(path: string | undefined): string | null {
  if (path === undefined) return null
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SealiftError('settings_invalid', `the file of --config cannot be read: ${shown(path)}`, { cause })
  }
}

function printConfig(found: readonly FoundSetting[], output: Output): void {
  for (const { env, text, source, meaning } of found) {
    output.event({ event: 'setting', name: env, value: text, source, meaning })
    if (!output.json) process.stdout.write(`${env}=${shown(text)}  # ${source}: ${meaning}\n`)
  }
}

function sayListening(server: RunningServer, settings: ServerSettings, output: Output): void {
  const { address, port, token, others, fingerprint, healthPort } = server
  const place = formatAddress(address, port)
  output.event({
    event: 'listening',
    transferId: null,
    address,
    port,
    token,
    tailnet: null,
    connect: token === null ? place : `${place}:${token}`,
    fingerprint,
    healthPort,
    files: 0,
    bytes: 0,
  })
  output.say(`Receiving on ${output.strong(place)} into ${shown(settings.outputDir ?? '.')}.`)
  output.say(`Key of this server: ${fingerprint}`)
  const { bytesPerSecond: rate, totalBytesPerSecond: total, maxActive: active } = settings
  if (rate === null && total === null) output.say('No limit of speed.')
  if (rate !== null)
    output.say(
      `Each sender gets ${formatSize(rate)} a second at most; ST_RATE_LIMIT_BYTES_PER_SEC=0 or --rate-limit 0 lifts that.`,
    )
  if (total !== null) output.say(`All senders together get ${formatSize(total)} a second at most.`)
  if (active !== null) output.say(`${formatCount(active)} at a time; others wait in line.`)
  if (others === 'token' && token === null) output.say('Senders are asked for the token that was given.')
  if (token !== null) output.say(`Token: ${output.strong(token)}  (senders are asked for it)`)
  if (others === 'password') output.say('Senders are asked for the password.')
  if (others === null) output.say(`Only ${authorities(settings)} may send.`)
  if (others === 'nothing') output.warn('this server is open: everybody who reaches it may send')
  if (healthPort !== null) output.say(`Health: http://127.0.0.1:${healthPort}/health, for Prometheus /metrics.`)
  output.say('On another machine:')
  const host = formatAddress(isAnyAddress(address) ? 'THIS-HOST' : address, port)
  output.say(`    sealift send PATH --to ${host}${settings.tls ? ' --tls --ca CA-FILE' : ''}`)
}

/** By what senders come in where nothing else lets them. */
function authorities({ authorizedKeys, ca }: ServerSettings): string {
  if (ca === null) return 'authorised keys'
  return authorizedKeys === null ? 'certificates of the CA' : 'authorised keys and certificates of the CA'
}

function isAnyAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

function showEvent(event: ServerEvent, output: Output): void {
  if (event.event === 'error') {
    const { error, peer, transferId } = event
    const { code, message, exitCode, retryable } = error
    output.event({
      event: 'error',
      code,
      message,
      hint: error.hint,
      exitCode,
      retryable,
      peer,
      ...(transferId === null ? {} : { transferId }),
    })
    output.say(`${shown(peer)}: ${shown(message)}`)
    return
  }
  output.event(event)
  if (event.event === 'connected') output.detail(`${shown(event.peer)} connected (${event.suite}).`)
  if (event.event === 'queued') output.detail(`${event.transferId}: ${formatPlace(event.place)} in line`)
  if (event.event === 'file') output.detail(`${shown(event.path)}: ${event.status}`)
  if (event.event === 'banned') output.say(`${shown(event.peer)}: banned until ${event.until} (${shown(event.code)})`)
  // Whoever leaves before it is let in may come again at once: to ask its user for the token, say.
  if (event.event === 'refused' && event.code === 'connection_lost') output.detail(`${shown(event.peer)} left.`)
  else if (event.event === 'refused') output.say(`${shown(event.peer)}: refused (${event.code})`)
  if (event.event === 'warning') output.warn(event.message)
  if (event.event === 'done')
    output.say(`Received ${formatFiles(event.files)}, ${formatSize(event.bytes)} (${event.transferId}).`)
}
