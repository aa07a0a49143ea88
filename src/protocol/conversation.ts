/**
 * Which message may follow which (protocol.md, "Conversation"): a table, the same for both ends.
 *
 * The conversation has one state at any time. The table says, for each state and each speaker, what may be said and
 * which state that leads to. PING, PONG and CLOSE may be said by either side in every state but `closed`. A direct
 * transfer begins with `greeting`; a server, which is the receiver, first lets its peer in. A stream that has joined a
 * session carries chunks and nothing else.
 * Knows neither sockets nor files, and not which end it runs on.
 */

import { SealiftError } from './errors.ts'
import type { Purpose } from './handshake-messages.ts'
import type { Message, MessageName } from './messages.ts'

export type Role = 'sender' | 'receiver'

export type ConversationState =
  | 'admitting'
  | 'joining'
  | 'carrying'
  | 'proving'
  | 'judging'
  | 'greeting'
  | 'offering'
  | 'listing'
  | 'deciding'
  | 'surveying'
  | 'moving'
  | 'ending'
  | 'closed'

/** Messages, with the last page of a listing and the end of a question told apart, because they move the conversation on. */
export type Utterance = MessageName | 'manifestLast' | 'safeLast' | 'offerKnown' | 'admitNothing'

type Moves = Partial<Record<Utterance, ConversationState>>

export const CONVERSATION: Readonly<Record<ConversationState, Readonly<Record<Role, Moves>>>> = {
  admitting: { sender: {}, receiver: { admitNothing: 'greeting', admit: 'proving' } },
  // The frames of one handshake, turn by turn; the two machines know how many there are.
  proving: { sender: { auth: 'judging' }, receiver: { admitNothing: 'greeting' } },
  judging: { sender: {}, receiver: { auth: 'proving' } },
  // One more stream of a session that is there: let in by its key, it carries what the first one has under way.
  joining: { sender: {}, receiver: { admitNothing: 'carrying' } },
  carrying: { sender: { chunk: 'carrying' }, receiver: {} },
  greeting: { sender: {}, receiver: { hello: 'offering' } },
  offering: { sender: { offer: 'listing', offerKnown: 'deciding' }, receiver: {} },
  listing: { sender: { manifest: 'listing', manifestLast: 'deciding' }, receiver: { reject: 'ending' } },
  deciding: { sender: {}, receiver: { queued: 'deciding', accept: 'surveying', reject: 'ending' } },
  surveying: { sender: {}, receiver: { states: 'surveying', safe: 'surveying', safeLast: 'moving' } },
  moving: {
    sender: { chunk: 'moving', digests: 'moving', entryFailed: 'moving', entryEnd: 'moving' },
    receiver: { ack: 'moving', nack: 'moving', states: 'moving', reject: 'ending', done: 'ending' },
  },
  // What the sender had under way when DONE or REJECT left the receiver may still arrive.
  ending: {
    sender: {
      manifest: 'ending',
      manifestLast: 'ending',
      chunk: 'ending',
      digests: 'ending',
      entryFailed: 'ending',
      entryEnd: 'ending',
    },
    receiver: {},
  },
  closed: { sender: {}, receiver: {} },
}

const ADMITTING: ReadonlySet<ConversationState> = new Set(['admitting', 'proving', 'judging', 'joining'])

function utteranceOf(message: Message): Utterance {
  if (message.type === 'manifest' && message.last) return 'manifestLast'
  if (message.type === 'safe' && message.last) return 'safeLast'
  if (message.type === 'offer' && !message.offer.manifestFollows) return 'offerKnown'
  if (message.type === 'admit' && message.admit.needs === 'nothing') return 'admitNothing'
  return message.type
}

/** Follows one conversation and refuses what may not be said. */
export class Conversation {
  #state: ConversationState
  readonly #closed: Record<Role, boolean> = { sender: false, receiver: false }

  /**
   * @param purpose a server lets its peer in first
   * @param isJoined one more stream of a session that is there
   */
  constructor(purpose: Purpose = 'direct', isJoined = false) {
    if (purpose === 'server') this.#state = isJoined ? 'joining' : 'admitting'
    else this.#state = isJoined ? 'carrying' : 'greeting'
  }

  get state(): ConversationState {
    return this.#state
  }

  /** Whether the peer of a server has not been let in: it may say nothing of a transfer, and gets little memory. */
  get isAdmitting(): boolean {
    return ADMITTING.has(this.#state)
  }

  /**
   * Takes note of a message, sent or received.
   * @throws SealiftError `protocol_violation` where this speaker may not say it now
   */
  said(by: Role, message: Message): void {
    if (this.#closed[by]) throw new SealiftError('protocol_violation', 'a message after the final record')
    if (message.type === 'ping' || message.type === 'pong') return
    if (message.type === 'close') {
      this.#closed[by] = true
      if (this.#closed.sender && this.#closed.receiver) this.#state = 'closed'
      return
    }
    const next = CONVERSATION[this.#state][by][utteranceOf(message)]
    if (next === undefined) {
      throw new SealiftError('protocol_violation', `the ${by} said ${message.type} while ${this.#state}`)
    }
    this.#state = next
  }
}
