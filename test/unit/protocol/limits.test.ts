import { expect, test } from 'vitest'

import * as limits from '../../../src/protocol/limits.ts'

test('the limits that are part of the protocol are those that it names', () => {
  expect(limits).toMatchObject({
    MAX_HANDSHAKE_BYTES: 4096,
    MAX_CHUNK_BYTES: 1_048_576,
    MIN_CHUNK_BYTES: 65_536,
    CHUNK_HEADER_BYTES: 64,
    TAG_BYTES: 16,
    RECORDS_PER_KEY: 65_536,
    MAX_ENTRIES: 1_000_000,
    MAX_MANIFEST_BYTES: 268_435_456,
    MAX_NAME_BYTES: 255,
    MAX_PATH_BYTES: 4096,
    MAX_CONTENT_BYTES: Number.MAX_SAFE_INTEGER,
    MAX_UNACKNOWLEDGED_BYTES: 33_554_432,
    MAX_AHEAD_OF_HASH_BYTES: 67_108_864,
    MAX_RESUME_IDS: 8,
    MAX_UNCONFIRMED_CONNECTIONS: 128,
    HANDSHAKE_TIMEOUT_MS: 10_000,
    MAX_GUESSES_PER_SOURCE: 3,
    MAX_GUESSES: 10,
    MAX_INITIATOR_CONFIRMATIONS: 3,
    CONSENT_TIMEOUT_MS: 600_000,
    RECONNECT_TIMEOUT_MS: 30_000,
    DEFAULT_PORT: 15_820,
  })
})

test('one record holds the largest of every kind of message', () => {
  const plaintext = limits.MAX_RECORD_BYTES - limits.TAG_BYTES
  expect(plaintext).toBe(limits.CHUNK_HEADER_BYTES + limits.MAX_CHUNK_BYTES)
  expect(1 + limits.MAX_CONTROL_BYTES).toBeLessThan(plaintext)
  expect(2 + limits.MAX_PAGE_BYTES).toBeLessThan(plaintext)
})

test('times stand in the order that makes them mean something', () => {
  expect(limits.PING_INTERVAL_MS * 2).toBeLessThan(limits.SILENCE_TIMEOUT_MS)
  expect(limits.SILENCE_TIMEOUT_MS).toBeLessThan(limits.STALL_TIMEOUT_MS)
  expect(limits.MAX_UNACKNOWLEDGED_BYTES).toBeLessThan(limits.MAX_AHEAD_OF_HASH_BYTES)
  expect(limits.CHECKPOINT_BYTES).toBeLessThan(limits.MAX_UNACKNOWLEDGED_BYTES)
})
