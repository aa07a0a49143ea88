/** Starts sides of a transfer as processes, follows what they print, and knows when and how they ended. */

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inject, onTestFinished } from 'vitest'
import type { ListeningEvent, TransferEvent } from '../../src/index.ts'
import type { ChildEnd, ChildTask } from './kill-child.ts'

const SCRIPT = join(inject('bundle'), 'kill-child.js')

/** How a process ended: with its last line, by SIGKILL, or in a way that none may end. */
export type ChildEnding =
  ChildEnd | { readonly event: 'killed' } | { readonly event: 'crashed'; readonly output: string }

export class SideProcess {
  readonly role: ChildTask['role']
  readonly lines: string[] = []
  readonly ended: Promise<ChildEnding>
  /** `null` where it ended before. */
  readonly listening: Promise<ListeningEvent | null>
  readonly #child: ChildProcess
  #ending: ChildEnding | null = null
  #errors = ''

  constructor(task: ChildTask) {
    this.role = task.role
    const { PATH, NODE_COMPILE_CACHE } = process.env
    const child = spawn(process.execPath, [SCRIPT, JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, NODE_COMPILE_CACHE, NODE_NO_WARNINGS: '1' },
    })
    this.#child = child
    onTestFinished(() => void child.kill('SIGKILL'))
    child.stderr.on('data', (bytes: Uint8Array) => {
      this.#errors += String(bytes)
    })
    const listening = Promise.withResolvers<ListeningEvent | null>()
    this.listening = listening.promise
    let last: ChildEnd | null = null
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.lines.push(line)
      const event = JSON.parse(line) as TransferEvent | ChildEnd
      if (event.event === 'listening') listening.resolve(event)
      if (event.event === 'end') last = event
    })
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        const output = `exit ${code ?? signal ?? ''}: ${this.#errors}`
        if (signal === 'SIGKILL') this.#ending = { event: 'killed' }
        else this.#ending = code === 0 && last !== null && this.#errors === '' ? last : { event: 'crashed', output }
        listening.resolve(null)
        resolve(this.#ending)
      })
    })
  }

  /** `null` while it runs. */
  get ending(): ChildEnding | null {
    return this.#ending
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
