import { describe, expect, test } from 'vitest'
import { SERVER_SETTINGS } from '../../../src/config/server-settings.ts'
import { resolveSettings, type SettingSources } from '../../../src/config/settings.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'

const resolve = (sources: Partial<SettingSources>) =>
  resolveSettings(SERVER_SETTINGS, { flags: {}, environment: {}, file: null, ...sources })

function fault(sources: Partial<SettingSources>): SealiftError {
  try {
    resolve(sources)
  } catch (error) {
    if (error instanceof SealiftError) return error
  }
  throw new Error('there was no fault')
}

describe('settings of the server', () => {
  test('have the defaults that its first users know', () => {
    expect(resolve({}).values).toMatchObject({
      host: '0.0.0.0',
      port: 9000,
      maxTransferBytes: 10_000_000_000,
      maxPayloadBytes: 64_000_000,
      maxConnectionsPerAddress: 5,
      bytesPerSecond: 10_000_000,
      banThreshold: 3,
      banWindowMs: 60_000,
      logLevel: 'info',
      logRotationBytes: 10_000_000,
      logRetentionMs: 7 * 24 * 3600 * 1000,
      open: false,
    })
  })

  test('come from flag, environment, file and default, in this order', () => {
    const file = '# of this machine\nST_PORT=1111\nST_HOST="10.0.0.1"\nLOG_LEVEL=warn\n'
    const { values, found } = resolve({
      flags: { port: '3333' },
      environment: { ST_PORT: '2222', ST_HOST: '10.0.0.2' },
      file,
    })
    expect(values).toMatchObject({ port: 3333, host: '10.0.0.2', logLevel: 'warn', banThreshold: 3 })
    const source = (env: string) => found.find((setting) => setting.env === env)?.source
    expect(['ST_PORT', 'ST_HOST', 'LOG_LEVEL', 'ST_LAYOUT'].map(source)).toEqual([
      'flag',
      'environment',
      'file',
      'default',
    ])
  })

  test('that are empty in the environment are not set', () => {
    expect(resolve({ environment: { ST_PORT: '', ST_HOST: ' ' } }).values).toMatchObject({
      port: 9000,
      host: '0.0.0.0',
    })
  })

  test('0 lifts a limit where it may', () => {
    const { values } = resolve({ environment: { ST_RATE_LIMIT_BYTES_PER_SEC: '0', ST_MAX_TRANSFER_SIZE: '0' } })
    expect(values).toMatchObject({ bytesPerSecond: null, maxTransferBytes: null })
  })

  test.each([
    ['ST_PORT', '99999'],
    ['ST_PORT', '-1'],
    ['ST_PORT', 'http'],
    ['ST_HOST', 'a b'],
    ['ST_MAX_TRANSFER_SIZE', '-5'],
    ['ST_MAX_TRANSFER_SIZE', '10XB'],
    ['ST_MAX_PAYLOAD_SIZE', '1'],
    ['ST_MAX_CONCURRENT_PER_IP', '0'],
    ['ST_MAX_CONCURRENT_PER_IP', '1.5'],
    ['ST_RATE_LIMIT_BYTES_PER_SEC', '10'],
    ['ST_MAX_ACTIVE', '-1'],
    ['ST_MAX_ACTIVE', 'some'],
    ['ST_BWLIMIT', '10'],
    ['ST_FAILED_HANDSHAKE_BAN_THRESHOLD', '0'],
    ['ST_FAILED_HANDSHAKE_BAN_WINDOW_SEC', '0'],
    ['ST_FAILED_HANDSHAKE_BAN_WINDOW_SEC', '1 fortnight'],
    ['LOG_LEVEL', 'loud'],
    ['ST_LAYOUT', 'deep'],
    ['ST_OPEN', 'perhaps'],
  ])('%s=%s is one line that names it', (env, text) => {
    const { code, message } = fault({ environment: { [env]: text } })
    expect(code).toBe('settings_invalid')
    expect(message).toContain(env)
    expect(message).not.toContain('\n')
  })

  test('that are wrong are all said at once, a line each, by the name they were given by', () => {
    const error = fault({
      flags: { port: 'x' },
      environment: { LOG_LEVEL: 'loud' },
      file: 'ST_BAN_DURATION=never\nST_PROT=9000\n',
    })
    expect(error.exitCode).toBe(2)
    const lines = error.hint?.split('\n') ?? []
    expect(lines).toHaveLength(4)
    expect(lines.filter((line) => line.includes('--port'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('ST_PROT'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('ST_BAN_DURATION of the settings file'))).toHaveLength(1)
  })

  test('levels may be written as the seed has them, in capitals', () => {
    expect(resolve({ environment: { LOG_LEVEL: 'INFO' } }).values.logLevel).toBe('info')
  })

  test('a secret is shown only as being there', () => {
    const table = { secret: { ...SERVER_SETTINGS.identity, env: 'S', isSecret: true } }
    const { found } = resolveSettings(table, { flags: {}, environment: { S: 'hush' }, file: null })
    expect(found[0]?.text).toBe('(set)')
  })
})
