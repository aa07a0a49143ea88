/**
 * The settings of the receiving server: names as its first users know them (`ST_…`), with what was added under the same
 * pattern. Sizes accept `10MB` and `64MiB`, times `60`, `10 min`, `7 days`.
 */

import { LOG_LEVELS } from './log-levels.ts'
import type { Setting, SettingsOf } from './settings.ts'
import { choice, count, duration, flag, liftableSize, listenHost, port, size, text } from './setting-values.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const DAY_MS = 24 * 60 * MINUTE_MS
/** The wire takes chunks of 64 KiB at the least, and something around them. */
const MIN_PAYLOAD_BYTES = 128 << 10

export const LAYOUTS = ['flat', 'by-sender', 'by-date'] as const
export type Layout = (typeof LAYOUTS)[number]

export const SERVER_SETTINGS = {
  host: setting('ST_HOST', '--host <address>', '0.0.0.0', 'address to listen on', listenHost),
  port: setting('ST_PORT', '--port <port>', '9000', 'port to listen on; 0 takes any free one', port),
  outputDir: setting('ST_OUTPUT_DIR', '--output-dir <folder>', '.', 'folder that received files are saved in', text),
  layout: setting(
    'ST_LAYOUT',
    '--layout <layout>',
    'flat',
    'folders in it: flat, by-sender or by-date',
    choice(LAYOUTS),
  ),
  allowOverwrite: setting(
    'ST_ALLOW_OVERWRITE',
    '--allow-overwrite',
    'false',
    'whether senders may replace what they sent before',
    flag,
  ),
  identity: setting('ST_IDENTITY', '--identity <file>', '', 'key file of this server; made at the first start', text),
  authorizedKeys: setting(
    'ST_AUTHORIZED_KEYS',
    '--authorized-keys <file>',
    '',
    'file with the public keys that may send, a line each',
    text,
  ),
  tls: setting('ST_TLS', '--tls', 'false', 'whether senders come by TLS 1.3, with the certificate below', flag),
  cert: setting(
    'ST_CERT',
    '--cert <file>',
    '',
    'certificate of this server, PEM, with those between it and its CA',
    text,
  ),
  key: setting('ST_KEY', '--key <file>', '', 'private key of that certificate, PEM', text),
  ca: setting('ST_CA', '--ca <file>', '', 'certificates of the CAs whose clients may send without a token, PEM', text),
  open: setting('ST_OPEN', '--open', 'false', 'whether everybody may send, without a key or token', flag),
  maxTransferBytes: setting(
    'ST_MAX_TRANSFER_SIZE',
    '--max-transfer-size <size>',
    '10GB',
    'content of one transfer, at most; 0: no limit',
    liftableSize(1),
  ),
  maxPayloadBytes: setting(
    'ST_MAX_PAYLOAD_SIZE',
    '--max-payload-size <size>',
    '64MB',
    'bytes of one record, at most; can only lower what the protocol has',
    size(MIN_PAYLOAD_BYTES),
  ),
  maxConnectionsPerAddress: setting(
    'ST_MAX_CONCURRENT_PER_IP',
    '--max-concurrent-per-ip <n>',
    '5',
    'transfers of one address at a time',
    count(1, 10_000),
  ),
  bytesPerSecond: setting(
    'ST_RATE_LIMIT_BYTES_PER_SEC',
    '--rate-limit <rate>',
    '10MB',
    'bytes a second of one sender; 0: no limit',
    liftableSize(64 << 10),
  ),
  banThreshold: setting(
    'ST_FAILED_HANDSHAKE_BAN_THRESHOLD',
    '--ban-threshold <n>',
    '3',
    'failed handshakes of an address that ban it',
    count(1, 10_000),
  ),
  banWindowMs: setting(
    'ST_FAILED_HANDSHAKE_BAN_WINDOW_SEC',
    '--ban-window <time>',
    '60',
    'time in which they count',
    duration(SECOND_MS, DAY_MS),
  ),
  banDurationMs: setting(
    'ST_BAN_DURATION',
    '--ban-duration <time>',
    '10 min',
    'how long a ban lasts',
    duration(SECOND_MS, 365 * DAY_MS),
  ),
  quotaBytes: setting(
    'ST_QUOTA',
    '--quota <size>',
    '0',
    'bytes received in all, at most; 0 for no limit',
    liftableSize(1),
  ),
  quotaPerSenderBytes: setting(
    'ST_QUOTA_PER_SENDER',
    '--quota-per-sender <size>',
    '0',
    'bytes received of one sender, at most; 0 for no limit',
    liftableSize(1),
  ),
  minFreeBytes: setting(
    'ST_MIN_FREE',
    '--min-free <size>',
    '256MB',
    'free space that is left on the disk at the least',
    size(0),
  ),
  handshakeTimeoutMs: setting(
    'ST_HANDSHAKE_TIMEOUT',
    '--handshake-timeout <time>',
    '10',
    'from the connection to a confirmed session',
    duration(SECOND_MS, MINUTE_MS),
  ),
  idleTimeoutMs: setting(
    'ST_IDLE_TIMEOUT',
    '--idle-timeout <time>',
    '60',
    'how long a session may bring nothing new',
    duration(5 * SECOND_MS, DAY_MS),
  ),
  minBytesPerSecond: setting(
    'ST_MIN_RATE',
    '--min-rate <rate>',
    '1KiB',
    'bytes a second that a sender brings at the least, over a minute; 0 for no limit',
    liftableSize(1),
  ),
  healthPort: setting(
    'ST_HEALTH_PORT',
    '--health-port <port>',
    '9001',
    'loopback port of /health and /metrics; 0 takes any free one',
    port,
  ),
  healthEnabled: setting('ST_HEALTH', '--health <yes|no>', 'true', 'whether there are /health and /metrics', flag),
  logPath: setting('ST_LOG_PATH', '--log-path <folder>', '', 'folder of the log and audit files', text),
  logLevel: setting('LOG_LEVEL', '--log-level <level>', 'info', `one of ${LOG_LEVELS.join(', ')}`, choice(LOG_LEVELS)),
  logRotationBytes: setting(
    'ST_LOG_ROTATION',
    '--log-rotation <size>',
    '10MB',
    'a new file after so much',
    size(64 << 10),
  ),
  logRetentionMs: setting(
    'ST_LOG_RETENTION',
    '--log-retention <time>',
    '7 days',
    'how long old files are kept',
    duration(60 * MINUTE_MS, 3650 * DAY_MS),
  ),
  ledgerPath: setting('DB_PATH', null, '', 'file of the ledger', text),
} as const

export type ServerSettings = SettingsOf<typeof SERVER_SETTINGS>

function setting<Value>(
  env: string,
  option: string | null,
  byDefault: string,
  meaning: string,
  parse: Setting<Value>['parse'],
): Setting<Value> {
  return { env, flag: option?.split(' ')[0] ?? null, option, byDefault, meaning, parse }
}
