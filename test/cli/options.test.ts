/** What the options of `send` and `receive` do, end to end in real processes. */

import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { type Desk, type Ended, test, treeOf } from '../rigs/cli-process.ts'

/** Sends with these options and receives with those. */
async function move(
  desk: Desk,
  sending: readonly string[],
  receiving: readonly string[] = [],
): Promise<{ sent: Ended; received: Ended }> {
  const sender = await desk.send(sending)
  const received = await desk.receive(sender.connect, receiving)
  return { sent: await sender.process.end, received }
}

const codes = ({ sent, received }: { sent: Ended; received: Ended }): (number | null)[] => [sent.code, received.code]

describe.concurrent('what is left out', () => {
  const project = {
    'main.py': 'main',
    'debug.log': 'log',
    'sub/debug.log': 'log',
    'sub/keep.log': 'keep',
    'venv/pyvenv.cfg': 'cfg',
    'venv/lib/module.py': 'module',
    'sub/__pycache__/main.pyc': 'cached',
    'node_modules/left-pad/index.js': 'pad',
    'to-main': { link: 'main.py' },
  }

  test('are environments and caches by themselves, and each is named with files and bytes', async ({ desk }) => {
    const { sent, received } = await move(desk, [desk.folder('project', project)])
    expect([sent.code, received.code]).toEqual([0, 0])
    const excluded = sent.events.filter(({ event }) => event === 'excluded')
    expect(excluded.map(({ path, files, bytes }) => [path, files, bytes])).toEqual([
      ['project/sub/__pycache__', 1, 6],
      ['project/venv', 2, 9],
    ])
    for (const { reason } of excluded) expect(reason).toEqual(expect.stringMatching(/\w/))
    expect(Object.keys(treeOf(desk.path('out', 'project')))).toEqual([
      'debug.log',
      'main.py',
      'node_modules',
      'node_modules/left-pad',
      'node_modules/left-pad/index.js',
      'sub',
      'sub/debug.log',
      'sub/keep.log',
      'to-main',
    ])
  })

  test('is nothing with --all', async ({ desk }) => {
    const tree = desk.folder('project', project)
    expect(codes(await move(desk, [tree, '--all']))).toEqual([0, 0])
    expect(treeOf(desk.path('out', 'project'))).toEqual(treeOf(tree))
  })

  test('is what patterns match, on the line and in files, and all links with --no-links', async ({ desk }) => {
    const tree = desk.folder('project', project)
    const patterns = join(desk.folder('patterns', { 'first.txt': '# comment\n*.log\n!keep.log\n' }), 'first.txt')
    const options = ['--exclude', 'node_modules/', '--exclude-from', patterns, '--no-links']
    const { sent, received } = await move(desk, [tree, ...options])
    expect([sent.code, received.code]).toEqual([0, 0])
    expect(Object.keys(treeOf(desk.path('out', 'project')))).toEqual(['main.py', 'sub', 'sub/keep.log'])
    const excluded = sent.events.filter(({ event }) => event === 'excluded').map(({ path }) => path)
    expect(excluded).toEqual(expect.arrayContaining(['project/debug.log', 'project/node_modules', 'project/venv']))
  })

  test('is a link out of the tree, which is said and is no failure', async ({ desk }) => {
    const tree = desk.folder('tree', { a: '1', out: { link: '../secret' }, far: { link: '/etc/passwd' } })
    const { sent, received } = await move(desk, [tree])
    expect([sent.code, received.code]).toEqual([0, 0])
    expect(desk.names('out', 'tree')).toEqual(['a'])
    const warnings = sent.events.filter(({ event }) => event === 'warning').map(({ message }) => message)
    expect(warnings).toEqual([expect.stringContaining('tree/far'), expect.stringContaining('tree/out')])
  })

  test('is shown by --dry-run, which listens nowhere and keeps nothing', async ({ desk }) => {
    const tree = desk.folder('project', project)
    const json = await desk.run(['send', tree, '--dry-run', '--json'])
    expect(json.code).toBe(0)
    expect(json.events.map(({ event }) => event)).toEqual(['excluded', 'excluded', 'done'])
    expect(json.events.at(-1)).toMatchObject({ event: 'done', files: 5, bytes: 17, bytesOnWire: 0 })
    const words = await desk.run(['send', tree, '--dry-run'])
    expect([words.code, words.stdout]).toEqual([0, ''])
    expect(words.stderr).toMatch(/project\/venv.*2 files/)
    expect(words.stderr).toMatch(/Would send 5 files, 17 bytes/)
    expect(desk.names('home', 'user', 'data')).toEqual([])
  })
})

