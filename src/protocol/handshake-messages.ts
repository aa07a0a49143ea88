/**
 * The five messages of the handshake as bytes: INIT, RESP, CONFIRM_I, CONFIRM_R and ABORT, each behind an 8-byte header.
 *
 * Owns the layout and what is well-formed on its own. Knows no state, key or choice: whether a RESP answers its INIT is
 * the handshake's business. Shares stand last, so that what is bound to a share is all that stands before it.
 */

import { ByteReader, ByteWriter, concatBytes } from './bytes.ts'
import { RECORD_CIPHERS } from './crypto-port.ts'
import type { RecordCipher } from './crypto-port.ts'
import { ERROR_TABLE, SealiftError, errorCodeFromWire } from './errors.ts'
import type { ErrorCode } from './errors.ts'
import { RESUME_ID_BYTES } from './key-schedule.ts'
import { MAX_HANDSHAKE_BYTES, MAX_RESUME_IDS, TAG_BYTES } from './limits.ts'

/** Header: `SLFT`, version u8, kind u8, length of the body u16. */
export const FRAME_HEADER_BYTES = 8
export const PROTOCOL_VERSION = 1
/** Length of a share, of each suite. */
export const SHARE_BYTES = 32

const MAGIC = 0x534c_4654 // 'SLFT'
const SESSION_ID_BYTES = 16
const MAC_BYTES = 32
/** Noise message 3 in CONFIRM_I of `noise-xx`: the sealed long-term key, and the tag of an empty payload. */
const NOISE_CONFIRM_BYTES = SHARE_BYTES + 2 * TAG_BYTES
/** Noise message 2 in RESP, at least: share, sealed long-term key, sealed payload of the shortest KEM field. */
const MIN_NOISE_RESP_BYTES = 2 * SHARE_BYTES + 2 * TAG_BYTES + 3
/** Entries of one list of numbers in INIT, at most: room for what newer versions add. */
const MAX_LIST = 16
const NO_RESUME_INDEX = 0xff
const KEM_NONE = 0
const KEM_ML_KEM_768 = 1
const KEM_PUBLIC_KEY_BYTES = 1184
const KEM_CIPHERTEXT_BYTES = 1088

const FRAME_KINDS = { INIT: 1, RESP: 2, CONFIRM_I: 3, CONFIRM_R: 4, ABORT: 5 } as const
export type FrameKind = keyof typeof FRAME_KINDS

/** By number. */
const SUITES = { cpace: 1, 'noise-xx': 2, resume: 3 } as const
export type Suite = keyof typeof SUITES

/** What the connection is for: a sender that waits for one receiver, or a server. */
const PURPOSES = { direct: 1, server: 2 } as const
export type Purpose = keyof typeof PURPOSES

/** Suites, ciphers and KEMs that this version does not know are left out when INIT is decoded. */
export interface InitMessage {
  readonly versions: readonly number[]
  readonly suites: readonly Suite[]
  readonly ciphers: readonly RecordCipher[]
  /** ML-KEM-768 public key, 1,184 bytes. */
  readonly kemPublicKey: Uint8Array | null
  /** One more stream of a session, rather than its successor. */
  readonly join: boolean
  readonly purpose: Purpose
  /** 16 random bytes. */
  readonly sessionId: Uint8Array
  /** 16 bytes each; not empty where `resume` is offered. */
  readonly resumeIds: readonly Uint8Array[]
  /** Ephemeral X25519 public key, where `resume` is offered. */
  readonly resumeShare: Uint8Array | null
  /** CPace share, where `cpace` is offered. */
  readonly cpaceShare: Uint8Array | null
  /** Noise message 1: an ephemeral X25519 public key, where `noise-xx` is offered; never beside a CPace share. */
  readonly noiseShare: Uint8Array | null
}

interface RespHead {
  readonly version: number
  readonly cipher: RecordCipher
}

export interface ShareResp extends RespHead {
  readonly suite: 'cpace' | 'resume'
  /** ML-KEM-768 ciphertext, 1,088 bytes. */
  readonly kemCiphertext: Uint8Array | null
  /** Which of the resume ids of INIT; `null` unless the suite is `resume`. */
  readonly resumeIndex: number | null
  /** 32 bytes: CPace share or ephemeral X25519 public key. */
  readonly share: Uint8Array
}

