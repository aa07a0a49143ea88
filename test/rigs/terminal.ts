/**
 * A real terminal for the command line: a shell in a tmux server of its own, typed into and looked at as a person would.
 *
 * Talks to tmux in its control mode, over one pipe, so that what changes on the screen wakes who waits for it. Ends with
 * its desk. Knows nothing of what is tested.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Desk, MAIN, type StartOptions } from './cli-process.ts'

/** Nothing that a person waits for takes so long. */
const STEP_MS = 12_000
/** The shell's prompt, with the exit status of the line before. */
const PROMPT = /(?:^|\n)\[(\d+)\] \$ ?$/

export interface TerminalOptions extends Pick<StartOptions, 'cwd' | 'env' | 'user'> {
  readonly columns?: number
  readonly rows?: number
}

/** Why there can be no terminal on this machine; `null` where there can. */
function noTerminal(): string | null {
  const found = spawnSync('tmux', ['-V'])
  return found.error === undefined && found.status === 0 ? null : 'there is no tmux'
}

/**
 * Opens a terminal with a shell in it, in which `sealift` is the program from source.
 * @param skip of the test's context: called with the reason where there is no tmux
 */
export async function openTerminal(
  desk: Desk,
  skip: (reason: string) => void,
  options: TerminalOptions = {},
): Promise<Terminal> {
  const reason = noTerminal()
  if (reason !== null) skip(reason)
  const terminal = new Terminal(desk, options)
  desk.onClose(() => terminal.close())
  await terminal.ended()
  return terminal
}

export class Terminal {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #hasEnded: Promise<void>
  readonly #watchers = new Set<() => void>()
  /** Those who wait for the reply to a command, in order. */
  readonly #replies: ((lines: readonly string[]) => void)[] = []
  #block: string[] | null = null
  #rest = ''
  #isOver = false