describe.concurrent('--bwlimit', () => {
  // A machine that is busy with something else slows a transfer down below its limit: such a run counts for nothing.
  const limit = ['--bwlimit', '1300KB']
  test.for([
    { side: 'sender', sending: limit, receiving: [] },
    { side: 'receiver', sending: [], receiving: limit },
  ])('holds a $side to the rate within a tenth', { retry: 2 }, async ({ side, sending, receiving }, { desk }) => {
    const tree = desk.folder('tree', { large: randomBytes(2_600_000) })
    const { sent, received } = await move(desk, [tree, ...sending], receiving)
    expect([sent.code, received.code]).toEqual([0, 0])
    const done = (side === 'sender' ? sent : received).events.at(-1)
    const rate = (done?.['bytesOnWire'] as number) / (done?.['seconds'] as number)
    expect(rate / 1_300_000).toBeGreaterThan(0.9)
    expect(rate / 1_300_000).toBeLessThan(1.1)
  })

  test('counts what is left after packing, not the content', { retry: 2 }, async ({ desk }) => {
    const large = randomBytes(1_300_000).toString('hex')
    const tree = desk.folder('tree', { large })
    const { sent, received } = await move(desk, [tree, ...limit, '--compress', 'zstd'])
    expect([sent.code, received.code]).toEqual([0, 0])
    const { bytesOnWire, seconds } = sent.events.at(-1) as unknown as { bytesOnWire: number; seconds: number }
    expect(bytesOnWire).toBeLessThan(large.length * 0.55)
    expect(bytesOnWire / seconds).toBeLessThan(1_300_000 * 1.1)
    // Content is quicker than the limit.
    expect(large.length / seconds).toBeGreaterThan(1_300_000 * 1.1)
  })
})

describe.concurrent('--compress', () => {
  const text = 'All work and no play makes Jack a dull boy.\n'.repeat(9000)

  test.for([['none'], ['auto'], ['zstd'], ['gzip'], ['blosc-lz4'], ['gzip', '--compression-level', '9']])(
    '%s %s %s',
    async (how, { desk }) => {
      const tree = desk.folder('tree', { text, noise: randomBytes(100_000), empty: '' })
      const { sent, received } = await move(desk, [tree, '--compress', ...how])
      expect([sent.code, received.code]).toEqual([0, 0])
      expect(treeOf(desk.path('out', 'tree'))).toEqual(treeOf(tree))
      const onWire = sent.events.at(-1)?.['bytesOnWire'] as number
      if (how[0] === 'none') expect(onWire).toBeGreaterThan(text.length + 100_000)
      else expect(onWire).toBeLessThan(text.length / 4 + 110_000)
    },
  )
})

