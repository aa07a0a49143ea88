/**
 * What must hold when a transfer goes on under other circumstances: another tree, a ledger that is gone, a machine that
 * was started anew, a token that is used up.
 */

import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { SealiftError, type ReceiveOptions } from '../../src/index.ts'
import { runKilledTransfer } from '../rigs/killed-transfer.ts'
import { changeLedger, makePlace, type Place } from '../rigs/place.ts'
import { longBytes } from '../rigs/small-tree.ts'
import { Chance } from '../rigs/seeds.ts'
import { type SideRun, type TransferRun, withRun } from '../rigs/transfer-run.ts'

const MIB = 1 << 20
const interrupted = (): SealiftError => new SealiftError('interrupted', 'stopped')

/** Starts a receiver that is stopped by Ctrl-C when it comes to a stage for the n-th time. */
async function receiveUntil(
  run: TransferRun,
  stage: string,
  time: number,
  options: ReceiveOptions = {},
): Promise<SideRun> {
  let times = 0
  const stop = new AbortController()
  const probe = (at: string): void => {
    if (at === stage && ++times === time) stop.abort(interrupted())
  }
  const side = run.startReceiver({ ...options, probe, signal: stop.signal })
  expect((await run.ended(side)).error).toMatchObject({ code: 'interrupted', exitCode: 130 })
  return side
}

test('Ctrl-C at the receiver: the sender waits, and the same line goes on', async () => {
  const place = makePlace(71, { largeBytes: 24 * MIB })
  await withRun(place, {}, async (run) => {
    await receiveUntil(run, 'after-checkpoint', 1)
    const [ending] = await run.receiveAll()
    expect(ending?.result?.resumedBytes).toBeGreaterThan(4 * MIB)
    await run.checkDone()
  })
})

test('Ctrl-C at the sender: the receiver waits for it, and goes on with the next one by itself', async () => {
  const place = makePlace(72, { largeBytes: 24 * MIB })
  await withRun(place, {}, async (run) => {
    let sender: SideRun | null = null
    const probe = (stage: string): void => {
      if (stage !== 'after-checkpoint' || sender !== null) return
      sender = run.sender
      sender.transfer.cancel(interrupted())
      void sender.end.then(() => run.startSender())
    }
    const receiver = run.startReceiver({ probe })
    expect((await run.ended(receiver)).error).toBeNull()
    expect(run.senders).toHaveLength(2)
    await run.checkDone()
    expect(run.sender.events.findLast((event) => event.event === 'done')?.resumedBytes).toBeGreaterThan(4 * MIB)
  })
})

test('a file that was added meanwhile: what had arrived is taken over, also of a file that had come in part', async () => {
  const place = makePlace(73, { largeBytes: 24 * MIB })
  await withRun(place, {}, async (run) => {
    await receiveUntil(run, 'after-checkpoint', 1)
    run.sender.transfer.cancel(interrupted())
    await run.ended(run.sender)
    fs.writeFileSync(join(place.source, 'added'), 'after the first run')
    await run.startSender()
    const later = run.startReceiver()
    const { result, error } = await run.ended(later)
    expect(error).toBeNull()
    expect(result?.resumedBytes).toBeGreaterThan(4 * MIB)
    const sender = await run.ended(run.sender)
    expect(sender.error).toBeNull()
    expect(fs.readdirSync(place.out)).toEqual(['tree'])
    expect(fs.readFileSync(join(place.out, 'tree/large')).equals(fs.readFileSync(join(place.source, 'large')))).toBe(
      true,
    )
    expect(fs.readFileSync(join(place.out, 'tree/added'), 'utf8')).toBe('after the first run')
  })
})

test('files that changed and went meanwhile: what is not the same is sent anew', async () => {
  const place = makePlace(74, { files: 5, largeBytes: 24 * MIB })
  await withRun(place, {}, async (run) => {
    await receiveUntil(run, 'after-checkpoint', 1)
    run.sender.transfer.cancel(interrupted())
    await run.ended(run.sender)
    // The same size, another content, a later time.
    fs.writeFileSync(join(place.source, 'large'), longBytes(new Chance(740), 24 * MIB))
    fs.rmSync(join(place.source, 'one'))
    await run.startSender()
    expect((await run.ended(run.startReceiver())).error).toBeNull()
    expect((await run.ended(run.sender)).error).toBeNull()
    expect(fs.readFileSync(join(place.out, 'tree/large')).equals(fs.readFileSync(join(place.source, 'large')))).toBe(
      true,
    )
    expect(fs.existsSync(join(place.out, 'tree/one'))).toBe(false)
  })
})

test('staging is removed after the sender was told that files are verified: they are sent again', async () => {
  const place = makePlace(69, { files: 6, largeBytes: 24 * MIB })
  await withRun(place, {}, async (run) => {
    await receiveUntil(run, 'after-checkpoint', 1)
    await receiveUntil(run, 'accepted', 1)
    for (const name of fs.readdirSync(place.out)) fs.rmSync(join(place.out, name), { recursive: true })
    await run.receiveAll()
    await run.checkDone()
  })
})