export interface NoiseResp extends RespHead {
  readonly suite: 'noise-xx'
  /** Noise message 2; its payload is a KEM ciphertext as {@link encodeKemPayload} writes it. */
  readonly noise: Uint8Array
}

export type RespMessage = ShareResp | NoiseResp

/** Body of CONFIRM_I or CONFIRM_R. */
export interface ConfirmMessage {
  /** Noise message 3 in CONFIRM_I of `noise-xx`, else empty. */
  readonly noise: Uint8Array
  /** 32 bytes. */
  readonly mac: Uint8Array
}

/**
 * A whole frame: header and body.
 *
 * @throws SealiftError `protocol_violation` where the body is too long for one
 */
export function encodeFrame(kind: FrameKind, body: Uint8Array): Uint8Array {
  if (body.length > MAX_HANDSHAKE_BYTES) throw new SealiftError('protocol_violation', 'a handshake message is too long')
  const header = new ByteWriter(FRAME_HEADER_BYTES)
  header.u32(MAGIC).u8(PROTOCOL_VERSION).u8(FRAME_KINDS[kind]).u16(body.length)
  return concatBytes([header.finish(), body])
}

/**
 * @param header the first 8 bytes of a frame
 * @throws SealiftError `not_sealift` without the magic, `version_mismatch` for another version of the frame,
 *   `protocol_violation` for an unknown kind or a body over {@link MAX_HANDSHAKE_BYTES}
 */
export function readFrameHeader(header: Uint8Array): { readonly kind: FrameKind; readonly bodyBytes: number } {
  const reader = new ByteReader(header.subarray(0, FRAME_HEADER_BYTES))
  if (reader.u32() !== MAGIC) throw new SealiftError('not_sealift', 'what answers there does not speak Sealift')
  const version = reader.u8()
  if (version !== PROTOCOL_VERSION) {
    throw new SealiftError(
      'version_mismatch',
      `the other side speaks version ${version} of the protocol, this is ${PROTOCOL_VERSION}`,
    )
  }
  const kind = nameOf(FRAME_KINDS, reader.u8())
  if (kind === null) throw new SealiftError('protocol_violation', 'a handshake message of unknown kind')
  const bodyBytes = reader.u16()
  if (bodyBytes > MAX_HANDSHAKE_BYTES) throw new SealiftError('protocol_violation', 'a handshake message is too long')
  return { kind, bodyBytes }
}

/** @returns the body of INIT */
export function encodeInit(message: InitMessage): Uint8Array {
  const writer = new ByteWriter(2048)
  writeList(writer, message.versions)
  writeList(
    writer,
    message.suites.map((suite) => SUITES[suite]),
  )
  writeList(
    writer,
    message.ciphers.map((cipher) => RECORD_CIPHERS[cipher]),
  )
  writeKem(writer, message.kemPublicKey)
  writer
    .u8(message.join ? 1 : 0)
    .u8(PURPOSES[message.purpose])
    .bytes(message.sessionId)
  writer.u8(message.resumeIds.length)
  for (const id of message.resumeIds) writer.bytes(id)
  if (message.resumeShare !== null) writer.bytes(message.resumeShare)
  if (message.cpaceShare !== null) writer.bytes(message.cpaceShare)
  if (message.noiseShare !== null) writer.bytes(message.noiseShare)
  return writer.finish()
}

/**
 * @param body borrowed: the fields are views of it
 * @throws SealiftError `protocol_violation`; `version_mismatch` for a purpose that this version does not know
 */
