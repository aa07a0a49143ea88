/** Programs of others, which use the packed package: for the compiler, and to be run. */

/** Compiles wherever the package does. Each wrong use must be one to the compiler too. */
export const ANYWHERE = `
import {
  diagnose, listTransfers, planSend, receiveFiles, resumeTransfer, SealiftError, sendFiles, sendStream, sendText,
  type ErrorCode, type Finding, type IncomingOffer, type OfferAnswer, type ReceiveOptions, type SendOptions, type SendPlan,
  type Transfer, type TransferEvent, type TransferRecord, type TransferResult, type Waiting,
} from 'sealift'

const accept = ({ bytes, conflicts }: IncomingOffer): OfferAnswer => bytes !== null && conflicts.length === 0 ? 'skip' : false
const receiving: ReceiveOptions = { outputDir: 'b', conflict: 'auto', accept, ledgerPath: undefined }
const sending: SendOptions = { pod: true, port: 0, waitMs: 1000, compress: 'auto', exclude: ['*.tmp'], leaveOut: () => true }

const transfer: Transfer = sendFiles(['a'], sending)
for await (const event of transfer) {
  if (event.event === 'listening') await receiveFiles(event.connect, receiving).done
  if (event.event === 'progress') event.bytesDone.toFixed()
  // @ts-expect-error a progress event has no connect
  if (event.event === 'progress') event.connect
  // @ts-expect-error there is no such event
  if (event.event === 'over') event
}
const result: TransferResult = await transfer.done
const first: string | undefined = result.savedTo[0]
const waiting: Waiting | null = transfer.waiting
transfer.cancel()

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(1)
}
const others: Transfer[] = [
  sendStream(bytes(), { lan: true, fileName: 'a.tar' }),
  sendText('a', { listen: '10.0.0.5', bytesPerSecond: 1000 }),
  resumeTransfer('0c', { port: 1, bytesPerSecond: 1000 }),
  receiveFiles('a', { output: (piece: Uint8Array) => void piece.length, outputBorrows: true }),
]
const plan: SendPlan = await planSend('a', { all: true })
const records: TransferRecord[] = await listTransfers({ id: '0c' })
for await (const finding of diagnose({ port: 1 })) {
  const { status, advice }: Finding = finding
  if (status === 'problem') advice?.length
}
const code = (error: unknown): ErrorCode | null => (error instanceof SealiftError ? error.code : null)
const made = new SealiftError('interrupted', 'enough', { hint: 'later' })
const all: TransferEvent[] = []
export { all, code, first, made, others, plan, records, waiting }

// @ts-expect-error paths are strings
sendFiles(42)
// @ts-expect-error a port is a number
sendFiles('a', { port: '15820' })
// @ts-expect-error there is no such option
sendFiles('a', { pods: true })
// @ts-expect-error there is no such policy
sendFiles('a', { conflict: 'never' })
// @ts-expect-error what only tests need is not there
sendFiles('a', { probe: () => undefined })
// @ts-expect-error a stream has no files to leave out
sendStream(bytes(), { exclude: ['*.tmp'] })
// @ts-expect-error a stream is one of bytes
sendStream(['a'])
// @ts-expect-error an offer is answered with yes, no or a policy
receiveFiles('a', { accept: () => 'perhaps' })
// @ts-expect-error the ledger knows the folder
resumeTransfer('0c', { outputDir: 'b' })
// @ts-expect-error there is no such code
if (made.code === 'over') made
// @ts-expect-error a result is not for writing
result.files = 1
// @ts-expect-error there may be none
result.savedTo[0].length
// @ts-expect-error the size may not be known
records[0]?.fileSize.toFixed()
`

/** Compiles where there are signals, be they those of Node or those of a browser. */
export const WITH_SIGNALS = `
import { diagnose, receiveFiles, resumeTransfer, sendFiles, sendText, SealiftError } from 'sealift'

const stop = new AbortController()
const { signal } = stop
const transfer = sendFiles('a', { signal: AbortSignal.any([signal, AbortSignal.timeout(1000)]) })
export const others = [
  receiveFiles('a', { signal, accept: (offer, until) => !until.aborted }),
  sendText('a', { signal }),
  resumeTransfer('0c', { signal }),
  diagnose({ signal }),
]
stop.abort(new SealiftError('interrupted', 'enough'))
transfer.signal.addEventListener('abort', () => transfer.cancel(), { signal })
transfer.signal.throwIfAborted()
// @ts-expect-error a controller is no signal
sendFiles('a', { signal: stop })
`

/** Compiles where there are none; a program brings its own. */
export const WITHOUT_SIGNALS = `
import { sendFiles } from 'sealift'

const signal = {
  aborted: false,
  reason: undefined,
  addEventListener(type: 'abort', listener: () => void): void {},
  removeEventListener(type: 'abort', listener: () => void): void {},
}
export const aborted: boolean = sendFiles('a', { signal }).signal.aborted
// @ts-expect-error nothing to listen to
sendFiles('a', { signal: { aborted: false, reason: undefined } })
`

