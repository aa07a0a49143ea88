import { describe, expect, test } from 'vitest'
import { judgeProcessor, measureProcessor } from '../../../../src/library/doctor/processor-check.ts'
import { judgeRuntime, readRuntime, type RuntimeFacts } from '../../../../src/library/doctor/runtime-check.ts'

const GOOD: RuntimeFacts = {
  version: '1.2.3',
  nodeVersion: '24.7.0',
  platform: 'linux',
  architecture: 'arm64',
  hasZstd: true,
  hasMlKem: true,
  holdsFolders: true,
  openFiles: 1024,
}

/** Status and text of all findings, for what differs from a good machine. */
const judged = (facts: Partial<RuntimeFacts>) =>
  judgeRuntime({ ...GOOD, ...facts })
    .filter(({ status }) => status !== 'ok')
    .map(({ status, what, code }) => [status, code, what])

describe('runtime', () => {
  test('a machine that has everything', () => {
    expect(judged({})).toEqual([])
    expect(judgeRuntime(GOOD)[0]?.what).toBe('Sealift 1.2.3, Node 24.7.0, linux arm64')
  })

  test('an old Node', () => {
    expect(judged({ nodeVersion: '24.6.9' })).toEqual([
      ['problem', 'settings_invalid', expect.stringMatching('24.6.9')],
    ])
    expect(judged({ nodeVersion: '20.19.0' })[0]?.[0]).toBe('problem')
    expect(judged({ nodeVersion: '25.0.0' })).toEqual([])
  })

  test('a Node without zstd, or without ML-KEM', () => {
    expect(judged({ hasZstd: false })).toEqual([['note', null, expect.stringMatching('without zstd')]])
    expect(judged({ hasMlKem: false })).toEqual([['warning', null, expect.stringMatching('ML-KEM-768')]])
  })

  test('no /proc: a warning where it could be there, a note where it cannot', () => {
    expect(judged({ holdsFolders: false })).toEqual([['warning', null, expect.stringMatching('/proc/self/fd')]])
    expect(judged({ holdsFolders: false, platform: 'darwin' })[0]?.[0]).toBe('note')
  })

  test('few open files', () => {
    const [found] = judgeRuntime({ ...GOOD, openFiles: 256 }).slice(-1)
    expect([found?.status, found?.advice]).toEqual(['warning', expect.stringMatching('ulimit -n')])
    expect(judgeRuntime({ ...GOOD, openFiles: null })).toHaveLength(3)
    expect(judgeRuntime({ ...GOOD, openFiles: Infinity }).at(-1)?.details).toEqual({ openFiles: null })
  })

  test('of this process', () => {
    expect(readRuntime()).toMatchObject({ nodeVersion: process.versions.node, hasZstd: true, hasMlKem: true })
  })
})

describe('processor', () => {
  const rates = { sealing: { 'aes-256-gcm': 3e9, 'chacha20-poly1305': 2e9 }, hashing: 1.5e9 }

  test('sealing and hashing share one core', () => {
    const [found] = judgeProcessor({ ciphers: ['aes-256-gcm', 'chacha20-poly1305'], ...rates })
    expect(found).toMatchObject({
      status: 'ok',
      meaning: expect.stringMatching(/^AES-256-GCM is taken.* enough for 8.0 Gbit/),
      details: { cipher: 'aes-256-gcm', bytesPerSecond: 1e9 },
    })
  })

  test('without instructions for AES', () => {
    const [found] = judgeProcessor({
      ciphers: ['chacha20-poly1305', 'aes-256-gcm'],
      sealing: { 'aes-256-gcm': 5e7, 'chacha20-poly1305': 4e8 },
      hashing: 1.2e8,
    })
    expect(found).toMatchObject({
      status: 'note',
      meaning: expect.stringMatching(/ChaCha20-Poly1305 is taken: .*no instructions for AES.*processor sets the pace/),
    })
  })

  test('a build with one cipher, and with none', () => {
    const [one] = judgeProcessor({ ciphers: ['aes-256-gcm'], sealing: { 'aes-256-gcm': 3e9 }, hashing: 1e9 })
    expect(one?.what).not.toContain('ChaCha')
    expect(one?.details).toMatchObject({ chacha20Poly1305BytesPerSecond: null })
    expect(judgeProcessor({ ciphers: [], sealing: {}, hashing: 1e9 })[0]).toMatchObject({
      status: 'problem',
      code: 'version_mismatch',
    })
  })

  test('of this machine, in a moment; called off at once', async () => {
    const facts = await measureProcessor(new AbortController().signal)
    expect(facts.hashing).toBeGreaterThan(1e6)
    expect(Object.keys(facts.sealing).sort()).toEqual([...facts.ciphers].sort())
    await expect(measureProcessor(AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop')
  })
})
