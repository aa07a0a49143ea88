/** I3: over cuts, resumes and both directions, no key ever seals twice under one nonce. */

import { expect, test, vi } from 'vitest'
import type { CryptoPort } from '../../src/protocol/crypto-port.ts'
import { makePlace } from '../rigs/place.ts'
import { recordSeals, Seals } from '../rigs/recording-crypto.ts'
import { withRun } from '../rigs/transfer-run.ts'

const { seals } = vi.hoisted(() => ({ seals: { now: null as Seals | null } }))

vi.mock('../../src/crypto/node.ts', async (load) => {
  const original = await load<{ nodeCrypto: CryptoPort }>()
  seals.now = new Seals()
  return { ...original, nodeCrypto: recordSeals(original.nodeCrypto, seals.now) }
})

test('no nonce is used twice with a key, in eight sessions of two transfers', async () => {
  for (const seed of [91, 92]) {
    const place = makePlace(seed, { largeBytes: 5 << 20 })
    await withRun(
      place,
      {
        plan: (connection) =>
          connection < 3 ? [{ direction: 'down', spot: 1_500_000, fault: { kind: 'cut', how: 'reset' } }] : [],
      },
      async (run) => {
        await run.receiveAll()
        await run.checkDone()
        expect(run.passages).toHaveLength(4)
      },
    )
  }
  expect(seals.now?.repeated).toEqual([])
  expect(seals.now?.count).toBeGreaterThan(60)
})
