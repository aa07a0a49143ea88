/** Processes that are stopped or killed in the middle, what `status` says of them, and how they go on. */

import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect } from 'vitest'
import { type CliProcess, type Desk, type Listening, test, treeOf } from '../rigs/cli-process.ts'

const LARGE = Buffer.alloc(3_000_000)
for (let at = 0; at < LARGE.length; at += 4) LARGE.writeInt32LE(Math.imul(at, 2_654_435_761) | 0, at)

/** A transfer that is well under way: a part is safe, and the rest takes seconds. */
async function underWay(
  desk: Desk,
  sending: readonly string[] = [],
): Promise<{ sender: Listening; receiver: CliProcess }> {
  const tree = desk.folder('tree', { large: LARGE, 'sub/small': 'small' })
  const sender = await desk.send([tree, ...sending], { user: 'ada' })
  const receiver = desk.start(desk.receiving(sender.connect, ['--bwlimit', '700K']), { user: 'bob' })
  await receiver.event('progress', ({ bytesDone }) => (bytesDone as number) > 0)
  return { sender, receiver }
}

const same = (desk: Desk): void => expect(treeOf(desk.path('out', 'tree'))).toEqual(treeOf(desk.path('tree')))
const bytesDone = (process: CliProcess): number =>
  Math.max(
    0,
    ...process.events.filter(({ event }) => event === 'progress').map((event) => event['bytesDone'] as number),
  )
const resumed = (events: readonly { readonly [field: string]: unknown }[]): number =>
  events.at(-1)?.['resumedBytes'] as number

describe.concurrent('Ctrl-C', () => {
  test('at the receiver: 130, how to resume, and the sender waits; the same line goes on', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    const safe = bytesDone(receiver)
    receiver.kill('SIGINT')
    const stopped = await receiver.end
    expect([stopped.code, stopped.signal]).toEqual([130, null])
    expect(stopped.stderr).toMatch(new RegExp(`^stopped\\nhint: [^\\n]*sealift resume ${sender.transferId}\\n$`))
    expect(stopped.events.at(-1)).toMatchObject({
      event: 'error',
      code: 'interrupted',
      exitCode: 130,
      retryable: true,
      transferId: sender.transferId,
    })
    expect(desk.names('out')).toEqual([`.sealift-${sender.transferId}.part`])
    await sender.process.said(/warning: the receiver was stopped; waiting for it to come back/)
    const again = await desk.receive(sender.connect, [], { user: 'bob' })
    expect([again.code, (await sender.process.end).code]).toEqual([0, 0])
    expect(resumed(again.events)).toBeGreaterThanOrEqual(safe)
    expect(desk.names('out')).toEqual(['tree'])
    same(desk)
  })

  test('at the sender: 130, how to resume, and the receiver hears why; both go on by resume', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    sender.process.kill('SIGINT')
    const sent = await sender.process.end
    expect(sent.code).toBe(130)
    expect(sent.stderr).toMatch(new RegExp(`^stopped\\nhint: [^\\n]*sealift resume ${sender.transferId}\\n$`))
    await receiver.said(/the sender was stopped/)
    receiver.kill('SIGINT')
    expect((await receiver.end).code).toBe(130)

    const resuming = desk.start(['resume', sender.transferId, '--json'], { user: 'ada' })
    expect(await resuming.event('listening')).toMatchObject({ transferId: sender.transferId, port: sender.port })
    const again = await desk.run(['resume', sender.transferId.slice(0, 8), '--json'], { user: 'bob' })
    expect([again.code, again.stderr]).toEqual([0, ''])
    expect((await resuming.end).code).toBe(0)
    expect(resumed(again.events)).toBeGreaterThan(0)
    expect(again.events.find(({ event }) => event === 'connected')).toMatchObject({ suite: 'resume+mlkem768' })
    same(desk)
  })

  test('before anybody came: 130 at once', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const startedMs = Date.now()
    sender.process.kill('SIGINT')
    expect(await sender.process.end).toMatchObject({ code: 130 })
    expect(Date.now() - startedMs).toBeLessThan(1500)
  })

  test('twice: ends at once, although the other side answers nothing', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    receiver.kill('SIGSTOP')
    sender.process.kill('SIGINT')
    await delay(300)
    expect(sender.process.isOver).toBe(false)
    const startedMs = Date.now()
    sender.process.kill('SIGINT')
    expect((await sender.process.end).code).toBe(130)
    expect(Date.now() - startedMs).toBeLessThan(1200)
  })

  test('by SIGTERM: 143 on either side, and the other one hears of it', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    receiver.kill('SIGTERM')
    expect((await receiver.end).code).toBe(143)
    await sender.process.said(/receiver was stopped/)
    sender.process.kill('SIGTERM')
    const sent = await sender.process.end
    expect([sent.code, sent.events.at(-1)?.['exitCode']]).toEqual([143, 143])
  })
})

