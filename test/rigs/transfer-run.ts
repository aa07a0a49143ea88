/**
 * One whole transfer inside this process: sender, receiver and the proxy between them, over real sockets, in virtual
 * time. What the two sides say and how they end is kept, and the invariants are checked at every end.
 */

import { setImmediate, setTimeout as realDelay } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import {
  type ProgressEvent,
  receiveFiles,
  type ReceiveOptions,
  SealiftError,
  sendFiles,
  type SendOptions,
  type Transfer,
  type TransferEvent,
  type TransferResult,
} from '../../src/index.ts'
import { ChaosProxy, type Passage, type Planned } from './chaos-proxy.ts'
import { type IdleClock, startIdleClock } from './idle-clock.ts'
import {
  changedSurroundings,
  incomplete,
  leftOpen,
  openHandles,
  Secrets,
  secretsInTheOpen,
  wrongFiles,
} from './invariants.ts'
import { type Place, readResumeKeys } from './place.ts'

/** How one call of `sendFiles` or `receiveFiles` went. */
export interface SideRun {
  readonly events: TransferEvent[]
  readonly transfer: Transfer
  /** Resolves when all events were read and the side has ended. */
  readonly end: Promise<Ending>
}

export type Ending =
  { readonly result: TransferResult; readonly error: null } | { readonly result: null; readonly error: SealiftError }

export interface RunOptions {
  readonly plan?: (connection: number) => readonly Planned[]
  readonly sliceBytes?: number
  readonly send?: SendOptions
  readonly receive?: ReceiveOptions
  /** Sends something else than the source folder. */
  readonly sends?: (place: Place, options: SendOptions) => Transfer
}

/** Virtual time in which anything must have come to an end. */
const LONGEST_MS = 10 * 60_000

/** Sender and proxy are up; receivers come and go. */
export class TransferRun {
  readonly place: Place
  readonly secrets = new Secrets()
  readonly senders: SideRun[] = []
  readonly receivers: SideRun[] = []
  readonly proxy: ChaosProxy
  readonly clock: IdleClock
  readonly #options: RunOptions
  readonly #openBefore: readonly string[]
  #moves = 0
  #port = 0

