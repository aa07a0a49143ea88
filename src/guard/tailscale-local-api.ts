/**
 * Questions to tailscaled over its LocalAPI: HTTP on a local socket, one request a connection.
 *
 * Owns the rules of that door (Host, no Origin, no Referer), the deadline of an answer and its largest size. What an
 * answer means is not its business.
 */

import http from 'node:http'
import type { Door } from './tailscale-doors.ts'

/** From the question to the last byte of the answer. */
export const ANSWER_TIMEOUT_MS = 2000
/** An answer about one node, or of `status` without the others, has a few KiB. */
export const MAX_ANSWER_BYTES = 1 << 20
/** `tailscaled` answers nobody who names it otherwise: that keeps web pages out. */
const HOST = 'local-tailscaled.sock'

/** What came of a question. */
export type Answer =
  | { readonly kind: 'answer'; readonly status: number; readonly text: string }
  /** Nobody is at this door. */
  | { readonly kind: 'nobody' }
  /** Somebody is, and gave no whole answer; `reason` says why in a few words. */
  | { readonly kind: 'failed'; readonly reason: string }

export interface AskOptions {
  readonly timeoutMs: number
  readonly maxBytes: number
  readonly signal?: AbortSignal | undefined
}

/** Nothing listens there: the name is not there, or a socket is left of a daemon that has gone. */
const NOBODY = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR']

/** Asks one door. Never rejects. @param path below `/localapi/v0/` */
export function askDoor(door: Door, path: string, options: AskOptions): Promise<Answer> {
  const { timeoutMs, maxBytes, signal } = options
  return new Promise((resolve) => {
    const request = http.request({ ...placeOf(door), path: `/localapi/v0/${path}`, agent: false })
    let settled = false
    const settle = (answer: Answer): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
      request.destroy()
      resolve(answer)
    }
    const fail = (reason: string): void => settle({ kind: 'failed', reason })
    const stop = (): void => fail('the question was called off')
    const timer = setTimeout(() => fail(noAnswer(timeoutMs)), timeoutMs)
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true })

    request.on('error', (error: NodeJS.ErrnoException) => {
      if (NOBODY.includes(error.code ?? '')) settle({ kind: 'nobody' })
      else if (error.code === 'EACCES') fail('its socket is not for this user')
      else fail('it broke off')
    })
    request.on('response', (response) => {
      const pieces: Buffer[] = []
      let bytes = 0
      response.on('data', (piece: Buffer) => {
        bytes += piece.length
        if (bytes > maxBytes) fail('its answer is too long')
        else pieces.push(piece)
      })
      response.on('error', () => fail('it broke off in the middle of its answer'))
      response.on('end', () =>
        settle({ kind: 'answer', status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }),
      )
    })
    request.end()
  })
}

/** What is said of somebody who hangs. */
export function noAnswer(timeoutMs: number): string {
  return `no answer within ${String(timeoutMs / 1000)} s`
}

function placeOf(door: Door): http.RequestOptions {
  if (door.kind === 'socket') return { socketPath: door.path, headers: { Host: HOST } }
  const login = Buffer.from(`:${door.password}`).toString('base64')
  return { host: '127.0.0.1', port: door.port, headers: { Host: HOST, Authorization: `Basic ${login}` } }
}
