/** Loopback ports: free ones, and when somebody listens on one. Knows nothing of who does. */

import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** Resolves with `true` as soon as somebody listens, with `false` after the time-out. */
export async function waitForListener(port: number, timeoutMs: number): Promise<boolean> {
  const untilMs = performance.now() + timeoutMs
  while (performance.now() < untilMs) {
    if (listens(port) ?? (await answers(port))) return true
    await delay(2)
  }
  return false
}

/** From the kernel's table, because a listener that takes one connection must not be spent on a probe. */
function listens(port: number): boolean | null {
  try {
    const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
    const lines = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => readFileSync(path, 'latin1').split('\n'))
    return lines.some((line) => line.slice(0, 48).includes(local) && / 0A /.test(line))
  } catch {
    return null
  }
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
