/**
 * Every limit of the protocol, with its unit in its name. `docs/limits.md` explains them.
 * What a peer declares is checked against these before a byte is allocated for it.
 */

/** Largest handshake message body, in bytes, before keys are confirmed. */
export const MAX_HANDSHAKE_BYTES = 4096
/** A handshake message whole, its header of 8 bytes included. */
export const MAX_HANDSHAKE_FRAME_BYTES = 8 + MAX_HANDSHAKE_BYTES
/** Raw content bytes of one chunk, at most. */
export const MAX_CHUNK_BYTES = 1 << 20
/** Content bytes of one chunk, at least, however slow the path (the last one may be smaller). */
export const MIN_CHUNK_BYTES = 64 << 10
/** Header in front of the bytes of a CHUNK record. */
export const CHUNK_HEADER_BYTES = 64
export const TAG_BYTES = 16
/** Ciphertext and tag of one record, at most: what the length word may say. */
export const MAX_RECORD_BYTES = MAX_CHUNK_BYTES + CHUNK_HEADER_BYTES + TAG_BYTES
/** The same before a server has let its peer in: room for one AUTH. */
export const MAX_ADMISSION_RECORD_BYTES = 1 + MAX_HANDSHAKE_FRAME_BYTES + TAG_BYTES
/** Records under one key; then both directions ratchet on their own. */
export const RECORDS_PER_KEY = 65_536
/** One JSON control message. */
export const MAX_CONTROL_BYTES = 64 << 10
/** One page of the manifest, of ranges, of states or of digests. */
export const MAX_PAGE_BYTES = 256 << 10
/** A record that holds no chunk, at most: a page, with its type and its flag. A receiver says no longer one. */
export const MAX_PLAIN_RECORD_BYTES = 2 + MAX_PAGE_BYTES + TAG_BYTES

/** Priority of a transfer, at most; 0 is the least. */
export const MAX_PRIORITY = 9
/** That of a transfer of which nobody said any. */
export const DEFAULT_PRIORITY = 5

export const MAX_ENTRIES = 1_000_000
export const MAX_MANIFEST_BYTES = 256 << 20
export const MAX_NAME_BYTES = 255
export const MAX_PATH_BYTES = 4096
export const MAX_LINK_TARGET_BYTES = 4096
/** Content of one transfer: the largest safe integer, so that offsets stay exact. */
export const MAX_CONTENT_BYTES = Number.MAX_SAFE_INTEGER
/** One text, as UTF-8. */
export const MAX_TEXT_BYTES = 1 << 20
/** Ranges that a peer may keep a set of; a hostile one cannot make it grow for ever. */
export const MAX_RANGES = 1_000_000

/** Content bytes sent and not yet acknowledged, at most. */
export const MAX_UNACKNOWLEDGED_BYTES = 32 << 20
/** Streams of one transfer, the first among them. */
export const MAX_STREAMS = 16
/** How far from a file's hashed frontier the scheduler may lease. */
export const MAX_AHEAD_OF_HASH_BYTES = 64 << 20
/** Resume ids in one INIT. */
export const MAX_RESUME_IDS = 8

export const CHECKPOINT_BYTES = 8 << 20
export const CHECKPOINT_MS = 250
export const SYNC_BYTES = 256 << 20
export const SYNC_MS = 5000

/** For looking up a name and connecting to it, together. */
export const CONNECT_TIMEOUT_MS = 10_000
export const HANDSHAKE_TIMEOUT_MS = 10_000
/** Nothing sent for so long: send a PING. */
export const PING_INTERVAL_MS = 10_000
/** Nothing received for so long: the peer is dead. */
export const SILENCE_TIMEOUT_MS = 30_000
/** Chunks under way and not one acknowledged for so long: the peer is stuck. */
export const STALL_TIMEOUT_MS = 60_000
/** The receiver's user may think about an offer for so long. */
export const CONSENT_TIMEOUT_MS = 600_000
/** A queued sender is told its place not more often than this … */
export const QUEUED_INTERVAL_MS = 1000
/** … and at least so often, whether or not it has changed. */
export const QUEUED_REPEAT_MS = 60_000
/** After a session was up, a dialling peer tries to come back until so long after the last progress. */
export const RECONNECT_TIMEOUT_MS = 30_000

/** What a rate, `--bwlimit` or that of a server, lets through at once. */
export const BURST_MS = 50

export const MAX_UNCONFIRMED_CONNECTIONS = 128
/** Wrong guesses of a direct token from one source, after which it is burned. */
export const MAX_GUESSES_PER_SOURCE = 3
/** Wrong guesses of a direct token in all, after which it is burned. */
export const MAX_GUESSES = 10
/** Wrong guesses of a server's token or password in a minute, whoever makes them; more are not compared. */
export const MAX_SERVER_GUESSES_PER_MINUTE = 60
/** Confirmations that an initiator sends for one token in one process, and on a server in a row without an answer. */
export const MAX_INITIATOR_CONFIRMATIONS = 3

export const DEFAULT_PORT = 15_820
/** Where a receiving server listens, and is looked for. */
export const DEFAULT_SERVER_PORT = 9000
export const DEFAULT_WAIT_MS = 300_000
export const LEASE_TIMEOUT_MS = 60_000
export const STALE_STAGING_MS = 7 * 24 * 3600 * 1000
