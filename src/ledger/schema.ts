/**
 * The tables, as a list of migrations: the version of a ledger (`user_version`) is how many of them it has seen.
 * A released migration never changes; a change of the schema is a new one at the end.
 *
 * Times are milliseconds since 1970, offsets and sizes are bytes. inode and device numbers are decimal text, since
 * they may use all 64 bits. Hashes of the audit log are in hex, as they stand in its lines.
 */

import type { DatabaseSync } from 'node:sqlite'
import { SealiftError } from '../protocol/errors.ts'

/** `SLFT`, in the header of the file: tells a ledger from the database of another program. */
const APPLICATION_ID = 0x534c_4654

const FIRST = `
CREATE TABLE transfers (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('sender', 'receiver')),
  user_id TEXT,
  filename TEXT NOT NULL,
  file_size INTEGER,
  file_type TEXT,
  checksum TEXT,
  transfer_type TEXT NOT NULL CHECK (transfer_type IN ('upload', 'download')),
  status TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
  transport_used TEXT,
  chunks_total INTEGER,
  chunks_completed INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  peer TEXT,
  host TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  completed_at INTEGER,
  error TEXT,
  roots TEXT NOT NULL,
  options TEXT NOT NULL,
  output_dir TEXT,
  plan TEXT,
  epoch INTEGER NOT NULL,
  replaces TEXT,
  entry_count INTEGER,
  manifest_pages INTEGER,
  bytes_done INTEGER,
  told INTEGER NOT NULL,
  UNIQUE (id, role)
) STRICT;
CREATE INDEX transfers_by_status ON transfers (status, role);

CREATE TABLE manifest_pages (
  transfer INTEGER NOT NULL REFERENCES transfers (key) ON DELETE CASCADE,
  page INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (transfer, page)
) STRICT;

CREATE TABLE entries (
  transfer INTEGER NOT NULL REFERENCES transfers (key) ON DELETE CASCADE,
  page INTEGER NOT NULL,
  states BLOB NOT NULL,
  digests BLOB,
  PRIMARY KEY (transfer, page)
) STRICT;

CREATE TABLE ranges (
  transfer INTEGER NOT NULL REFERENCES transfers (key) ON DELETE CASCADE,
  "start" INTEGER NOT NULL,
  "end" INTEGER NOT NULL CHECK ("end" > "start"),
  boot TEXT,
  PRIMARY KEY (transfer, "start")
) STRICT, WITHOUT ROWID;

CREATE TABLE publish_intents (
  transfer INTEGER NOT NULL REFERENCES transfers (key) ON DELETE CASCADE,
  entry INTEGER NOT NULL,
  saved_as TEXT NOT NULL,
  dev TEXT NOT NULL,
  ino TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('publishing', 'published')),
  PRIMARY KEY (transfer, entry)
) STRICT, WITHOUT ROWID;

CREATE TABLE resume_keys (
  resume_id BLOB NOT NULL CHECK (length(resume_id) = 16),
  resume_key BLOB NOT NULL CHECK (length(resume_key) = 32),
  role TEXT NOT NULL CHECK (role IN ('sender', 'receiver')),
  peer TEXT,
  host TEXT,
  output_dir TEXT,
  transfer INTEGER REFERENCES transfers (key) ON DELETE CASCADE,
  confirmed INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (resume_id, role)
) STRICT;
CREATE INDEX resume_keys_by_transfer ON resume_keys (transfer);
`

/** The receiving server: what a transfer has reserved, whose roots are, bans, quotas, and the audit log. */
const SERVER = `
ALTER TABLE transfers ADD COLUMN reserved_bytes INTEGER;
CREATE INDEX transfers_reserved ON transfers (user_id) WHERE reserved_bytes IS NOT NULL;

CREATE TABLE owned_roots (
  output_dir TEXT NOT NULL,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  PRIMARY KEY (output_dir, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE resume_keys ADD COLUMN way_in TEXT CHECK (way_in IN ('key', 'other'));

CREATE TABLE bans (
  address TEXT NOT NULL PRIMARY KEY,
  reason TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL CHECK (duration_ms > 0),
  boot TEXT NOT NULL,
  ends_at_uptime INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE quotas (
  owner TEXT NOT NULL PRIMARY KEY,
  limit_bytes INTEGER CHECK (limit_bytes >= 0),
  published_bytes INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  event TEXT NOT NULL,
  peer TEXT,
  owner TEXT,
  transfer TEXT,
  line TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (time);
CREATE INDEX audit_by_peer ON audit (peer);
CREATE INDEX audit_by_owner ON audit (owner);

CREATE TABLE audit_head (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  seq INTEGER NOT NULL,
  hash TEXT NOT NULL,
  filed_seq INTEGER NOT NULL,
  folder TEXT,
  anchor_seq INTEGER NOT NULL,
  anchor_hash TEXT NOT NULL
) STRICT;
`

export const MIGRATIONS: readonly string[] = [FIRST, SERVER]
export const SCHEMA_VERSION: number = MIGRATIONS.length

/**
 * What version a file is of: 0 for an empty one.
 * @throws SealiftError `ledger_newer`; `ledger_unavailable` where it is the database of another program
 */
export function readSchemaVersion(db: DatabaseSync, path: string): number {
  const version = readNumber(db, 'user_version')
  const owner = readNumber(db, 'application_id')
  const foreign = owner !== APPLICATION_ID && (version !== 0 || owner !== 0 || hasTables(db))
  if (foreign) {
    throw new SealiftError('ledger_unavailable', `this is the database of another program: ${path}`, {
      hint: 'Let DB_PATH name a file of its own for Sealift.',
    })
  }
  if (version > SCHEMA_VERSION) {
    throw new SealiftError(
      'ledger_newer',
      `the ledger is of version ${version}, this Sealift knows ${SCHEMA_VERSION}: ${path}`,
      {
        hint: 'Install the newer Sealift again, or give this one a ledger of its own with DB_PATH.',
      },
    )
  }
  return version
}

/** Brings a ledger to the present version; the caller has begun an immediate transaction and commits it. */
export function migrate(db: DatabaseSync, path: string): void {
  // Read again under the write lock: another process may have been first.
  const version = readSchemaVersion(db, path)
  if (version === SCHEMA_VERSION) return
  for (const migration of MIGRATIONS.slice(version)) db.exec(migration)
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`)
}

function readNumber(db: DatabaseSync, pragma: 'user_version' | 'application_id'): number {
  return Number(db.prepare(`PRAGMA ${pragma}`).get()?.[pragma])
}

function hasTables(db: DatabaseSync): boolean {
  return db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined
}
