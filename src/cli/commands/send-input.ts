/** `sealift send -`: what comes through standard input goes to one receiver. */

import { formatCount } from '../../config/sizes.ts'
import type { StreamSendOptions } from '../../library/options.ts'
import { sendStream } from '../../library/send-stream.ts'
import { SealiftError } from '../../protocol/errors.ts'
import type { Output } from '../output.ts'
import { formatPace, TransferView } from '../transfer-view.ts'

/** The path that means standard input. */
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
  const result = await new TransferView(output).follow(sendStream(process.stdin, options))
  output.say(`Transfer complete: ${formatCount(result.bytes)} bytes sent ${formatPace(result)}.`)
}
