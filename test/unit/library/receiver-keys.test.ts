import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Ledger, openLedger } from '../../../src/ledger/ledger.ts'
import { ReceiverKeys } from '../../../src/library/receiver-keys.ts'
import { toHex } from '../../../src/protocol/bytes.ts'
import { MAX_RESUME_IDS } from '../../../src/protocol/limits.ts'
import { makePlace } from '../../rigs/place.ts'

const PLACE = { host: 'host', port: 1, outputDir: '/out' }

const credential = (number: number) => ({ id: new Uint8Array(16).fill(number), key: new Uint8Array(32).fill(number) })
const idsOf = (keys: ReceiverKeys): string[] => keys.offered.map(({ id }) => toHex(id).slice(0, 2))

async function open(): Promise<Ledger> {
  const ledger = await openLedger({ path: join(makePlace(1).root, 'ledgers', 'l.db') })
  onTestFinished(() => ledger.close())
  return ledger
}

test('its own key is offered first, however many others the ledger has for that host', async () => {
  const ledger = await open()
  for (let number = 1; number <= MAX_RESUME_IDS; number++) {
    const { id, key } = credential(number)
    await ledger.resumeKeys.save({ ...PLACE, resumeId: id, resumeKey: key, role: 'receiver', confirmed: true })
  }
  const keys = await ReceiverKeys.open(ledger, PLACE)
  expect(idsOf(keys)).toEqual(['08', '07', '06', '05', '04', '03', '02', '01'])
  await keys.commit(credential(9), 'cpace')
  expect(idsOf(keys)).toEqual(['09', '08', '07', '06', '05', '04', '03', '02'])
  await keys.confirmed(credential(9).id, 'cpace')
  expect(idsOf(keys)).toEqual(['09'])
  const [own] = keys.offered
  keys.close()
  expect(own?.key).toEqual(new Uint8Array(32))
})

test('the key of a transfer from this port is found, however many newer ones others left or work with', async () => {
  const ledger = await open()
  const add = async (number: number, port: number): Promise<void> => {
    const id = `0a0a0a0a-0000-4000-8000-0000000000${String(number).padStart(2, '0')}`
    const fields = { id, role: 'receiver', transferType: 'download', filename: 'x', options: { port } } as const
    const transfer = await ledger.transfers.create(fields)
    const { id: resumeId, key: resumeKey } = credential(number)
    await ledger.resumeKeys.save({ ...PLACE, resumeId, resumeKey, role: 'receiver', transfer, confirmed: true })
  }
  await add(1, PLACE.port)
  await add(2, 2)
  const busy = await ReceiverKeys.open(ledger, { ...PLACE, port: 3 })
  for (let number = 10; number < 10 + MAX_RESUME_IDS; number++) {
    await add(number, 3)
    await busy.commit(credential(number), 'resume')
  }
  const keys = await ReceiverKeys.open(ledger, PLACE)
  expect(idsOf(keys)).toEqual(['01', '02'])
  busy.close()
  const all = await ReceiverKeys.open(ledger, PLACE)
  expect(idsOf(all)).toEqual(['01', '11', '10', '0f', '0e', '0d', '0c', '0b'])
})

test('a key that a call works with is offered by no other, until that call is over', async () => {
  const ledger = await open()
  const first = await ReceiverKeys.open(ledger, PLACE)
  await first.commit(credential(1), 'cpace')
  const second = await ReceiverKeys.open(ledger, PLACE)
  expect(idsOf(second)).toEqual([])
  await expect(second.commit(credential(1), 'resume')).rejects.toMatchObject({ code: 'transfer_busy' })
  first.close()
  const third = await ReceiverKeys.open(ledger, PLACE)
  expect(idsOf(third)).toEqual(['01'])
  third.close()
})

test('a transfer from the same host and port that another call works on is busy; from another port it is left alone', async () => {
  const ledger = await open()
  const transfer = await ledger.transfers.create({
    id: '0a0a0a0a-0000-4000-8000-00000000000a',
    role: 'receiver',
    transferType: 'download',
    filename: 'x',
    options: { port: PLACE.port },
  })
  const first = await ReceiverKeys.open(ledger, PLACE)
  await first.commit(credential(1), 'cpace')
  await ledger.resumeKeys.attach(credential(1).id, 'receiver', transfer)
  await expect(ReceiverKeys.open(ledger, PLACE)).rejects.toMatchObject({
    code: 'transfer_busy',
    transferId: '0a0a0a0a-0000-4000-8000-00000000000a',
  })
  expect(idsOf(await ReceiverKeys.open(ledger, { ...PLACE, port: 2 }))).toEqual([])
  first.close()
})
