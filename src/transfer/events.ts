/**
 * What a transfer tells whoever runs it: the events of the command line's `--json`, as a typed union.
 *
 * Owns the names and fields, which are a contract (docs/cli.md).
 */

import type { ErrorCode } from '../protocol/errors.ts'

export interface ListeningEvent {
  readonly event: 'listening'
  /** `null` for a server. */
  readonly transferId: string | null
  readonly address: string
  readonly port: number
  /** `null` where keys are asked for. */
  readonly token: string | null
  /** The tailnet whose machines alone get in; `null` where only the token guards. */
  readonly tailnet: string | null
  /** `ADDRESS:PORT:TOKEN`: what the other side connects to. */
  readonly connect: string
  /** `SHA256:…` of a server's key; `null` where there is no server. */
  readonly fingerprint: string | null
  /** Of a server: the port of 127.0.0.1 for `/health` and `/metrics`; `null` where there is none. */
  readonly healthPort: number | null
  readonly files: number
  /** `null` while unknown. */
  readonly bytes: number | null
}

export interface ConnectedEvent {
  readonly event: 'connected'
  readonly transferId: string | null
  readonly peer: string
  /** Who Tailscale says the peer is, as `alpha (ana@example.com)`; `null` where it does not know. */
  readonly identity: string | null
  /** `cpace` or `resume`, with `+mlkem768` behind it where the hybrid took part. */
  readonly suite: string
  readonly cipher: string
}

export interface RefusedEvent {
  readonly event: 'refused'
  readonly peer: string
  readonly code: ErrorCode
  /** ISO 8601, where the refusal ends by itself. */
  readonly until: string | null
}

export interface ExcludedEvent {
  readonly event: 'excluded'
  readonly path: string
  readonly files: number
  readonly bytes: number
  readonly reason: string
}

export interface WarningEvent {
  readonly event: 'warning'
  readonly code: string
  readonly message: string
}

/** A server has taken note of the offer, and accepts it when its turn comes. Said again when the place changes. */
export interface QueuedEvent {
  readonly event: 'queued'
  readonly transferId: string
  /** In line; 1 is the next. */
  readonly place: number
}

export interface ProgressEvent {
  readonly event: 'progress'
  readonly transferId: string
  /** Safe at the receiver, acknowledged. */
  readonly bytesDone: number
  readonly bytesTotal: number | null
  readonly filesDone: number
  readonly filesTotal: number | null
  readonly bytesPerSecond: number
}

export interface FileEvent {
  readonly event: 'file'
  readonly transferId: string
  /** As in the manifest, `tree/a/b.txt`. */
  readonly path: string
  readonly sizeBytes: number | null
  /** Hex; `null` where the file was not read. */
  readonly sha256: string | null
  readonly status: 'ok' | 'failed' | 'skipped'
  /** Path in the output folder; `null` at the sender, and where nothing was saved. */
  readonly savedAs: string | null
}

/** A text that was received; it is saved nowhere. */
export interface TextEvent {
  readonly event: 'text'
  /** UUID of the transfer. */
  readonly transferId: string
  /** As it was sent: from the other side, so to be escaped where it is shown. */
  readonly text: string
}

export interface DoneEvent {
  readonly event: 'done'
  readonly transferId: string
  readonly files: number
  /** Content of the transfer. */
  readonly bytes: number
  /** Both directions, all sessions of this process. */
  readonly bytesOnWire: number
  /** Content that was safe already when this process's first session began. */
  readonly resumedBytes: number
  /** From acceptance to the end. */
  readonly seconds: number
  readonly bytesPerSecond: number
}

/** Everything but the end: what `for await` gives. */
export type TransferEvent =
  | ListeningEvent
  | ConnectedEvent
  | RefusedEvent
  | ExcludedEvent
  | WarningEvent
  | QueuedEvent
  | ProgressEvent
  | FileEvent
  | TextEvent
  | DoneEvent
