/** F-05, F-09: the target's disk fills up, is read-only, disappears or becomes a link while a transfer runs. */

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Planned } from '../rigs/chaos-proxy.ts'
import { changedSurroundings } from '../rigs/invariants.ts'
import { makePlace } from '../rigs/place.ts'
import { mountSmall } from '../rigs/small-disk.ts'
import { type TransferRun, withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20

/** Writes until there is no room. */
function fill(file: string): void {
  const fd = fs.openSync(file, 'w')
  try {
    for (;;) fs.writeSync(fd, Buffer.alloc(64 << 10))
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
  } finally {
    fs.closeSync(fd)
  }
}

const isStaging = (name: string): boolean => name.startsWith('.sealift-')

/** Something happens when so much content has passed on the first connection. */
const when = (bytes: number, run: () => void): ((connection: number) => Planned[]) => {
  return (connection) => (connection === 0 ? [{ direction: 'down', spot: bytes, fault: { kind: 'call', run } }] : [])
}

async function expectFault(run: TransferRun, code: string): Promise<void> {
  const { error } = await run.ended(run.startReceiver())
  expect(error).toMatchObject({ code, exitCode: 7 })
  const warned = (): boolean => run.sender.events.some((event) => event.event === 'warning' && event.code === code)
  await expect.poll(warned, { message: 'the sender says so and waits on' }).toBe(true)
}

test('a disk that fills up in the middle: the same line goes on once there is room', async (context) => {
  const place = makePlace(51, { largeBytes: 20 * MIB })
  mountSmall(context, place.out, 'size=48m')
  const ballast = join(place.out, 'ballast')
  await withRun(place, { plan: when(11 * MIB, () => fill(ballast)) }, async (run) => {
    await expectFault(run, 'disk_full')
    expect(fs.readdirSync(place.out).filter(isStaging), 'staging is kept').toHaveLength(1)
    fs.rmSync(ballast)
    const [ending] = await run.receiveAll()
    expect(ending?.result?.resumedBytes).toBeGreaterThan(4 * MIB)
    await run.checkDone()
  })
})

test('too little room from the start: nothing is begun, and nothing is left', async (context) => {
  const place = makePlace(52, { largeBytes: 20 * MIB })
  mountSmall(context, place.out, 'size=24m')
  await withRun(place, {}, async (run) => {
    await expectFault(run, 'disk_full')
    expect(fs.readdirSync(place.out)).toEqual([])
  })
})

test('a target that cannot be written: it says so, and the same line works once it can', async (context) => {
  const place = makePlace(53)
  mountSmall(context, place.out, 'size=32m,ro')
  await withRun(place, {}, async (run) => {
    const { error } = await run.ended(run.startReceiver())
    expect(error).toMatchObject({ code: 'target_read_only', exitCode: 7 })
    expect(run.passages, 'asked before the token is spent').toHaveLength(0)
    expect(spawnSync('mount', ['-o', 'remount,rw', place.out]).status).toBe(0)
    await run.receiveAll()
    await run.checkDone()
  })
})

test('an output folder that is removed under way: an error, and the same line starts over', async () => {
  const place = makePlace(54, { largeBytes: 12 * MIB })
  const plan = when(5 * MIB, () => fs.rmSync(place.out, { recursive: true }))
  await withRun(place, { plan }, async (run) => {
    await expectFault(run, 'target_gone')
    expect(fs.existsSync(join(place.out, 'tree'))).toBe(false)
    await run.receiveAll()
    await run.checkDone()
  })
})

test('staging that is removed under way: an error, and the same line sends it again', async () => {
  const place = makePlace(55, { largeBytes: 12 * MIB })
  const plan = when(5 * MIB, () => {
    for (const name of fs.readdirSync(place.out)) fs.rmSync(join(place.out, name), { recursive: true })
  })
  await withRun(place, { plan }, async (run) => {
    await expectFault(run, 'target_gone')
    await run.receiveAll()
    await run.checkDone()
  })
})

test('an output folder that becomes a link to elsewhere under way: nothing is written there', async () => {
  const place = makePlace(56, { largeBytes: 12 * MIB })
  const plan = when(5 * MIB, () => {
    fs.renameSync(place.out, join(place.aside, 'out'))
    fs.symlinkSync(join(place.root, 'target', 'beside'), place.out)
  })
  await withRun(place, { plan }, async (run) => {
    await expectFault(run, 'target_gone')
    expect(changedSurroundings(place).filter((line) => !line.includes('target/out'))).toEqual([])
    fs.rmSync(place.out)
    fs.renameSync(join(place.aside, 'out'), place.out)
    await run.receiveAll()
    await run.checkDone()
  })
})
