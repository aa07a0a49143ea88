/** Entries for manifests in tests: everything that a test does not name has a harmless value. */

import { encodeUtf8 } from '../../../src/protocol/bytes.ts'
import { KIND_FILE, KIND_FOLDER, KIND_LINK, Manifest, type NewEntry } from '../../../src/protocol/manifest.ts'

type Changes = Partial<Omit<NewEntry, 'kind' | 'parent' | 'name'>>

const PLAIN = { mode: 0o644, mtimeNs: 1_700_000_000_123_456_789n, priority: 0, target: '' }

function nameOf(name: string | Uint8Array): Uint8Array {
  return typeof name === 'string' ? encodeUtf8(name) : name
}

export function file(
  parent: number,
  name: string | Uint8Array,
  sizeBytes: number | null,
  changes: Changes = {},
): NewEntry {
  return { ...PLAIN, kind: KIND_FILE, parent, name: nameOf(name), sizeBytes, ...changes }
}

export function folder(parent: number, name: string | Uint8Array, changes: Changes = {}): NewEntry {
  return { ...PLAIN, kind: KIND_FOLDER, parent, name: nameOf(name), mode: 0o755, sizeBytes: 0, ...changes }
}

export function link(parent: number, name: string | Uint8Array, target: string, changes: Changes = {}): NewEntry {
  return { ...PLAIN, kind: KIND_LINK, parent, name: nameOf(name), mode: 0o777, sizeBytes: 0, ...changes, target }
}

export function manifestOf(...entries: readonly NewEntry[]): Manifest {
  const manifest = new Manifest()
  for (const entry of entries) manifest.add(entry)
  return manifest
}

/** Files of these sizes beside each other, as roots `f00000`, `f00001`, … */
export function filesOf(...sizes: readonly number[]): Manifest {
  return manifestOf(...sizes.map((size, index) => file(-1, `f${String(index).padStart(5, '0')}`, size)))
}
