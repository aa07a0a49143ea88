/** Senders that wait in processes of their own until they are told to push. Knows the lines of `push-worker.ts`. */

import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { startGroup } from './measure.ts'
import type { PushAnswer, PushOrder } from './push-worker.ts'
import type { ServerProcess } from './server-process.ts'

const WORKER = fileURLToPath(new URL('push-worker.ts', import.meta.url))

export class Pusher {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  #stderr = ''

  private constructor(folder: string) {
    mkdirSync(folder, { recursive: true })
    this.#child = startGroup([process.execPath, WORKER, folder], ['pipe', 'pipe', 'pipe'])
    if (this.#child.stdout === null) throw new Error('a sender has no standard output')
    this.#child.stderr?.on('data', (data: Buffer) => (this.#stderr = (this.#stderr + data.toString()).slice(-2000)))
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** Resolves when it is ready. @param folder of its own, for its ledger and keys */
  static async start(folder: string): Promise<Pusher> {
    const pusher = new Pusher(folder)
    await pusher.#line()
    return pusher
  }

  /** @param met how the server is met, where that is by TLS @returns how many seconds it took @throws Error where it failed */
  async push(
    { address, token }: ServerProcess,
    source: string,
    met: Pick<PushOrder, 'tls' | 'ca'> = {},
  ): Promise<number> {
    const order: PushOrder = { to: address, token, source, ...met }
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`)
    const { seconds, error } = JSON.parse(await this.#line()) as PushAnswer
    if (error !== null) throw new Error(`a sender failed: ${error}`)
    return seconds
  }

  async #line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error(`a sender ended: ${this.#stderr.trim()}`)
    return value
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}
