/**
 * Every error of Sealift: its code, and what that code means on the wire, over HTTP and as an exit status.
 *
 * Owns the one table that `docs/errors.md` is made from. Knows nothing of where an error is shown.
 * A message never holds a secret; whoever prints one escapes it.
 */

interface ErrorRow {
  /** Code in ABORT and CLOSE messages; never changes once released. */
  readonly wire: number
  readonly http: number
  readonly exit: number
  /** Whether the same command may succeed when it is run again unchanged. */
  readonly retryable: boolean
  /** What it means, for `docs/errors.md`. */
  readonly meaning: string
}

export const ERROR_TABLE = {
  internal: { wire: 1, http: 500, exit: 1, retryable: false, meaning: 'a fault in Sealift itself' },

  usage: { wire: 2, http: 400, exit: 2, retryable: false, meaning: 'the command line is wrong' },
  settings_invalid: { wire: 3, http: 400, exit: 2, retryable: false, meaning: 'a setting has a value that cannot be' },
  path_missing: { wire: 4, http: 400, exit: 2, retryable: false, meaning: 'a path to send does not exist' },
  path_unreadable: { wire: 5, http: 400, exit: 2, retryable: false, meaning: 'a path to send cannot be read' },
  path_repeated: {
    wire: 6,
    http: 400,
    exit: 2,
    retryable: false,
    meaning: 'a path is given twice, lies inside another, or shares its name with another',
  },
  nothing_to_send: {
    wire: 7,
    http: 400,
    exit: 2,
    retryable: false,
    meaning: 'no path, or nothing is left of what was given',
  },
  transfer_unknown: { wire: 8, http: 404, exit: 2, retryable: false, meaning: 'the ledger has no such transfer' },
  transfer_busy: { wire: 9, http: 409, exit: 2, retryable: true, meaning: 'another process works on this transfer' },
  ledger_newer: {
    wire: 10,
    http: 500,
    exit: 2,
    retryable: false,
    meaning: 'the ledger was written by a newer Sealift',
  },
  target_not_folder: { wire: 11, http: 400, exit: 2, retryable: false, meaning: 'the output folder is something else' },
  already_done: {
    wire: 12,
    http: 409,
    exit: 2,
    retryable: false,
    meaning: 'the transfer has ended; there is nothing to resume',
  },

  certificate_invalid: {
    wire: 13,
    http: 400,
    exit: 2,
    retryable: false,
    meaning: "a certificate or key file of this side is missing, malformed, open to others, or not of the other's pair",
  },

  rejected: { wire: 20, http: 403, exit: 3, retryable: false, meaning: 'the other side said no' },
  declined: { wire: 21, http: 403, exit: 3, retryable: false, meaning: 'this side said no' },
  conflict: {
    wire: 22,
    http: 409,
    exit: 3,
    retryable: false,
    meaning: 'something is in the way and the policy is to fail',
  },
  policy_refused: {
    wire: 23,
    http: 403,
    exit: 3,
    retryable: false,
    meaning: 'the receiver does not allow what was asked',
  },
  version_mismatch: {
    wire: 24,
    http: 426,
    exit: 3,
    retryable: false,
    meaning: 'the two sides share no protocol version, suite or cipher',
  },
  unanswered: {
    wire: 25,
    http: 403,
    exit: 3,
    retryable: false,
    meaning: 'a question was not answered, or not in time',
  },

  auth_failed: {
    wire: 30,
    http: 401,
    exit: 4,
    retryable: false,
    meaning: 'the token, password or key was not accepted',
  },
  token_burned: {
    wire: 31,
    http: 401,
    exit: 4,
    retryable: false,
    meaning: 'too many wrong guesses; the token is void',
  },
  peer_refused: { wire: 32, http: 403, exit: 4, retryable: false, meaning: 'the peer is not one that may connect' },
  key_changed: {
    wire: 33,
    http: 403,
    exit: 4,
    retryable: false,
    meaning: "the other side's key is not the one that is known",
  },

  certificate_untrusted: {
    wire: 34,
    http: 502,
    exit: 4,
    retryable: false,
    meaning: 'no CA that is trusted here vouches for the certificate of the server',
  },
  certificate_name: {
    wire: 35,
    http: 502,
    exit: 4,
    retryable: false,
    meaning: 'the certificate of the server is for another name, or for none',
  },
  certificate_time: {
    wire: 36,
    http: 502,
    exit: 4,
    retryable: false,
    meaning: 'a certificate has expired, or is not valid yet',
  },
  certificate_refused: {
    wire: 37,
    http: 403,
    exit: 4,
    retryable: false,
    meaning: 'the server wants a certificate of its sender, and got none that it accepts',
  },
  tls_failed: {
    wire: 38,
    http: 502,
    exit: 4,
    retryable: false,
    meaning: 'TLS could not be agreed on: an older version, or a handshake that was broken off by the other side',
  },

  port_in_use: { wire: 40, http: 503, exit: 5, retryable: true, meaning: 'something else listens on the port' },
  address_unavailable: {
    wire: 41,
    http: 503,
    exit: 5,
    retryable: true,
    meaning: 'this machine cannot listen on the address',
  },
  no_tailscale: {
    wire: 42,
    http: 503,
    exit: 5,
    retryable: true,
    meaning: 'no Tailscale address, and no other was chosen',
  },
  connect_failed: { wire: 43, http: 502, exit: 5, retryable: true, meaning: 'no connection could be made' },
  host_unknown: { wire: 44, http: 502, exit: 5, retryable: true, meaning: 'the host name has no address' },
  connection_lost: { wire: 45, http: 502, exit: 5, retryable: true, meaning: 'the connection broke off' },
  peer_silent: { wire: 46, http: 504, exit: 5, retryable: true, meaning: 'the other side says nothing any more' },
  peer_stopped: { wire: 47, http: 502, exit: 5, retryable: true, meaning: 'the other side was stopped' },
  nobody_came: { wire: 48, http: 504, exit: 5, retryable: true, meaning: 'nobody connected in time' },
  not_sealift: { wire: 49, http: 502, exit: 5, retryable: false, meaning: 'what answers there does not speak Sealift' },
  replaced: {
    wire: 50,
    http: 409,
    exit: 5,
    retryable: false,
    meaning: 'a newer session of the same transfer took over',
  },
  session_taken: {
    wire: 51,
    http: 409,
    exit: 5,
    retryable: true,
    meaning: 'the other side is busy with another receiver',
  },
  server_busy: {
    wire: 52,
    http: 503,
    exit: 5,
    retryable: true,
    meaning: 'the server has as many transfers of this address as it takes',
  },

  protocol_violation: {
    wire: 60,
    http: 400,
    exit: 6,
    retryable: false,
    meaning: 'the other side broke the rules of the protocol',
  },
  record_invalid: {
    wire: 61,
    http: 400,
    exit: 6,
    retryable: true,
    meaning: 'a record is not what the other side sealed',
  },
  manifest_invalid: {
    wire: 62,
    http: 400,
    exit: 6,
    retryable: false,
    meaning: 'the list of files is malformed or dangerous',
  },
  digest_mismatch: {
    wire: 63,
    http: 422,
    exit: 6,
    retryable: true,
    meaning: 'a file arrived twice with another SHA-256 than its source',
  },
  codec_failed: {
    wire: 64,
    http: 422,
    exit: 6,
    retryable: false,
    meaning: 'a compressed chunk does not decode to what it declares',
  },
  ledger_corrupt: { wire: 65, http: 500, exit: 6, retryable: false, meaning: 'the ledger is damaged' },
  audit_broken: {
    wire: 66,
    http: 500,
    exit: 6,
    retryable: false,
    meaning: 'the audit log is not what was written: changed, cut, or a part of it is gone',
  },

  disk_full: { wire: 70, http: 507, exit: 7, retryable: true, meaning: 'the disk or a quota is full' },
  target_read_only: { wire: 71, http: 507, exit: 7, retryable: true, meaning: 'the output folder cannot be written' },
  disk_fault: { wire: 72, http: 500, exit: 7, retryable: true, meaning: 'the disk reported an error' },
  limit_exceeded: {
    wire: 73,
    http: 413,
    exit: 7,
    retryable: false,
    meaning: 'more than the limits of Sealift or of the receiver allow',
  },
  target_gone: {
    wire: 74,
    http: 500,
    exit: 7,
    retryable: true,
    meaning: 'the output folder disappeared or was replaced',
  },
  ledger_unavailable: {
    wire: 75,
    http: 503,
    exit: 7,
    retryable: true,
    meaning: 'the ledger cannot be opened or written',
  },

  partial: { wire: 80, http: 207, exit: 8, retryable: false, meaning: 'some files failed, all others are safe' },
  source_changed: { wire: 81, http: 409, exit: 8, retryable: true, meaning: 'a file changed while it was read' },
  source_vanished: { wire: 82, http: 404, exit: 8, retryable: true, meaning: 'a file disappeared before it was read' },
  source_unreadable: { wire: 83, http: 403, exit: 8, retryable: true, meaning: 'a file could not be read' },
  name_unusable: {
    wire: 84,
    http: 422,
    exit: 8,
    retryable: false,
    meaning: 'the file system of the receiver cannot hold this name, or the name is not UTF-8',
  },
  entry_in_the_way: {
    wire: 85,
    http: 409,
    exit: 8,
    retryable: false,
    meaning: 'something that may not be replaced has the name of this file',
  },

  interrupted: { wire: 90, http: 499, exit: 130, retryable: true, meaning: 'stopped by Ctrl-C' },
  terminated: { wire: 91, http: 499, exit: 143, retryable: true, meaning: 'stopped by a signal' },
} as const satisfies Record<string, ErrorRow>

