/**
 * `/health` and `/metrics` over HTTP, on 127.0.0.1 only.
 *
 * Owns what a stranger of this machine can cost the server there: nothing is read but short headers, in little time, by few
 * connections. A page in a browser that was led here by a name of its own is turned away by the Host it sends. What is
 * answered is given from outside.
 */

import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { listenFault } from '../carriers/socket-faults.ts'
import { SealiftError } from '../protocol/errors.ts'
import type { HealthReport } from './health.ts'

const HOST = '127.0.0.1'
/** Of one request for health or metrics, line and headers together. */
const MAX_HEADER_BYTES = 4096
/** To the port for health and metrics. */
const MAX_CONNECTIONS = 64
const MAX_REQUESTS_PER_CONNECTION = 100
/** For a request for health or metrics to be complete, and for an idle connection there. */
const REQUEST_TIMEOUT_MS = 5000
const OWN_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i

export interface HealthPortOptions {
  /** 0 takes any free one. */
  readonly port: number
  /** For a request to be complete, and for an idle connection; 5 s by default. */
  readonly timeoutMs?: number
  readonly health: () => Promise<HealthReport>
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

export interface HealthPort {
  readonly port: number
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly text: string
}

/** @throws SealiftError `port_in_use`, `address_unavailable` */
export async function openHealthPort(options: HealthPortOptions): Promise<HealthPort> {
  const { timeoutMs = REQUEST_TIMEOUT_MS } = options
  const server = http.createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      keepAliveTimeout: timeoutMs,
      connectionsCheckingInterval: timeoutMs / 5,
    },
    (request, response) => void respond(request, response, options),
  )
  server.maxConnections = MAX_CONNECTIONS
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(portFault(options.port, error)))
    server.listen(options.port, HOST, resolve)
  })
  // One that could not be accepted, for want of descriptors, is lost; the server goes on.
  server.on('error', () => undefined)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function portFault(port: number, cause: Error): SealiftError {
  if (!('code' in cause) || cause.code !== 'EADDRINUSE') return listenFault(HOST, port, cause)
  return new SealiftError(
    'port_in_use',
    `cannot listen on ${HOST}:${port} for /health and /metrics (ST_HEALTH_PORT): the port is in use`,
    {
      cause,
      hint: `another server on this machine? Give each its own: --health-port ${port < 65_535 ? port + 1 : 0}\n--health-port 0 takes any free one, --health no does without`,
    },
  )
}

async function respond(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  options: HealthPortOptions,
): Promise<void> {
  response.on('error', () => undefined)
  const isAllowed = request.method === 'GET' || request.method === 'HEAD'
  const { status, contentType, text } = isAllowed ? await answer(request, options) : words(405, 'GET or HEAD only')
  // What comes behind the headers is not waited for.
  if (!isAllowed || hasBody(request)) response.setHeader('Connection', 'close')
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(status === 405 ? { Allow: 'GET, HEAD' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : text)
}

function hasBody({ headers }: http.IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

async function answer({ url = '', headers }: http.IncomingMessage, options: HealthPortOptions): Promise<Answer> {
  if (!OWN_HOST.test(headers.host ?? '')) return words(421, 'ask for 127.0.0.1')
  switch (url.split('?', 1)[0]) {
    case '/health': {
      const report = await options.health()
      const status = report.status === 'ok' ? 200 : 503
      return { status, contentType: 'application/json; charset=utf-8', text: `${JSON.stringify(report)}\n` }
    }
    case '/metrics':
      return { status: 200, ...(await options.metrics()) }
    default:
      return words(404, 'there are /health and /metrics')
  }
}

function words(status: number, text: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', text: `${text}\n` }
}
