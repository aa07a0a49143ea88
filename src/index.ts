/**
 * The public library of Sealift.
 *
 * Importing it does nothing by itself. What it throws is a {@link SealiftError}.
 */

export type { ConflictPolicy, IncomingOffer, OfferAnswer, ReceiveOptions, SendOptions } from './library/options.ts'
export { receiveFiles } from './library/receive-files.ts'
export { sendFiles } from './library/send-files.ts'
export type { Transfer, TransferResult } from './library/transfer.ts'
export { type ErrorCode, SealiftError } from './protocol/errors.ts'
export type {
  ConnectedEvent,
  DoneEvent,
  ExcludedEvent,
  FileEvent,
  ListeningEvent,
  ProgressEvent,
  RefusedEvent,
  TransferEvent,
  WarningEvent,
} from './transfer/events.ts'