  private constructor(place: Place, options: RunOptions, proxy: ChaosProxy, openBefore: readonly string[]) {
    this.place = place
    this.#options = options
    this.proxy = proxy
    this.#openBefore = openBefore
    this.clock = startIdleClock(() => this.#moves + proxy.moves)
  }

  /** Starts a sender behind a proxy. */
  static async start(place: Place, options: RunOptions = {}): Promise<TransferRun> {
    const openBefore = openHandles()
    const { plan, sliceBytes } = options
    const proxy = await ChaosProxy.start({
      port: 0,
      ...(plan === undefined ? {} : { plan }),
      ...(sliceBytes === undefined ? {} : { sliceBytes }),
    })
    const run = new TransferRun(place, options, proxy, openBefore)
    // A test that runs out of time must not leave its time to the next one.
    onTestFinished(() => run.clock.stop())
    await run.startSender()
    return run
  }

  get passages(): readonly Passage[] {
    return this.proxy.connections
  }

  get sender(): SideRun {
    return this.senders.at(-1) as SideRun
  }

  get token(): string {
    return [...this.secrets.tokens].at(-1) as string
  }

  get senderPort(): number {
    return this.#port
  }

  /** Resolves when it listens, on the port of the one before. */
  async startSender(options: SendOptions = {}): Promise<SideRun> {
    const { place } = this
    const port = this.#port
    const sends = this.#options.sends ?? ((from: Place, given: SendOptions) => sendFiles(from.source, given))
    const transfer = sends(place, {
      pod: true,
      port,
      ledgerPath: place.senderLedger,
      name: 'sender',
      waitMs: 300_000,
      ...this.#options.send,
      ...options,
    })
    const listening = Promise.withResolvers<unknown>()
    const side = this.#follow(transfer, (event) => {
      if (event.event !== 'listening') return
      this.#port = event.port
      this.proxy.senderPort = event.port
      if (event.token !== null) this.secrets.tokens.add(event.token)
      listening.resolve(null)
    })
    this.senders.push(side)
    await Promise.race([listening.promise, side.end])
    return side
  }

  /** Starts a receiver, with the token that the sender shows now unless told otherwise. */
  startReceiver(options: ReceiveOptions = {}, connect = `127.0.0.1:${this.proxy.port}:${this.token}`): SideRun {
    const { place } = this
    const transfer = receiveFiles(connect, {
      outputDir: place.out,
      ledgerPath: place.receiverLedger,
      name: 'receiver',
      ...this.#options.receive,
      ...options,
    })
    const side = this.#follow(transfer, (event) => {
      if (event.event === 'connected') this.#lookAtKeys()
    })
    this.receivers.push(side)
    return side
  }

  #follow(transfer: Transfer, onEvent: (event: TransferEvent) => void): SideRun {
    const events: TransferEvent[] = []
    const follow = async (): Promise<Ending> => {
      for await (const event of transfer) {
        this.#moves++
        events.push(event)
        onEvent(event)
      }
      this.#moves++
      try {
        return { result: await transfer.done, error: null }
      } catch (error) {
        expect(error).toBeInstanceOf(SealiftError)
        return { result: null, error: error as SealiftError }
      }
    }
    return { events, transfer, end: follow() }
  }

  #lookAtKeys(): void {
    for (const ledger of [this.place.senderLedger, this.place.receiverLedger]) {
      for (const key of readResumeKeys(ledger)) this.secrets.addKey(key)
    }
  }

  /** How a side ended. @throws where it does not in all that time */
  async ended(side: SideRun): Promise<Ending> {
    const startedMs = this.clock.elapsedMs()
    let over = false
    const late = async (): Promise<never> => {
      while (!over && this.clock.elapsedMs() - startedMs < LONGEST_MS) await realDelay(20)
      const last = side.events.slice(-3).map((event) => JSON.stringify(event))
      throw new Error(`no end after ${LONGEST_MS / 60_000} minutes of virtual time; the last events: ${last.join(' ')}`)
    }
    try {
      return await Promise.race([side.end, late()])
    } finally {
      over = true
    }
  }

  /**
   * Receives until all is there: what a user does who runs the same line again.
   * @param lines how often, at most
   * @returns the endings of the receivers, the good one last
   */
  async receiveAll(lines = 1): Promise<Ending[]> {
    const endings: Ending[] = []
    while (endings.length < lines) {
      const ending = await this.ended(this.startReceiver())
      endings.push(ending)
      this.checkAlways()
      if (ending.error === null) break
    }
    expect(endings.at(-1)?.error, 'the last receiver').toBeNull()
    return endings
  }

  /** The last thing that a side said about how far it is. */
  lastProgress({ events }: SideRun): ProgressEvent | undefined {
    return events.findLast((event) => event.event === 'progress')
  }

  /** The sender has heard of it, and all is there. */
  async checkDone(): Promise<TransferResult> {
    const ending = await this.ended(this.sender)
    // Looked at in the very moment when the sender says so (I5).
    const breaks = incomplete(this.place)
    expect(ending.error, 'the sender').toBeNull()
    expect(breaks).toEqual([])
    this.checkAlways()
    return ending.result as TransferResult
  }

  /** I1, I2, I6: hold at any moment. */
  checkAlways(): void {
    expect([...wrongFiles(this.place), ...changedSurroundings(this.place), ...this.#secretsInTheOpen()]).toEqual([])
  }

  #secretsInTheOpen(): string[] {
    this.#lookAtKeys()
    const texts: string[] = []
    for (const { events } of [...this.senders, ...this.receivers]) {
      for (const event of events) if (event.event !== 'listening') texts.push(JSON.stringify(event))
    }
    return secretsInTheOpen(this.place, this.secrets, texts)
  }

  /** Ends what runs, and looks for what it left (I7). */
  async stop(): Promise<void> {
    try {
      for (const { transfer } of [...this.senders, ...this.receivers])
        transfer.cancel(new SealiftError('interrupted', 'the test is over'))
      for (const side of [...this.senders, ...this.receivers]) await this.ended(side)
      await this.proxy.close()
      // Farewells and refusals may linger for two seconds.
      await this.clock.pass(3000)
      expect(this.clock.timers, 'I7: timers that still run').toBe(0)
    } finally {
      this.clock.stop()
    }
    let left: string[] = []
    for (let turn = 0; turn < 200; turn++) {
      left = leftOpen(this.#openBefore, openHandles())
      if (left.length === 0) break
      await setImmediate()
      await realDelay(2)
    }
    expect(left).toEqual([])
  }
}

/** Runs a transfer and stops it, whatever happens; a failure of the run comes before one of stopping. */
export async function withRun(
  place: Place,
  options: RunOptions,
  body: (run: TransferRun) => Promise<void>,
): Promise<void> {
  const run = await TransferRun.start(place, options)
  try {
    await body(run)
  } catch (error) {
    await run.stop().catch(() => undefined)
    throw error
  }
  await run.stop()
}
