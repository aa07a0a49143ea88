import { describe, expect, test } from 'vitest'

import type { ByteStream } from '../../../src/carriers/carrier.ts'
import { memoryPipe } from '../../../src/carriers/memory.ts'
import { concatBytes } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { encodeFrame } from '../../../src/protocol/handshake-messages.ts'
import { FrameReader } from '../../../src/transfer/frame-reader.ts'
import { Inbox } from '../../../src/transfer/inbox.ts'
import { settle } from './virtual-time.ts'

function reading(sliceBytes?: number): { far: ByteStream; frames: FrameReader; inbox: Inbox } {
  const [near, far] = memoryPipe(sliceBytes === undefined ? {} : { sliceBytes })
  const inbox = new Inbox(near)
  return { far, inbox, frames: new FrameReader(inbox) }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

describe('frames of a handshake', () => {
  test.each([1, 3, 8, 4104, 100_000])('come whole, one by one, in pieces of %d bytes', async (sliceBytes) => {
    const { far, frames } = reading(sliceBytes)
    const bodies = [new Uint8Array(4096).fill(1), new Uint8Array(), new Uint8Array(32).fill(3)]
    const kinds = ['INIT', 'RESP', 'CONFIRM_I'] as const
    void far.write(kinds.map((kind, at) => encodeFrame(kind, bodies[at] as Uint8Array)))
    for (const [at, kind] of kinds.entries()) expect(await frames.next()).toEqual({ kind, body: bodies[at] })
  })

  test('are the caller’s own', async () => {
    const { far, frames } = reading()
    await far.write([encodeFrame('INIT', Uint8Array.of(1, 2, 3))])
    const { body } = await frames.next()
    void frames.next().catch(() => undefined)
    await far.write([new Uint8Array(8000).fill(0x53)])
    await settle()
    expect([...body]).toEqual([1, 2, 3])
  })

  test('nothing behind a frame is looked at before the next is asked for', async () => {
    const { far, frames, inbox } = reading()
    await far.write([concatBytes([encodeFrame('INIT', new Uint8Array()), utf8('not a frame, but a record')])])
    await frames.next()
    await settle()
    expect(inbox.frames.length).toBe(25)
  })

  test.each([
    ['HTTP', utf8('GET / HTTP/1.1\r\n'), 'not_sealift'],
    ['one byte of something else', utf8('G'), 'not_sealift'],
    ['three good bytes and a bad one', utf8('SLFX'), 'not_sealift'],
    ['TLS', Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1), 'not_sealift'],
    ['SSH', utf8('SSH-2.0-OpenSSH_9.9\r\n'), 'not_sealift'],
    ['another version', Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 9, 1, 0, 0), 'version_mismatch'],
    ['an unknown kind', Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 1, 99, 0, 0), 'protocol_violation'],
    ['a body over 4 KiB', Uint8Array.of(0x53, 0x4c, 0x46, 0x54, 1, 1, 0x10, 1), 'protocol_violation'],
  ])('%s is refused by its first bytes', async (_, bytes, code) => {
    const { far, frames } = reading(1)
    void far.write([bytes]).catch(() => undefined)
    await expect(frames.next()).rejects.toMatchObject({ name: 'SealiftError', code })
    await expect(frames.next()).rejects.toMatchObject({ code })
  })

  test.each([
    ['at once', new Uint8Array(), /hung up at once/],
    ['in the middle', utf8('SLF'), /middle of the handshake/],
  ])('a connection that ends %s is lost', async (_, bytes, message) => {
    const { far, frames } = reading()
    const frame = frames.next()
    await far.write([bytes])
    await far.end()
    await expect(frame).rejects.toMatchObject({
      code: 'connection_lost',
      message: expect.stringMatching(message) as string,
    })
  })

  test('an end that came before anyone asked is told to whoever asks', async () => {
    const { far, frames } = reading()
    await far.end()
    await settle()
    await expect(frames.next()).rejects.toMatchObject({ code: 'connection_lost' })
  })

  test('giving up fails the frame that is waited for, and every later one, with the first reason', async () => {
    const { far, frames } = reading()
    const frame = frames.next()
    const reason = new SealiftError('peer_silent', 'too long')
    frames.abort(reason)
    frames.abort(new SealiftError('internal', 'later'))
    await expect(frame).rejects.toBe(reason)
    await far.write([encodeFrame('INIT', new Uint8Array())])
    await expect(frames.next()).rejects.toBe(reason)
  })

  test('a stranger fills one buffer and no more', async () => {
    const { far, frames, inbox } = reading()
    void frames.next().catch(() => undefined)
    let written = 0
    const flood = async (): Promise<void> => {
      for (;;) {
        await far.write([new Uint8Array(1024).fill(0x41)])
        written += 1024
      }
    }
    void flood().catch(() => undefined)
    await settle(100)
    // what the pipe holds between its ends, and what one buffer does
    expect(written).toBeLessThanOrEqual((256 << 10) + 9000)
    expect(inbox.receivedBytes).toBeLessThan(9000)
    far.destroy()
  })
})
