/**
 * The streams beside the first one of a session (PROTOCOL 1.6): how many there may be, what they moved, and that they end
 * with it. The same at both ends; what is said over them is their session's business.
 */

import { SealiftError } from '../protocol/errors.ts'
import { MAX_STREAMS } from '../protocol/limits.ts'
import type { Session } from './session.ts'

export class JoinedStreams {
  readonly #first: Session
  readonly #streams = new Set<Session>()
  /** Of those that have ended. */
  #endedWireBytes = 0
  #isOver = false

  /** @param first the session that they are for */
  constructor(first: Session) {
    this.#first = first
  }

  /** Bytes on the wire, both directions. */
  get wireBytes(): number {
    let bytes = this.#endedWireBytes
    for (const stream of this.#streams) bytes += stream.wireBytes
    return bytes
  }

  /** Takes one more. @returns whether there is room for it, and still a session to join */
  take(stream: Session): boolean {
    if (this.#isOver || this.#first.isOver || this.#streams.size >= MAX_STREAMS - 1) return false
    this.#streams.add(stream)
    void stream.end.then(({ error }) => {
      this.#streams.delete(stream)
      this.#endedWireBytes += stream.wireBytes
      // One that only broke is opened again; a peer that breaks the rules has broken them for the whole session.
      if (error?.code === 'protocol_violation') this.#first.fail(error)
    })
    return true
  }

  /** Takes no more, and says farewell over all of them. */
  end(): void {
    this.#isOver = true
    for (const stream of this.#streams) void stream.close()
  }
}

/** There is no session to join, or none for one stream more. */
export async function refuseStream(stream: Session): Promise<void> {
  // Read, so that the other side's farewell is heard.
  stream.listen(() => undefined)
  await stream.close(new SealiftError('session_taken', 'there is no session to join').wireCode)
}
