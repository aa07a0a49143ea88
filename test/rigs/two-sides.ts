/** The two sides of a transfer in this process, over loopback: started in one line, followed to their ends. */

import { join } from 'node:path'
import {
  receiveFiles,
  type ReceiveOptions,
  type SealiftError,
  sendFiles,
  type SendOptions,
  type Transfer,
  type TransferEvent,
  type TransferResult,
} from '../../src/index.ts'
import type { Place } from './place.ts'
import { differences, listTree } from './small-tree.ts'

export interface Side {
  readonly events: TransferEvent[]
  readonly transfer: Transfer
  /** Resolves when all events were read and the side has ended, with its error where it failed. */
  readonly end: Promise<TransferResult | SealiftError>
}

export function follow(transfer: Transfer, onEvent: (event: TransferEvent) => void = () => undefined): Side {
  const events: TransferEvent[] = []
  const run = async (): Promise<TransferResult | SealiftError> => {
    for await (const event of transfer) {
      events.push(event)
      onEvent(event)
    }
    return transfer.done.catch((error: unknown) => error as SealiftError)
  }
  return { events, transfer, end: run() }
}

export interface SendingSide extends Side {
  readonly connect: string
  readonly port: number
}

/** Resolves when it listens. @throws SealiftError where it ends before */
export async function send(place: Place, options: SendOptions = {}): Promise<SendingSide> {
  const listening = Promise.withResolvers<{ connect: string; port: number }>()
  const transfer = sendFiles(place.source, {
    pod: true,
    port: 0,
    waitMs: 15_000,
    ledgerPath: place.senderLedger,
    ...options,
  })
  const side = follow(transfer, (event) => {
    if (event.event === 'listening') listening.resolve(event)
  })
  void side.end.then((error) => listening.reject(error as SealiftError))
  const { connect, port } = await listening.promise
  return { ...side, connect, port }
}

export function receive(place: Place, connect: string, options: ReceiveOptions = {}): Side {
  return follow(receiveFiles(connect, { outputDir: place.out, ledgerPath: place.receiverLedger, ...options }))
}

/** What differs between what was sent and what arrived, in words. */
export function missing(place: Place, name = 'tree'): string[] {
  return differences(listTree(place.source), listTree(join(place.out, name)))
}