test(
  'the receiver loses its ledger: its token is spent, and with a new one all is sent anew',
  { timeout: 60_000 },
  async () => {
    const between = ({ receiverLedger }: Place): void => fs.rmSync(dirname(receiverLedger), { recursive: true })
    const plan = { seed: 75, tree: { largeBytes: 12 * MIB }, receiver: { stage: 'after-checkpoint', time: 1 } }
    await runKilledTransfer({ ...plan, between, leavesStaging: true })

    const place = makePlace(75)
    await withRun(place, {}, async (run) => {
      await receiveUntil(run, 'accepted', 1)
      between(place)
      const { error } = await run.ended(run.startReceiver())
      expect(error).toMatchObject({ code: 'auth_failed', exitCode: 4 })
      expect(fs.existsSync(join(place.out, 'tree'))).toBe(false)
    })
  },
)

test('the sender loses its ledger: a new transfer to the same folder', { timeout: 60_000 }, async () => {
  const between = ({ senderLedger }: Place): void => fs.rmSync(dirname(senderLedger), { recursive: true })
  const plan = { seed: 76, tree: { largeBytes: 12 * MIB }, receiver: { stage: 'after-checkpoint', time: 1 } }
  await runKilledTransfer({ ...plan, between, leavesStaging: true })
})

test('the machine starts anew: what was not synced is fetched again', { timeout: 60_000 }, async () => {
  const between = ({ out, receiverLedger }: Place): void => {
    changeLedger(receiverLedger, `UPDATE ranges SET boot = 'another run' WHERE boot IS NOT NULL`)
    // The page cache is lost with the machine: sizes may have reached the disk, bytes not.
    for (const name of fs.readdirSync(out, { recursive: true, encoding: 'utf8' })) {
      const path = join(out, name)
      if (!fs.lstatSync(path).isFile()) continue
      const { size, atime, mtime } = fs.statSync(path)
      fs.writeFileSync(path, new Uint8Array(size))
      fs.utimesSync(path, atime, mtime)
    }
  }
  for (const [time, stage] of [
    [1, 'after-checkpoint'],
    [2, 'after-checkpoint'],
    [1, 'before-sync'],
  ] as const) {
    const plan = { seed: 77 + time, tree: { files: 6, largeBytes: 20 * MIB }, receiver: { stage, time } }
    await runKilledTransfer({ ...plan, between })
  }
})

test('one token, one receiver: a second one is refused, and the first is not disturbed', async () => {
  const place = makePlace(78, { largeBytes: 8 * MIB })
  await withRun(place, {}, async (run) => {
    const elsewhere = { outputDir: join(place.aside, 'out'), ledgerPath: join(place.root, 'ledgers/x/x.db') }
    let second: SideRun | null = null
    const probe = (stage: string): void => {
      if (stage === 'chunk') second ??= run.startReceiver(elsewhere)
    }
    const first = run.startReceiver({ probe })
    expect((await run.ended(first)).error).toBeNull()
    expect((await run.ended(second as unknown as SideRun)).error?.exitCode).toBeOneOf([4, 5])
    await run.checkDone()
    expect(fs.existsSync(elsewhere.outputDir)).toBe(false)
    expect(run.sender.events.filter(({ event }) => event === 'connected')).toHaveLength(1)
  })
})

test('a token that was guessed at three times opens nothing any more', async () => {
  const place = makePlace(79)
  await withRun(place, {}, async (run) => {
    const connect = `127.0.0.1:${run.proxy.port}`
    for (let guess = 0; guess < 3; guess++) {
      const { error } = await run.ended(run.startReceiver({}, `${connect}:wrong-guess`))
      expect(error).toMatchObject({ code: 'auth_failed', exitCode: 4 })
    }
    expect((await run.ended(run.sender)).error).toMatchObject({ code: 'token_burned', exitCode: 4 })
    expect((await run.ended(run.startReceiver())).error?.exitCode).toBeOneOf([4, 5])
    expect(fs.readdirSync(place.out)).toEqual([])
  })
})

test('a cut while the receiver publishes does not make it publish twice', async () => {
  const place = makePlace(70)
  await withRun(place, {}, async (run) => {
    // The ledger is busy just long enough for the next session to come up while the first one still publishes.
    const blocker = { db: null as DatabaseSync | null }
    const free = (): void => {
      blocker.db?.exec('ROLLBACK')
      blocker.db?.close()
      blocker.db = null
    }
    onTestFinished(free)
    let done = false
    const probe = (stage: string): void => {
      if (stage !== 'before-sync' || done) return
      done = true
      blocker.db = new DatabaseSync(place.receiverLedger, { timeout: 1000 })
      blocker.db.exec('BEGIN IMMEDIATE')
      run.proxy.cutAll()
    }
    const receiver = run.startReceiver({ probe })
    await expect.poll(() => receiver.events.filter(({ event }) => event === 'connected').length).toBe(2)
    free()
    expect((await run.ended(receiver)).error).toBeNull()
    await run.checkDone()
    const saved = receiver.events.filter((event) => event.event === 'file' && event.status === 'ok')
    expect(saved).toHaveLength(5)
  })
})
