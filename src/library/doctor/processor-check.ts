/** How fast this processor seals and hashes, which decides the cipher and what networks can be filled. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { formatSize } from '../../config/sizes.ts'
import { nodeCrypto } from '../../crypto/node.ts'
import type { CipherName } from '../../protocol/crypto-port.ts'
import { MAX_CHUNK_BYTES } from '../../protocol/limits.ts'
import { type Finding, finding, problem } from './finding.ts'

/** Each is measured for so long … */
const MEASURE_MS = 30
/** … and with so many chunks, so that some are not disturbed by what else runs … */
const FEW_CHUNKS = 24
/** … but no longer than this, however slow it is. */
const MAX_MEASURE_MS = 100
/** Where the clock is too coarse to tell. */
const MIN_MEASURED_MS = 0.01
const KEY_BYTES = 32
const NONCE_BYTES = 12
const GIGABIT_BYTES_PER_SECOND = 125_000_000

export interface ProcessorFacts {
  /** What there is, in the order of preference. */
  readonly ciphers: readonly CipherName[]
  /** Bytes a second on one core, one for each cipher that there is. */
  readonly sealing: Readonly<Partial<Record<CipherName, number>>>
  readonly hashing: number
}

const NAMES: Readonly<Record<CipherName, string>> = {
  'aes-256-gcm': 'AES-256-GCM',
  'chacha20-poly1305': 'ChaCha20-Poly1305',
}

/** @throws the signal's reason */
export async function measureProcessor(signal: AbortSignal): Promise<ProcessorFacts> {
  const content = new Uint8Array(MAX_CHUNK_BYTES)
  const nonce = new Uint8Array(NONCE_BYTES)
  const sealing: Partial<Record<CipherName, number>> = {}
  for (const cipher of nodeCrypto.ciphers) {
    const key = nodeCrypto.bulkKey(cipher, new Uint8Array(KEY_BYTES))
    sealing[cipher] = await bytesPerSecond(() => void key.seal(nonce, new Uint8Array(0), [content]), signal)
  }
  const hashing = await bytesPerSecond(() => void nodeCrypto.sha256([content]), signal)
  return { ciphers: nodeCrypto.ciphers, sealing, hashing }
}

/**
 * The best of many chunks: what else runs on the machine now says nothing about its processor.
 * @param work on one chunk
 */
async function bytesPerSecond(work: () => void, signal: AbortSignal): Promise<number> {
  const startMs = performance.now()
  let bestMs = Infinity
  let tookMs = 0
  for (let chunks = 1; chunks <= FEW_CHUNKS || tookMs < MEASURE_MS; chunks++) {
    const chunkStartMs = performance.now()
    work()
    bestMs = Math.min(bestMs, performance.now() - chunkStartMs)
    tookMs = performance.now() - startMs
    if (tookMs > MAX_MEASURE_MS) break
    // Ctrl-C is heard between chunks.
    if (chunks % 8 === 0) await nextTurn()
    signal.throwIfAborted()
  }
  return (MAX_CHUNK_BYTES * 1000) / Math.max(bestMs, MIN_MEASURED_MS)
}

export function judgeProcessor({ ciphers, sealing, hashing }: ProcessorFacts): Finding[] {
  const [first] = ciphers
  if (first === undefined)
    return [
      problem(
        'processor',
        'version_mismatch',
        'this Node has neither AES-256-GCM nor ChaCha20-Poly1305',
        'Nothing can be sealed, so nothing can be sent.',
        { advice: 'use the Node of https://nodejs.org/en/download' },
      ),
    ]
  const rates = ciphers.map((cipher) => `${NAMES[cipher]} ${formatSize(sealing[cipher] ?? 0)}/s`)
  const both = 1 / (1 / (sealing[first] ?? 1) + 1 / hashing)
  const details = {
    cipher: first,
    aes256GcmBytesPerSecond: rounded(sealing['aes-256-gcm']),
    chacha20Poly1305BytesPerSecond: rounded(sealing['chacha20-poly1305']),
    sha256BytesPerSecond: rounded(hashing),
    bytesPerSecond: rounded(both),
  }
  const why =
    first === 'chacha20-poly1305' && ciphers.length > 1
      ? `${NAMES[first]} is taken: this processor has no instructions for AES.`
      : `${NAMES[first]} is taken, where the other side prefers it too.`
  const isSlow = both < GIGABIT_BYTES_PER_SECOND
  const pace = `One core seals and hashes ${formatSize(both)} a second`
  return [
    finding(
      'processor',
      isSlow ? 'note' : 'ok',
      [...rates, `SHA-256 ${formatSize(hashing)}/s`].join(', '),
      isSlow
        ? `${why} ${pace}: on a network of 1 Gbit/s and more the processor sets the pace.`
        : `${why} ${pace}, enough for ${gigabits(both)} Gbit/s.`,
      { details },
    ),
  ]
}

function gigabits(perSecond: number): string {
  const value = (perSecond * 8) / 1e9
  return value < 10 ? value.toFixed(1) : String(Math.floor(value))
}

function rounded(perSecond: number | undefined): number | null {
  return perSecond === undefined ? null : Math.round(perSecond)
}