  constructor(desk: Desk, { columns = 80, rows = 24, cwd, env, user }: TerminalOptions) {
    const folder = desk.path(`terminal-${randomUUID().slice(0, 8)}`)
    fs.mkdirSync(folder)
    const config = join(folder, 'tmux.conf')
    fs.writeFileSync(config, 'set -g status off\nset -g history-limit 50000\nset -g escape-time 0\n')
    // A shell takes no prompt from the environment, but a file that sets one.
    fs.writeFileSync(join(folder, 'rc'), "PS1='[$?] $ '\n")
    // Notes what it becomes, so that the end of the terminal can wait for the end of it.
    const program = `#!/bin/sh\necho $$ >>'${folder}/started'\nexec '${process.execPath}' '${MAIN}' "$@"\n`
    fs.writeFileSync(join(folder, 'sealift'), program, { mode: 0o755 })
    this.#folder = folder
    const size = ['-x', String(columns), '-y', String(rows)]
    this.#child = spawn('tmux', ['-u', '-L', randomUUID(), '-f', config, '-C', 'new-session', ...size, 'sh'], {
      cwd: cwd ?? desk.root,
      env: {
        ...desk.environment(user, { ...env, PATH: `${folder}:${process.env['PATH'] ?? ''}` }),
        TMUX_TMPDIR: folder,
        ENV: join(folder, 'rc'),
        LC_ALL: 'C.UTF-8',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.#child.stdin?.on('error', () => undefined)
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#hasEnded = new Promise((resolve) => {
      this.#child.once('close', () => {
        this.#isOver = true
        for (const reply of this.#replies.splice(0)) reply([])
        this.#changed()
        resolve()
      })
    })
  }

  /** Types a line and Enter. */
  async run(line: string): Promise<void> {
    await this.type(line)
    await this.#until(`the line ${line}`, (text) => text.endsWith(line.trimEnd()))
    await this.press('Enter')
  }

  /** Types text and Enter at a question; resolves when something came of it. */
  async answer(text: string): Promise<void> {
    const before = await this.text()
    await this.type(text)
    await this.#until(`the answer ${text}`, (shown) => shown.endsWith(text) && (shown !== before || text === ''))
    const asked = await this.text()
    await this.press('Enter')
    await this.#until(`what comes of ${text}`, (shown) => shown !== asked)
  }

  /** Types text, without Enter. */
  async type(text: string): Promise<void> {
    await this.#command(`send-keys -l '${text.replaceAll("'", String.raw`'\''`)}'`)
  }

  /** Presses keys by their names in tmux: `Enter`, `C-c`, `C-d`, `y`. */
  async press(...keys: string[]): Promise<void> {
    await this.#command(`send-keys ${keys.join(' ')}`)
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#command(`resize-window -x ${String(columns)} -y ${String(rows)}`)
  }

  /** Whether the cursor is shown, and lines wrap, as a shell wants it. */
  async isTidy(): Promise<boolean> {
    const [flags] = await this.#command("display-message -p '#{cursor_flag} #{wrap_flag}'")
    return flags === '1 1'
  }

  /** The lines on the screen, as they are cut by its width. */
  async screen(): Promise<string[]> {
    return trimmed(await this.#command('capture-pane -p'))
  }

  /** All lines since the start; those that the terminal wrapped by itself are whole. */
  async text(): Promise<string> {
    return trimmed(await this.#command('capture-pane -p -J -S -')).join('\n')
  }

  /** What the last line that was run has written until now, without the line and the prompt. */
  async output(): Promise<string> {
    return outputOf(await this.text())
  }

  /**
   * Resolves when the last line's output holds a text, or matches.
   * @returns all lines since the start, as they were in that moment
   * @throws Error with the screen where that takes too long
   */
  shows(wanted: string | RegExp): Promise<string> {
    return this.#until(String(wanted), (text) =>
      typeof wanted === 'string' ? outputOf(text).includes(wanted) : wanted.test(outputOf(text)),
    )
  }

  /** Resolves when what runs has ended. @returns its exit status and what it wrote */
  async ended(): Promise<{ status: number; output: string }> {
    const text = await this.#until('the end of the command', (text) => PROMPT.test(text))
    return { status: Number(PROMPT.exec(text)?.[1]), output: outputOf(text) }
  }

  /** Ends the shell, and all that runs in it by the hang-up that follows. */
  async close(): Promise<void> {
    if (!this.#isOver) this.#child.stdin?.write('kill-server\n')
    await this.#hasEnded
    const deadline = Date.now() + STEP_MS
    while (this.#started().some(isAlive) && Date.now() < deadline) await delay(20)
  }

  /** Processes of Sealift that were started here. */
  #started(): number[] {
    const path = join(this.#folder, 'started')
    return fs.existsSync(path) ? fs.readFileSync(path, 'utf8').split('\n').filter(Boolean).map(Number) : []
  }

  /** @returns the text that pleased */
  async #until(what: string, pleases: (text: string) => boolean): Promise<string> {
    const deadline = Date.now() + STEP_MS
    for (;;) {
      // Taken before the look, so that no change is missed between the two.
      const change = this.#nextChange()
      const text = await this.text()
      if (pleases(text)) return text
      if (this.#isOver || Date.now() > deadline) throw new Error(`the terminal does not show ${what}:\n${text}`)
      await change
    }
  }

  #nextChange(): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(() => wake(), 500)
      const wake = (): void => {
        clearTimeout(timer)
        this.#watchers.delete(wake)
        resolve()
      }
      this.#watchers.add(wake)
    })
  }

  #command(line: string): Promise<readonly string[]> {
    if (this.#isOver) return Promise.resolve([])
    return new Promise((resolve) => {
      this.#replies.push(resolve)
      this.#child.stdin?.write(`${line}\n`)
    })
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#readLine(line)
  }

  /** `%begin`, a reply's lines, `%end`; between replies what happened by itself, such as `%output`. */
  #readLine(line: string): void {
    // The last number is 1 for what was asked here, 0 for what the server does when it starts.
    if (this.#block === null) {
      if (/^%begin \d+ \d+ 1$/.test(line)) this.#block = []
      else if (line.startsWith('%output ')) this.#changed()
    } else if (/^%(end|error) \d+ \d+ 1$/.test(line)) {
      const block = this.#block
      this.#block = null
      this.#replies.shift()?.(block)
    } else this.#block.push(line)
  }

  #changed(): void {
    for (const wake of [...this.#watchers]) wake()
  }
}

function trimmed(lines: readonly string[]): string[] {
  const kept = lines.map((line) => line.trimEnd())
  while (kept.at(-1) === '') kept.pop()
  return kept
}

function outputOf(text: string): string {
  const last = [...text.matchAll(/(?:^|\n)\[\d+\] \$ [^\n]+(?:\n|$)/g)].at(-1)
  return text.slice(last === undefined ? 0 : last.index + last[0].length).replace(PROMPT, '')
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
