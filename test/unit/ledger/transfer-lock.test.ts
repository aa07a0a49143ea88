import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { acquireTransferLock, locksFolder, type TransferLock } from '../../../src/ledger/transfer-lock.ts'
import type { Role } from '../../../src/ledger/transfer-row.ts'
import { startChild } from './children.ts'
import { ID_A, ID_B, makeFolder, openTestLedger } from './place.ts'

const HOLDER = `
  import { acquireTransferLock } from 'LEDGER_FOLDER/transfer-lock.ts'
  await acquireTransferLock(process.argv[1], '${ID_A}', 'receiver')
  globalThis.gc?.()
  console.log('locked')
  setInterval(() => {}, 1000)`

async function acquire(folder: string, id = ID_A, role: Role = 'receiver'): Promise<TransferLock> {
  const lock = await acquireTransferLock(folder, id, role)
  onTestFinished(() => lock.release())
  return lock
}

describe('transfer lock', () => {
  test('another process is named while it lives; SIGKILL gives the lock free', async () => {
    const folder = join(makeFolder(), 'locks')
    const child = startChild(HOLDER, [folder])
    expect(await child.nextLine()).toBe('locked')
    await expect(acquire(folder)).rejects.toMatchObject({
      code: 'transfer_busy',
      exitCode: 2,
      transferId: ID_A,
      message: `process ${child.process.pid} already works on this transfer`,
    })
    // Looking at the lock must not have loosened it.
    await expect(acquire(folder)).rejects.toMatchObject({ code: 'transfer_busy' })
    child.process.kill('SIGKILL')
    await child.ended
    await acquire(folder)
  })

  test('one process has a transfer once; other transfers and the other role are free', async () => {
    const folder = join(makeFolder(), 'locks')
    const lock = await acquire(folder)
    await expect(acquire(folder)).rejects.toMatchObject({
      code: 'transfer_busy',
      message: expect.stringContaining('this process'),
    })
    await acquire(folder, ID_B)
    await acquire(folder, ID_A, 'sender')
    lock.release()
    lock.release()
    await acquire(folder)
  })

  test('a second try in the same process does not loosen the lock for others', async () => {
    const folder = join(makeFolder(), 'locks')
    await acquire(folder)
    await expect(acquire(folder)).rejects.toMatchObject({ code: 'transfer_busy' })
    const child = startChild(
      `import { acquireTransferLock } from 'LEDGER_FOLDER/transfer-lock.ts'
      console.log(await acquireTransferLock(process.argv[1], '${ID_A}', 'receiver').then(() => 'locked', (error) => error.code))
      process.exit(0)`,
      [folder],
    )
    expect(await child.nextLine()).toBe('transfer_busy')
  })

  test('only the guard stays behind after release, and only the owner sees the files', async () => {
    const ledger = await openTestLedger(makeFolder())
    const lock = await ledger.lock(ID_A, 'receiver')
    const folder = locksFolder(ledger.path)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    lock.release()
    expect(readdirSync(folder)).toEqual(['guard.lock'])
  })

  test('never two at once, however often it changes hands between processes', async () => {
    const folder = join(makeFolder(), 'locks')
    const source = `
      import { closeSync, openSync, rmSync } from 'node:fs'
      import { acquireTransferLock } from 'LEDGER_FOLDER/transfer-lock.ts'
      let won = 0
      const endsAt = performance.now() + 20_000
      while (won < 40 && performance.now() < endsAt) {
        const lock = await acquireTransferLock(process.argv[1], '${ID_A}', 'receiver').catch((error) => {
          if (error.code !== 'transfer_busy') throw error
          return null
        })
        if (lock === null) continue
        // Fails where another is inside.
        closeSync(openSync(process.argv[1] + '.inside', 'wx'))
        rmSync(process.argv[1] + '.inside')
        lock.release()
        won++
        await new Promise((resolve) => setImmediate(resolve))
      }
      process.exit(won === 40 ? 0 : 3)`
    const children = [1, 2, 3].map(() => startChild(source, [folder]))
    expect(await Promise.all(children.map((child) => child.ended))).toEqual([0, 0, 0])
    expect(existsSync(`${folder}.inside`)).toBe(false)
  })

  test('an id that is no id, and a lock that others may write, are refused', async () => {
    const folder = join(makeFolder(), 'locks')
    await expect(acquire(folder, '../../etc/passwd')).rejects.toMatchObject({ code: 'internal' })
    const lock = await acquire(folder)
    chmodSync(join(folder, `${ID_A}.receiver.lock`), 0o666)
    await expect(acquire(folder)).rejects.toMatchObject({ code: 'ledger_unavailable' })
    lock.release()
  })
})
