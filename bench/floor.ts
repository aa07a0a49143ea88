/**
 * The floor of this machine and this hour: two processes that only read, hash, seal, send, open, hash and write
 * (`floor-worker.ts`). Nothing that ends at the same guarantees can be faster in Node.
 *
 * Owns the making of the script that runs. Knows nothing of what the floor is compared with.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformSync } from 'esbuild'

import { flush } from './contenders.ts'
import type { Contender } from './contenders.ts'
import type { Meter } from './measure.ts'

/**
 * @param folder where the script may be put: it runs as JavaScript, as a built program does, not by type stripping
 * @param durable `true`: flushes the disk at the end, as Sealift does before it says "done"
 */
export function makeFloor(folder: string, durable = false): Contender {
  const script = join(folder, 'floor-worker.mjs')
  const source = readFileSync(new URL('floor-worker.ts', import.meta.url), 'utf8')
  writeFileSync(script, transformSync(source, { loader: 'ts', target: 'node24.7', format: 'esm' }).code)
  return {
    name: durable ? 'floor + sync' : 'floor',
    async transfer(meter: Meter, source: string, target: string): Promise<void> {
      const sender = meter.spawn([process.execPath, script, 'send', source])
      const port = await sender.line((line) => line)
      const receiver = meter.spawn([process.execPath, script, 'receive', port, target])
      await Promise.all([sender.done, receiver.done])
      if (durable) await flush(meter, target)
    },
  }
}