describe.concurrent('SIGKILL', () => {
  test('of the receiver: status knows, and resume ID goes on with what is missing', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    const safe = bytesDone(receiver)
    receiver.kill('SIGKILL')
    await receiver.end
    const { events } = await desk.run(['status', '--json'], { user: 'bob' })
    expect(events).toEqual([
      expect.objectContaining({
        event: 'transfer',
        id: sender.transferId,
        role: 'receiver',
        transfer_type: 'download',
        filename: 'tree',
        file_size: LARGE.length + 5,
        status: 'in_progress',
        peer: '127.0.0.1',
        completed_at: null,
        error: null,
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      }),
    ])
    expect(events[0]?.['bytesDone']).toBeGreaterThanOrEqual(safe)
    const again = await desk.run(['resume', sender.transferId, '--json'], { user: 'bob' })
    const sent = await sender.process.end
    expect([again.code, sent.code]).toEqual([0, 0])
    expect(resumed(again.events)).toBeGreaterThanOrEqual(safe)
    expect(again.events.at(-1)?.['bytesOnWire']).toBeLessThan(LARGE.length - safe + 400_000)
    expect(desk.names('out')).toEqual(['tree'])
    same(desk)
  })

  test('of the sender: the receiver waits, and goes on by itself when the sender is resumed', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    sender.process.kill('SIGKILL')
    await receiver.said(/connecting again/)
    const resuming = desk.start(['resume', '--transfer-id', sender.transferId, '--json'], { user: 'ada' })
    await resuming.event('connected')
    const received = await receiver.end
    expect([received.code, (await resuming.end).code]).toEqual([0, 0])
    same(desk)
  })

  test('of the sender, with the same line again: a new token, the old transfer', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    sender.process.kill('SIGKILL')
    receiver.kill('SIGKILL')
    await Promise.all([sender.process.end, receiver.end])
    const again = desk.start(['send', desk.path('tree'), '--pod', '--port', String(sender.port), '--json'], {
      user: 'ada',
    })
    const listening = await again.event('listening')
    expect(listening['transferId']).toBe(sender.transferId)
    expect(listening['token']).not.toBe(sender.token)
    // A receiver that lost its ledger comes with the new token; nothing of the old staging is believed.
    const received = await desk.receive(listening['connect'] as string, [], { user: 'carol' })
    expect([received.code, (await again.end).code, resumed(received.events)]).toEqual([0, 0, 0])
    same(desk)
  })
})

describe.concurrent('status', () => {
  test('shows what is unfinished and the last ten, all with --all, and one by the start of its id', async ({
    desk,
  }) => {
    expect(await desk.run(['status'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/No transfers/) as string,
    })
    expect(await desk.run(['status', '--json'])).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const file = join(desk.folder('in', { one: '1' }), 'one')
    const sender = await desk.send([file], { user: 'ada' })
    const received = await desk.receive(sender.connect)
    expect([received.code, (await sender.process.end).code]).toEqual([0, 0])
    // More finished ones than are shown.
    const ledger = desk.path('home', 'user', 'data', 'sealift', 'ledger.db')
    const { DatabaseSync } = await import('node:sqlite')
    const db = new DatabaseSync(ledger)
    const columns = db
      .prepare('PRAGMA table_info(transfers)')
      .all()
      .map((row) => row['name'] as string)
      .filter((name) => !['key', 'id', 'created_at', 'completed_at'].includes(name))
    for (let copy = 0; copy < 12; copy++) {
      const id = `${String(copy).padStart(8, 'b')}-0000-4000-8000-000000000000`
      db.exec(
        `INSERT INTO transfers (id, created_at, completed_at, ${columns.join()}) SELECT '${id}', created_at + ${copy + 1}, completed_at + ${copy + 1}, ${columns.join()} FROM transfers WHERE id = '${sender.transferId}'`,
      )
    }
    db.close()
    const shown = await desk.run(['status', '--json'])
    expect(shown.events.length).toBe(10)
    const all = await desk.run(['status', '--json', '--all'])
    expect(all.events.length).toBe(13)
    const words = await desk.run(['status', '--all'])
    expect([words.stdout, words.stderr.trim().split('\n').length]).toEqual(['', 13])
    for (const args of [[sender.transferId.slice(0, 6)], ['--transfer-id', sender.transferId]]) {
      const one = await desk.run(['status', ...args])
      expect(one.stderr).toMatch(
        new RegExp(`^${sender.transferId}  completed +one \\(1 byte.*from 127\\.0\\.0\\.1\\n$`),
      )
    }
    expect(await desk.run(['status', 'bbbbb'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/12 transfers begin/) as string,
    })
    expect(await desk.run(['resume', sender.transferId])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/has ended/) as string,
    })
  })

  test('--watch goes on until Ctrl-C, which is how it ends well', async ({ desk }) => {
    const watching = desk.start(['status', '--watch', '--json'], { user: 'ada' })
    const { sender, receiver } = await underWay(desk)
    await watching.event('transfer', ({ status }) => status === 'in_progress')
    watching.kill('SIGINT')
    expect(await watching.end).toMatchObject({ code: 0, stderr: '' })
    receiver.kill('SIGKILL')
    sender.process.kill('SIGKILL')
  })

  test('knows a transfer that failed for good, and why', async ({ desk }) => {
    const sender = await desk.send([desk.folder('tree', { a: '1' })], { user: 'ada' })
    desk.folder('out/tree', { a: 'other' })
    await desk.receive(sender.connect, ['--conflict', 'fail'])
    await sender.process.end
    const [row] = (await desk.run(['status', '--json'], { user: 'ada' })).events
    expect(row).toMatchObject({
      status: expect.stringMatching(/cancelled|failed/) as string,
      error: { code: 'conflict' },
    })
  })
})