describe.concurrent('--conflict', () => {
  const OLD = 1_500_000_000
  const NEW = 1_600_000_000
  const source = {
    same: { content: 'same', mtime: OLD },
    newer: { content: 'from source', mtime: NEW },
    older: { content: 'from source', mtime: OLD },
    fresh: { content: 'fresh', mtime: OLD },
  }
  const target = {
    same: { content: 'same', mtime: OLD },
    newer: { content: 'there', mtime: OLD },
    older: { content: 'there', mtime: NEW },
  }
  const KEPT = { newer: 'there', older: 'there' }

  async function run(desk: Desk, sending: readonly string[], receiving: readonly string[]) {
    const tree = desk.folder('tree', source)
    desk.folder('out/tree', target)
    const moved = await move(desk, [tree, ...sending], receiving)
    const contents = (name: string): Record<string, string> =>
      Object.fromEntries(desk.names('out', name).map((file) => [file, desk.read('out', name, file)]))
    const statuses = Object.fromEntries(
      moved.received.events.filter(({ event }) => event === 'file').map(({ path, status }) => [path, status]),
    )
    return { ...moved, names: desk.names('out'), contents, statuses }
  }

  const ALL = { same: 'same', newer: 'from source', older: 'from source', fresh: 'fresh' }

  test.for(['auto', 'rename'])('%s keeps both: the tree comes under another name', async (policy, { desk }) => {
    const { sent, received, names, contents } = await run(desk, [], ['--conflict', policy])
    expect([sent.code, received.code, names]).toEqual([0, 0, ['tree', 'tree (1)']])
    expect(contents('tree')).toEqual({ same: 'same', ...KEPT })
    expect(contents('tree (1)')).toEqual(ALL)
  })

  test('skip keeps what is there and adds the rest', async ({ desk }) => {
    const { sent, received, names, contents, statuses } = await run(desk, [], ['--conflict', 'skip'])
    expect([sent.code, received.code, names]).toEqual([0, 0, ['tree']])
    expect(contents('tree')).toEqual({ same: 'same', fresh: 'fresh', ...KEPT })
    expect(statuses).toEqual({
      'tree/same': 'skipped',
      'tree/newer': 'skipped',
      'tree/older': 'skipped',
      'tree/fresh': 'ok',
    })
  })

  test('overwrite replaces', async ({ desk }) => {
    const { sent, received, names, contents } = await run(desk, [], ['--conflict', 'overwrite'])
    expect([sent.code, received.code, names]).toEqual([0, 0, ['tree']])
    expect(contents('tree')).toEqual(ALL)
  })

  test('update replaces what is older', async ({ desk }) => {
    const { sent, received, contents } = await run(desk, [], ['--conflict', 'update'])
    expect([sent.code, received.code]).toEqual([0, 0])
    expect(contents('tree')).toEqual({ ...ALL, older: 'there' })
  })

  test('fail ends both sides with 3 and leaves nothing', async ({ desk }) => {
    const { sent, received, names, contents } = await run(desk, [], ['--conflict', 'fail'])
    expect([sent.code, received.code, names]).toEqual([3, 3, ['tree']])
    expect(contents('tree')).toEqual({ same: 'same', ...KEPT })
    expect(received.stderr).toMatch(/^error: already there and different: .*\nhint: /)
    expect(sent.stderr).toMatch(/^error: .*in the way.*\nhint: /)
  })

  test('of the sender is a wish: skipping is granted, overwriting is not', async ({ desk }) => {
    const wish = await run(desk, ['--conflict', 'skip'], [])
    expect([wish.sent.code, wish.received.code, wish.names]).toEqual([0, 0, ['tree']])
    expect(wish.contents('tree')).toEqual({ same: 'same', fresh: 'fresh', ...KEPT })
    fs.rmSync(desk.path('out'), { recursive: true })
    fs.rmSync(desk.path('tree'), { recursive: true })
    const greedy = await run(desk, ['--conflict', 'overwrite'], [])
    expect(greedy.contents('tree')).toEqual({ same: 'same', ...KEPT })
  })
})

describe.concurrent('names', () => {
  test('with control characters are kept, and shown escaped', async ({ desk }) => {
    const tree = desk.folder('tree', { 'red\u001b[31m\r\u0007': '1' })
    const sender = desk.start(['send', tree, '--pod', '--port', '0'])
    const [, address] = await sender.said(/sealift receive (\S+)/)
    const received = await desk.run(['receive', address as string, '-o', desk.path('out')])
    expect([received.code, (await sender.end).code]).toEqual([0, 0])
    expect(desk.names('out', 'tree')).toEqual(['red\u001b[31m\r\u0007'])
    expect(received.stderr).not.toMatch(/[\u001b\r\u0007]/)
    expect(received.stderr).toContain('red\\x1b[31m\\x0d\\x07')
  })

  test('that other systems cannot hold fail one by one with --portable-names; the rest arrives (8)', async ({
    desk,
  }) => {
    const tree = desk.folder('tree', { fine: '1', 'a:b': '2', 'CON.txt': '3' })
    const { sent, received } = await move(desk, [tree], ['--portable-names'])
    expect([sent.code, received.code]).toEqual([8, 8])
    expect(desk.names('out', 'tree')).toEqual(['fine'])
    const failed = received.events.filter(({ event, status }) => event === 'file' && status === 'failed')
    expect(failed.map(({ path }) => path)).toEqual(['tree/CON.txt', 'tree/a:b'])
  })
})
