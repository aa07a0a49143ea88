/** SHA-256 over a manifest's pages: what both sides know a list of files by (PROTOCOL 3.1). Knows nothing of what is in it. */

import { createHash, type Hash } from 'node:crypto'
import type { Manifest } from '../protocol/manifest.ts'
import { encodeManifestPages } from '../protocol/manifest-pages.ts'

/** Takes the pages as they come. */
export class ManifestDigest {
  readonly #hash: Hash = createHash('sha256')

  update(page: Uint8Array): void {
    this.#hash.update(page)
  }

  /** 32 bytes in hex; once, after the last page. */
  hex(): string {
    return this.#hash.digest('hex')
  }
}

/** The digest of a whole manifest, 32 bytes in hex. */
export function manifestDigest(manifest: Manifest): string {
  const digest = new ManifestDigest()
  for (const page of encodeManifestPages(manifest)) digest.update(page)
  return digest.hex()
}