/** All error codes. */
export type ErrorCode = keyof typeof ERROR_TABLE

const CODE_BY_WIRE: ReadonlyMap<number, ErrorCode> = new Map(
  (Object.keys(ERROR_TABLE) as ErrorCode[]).map((code) => [ERROR_TABLE[code].wire, code]),
)

/** The code behind a wire number; unknown numbers (a newer peer) give `null`. */
export function errorCodeFromWire(wire: number): ErrorCode | null {
  return CODE_BY_WIRE.get(wire) ?? null
}

/**
 * Whether a peer's code may end this side under that very code: refusals, keys, network, integrity, disk and parts, but not
 * as if this user had stopped it or used it wrongly, nor as if this Sealift were at fault.
 */
export function isTellable(code: ErrorCode): boolean {
  const { exit } = ERROR_TABLE[code]
  return exit >= 3 && exit <= 8
}

/** Whether a disk, a size or a quota is why: what coming back at once would meet again. */
export function isDiskError({ exitCode }: SealiftError): boolean {
  return exitCode === ERROR_TABLE.disk_full.exit
}

export interface SealiftErrorOptions {
  /** What the user can do about it; lines are separated by `\n`. */
  readonly hint?: string
  readonly cause?: unknown
  readonly transferId?: string
  /** Overrides the table, where one case of a code differs. */
  readonly retryable?: boolean
  /** Content that would have been taken, where it was too much. */
  readonly roomBytes?: number
}

/**
 * The one error class of Sealift. Branch on {@link SealiftError.code}.
 *
 * @example
 * ```ts
 * try { await transfer.done } catch (error) {
 *   if (error instanceof SealiftError && error.code === 'auth_failed') askAgain()
 * }
 * ```
 */
export class SealiftError extends Error {
  override readonly name = 'SealiftError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly transferId: string | undefined
  readonly retryable: boolean
  /** @internal Bytes of content that would have been taken, where it was too much. */
  readonly roomBytes: number | undefined

  constructor(code: ErrorCode, message: string, options: SealiftErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.transferId = options.transferId
    this.retryable = options.retryable ?? ERROR_TABLE[code].retryable
    this.roomBytes = options.roomBytes
  }

  /** Exit status of a command that ends with this error. */
  get exitCode(): number {
    return ERROR_TABLE[this.code].exit
  }

  /** Number of this error in ABORT and CLOSE. */
  get wireCode(): number {
    return ERROR_TABLE[this.code].wire
  }
}

/** Any thrown value as a {@link SealiftError}; what is not one already becomes `internal`. */
export function toSealiftError(thrown: unknown): SealiftError {
  if (thrown instanceof SealiftError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new SealiftError('internal', message, { cause: thrown })
}
