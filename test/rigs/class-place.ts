/** A `SecureFileTransferServer` and clients of it in this process, each with folders and a ledger of its own. */

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  type FileTransferClientOptions,
  type FileTransferServerOptions,
  SecureFileTransferClient,
  SecureFileTransferServer,
  type ServerEvent,
} from '../../src/index.ts'

const MEMORY = '/dev/shm'

export class ClassPlace {
  readonly root: string
  readonly out: string
  /** All that servers of this place have said. */
  readonly events: ServerEvent[] = []
  #port = 0

  constructor() {
    const base = fs.existsSync(MEMORY) ? MEMORY : tmpdir()
    this.root = fs.realpathSync(fs.mkdtempSync(join(base, 'sealift-classes-')))
    this.out = join(this.root, 'received')
    onTestFinished(() => fs.rmSync(this.root, { recursive: true, force: true }))
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  /** A file below the sources. @returns its path */
  plant(path: string, content: string | Uint8Array): string {
    const file = this.path('sources', path)
    fs.mkdirSync(dirname(file), { recursive: true })
    fs.writeFileSync(file, content)
    return file
  }

  /** A file of zeros that takes no room. @returns its path */
  plantSparse(path: string, sizeBytes: number): string {
    const file = this.plant(path, '')
    fs.truncateSync(file, sizeBytes)
    return file
  }

  /** On the port of before, where there was one. Open to everybody unless told otherwise; not started. */
  makeServer(options: Partial<FileTransferServerOptions> = {}): SecureFileTransferServer {
    const server = new SecureFileTransferServer({
      host: '127.0.0.1',
      port: this.#port,
      outputDir: this.out,
      open: true,
      identity: this.path('server.key'),
      ledgerPath: this.path('server', 'l.db'),
      ...options,
    })
    onTestFinished(() => server.stop())
    return server
  }

  async startServer(options: Partial<FileTransferServerOptions> = {}): Promise<SecureFileTransferServer> {
    const server = this.makeServer(options)
    const { port } = await server.start()
    this.#port = port
    void this.#listen(server)
    return server
  }

  async #listen(server: SecureFileTransferServer): Promise<void> {
    for await (const event of server) this.events.push(event)
  }

  makeClient(options: Partial<FileTransferClientOptions> = {}): SecureFileTransferClient {
    return new SecureFileTransferClient({
      host: '127.0.0.1',
      port: this.#port,
      configFolder: this.path('client'),
      ledgerPath: this.path('client', 'l.db'),
      ...options,
    })
  }

  count(name: ServerEvent['event']): number {
    return this.events.filter(({ event }) => event === name).length
  }

  /** Names in the output folder, staging included. */
  list(): string[] {
    return fs.existsSync(this.out) ? fs.readdirSync(this.out).sort() : []
  }

  read(name: string): string {
    return fs.readFileSync(join(this.out, name), 'utf8')
  }
}

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
