/** What a sender's user is told of those who knock: wrong tokens, strangers to the tailnet, and allowed ones who are not there. */

import type { ByteStream } from '../carriers/carrier.ts'
import type { DirectToken } from '../guard/direct-token.ts'
import type { TailnetGate } from '../guard/tailnet-gate.ts'
import type { SealiftError } from '../protocol/errors.ts'
import { escapeForDisplay } from '../protocol/names.ts'
import type { Emit } from './transfer.ts'

/** Strangers that are named one by one. */
const MAX_STRANGERS = 100

export class DoorWarnings {
  readonly #emit: Emit
  readonly #token: DirectToken
  readonly #tailnet: TailnetGate | null
  readonly #strangers = new Set<string>()

  constructor(emit: Emit, token: DirectToken, tailnet: TailnetGate | null) {
    this.#emit = emit
    this.#token = token
    this.#tailnet = tailnet
  }

  ofGuess(peer: ByteStream['peer']): void {
    const identity = this.#tailnet?.identityOf(peer) ?? null
    const who = escapeForDisplay(identity ?? peer.address)
    this.#warn(
      'auth_failed',
      this.#token.state === 'spent'
        ? `${who} tried a token after this one was used up. It did not get in.`
        : `${who} tried a wrong token. If that was not you or your receiver, somebody is guessing.`,
    )
  }

  /** Says it once: whoever is refused may come again and again. @param error of the tailnet's gate */
  ofStranger({ message }: SealiftError): void {
    if (this.#strangers.has(message) || this.#strangers.size >= MAX_STRANGERS) return
    this.#strangers.add(message)
    this.#warn('peer_refused', `${message}. It did not get in.`)
  }

  /** Nobody of an allowed name is there: a slip of the pen would refuse everybody. Never rejects. */
  async ofAbsent(signal: AbortSignal): Promise<void> {
    const { absent, isEverybody } = (await this.#tailnet?.findAbsent(signal)) ?? { absent: [], isEverybody: false }
    if (absent.length === 0) return
    const names = absent.map(escapeForDisplay).join(', ')
    const consequence = isEverybody ? '; until then everybody is refused' : ''
    this.#warn('peer_refused', `no machine of ${names} is on this tailnet now${consequence}`)
  }

  #warn(code: 'auth_failed' | 'peer_refused', message: string): void {
    this.#emit({ event: 'warning', code, message })
  }
}