export function decodeInit(body: Uint8Array): InitMessage {
  const reader = new ByteReader(body)
  const versions = readList(reader)
  const suites = knownNames(SUITES, readList(reader))
  const ciphers = knownNames(RECORD_CIPHERS, readList(reader))
  const kemPublicKey = readKem(reader, KEM_PUBLIC_KEY_BYTES)
  const join = reader.u8()
  if (join > 1) throw new SealiftError('protocol_violation', 'INIT has a malformed flag')
  const purpose = nameOf(PURPOSES, reader.u8())
  if (purpose === null)
    throw new SealiftError('version_mismatch', 'the other side wants what this version does not know')
  const sessionId = reader.bytes(SESSION_ID_BYTES)
  const count = reader.u8()
  if (count > MAX_RESUME_IDS) throw new SealiftError('protocol_violation', 'INIT has too many resume ids')
  const resumeIds: Uint8Array[] = []
  for (let index = 0; index < count; index++) resumeIds.push(reader.bytes(RESUME_ID_BYTES))
  const offersResume = suites.includes('resume')
  if (offersResume !== count > 0)
    throw new SealiftError('protocol_violation', 'INIT offers resume without ids, or ids without resume')
  const resumeShare = offersResume ? reader.bytes(SHARE_BYTES) : null
  const cpaceShare = suites.includes('cpace') ? reader.bytes(SHARE_BYTES) : null
  const noiseShare = suites.includes('noise-xx') ? reader.bytes(SHARE_BYTES) : null
  if (cpaceShare !== null && noiseShare !== null)
    throw new SealiftError('protocol_violation', 'INIT offers two suites whose share stands last')
  reader.end()
  return {
    versions,
    suites,
    ciphers,
    kemPublicKey: kemPublicKey?.known ?? null,
    join: join === 1,
    purpose,
    sessionId,
    resumeIds,
    resumeShare,
    cpaceShare,
    noiseShare,
  }
}

/** @returns the body of RESP */
export function encodeResp(message: RespMessage): Uint8Array {
  const writer = new ByteWriter(1280)
  writer.u8(message.version).u8(SUITES[message.suite]).u8(RECORD_CIPHERS[message.cipher])
  if (message.suite === 'noise-xx') return writer.bytes(message.noise).finish()
  writeKem(writer, message.kemCiphertext)
  writer.u8(message.resumeIndex ?? NO_RESUME_INDEX).bytes(message.share)
  return writer.finish()
}

/**
 * @param body borrowed: the fields are views of it
 * @throws SealiftError `protocol_violation`, also for a suite, cipher or KEM that no INIT of this version offers
 */
export function decodeResp(body: Uint8Array): RespMessage {
  const reader = new ByteReader(body)
  const version = reader.u8()
  const suite = nameOf(SUITES, reader.u8())
  const cipher = nameOf(RECORD_CIPHERS, reader.u8())
  if (suite === null || cipher === null) throw notOffered()
  if (suite === 'noise-xx') {
    if (reader.left < MIN_NOISE_RESP_BYTES) throw new SealiftError('protocol_violation', 'RESP ends too early')
    return { version, suite, cipher, noise: reader.bytes(reader.left) }
  }
  const kem = readKem(reader, KEM_CIPHERTEXT_BYTES)
  const index = reader.u8()
  const share = reader.bytes(SHARE_BYTES)
  reader.end()
  if (kem?.known === null) throw notOffered()
  const resumeIndex = index === NO_RESUME_INDEX ? null : index
  if ((suite === 'resume') !== (resumeIndex !== null))
    throw new SealiftError('protocol_violation', 'RESP has a malformed resume index')
  return { version, suite, cipher, kemCiphertext: kem?.known ?? null, resumeIndex, share }
}

function notOffered(): SealiftError {
  return new SealiftError('protocol_violation', 'RESP chooses what was not offered')
}

/** The payload of Noise message 2: the KEM ciphertext as RESP of the other suites holds it. */
export function encodeKemPayload(ciphertext: Uint8Array | null): Uint8Array {
  const writer = new ByteWriter(1280)
  writeKem(writer, ciphertext)
  return writer.finish()
}

/**
 * @returns the KEM ciphertext, a view, or `null` without KEM
 * @throws SealiftError `protocol_violation`, also for a KEM that no INIT of this version offers
 */
export function decodeKemPayload(payload: Uint8Array): Uint8Array | null {
  const reader = new ByteReader(payload)
  const kem = readKem(reader, KEM_CIPHERTEXT_BYTES)
  reader.end()
  if (kem?.known === null) throw notOffered()
  return kem?.known ?? null
}

/** @returns the body of CONFIRM_I or CONFIRM_R */
export function encodeConfirm({ noise, mac }: ConfirmMessage): Uint8Array {
  return concatBytes([noise, mac])
}

