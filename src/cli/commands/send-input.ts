/** `sealift send -` and `sealift send --text`: what is no file goes to one receiver. */

import { formatCount, formatSize } from '../../config/sizes.ts'
import type { StreamSendOptions } from '../../library/options.ts'
import { sendStream, sendText } from '../../library/send-stream.ts'
import { decodeUtf8 } from '../../protocol/bytes.ts'
import { SealiftError } from '../../protocol/errors.ts'
import { MAX_TEXT_BYTES } from '../../protocol/limits.ts'
import type { Output } from '../output.ts'
import { formatPace, TransferView } from '../transfer-view.ts'

/** The path, and the text, that mean standard input. */
export const STDIN = '-'

/** @throws SealiftError `usage`, and what the transfer ends with */
export async function sendInput(paths: readonly string[], options: StreamSendOptions, output: Output): Promise<void> {
  if (paths.length > 1)
    throw new SealiftError('usage', 'standard input is sent alone: - cannot stand beside other paths', {
      hint: 'send the files by a command of their own; a file called - is given as ./-',
    })
  if (process.stdin.isTTY)
    throw new SealiftError('usage', 'standard input is a terminal: there is nothing to read', {
      hint: 'pipe something into it: tar c photos | sealift send - --name photos.tar',
    })
  const view = new TransferView(output, options.bytesPerSecond, 'standard input')
  const result = await view.follow(sendStream(standardInput(), options))
  output.say(`Transfer complete: ${formatCount(result.bytes)} bytes sent ${formatPace(result)}. All of it was taken.`)
}

/** What comes through standard input; each piece is void when the next one is asked for. */
async function* standardInput(): AsyncGenerator<Uint8Array> {
  for await (const piece of process.stdin as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    yield piece
    // Node makes new room for each; left to the collector, some ten MiB of them would lie about.
    if (piece.byteLength === piece.buffer.byteLength) piece.buffer.transfer(0)
  }
}

/**
 * @param given the text; `-` reads it from standard input, so that a secret is in no list of processes
 * @throws SealiftError `usage`, `limit_exceeded`, and what the transfer ends with
 */
export async function sendGivenText(
  given: string,
  paths: readonly string[],
  options: StreamSendOptions,
  output: Output,
): Promise<void> {
  if (paths.length > 0)
    throw new SealiftError('usage', '--text is sent alone: it cannot stand beside paths', {
      hint: 'quote a text of several words',
    })
  const text = given === STDIN ? await readText(output) : given
  const view = new TransferView(output, options.bytesPerSecond, `a text of ${formatSize(Buffer.byteLength(text))}`)
  await view.follow(sendText(text, options))
  output.say('Text sent.')
}

async function readText(output: Output): Promise<string> {
  if (process.stdin.isTTY) output.say('The text, ended by Ctrl-D on a line of its own:')
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of process.stdin as AsyncIterable<Uint8Array>) {
    bytes += piece.length
    if (bytes > MAX_TEXT_BYTES)
      throw new SealiftError('limit_exceeded', 'the text on standard input is over 1 MiB', {
        hint: 'send it as it is: sealift send -',
      })
    pieces.push(piece)
  }
  const text = decodeUtf8(Buffer.concat(pieces))
  if (text !== null) return text
  throw new SealiftError('usage', 'what standard input gives is no text (UTF-8)', {
    hint: 'send it as it is: sealift send -',
  })
}
