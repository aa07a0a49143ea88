/**
 * Keeps what is bundled out of the global object. zod leaves its settings there for every copy of itself in a process:
 * importing Sealift would put them there, and another package's settings would change what Sealift accepts.
 */

import { readFileSync } from 'node:fs'
import type { Plugin } from 'esbuild'

const FILES = /[/\\]zod[/\\]v4[/\\]core[/\\](core|registries)\.js$/

export const ownGlobals: Plugin = {
  name: 'own-globals',
  setup(build) {
    build.onLoad({ filter: FILES }, ({ path }) => ({
      contents: `const ownGlobals = {};\n${readFileSync(path, 'utf8').replaceAll('globalThis', 'ownGlobals')}`,
    }))
  },
}