describe.concurrent('two receivers of one transfer', () => {
  test('in one folder: the second says who is at it (2), and the first goes on', async ({ desk }) => {
    const { sender, receiver } = await underWay(desk)
    const second = await desk.run(['receive', sender.connect, '-o', desk.path('out')], { user: 'bob' })
    expect(second.code).toBe(2)
    expect(second.stderr).toMatch(new RegExp(`error: .*${String(receiver.child.pid)}.*\\nhint: `))
    expect([(await receiver.end).code, (await sender.process.end).code]).toEqual([0, 0])
    same(desk)
  })
})

describe.concurrent('on a terminal', () => {
  const onTerminal = (desk: Desk, line: string, env: Record<string, string> = {}, answers = ''): CliProcess =>
    desk.start([], {
      shell: `(sleep 0.4; printf '${answers}'; sleep 3) | script -qec '"$NODE" "$SEALIFT" ${line}' /dev/null >&2`,
      env: { OUT: desk.path('out'), TERM: 'xterm', ...env },
    })
  const noScript = !fs.existsSync('/usr/bin/script')

  test('the receiver is asked, yes is the default, and progress is drawn in colour', async ({ desk, skip }) => {
    if (noScript) skip('there is no script(1) to make a terminal with')
    const sender = await desk.send([desk.folder('tree', { a: 'x'.repeat(200_000) })])
    const receiver = onTerminal(desk, `receive "$CONNECT" -o "$OUT" --bwlimit 200K`, { CONNECT: sender.connect }, '\\n')
    await receiver.said(/Accept\? \[Y\/n\]/)
    await receiver.said(/Saved to/)
    expect(receiver.stderr).toMatch(/█|░/)
    expect(receiver.stderr).toMatch(/\u001b\[1m1 file/)
    expect((await sender.process.end).code).toBe(0)
  })

  test('a no is told to the sender: 3 on both sides', async ({ desk, skip }) => {
    if (noScript) skip('there is no script(1) to make a terminal with')
    const sender = await desk.send([desk.folder('tree', { a: '1' })])
    const receiver = onTerminal(
      desk,
      `receive "$CONNECT" -o "$OUT"; echo "status $?"`,
      { CONNECT: sender.connect, NO_COLOR: '1' },
      'n\\n',
    )
    await receiver.said(/status 3/)
    expect(receiver.stderr).not.toMatch(/\u001b\[\d+m/)
    const sent = await sender.process.end
    expect(sent.code).toBe(3)
    expect(sent.stderr).toMatch(/error: the receiver said no\nhint: /)
    expect(desk.names('out')).toEqual([])
  })

  test('--no-progress draws none, and --yes asks nothing', async ({ desk, skip }) => {
    if (noScript) skip('there is no script(1) to make a terminal with')
    const sender = await desk.send([desk.folder('tree', { a: 'x'.repeat(100_000) })])
    const receiver = onTerminal(desk, `receive "$CONNECT" -o "$OUT" -y --no-progress --bwlimit 200K`, {
      CONNECT: sender.connect,
    })
    await receiver.said(/Saved to/)
    expect(receiver.stderr).not.toMatch(/█|░|Accept/)
    expect((await sender.process.end).code).toBe(0)
  })
})
