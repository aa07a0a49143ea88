/**
 * The public library of Sealift.
 *
 * Importing it does nothing by itself. What it throws is a {@link SealiftError}.
 */

export {
  type CertificateKind,
  type CertificateOptions,
  createCertificate,
  type CreatedCertificate,
} from './library/create-certificate.ts'
export { createIdentity, type Identity, type IdentityOptions } from './library/create-identity.ts'
export {
  type CheckName,
  diagnose,
  type DiagnoseOptions,
  type Finding,
  type FindingDetail,
  type FindingStatus,
} from './library/diagnose.ts'
export { type ListOptions, listTransfers, type TransferRecord } from './library/list-transfers.ts'
export type {
  IncomingOffer,
  LanAddress,
  OfferAnswer,
  ReceiveOptions,
  SendOptions,
  StreamSendOptions,
  TransferOptions,
} from './library/options.ts'
export type {
  Conflict,
  EntryFate,
  EntryKindName,
  EntryLook,
  ListedPath,
  OfferedEntry,
  OfferListing,
  PathSample,
} from './library/offer-listing.ts'
export { planSend, type SendPlan } from './library/plan-send.ts'
export { receiveFiles } from './library/receive-files.ts'
export { type ResumeOptions, resumeTransfer } from './library/resume-transfer.ts'
export { sendFiles } from './library/send-files.ts'
export { sendStream, sendText } from './library/send-stream.ts'
export {
  type FileTransferClientOptions,
  type ParallelResult,
  SecureFileTransferClient,
  type SendFileOptions,
  type SendFileResult,
  type SendInParallelOptions,
} from './library/transfer-client.ts'
export type { SentFile } from './library/sent-file.ts'
export type { ParallelProgress } from './library/progress-sum.ts'
export { type FileTransferServerOptions, SecureFileTransferServer } from './library/transfer-server.ts'
export type { ServerEvent } from './server/server-event.ts'
export type { StopSignal } from './library/stop-signal.ts'
export type { Transfer, TransferResult } from './library/transfer.ts'
export type { CompressSetting, ConflictPolicy } from './protocol/choices.ts'
export { type ErrorCode, SealiftError, type SealiftErrorOptions } from './protocol/errors.ts'
export type {
  ConnectedEvent,
  DoneEvent,
  ExcludedEvent,
  FileEvent,
  ListeningEvent,
  ProgressEvent,
  QueuedEvent,
  RefusedEvent,
  TextEvent,
  TransferEvent,
  WarningEvent,
} from './transfer/events.ts'
export type { Waiting, WaitReason } from './transfer/waiting.ts'