/** CommonJS, which nodenext alone has. */
export const COMMON_JS = `
import sealift = require('sealift')

const { sendFiles, SealiftError } = sealift
export const connect = async (transfer: sealift.Transfer): Promise<string | null> => {
  for await (const event of transfer) if (event.event === 'listening') return event.connect
  return null
}
void connect(sendFiles('a', { pod: true }))
// @ts-expect-error there is no such code
new SealiftError('over', 'enough')
`

/** Prints what is another one after the package was imported, as JSON. */
export const IMPORT_ONLY = `
import { createRequire } from 'node:module'

const look = async () => {
  await new Promise(setImmediate)
  return {
    handles: process.getActiveResourcesInfo(),
    listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
    globals: Reflect.ownKeys(globalThis).map(String),
    inside: [Object, Function, Array, Promise, Error, String, Map, Uint8Array, Buffer, EventTarget, process, console]
      .flatMap((owner) => [owner, owner.prototype ?? {}])
      .map((owner) => Reflect.ownKeys(owner).map(String)),
    env: { ...process.env },
    process: [process.cwd(), process.umask(), process.title, process.exitCode, Error.stackTraceLimit, process.execArgv],
  }
}
// Node opens them by itself when one of its own modules asks for colours.
void process.stdout, process.stderr
const before = await look()
const library = await import('sealift')
const after = await look()
const required = createRequire(import.meta.url)('sealift')
console.log(JSON.stringify({ before, after, isOne: required.sendFiles === library.sendFiles }))
`

/** What the programs below begin with: they print how each transfer ended, and for how long the process lives on after the last. */
const LINGERING = `
import { receiveFiles, SealiftError, sendFiles, sendStream, sendText } from 'sealift'
import fs from 'node:fs'

fs.writeFileSync('file', Buffer.alloc(2_000_000, 'text'))
let endedMs = 0
process.on('exit', () => console.log('lingered', Math.round(performance.now() - endedMs)))
const pod = { pod: true, port: 0 }
const into = { outputDir: 'in', conflict: 'overwrite' }
async function end(...transfers) {
  const ends = await Promise.allSettled(transfers.map(({ done }) => done))
  endedMs = performance.now()
  console.log(ends.map(({ reason }) => (reason === undefined ? 'done' : reason instanceof SealiftError ? reason.code : reason)).join(' '))
}
async function listening(sender) {
  for await (const event of sender) if (event.event === 'listening') return event.connect
}
async function* bytes() {
  yield Buffer.alloc(100_000)
}
`

/** Transfers of each kind that end well. */
export const WELL = `${LINGERING}
for (const sender of [sendFiles('file', pod), sendStream(bytes(), pod), sendText('a', pod)])
  await end(sender, receiveFiles(await listening(sender), into))
const piped = sendFiles('file', pod)
await end(piped, receiveFiles(await listening(piped), { output: () => undefined }))
`

/** Transfers that fail: before they listen, for want of the other side, by a guess, a no, and in the middle. */
export const FAILED = `${LINGERING}
await end(sendFiles('nothing', pod), sendText('', pod), receiveFiles('not an address'), receiveFiles('127.0.0.1:1:a-b', into))
await end(sendFiles('file', { ...pod, waitMs: 1 }), sendStream(bytes(), { ...pod, waitMs: 1 }))
const guessed = sendFiles('file', pod)
const [host, port] = (await listening(guessed)).split(':')
await end(receiveFiles(host + ':' + port + ':not-it', into))
guessed.cancel()
await end(guessed)
const refused = sendFiles('file', pod)
await end(refused, receiveFiles(await listening(refused), { ...into, accept: () => false }))
const full = sendStream(bytes(), pod)
const output = () => Promise.reject(new Error('takes no more'))
await end(full, receiveFiles(await listening(full), { output }))
`

/** Transfers that are stopped: before they begin, while nobody has come, at the question, and in the middle, by either side. */
export const CANCELLED = `${LINGERING}
const never = AbortSignal.abort()
await end(sendFiles('file', { ...pod, signal: never }), receiveFiles('127.0.0.1:1:a-b', { ...into, signal: never }))
const alone = sendFiles('file', pod)
await listening(alone)
alone.cancel()
await end(alone)
const asked = sendFiles('file', pod)
const connect = await listening(asked)
const asking = receiveFiles(connect, { ...into, accept: () => (asking.cancel(), new Promise(() => undefined)) })
await end(asking)
asked.cancel()
await end(asked)
for (const side of ['sender', 'receiver']) {
  const sender = sendFiles('file', pod)
  const receiver = receiveFiles(await listening(sender), { ...into, bytesPerSecond: 1_000_000 })
  const cancelled = side === 'sender' ? sender : receiver
  for await (const event of receiver) {
    if (event.event === 'progress' && event.bytesDone < event.bytesTotal) cancelled.cancel()
    // One that is not there any more is dialled for half a minute.
    if (event.event === 'warning') receiver.cancel()
  }
  sender.cancel()
  await end(sender, receiver)
}
`
