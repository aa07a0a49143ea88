/** Certificates for tests: a CA, what it signs, and what is wrong on purpose; made in this process, and once for a file of tests. */

import fs from 'node:fs'
import { join } from 'node:path'
import {
  makeAuthority,
  makeLeaf,
  type LeafOptions,
  type MadeCertificate,
} from '../../src/identity/certificate-making.ts'

const DAY_MS = 24 * 3600 * 1000

/** A CA, and what it signed. */
export class TestAuthority {
  readonly own: MadeCertificate

  private constructor(own: MadeCertificate) {
    this.own = own
  }

  static async make(name = 'Test CA', atMs = Date.now()): Promise<TestAuthority> {
    return new TestAuthority(await makeAuthority(name, atMs))
  }

  /** @param atMs when it was made */
  sign(options: Partial<LeafOptions> = {}, atMs = Date.now()): Promise<MadeCertificate> {
    return makeLeaf(this.own, { purpose: 'server', name: 'test', hosts: ['127.0.0.1', 'localhost'], ...options }, atMs)
  }
}

/** So long ago that what was made then has expired, and its CA has not. */
export const YEARS_AGO_MS = 800 * DAY_MS

/** Writes both files of a certificate. @returns their paths */
export function plantCertificate(
  folder: string,
  name: string,
  { cert, key }: MadeCertificate,
): { cert: string; key: string } {
  fs.mkdirSync(folder, { recursive: true })
  const paths = { cert: join(folder, `${name}_cert.pem`), key: join(folder, `${name}_key.pem`) }
  fs.writeFileSync(paths.cert, cert)
  fs.writeFileSync(paths.key, key, { mode: 0o600 })
  return paths
}