/**
 * @param body borrowed: the fields are views of it
 * @param hasNoise whether it is CONFIRM_I of `noise-xx`
 * @throws SealiftError `protocol_violation`
 */
export function decodeConfirm(body: Uint8Array, hasNoise = false): ConfirmMessage {
  const noiseBytes = hasNoise ? NOISE_CONFIRM_BYTES : 0
  if (body.length !== noiseBytes + MAC_BYTES)
    throw new SealiftError('protocol_violation', 'a confirmation has the wrong length')
  return { noise: body.subarray(0, noiseBytes), mac: body.subarray(noiseBytes) }
}

/** The frame that tells the peer why this side ends. */
export function encodeAbort(code: ErrorCode): Uint8Array {
  return encodeFrame('ABORT', new ByteWriter(2).u16(ERROR_TABLE[code].wire).finish())
}

/** Codes that make sense from a peer that nobody has authenticated; all others could only mislead. */
const ABORT_MEANINGS: Partial<Record<ErrorCode, string>> = {
  policy_refused: 'the other side does not allow this',
  version_mismatch: 'the other side shares no protocol version, suite or cipher with this one',
  auth_failed: 'the other side did not accept the token, password or key',
  token_burned: 'the other side met too many wrong guesses; its token is void',
  peer_refused: 'the other side does not take connections from here',
  certificate_refused: 'the other side lets nobody in without a certificate that it accepts',
  peer_stopped: 'the other side was stopped',
  session_taken: 'the other side is busy with another receiver',
  protocol_violation: 'the other side did not understand this one',
  limit_exceeded: 'the other side is at its limits',
}

/**
 * What an ABORT of the peer means here. Numbers that a peer has no reason to send become `rejected`.
 *
 * @throws SealiftError `protocol_violation` where the body is malformed
 */
export function decodeAbort(body: Uint8Array): SealiftError {
  const reader = new ByteReader(body)
  const wire = reader.u16()
  reader.end()
  return abortError(wire)
}

/** What it means here that a peer ends with this number which has not proved yet that it may come in, or let us in. */
export function abortError(wire: number): SealiftError {
  const code = errorCodeFromWire(wire)
  const meaning = code === null ? undefined : ABORT_MEANINGS[code]
  if (code === null || meaning === undefined) return new SealiftError('rejected', 'the other side ended the connection')
  return new SealiftError(code, meaning)
}

function writeList(writer: ByteWriter, numbers: readonly number[]): void {
  writer.u8(numbers.length)
  for (const number of numbers) writer.u8(number)
}

function readList(reader: ByteReader): number[] {
  const count = reader.u8()
  if (count === 0 || count > MAX_LIST) throw new SealiftError('protocol_violation', 'INIT has a malformed list')
  return [...reader.bytes(count)]
}

/** KEM: id u8, length u16, bytes. The length lets an INIT with a KEM of the future be read. */
function writeKem(writer: ByteWriter, value: Uint8Array | null): void {
  if (value === null) writer.u8(KEM_NONE).u16(0)
  else writer.u8(KEM_ML_KEM_768).u16(value.length).bytes(value)
}

/** @returns `null` without a KEM; `known` is `null` for a KEM that this version does not know */
function readKem(reader: ByteReader, expectedBytes: number): { readonly known: Uint8Array | null } | null {
  const id = reader.u8()
  const length = reader.u16()
  const expected = id === KEM_NONE ? 0 : id === KEM_ML_KEM_768 ? expectedBytes : length
  if (length !== expected) throw new SealiftError('protocol_violation', 'a KEM value has the wrong length')
  const value = reader.bytes(length)
  if (id === KEM_NONE) return null
  return { known: id === KEM_ML_KEM_768 ? value : null }
}

function nameOf<Name extends string>(numbers: Readonly<Record<Name, number>>, number: number): Name | null {
  for (const name of Object.keys(numbers) as Name[]) if (numbers[name] === number) return name
  return null
}

function knownNames<Name extends string>(numbers: Readonly<Record<Name, number>>, found: readonly number[]): Name[] {
  return found.flatMap((number) => nameOf(numbers, number) ?? [])
}
