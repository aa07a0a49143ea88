/** A receiving server in this process over loopback, and senders that push to it: each with folders and a ledger of its own. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { SERVER_SETTINGS, type ServerSettings } from '../../src/config/server-settings.ts'
import { resolveSettings } from '../../src/config/settings.ts'
import { SealiftError, sendFiles, type SendOptions, type Transfer, type TransferEvent } from '../../src/index.ts'
import {
  type ReceiveServerOptions,
  type RunningServer,
  startReceivingServer,
} from '../../src/library/receive-server.ts'
import type { ServerEvent } from '../../src/server/server-event.ts'
import type { TransferResult } from '../../src/library/transfer.ts'

const MEMORY = '/dev/shm'

export interface PushEnd {
  readonly result: TransferResult | null
  readonly error: SealiftError | null
  readonly events: readonly TransferEvent[]
}

/** What the settings of a test say, beside their defaults: as texts of the environment. */
type SettingTexts = Readonly<Record<string, string>>

export class ServerPlace {
  readonly root: string
  readonly out: string
  readonly events: ServerEvent[] = []
  readonly #settings: SettingTexts
  readonly #options: Partial<Omit<ReceiveServerOptions, 'settings'>>
  #server: RunningServer | null = null
  #port = 0
  #wake: (() => void)[] = []

  constructor(settings: SettingTexts = {}, options: Partial<Omit<ReceiveServerOptions, 'settings'>> = {}) {
    const base = fs.existsSync(MEMORY) ? MEMORY : tmpdir()
    this.root = fs.realpathSync(fs.mkdtempSync(join(base, 'sealift-server-')))
    this.out = join(this.root, 'received')
    this.#settings = settings
    this.#options = options
    onTestFinished(async () => {
      await this.stop()
      fs.rmSync(this.root, { recursive: true, force: true })
    })
  }

  get server(): RunningServer {
    if (this.#server === null) throw new Error('the server does not run')
    return this.#server
  }

  get address(): string {
    return `127.0.0.1:${String(this.#port)}`
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  settings(): ServerSettings {
    const environment = {
      ST_HOST: '127.0.0.1',
      ST_PORT: String(this.#port),
      ST_OUTPUT_DIR: this.out,
      ST_IDENTITY: this.path('server.key'),
      ST_RATE_LIMIT_BYTES_PER_SEC: '0',
      ST_HEALTH: 'no',
      DB_PATH: this.path('server-ledger', 'l.db'),
      ...this.#settings,
    }
    return resolveSettings(SERVER_SETTINGS, { flags: {}, environment, file: null }).values
  }

  /** On the port of before, where it ran before. */
  async start(options: Partial<Omit<ReceiveServerOptions, 'settings'>> = {}): Promise<RunningServer> {
    this.#server = await startReceivingServer({
      ...this.#options,
      ...options,
      settings: this.settings(),
      onEvent: (event) => {
        this.events.push(event)
        for (const wake of this.#wake.splice(0)) wake()
      },
    })
    this.#port = this.#server.port
    return this.#server
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = null
    await server?.stop(new SealiftError('terminated', 'stopped'))
  }

  /** Resolves with the first event of that kind, also one of before. */
  async heard<Name extends ServerEvent['event']>(
    name: Name,
    matches: (event: Extract<ServerEvent, { event: Name }>) => boolean = () => true,
  ): Promise<Extract<ServerEvent, { event: Name }>> {
    for (;;) {
      const found = this.events.find(
        (event): event is Extract<ServerEvent, { event: Name }> =>
          event.event === name && matches(event as Extract<ServerEvent, { event: Name }>),
      )
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** A file or folder of a sender, below its own folder. */
  plant(sender: string, path: string, content: string | Uint8Array): string {
    const file = this.path(sender, path)
    fs.mkdirSync(join(file, '..'), { recursive: true })
    fs.writeFileSync(file, content)
    return file
  }

  push(sender: string, paths: string | readonly string[], options: SendOptions = {}): Transfer {
    return sendFiles(paths, { ...this.pushOptions(sender), ...options })
  }

  /** With the token of the server, where it has one. */
  pushOptions(sender: string): SendOptions {
    return {
      to: this.address,
      ledgerPath: this.path(sender, 'ledger', 'l.db'),
      configFolder: this.path(sender, 'config'),
      token: this.#server?.token ?? undefined,
    }
  }

  /** A push to its end. */
  async pushed(sender: string, paths: string | readonly string[], options: SendOptions = {}): Promise<PushEnd> {
    return ended(this.push(sender, paths, options))
  }

  read(...path: string[]): string {
    return fs.readFileSync(join(this.out, ...path), 'utf8')
  }

  /** What is in the output folder, staging included. */
  list(...path: string[]): string[] {
    const folder = join(this.out, ...path)
    return fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []
  }
}

export async function ended(
  transfer: Transfer,
  onEvent: (event: TransferEvent) => void = () => undefined,
): Promise<PushEnd> {
  const events: TransferEvent[] = []
  for await (const event of transfer) {
    events.push(event)
    onEvent(event)
  }
  return transfer.done.then(
    (result) => ({ result, error: null, events }),
    (error: unknown) => ({ result: null, error: error as SealiftError, events }),
  )
}
