/** Reads the frames of a handshake from an inbox, each against one deadline for all of them. */

import { SealiftError } from '../protocol/errors.ts'
import { FRAME_HEADER_BYTES, type FrameKind, readFrameHeader } from '../protocol/handshake-messages.ts'
import type { Inbox, InboxReader } from './inbox.ts'

export interface Frame {
  readonly kind: FrameKind
  /** The caller's own. */
  readonly body: Uint8Array
}

export class FrameReader implements InboxReader {
  readonly #inbox: Inbox
  #waiting: { resolve: (frame: Frame) => void; reject: (error: SealiftError) => void } | null = null
  #failure: SealiftError | null = null

  constructor(inbox: Inbox) {
    this.#inbox = inbox
  }

  /**
   * The next frame. After it nothing more is read until the next call, so that what follows the last frame is left for the session.
   * @throws SealiftError `not_sealift`, `version_mismatch`, `protocol_violation`, `connection_lost`, or what `abort` was given
   */
  next(): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure)
        return
      }
      this.#waiting = { resolve, reject }
      this.#inbox.readBy(this)
    })
  }

  /** Gives up: a frame that is waited for now, or asked for later, fails with this. */
  abort(error: SealiftError): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = null
  }

  arrived(): boolean {
    const frames = this.#inbox.frames
    if (this.#waiting === null) return false
    try {
      const header = frames.peek(FRAME_HEADER_BYTES)
      if (header === null) {
        // Strangers are told apart by their first bytes already, not only by a whole header.
        const start = frames.peek(Math.min(4, frames.length))
        if (start !== null && !isMagicPrefix(start)) throw notSealift(start[0])
        return true
      }
      const { kind, bodyBytes } = readFrameHeader(header)
      if (frames.length < FRAME_HEADER_BYTES + bodyBytes) return true
      frames.take(FRAME_HEADER_BYTES)
      const body = (frames.take(bodyBytes) as Uint8Array).slice()
      const { resolve } = this.#waiting
      this.#waiting = null
      resolve({ kind, body })
    } catch (error) {
      this.abort(error as SealiftError)
    }
    return false
  }

  ended(error: SealiftError | null): void {
    const silent = this.#inbox.receivedBytes === 0
    this.abort(
      error ??
        new SealiftError(
          'connection_lost',
          silent ? 'the other side hung up at once' : 'the connection ended in the middle of the handshake',
        ),
    )
  }
}

const MAGIC = [0x53, 0x4c, 0x46, 0x54]

function isMagicPrefix(start: Uint8Array): boolean {
  return start.every((byte, at) => byte === MAGIC[at])
}

/** A record of TLS: of its handshake, or an alert. */
const TLS_RECORDS: readonly (number | undefined)[] = [0x16, 0x15]

function notSealift(first: number | undefined): SealiftError {
  if (!TLS_RECORDS.includes(first)) return new SealiftError('not_sealift', 'what answers there does not speak Sealift')
  return new SealiftError('not_sealift', 'the other side speaks TLS, and this one does not', {
    hint: 'a server with TLS is met with --tls, and one without it without',
  })
}
