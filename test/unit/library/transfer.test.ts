/** The handle of a transfer: its events, its end, and its being stopped. */

import { describe, expect, test } from 'vitest'
import { startTransfer } from '../../../src/library/transfer.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import type { TransferResult } from '../../../src/library/transfer.ts'

const RESULT: TransferResult = {
  role: 'sender',
  transferId: 'x',
  files: 0,
  bytes: 0,
  bytesOnWire: 0,
  resumedBytes: 0,
  seconds: 0,
  bytesPerSecond: 0,
  savedTo: [],
  replaced: { files: 0, first: [] },
}
const warning = (message: string) => ({ event: 'warning', code: 'test', message }) as const

/** What this process would have died of. */
async function unhandled(run: () => Promise<void>): Promise<unknown[]> {
  const found: unknown[] = []
  const before = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (reason) => found.push(reason))
  try {
    await run()
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of before) process.on('unhandledRejection', listener)
  }
  return found
}

describe('a transfer', () => {
  test('starts at once, whoever listens', async () => {
    let started = false
    const transfer = startTransfer(undefined, async () => {
      started = true
      return RESULT
    })
    expect(started).toBe(true)
    expect(await transfer.done).toBe(RESULT)
  })

  test('keeps its events until they are read, and ends the iteration with the transfer', async () => {
    const transfer = startTransfer(undefined, async (emit) => {
      emit(warning('one'))
      await Promise.resolve()
      emit(warning('two'))
      return RESULT
    })
    await transfer.done
    const read: unknown[] = []
    for await (const event of transfer) read.push(event)
    expect(read).toEqual([warning('one'), warning('two')])
  })

  test('that fails ends the iteration without a throw; done rejects with a typed error', async () => {
    const cause = new TypeError('boom')
    const transfer = startTransfer(undefined, async (emit) => {
      emit(warning('before'))
      throw cause
    })
    const read: unknown[] = []
    for await (const event of transfer) read.push(event)
    expect(read).toEqual([warning('before')])
    await expect(transfer.done).rejects.toMatchObject({ name: 'SealiftError', code: 'internal', cause })
  })

  test('that fails with nobody waiting for done is no unhandled rejection', async () => {
    const found = await unhandled(async () => {
      startTransfer(undefined, () => Promise.reject(new SealiftError('disk_full', 'full')))
      startTransfer(undefined, () => {
        throw new SealiftError('disk_full', 'full, before anything was awaited')
      })
      startTransfer(AbortSignal.abort(new Error('called off')), async (_, signal) => {
        signal.throwIfAborted()
        return RESULT
      })
    })
    expect(found).toEqual([])
  })

  const untilStopped = async (_: unknown, signal: AbortSignal): Promise<TransferResult> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

  test('is stopped by the signal that it was given; its reason becomes the error', async () => {
    const stop = new AbortController()
    const transfer = startTransfer(stop.signal, untilStopped)
    expect(transfer.signal.aborted).toBe(false)
    stop.abort(new SealiftError('interrupted', 'stopped'))
    await expect(transfer.done).rejects.toMatchObject({ code: 'interrupted', exitCode: 130 })
    expect(transfer.signal.aborted).toBe(true)
  })

  test('is stopped by cancel, with a reason or without: an interruption, and no fault of Sealift', async () => {
    const bare = startTransfer(undefined, untilStopped)
    bare.cancel()
    await expect(bare.done).rejects.toMatchObject({ code: 'interrupted', retryable: true })
    const reasoned = startTransfer(undefined, untilStopped)
    reasoned.cancel(new Error('the user closed the window'))
    await expect(reasoned.done).rejects.toMatchObject({ code: 'interrupted', message: 'the user closed the window' })
  })

  test('lets go of the signal when it ends, so that a long-lived one gathers no listeners', async () => {
    const stop = new AbortController()
    let listeners = 0
    const { addEventListener, removeEventListener } = stop.signal
    stop.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++
      addEventListener.apply(stop.signal, args)
    }
    stop.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--
      removeEventListener.apply(stop.signal, args)
    }
    for (let run = 0; run < 5; run++) await startTransfer(stop.signal, async () => RESULT).done
    expect(listeners).toBe(0)
  })
})
