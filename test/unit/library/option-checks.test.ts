/** What programs without types may pass: named as a mistake, before anything else happens. */

import fs from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { planSend, receiveFiles, resumeTransfer, sendFiles, sendStream, sendText } from '../../../src/index.ts'
import { makePlace, type Place } from '../../rigs/place.ts'
import { receive, send } from '../../rigs/two-sides.ts'

type Given = Readonly<Record<string, unknown>>

/** Each as the user of an untyped language would call it. */
const SENDING: Readonly<Record<string, (place: Place, given: Given) => Promise<unknown>>> = {
  sendFiles: (place, given) => sendFiles(place.source, given).done,
  planSend: (place, given) => planSend(place.source, given),
  sendStream: (_, given) => sendStream(nothing(), given).done,
  sendText: (_, given) => sendText('text', given).done,
}
const RECEIVING: typeof SENDING = {
  receiveFiles: (_, given) => receiveFiles('127.0.0.1:1:a-b', given).done,
}
const BOTH: typeof SENDING = {
  ...SENDING,
  ...RECEIVING,
  resumeTransfer: (_, given) => resumeTransfer('3f2a', given).done,
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // Is never asked for.
}

/** Rejects as a wrong setting that is called by its name, and the ledger is not even made. */
async function expectRefused(calls: typeof SENDING, name: string, given: Given): Promise<void> {
  for (const [call, run] of Object.entries(calls)) {
    const place = makePlace(2)
    const done = run(place, { pod: true, port: 0, ledgerPath: place.senderLedger, ...given })
    await expect(done, call).rejects.toMatchObject({
      name: 'SealiftError',
      code: 'settings_invalid',
      message: expect.stringContaining(`${name} must be `) as string,
    })
    expect(fs.existsSync(dirname(place.senderLedger)), call).toBe(false)
  }
}

describe('a setting that cannot be', () => {
  test.each([
    ['compress', { compress: 'nope', compressionLevel: 3 }],
    ['compress', { compress: 'toString' }],
    ['compressionLevel', { compressionLevel: Number.NaN }],
    ['priority', { priority: 55 }],
    ['priority', { priority: 1.5 }],
    ['conflict', { conflict: 'ask' }],
    ['exclude', { exclude: '*.log' }],
    ['excludeFrom', { excludeFrom: [1] }],
    ['links', { links: 'no' }],
    ['waitMs', { waitMs: Number.NaN }],
    ['waitMs', { waitMs: -1 }],
    // A timer of Node would be over at once.
    ['waitMs', { waitMs: Infinity }],
    ['pod', { pod: 'yes' }],
    ['allowUsers', { allowUsers: 'ana@example.com' }],
    ['port', { port: -1 }],
    ['port', { port: 65_536 }],
  ])('of a sender: %s in %j', async (name, given) => {
    await expectRefused(SENDING, name, given)
  })

  test.each([
    ['outputDir', { outputDir: 5 }],
    ['output', { output: 'file' }],
    ['conflict', { conflict: 'nope' }],
    ['accept', { accept: true }],
    ['portableNames', { portableNames: 1 }],
    ['token', { token: ['coral', 'magnet'] }],
  ])('of a receiver: %s in %j', async (name, given) => {
    await expectRefused(RECEIVING, name, given)
  })

  test.each([
    ['bytesPerSecond', { bytesPerSecond: -1 }],
    ['bytesPerSecond', { bytesPerSecond: Number.NaN }],
    ['bytesPerSecond', { bytesPerSecond: '10M' }],
    ['streams', { streams: 0 }],
    ['streams', { streams: 17 }],
    ['name', { name: null }],
    ['fileEvents', { fileEvents: 0 }],
  ])('of either side: %s in %j', async (name, given) => {
    await expectRefused(BOTH, name, given)
  })

  test('is not repeated: it may be a secret', async () => {
    const error = (await receiveFiles('127.0.0.1:1', { token: ['coral'] as never }).done.catch(String)) as string
    expect(error).toContain('token must be a text')
    expect(error).not.toContain('coral')
  })
})

describe('an answer that cannot be', () => {
  test('to the question about compression ends the sender before it listens', async () => {
    const place = makePlace(2)
    const chooseCompression = (): never => 'rar' as never
    await expect(send(place, { chooseCompression })).rejects.toMatchObject({ code: 'settings_invalid' })
    expect(fs.existsSync(place.senderLedger)).toBe(false)
  })

  test.each([undefined, 'yes'])('to an offer, such as %j, is no yes', async (answer) => {
    const place = makePlace(2)
    const sender = await send(place)
    const receiver = receive(place, sender.connect, { accept: () => answer as never })
    expect(await receiver.end).toMatchObject({ code: 'settings_invalid' })
    expect(fs.readdirSync(place.out)).toEqual([])
    sender.transfer.cancel()
    await sender.end
  })
})
