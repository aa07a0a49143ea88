/** Both ends of a handshake in one process, with what a test wants to be different. */

import { nodeCrypto } from '../../../src/crypto/node.ts'
import { encodeUtf8, toHex } from '../../../src/protocol/bytes.ts'
import { SealiftError } from '../../../src/protocol/errors.ts'
import { InitiatorHandshake } from '../../../src/protocol/handshake-initiator.ts'
import type { InitiatorParameters } from '../../../src/protocol/handshake-initiator.ts'
import { FRAME_HEADER_BYTES, readFrameHeader } from '../../../src/protocol/handshake-messages.ts'
import type { FrameKind } from '../../../src/protocol/handshake-messages.ts'
import { ResponderHandshake } from '../../../src/protocol/handshake-responder.ts'
import type { ResponderParameters } from '../../../src/protocol/handshake-responder.ts'
import type { ResumeCredential, SessionSecrets } from '../../../src/protocol/handshake.ts'

const NOTHING = new Uint8Array(0)
export const TOKEN: Uint8Array = encodeUtf8('acid-zebra')

export function newInitiator(changes: Partial<InitiatorParameters> = {}): InitiatorHandshake {
  const defaults = { crypto: nodeCrypto, purpose: 'direct', channelBinding: NOTHING } as const
  return new InitiatorHandshake({ ...defaults, token: TOKEN, resumeKeys: [], join: false, ...changes })
}

export function newResponder(changes: Partial<ResponderParameters> = {}): ResponderHandshake {
  const defaults = { crypto: nodeCrypto, purpose: 'direct', channelBinding: NOTHING } as const
  return new ResponderHandshake({ ...defaults, password: () => TOKEN, findResumeKey: () => null, ...changes })
}

export function newCredential(): ResumeCredential {
  return { id: nodeCrypto.randomBytes(16), key: nodeCrypto.randomBytes(32) }
}

/** A `findResumeKey` over some credentials. */
export function serving(...credentials: ResumeCredential[]): (id: Uint8Array) => Uint8Array | null {
  return (id) => credentials.find((known) => toHex(known.id) === toHex(id))?.key ?? null
}

/** What a driver does with a frame: reads the header, waits for so many bytes, then gives kind and body to the machine. */
export function feed<Step>(machine: { receive(kind: FrameKind, body: Uint8Array): Step }, frame: Uint8Array): Step {
  const { kind, bodyBytes } = readFrameHeader(frame)
  const body = frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + bodyBytes)
  if (body.length < bodyBytes) throw new SealiftError('connection_lost', 'the rest of the frame never comes')
  return machine.receive(kind, body)
}

/** One name for each message on its way, in order. */
export type Leg = 'INIT' | 'RESP' | 'CONFIRM_I' | 'CONFIRM_R'

export interface Outcome {
  /** What each side ends with; `null` where it did not confirm. */
  readonly initiator: SessionSecrets | null
  readonly responder: SessionSecrets | null
  /** What ended the run where it did not go through, as thrown or as told by ABORT. */
  readonly failure: unknown
  /** All that the responder sent, ABORT included. */
  readonly fromResponder: readonly Uint8Array[]
}

/**
 * Runs a handshake to its end, whatever that is.
 *
 * @param tamper what the network makes of each message
 */
export function run(
  initiator: InitiatorHandshake,
  responder: ResponderHandshake,
  tamper: (leg: Leg, frame: Uint8Array) => Uint8Array = (_, frame) => frame,
): Outcome {
  const fromResponder: Uint8Array[] = []
  const secrets: { initiator: SessionSecrets | null; responder: SessionSecrets | null } = {
    initiator: null,
    responder: null,
  }
  try {
    const resp = feed(responder, tamper('INIT', initiator.start())).send
    if (resp === null) throw new Error('no RESP')
    fromResponder.push(resp)
    const confirm = feed(initiator, tamper('RESP', resp)).send
    if (confirm === null) throw new Error('no CONFIRM_I')
    const verdict = feed(responder, tamper('CONFIRM_I', confirm)).verify?.()
    if (verdict === undefined) throw new Error('no verdict')
    fromResponder.push(verdict.ok ? verdict.confirm : verdict.abort)
    if (!verdict.ok) feed(initiator, verdict.abort)
    if (!verdict.ok) throw new Error('ABORT did not end the initiator')
    secrets.responder = verdict.secrets
    secrets.initiator = feed(initiator, tamper('CONFIRM_R', verdict.confirm)).done
    return { ...secrets, failure: null, fromResponder }
  } catch (failure) {
    return { ...secrets, failure, fromResponder }
  }
}
