/** Collects a text that is received, and gives it out once it is whole and verified. */

import { concatBytes, decodeUtf8 } from '../protocol/bytes.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { StreamTarget } from '../transfer/stream-incoming.ts'

export class TextTarget implements StreamTarget {
  readonly borrows = false
  #pieces: Uint8Array[] = []
  readonly #onText: (text: string) => void

  constructor(onText: (text: string) => void) {
    this.#onText = onText
  }

  write(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
  }

  finish(): void {
    const text = decodeUtf8(concatBytes(this.#pieces))
    this.#pieces = []
    if (text === null) throw new SealiftError('protocol_violation', 'the sender sent a text that is not UTF-8')
    this.#onText(text)
  }
}
