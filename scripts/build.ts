/** Builds `dist/`: JavaScript by esbuild, type declarations by tsc, and the licences of what was bundled. */

import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pruneDeclarations } from './build-declarations.ts'
import { collectLicences } from './build-licences.ts'
import { makeBundle, readDependencies, writeBundle } from './bundle.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')

const started = performance.now()
rmSync(dist, { recursive: true, force: true })
const bundle = await makeBundle(root).catch((error: unknown) => fail(error instanceof Error ? error.message : ''))
writeBundle(root, dist, bundle)

const compiler = fileURLToPath(import.meta.resolve('typescript/bin/tsc'))
const declarations = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (declarations.status !== 0) fail('the type declarations could not be made')
const fault = pruneDeclarations(dist, readDependencies(root))
if (fault !== null) fail(fault)

const licences = collectLicences(root, bundle.metafile)
writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), licences.text)

const scripts = [...bundle.files].filter(([name]) => name.endsWith('.js'))
const sizeKib = Math.round(scripts.reduce((sum, [, contents]) => sum + contents.length, 0) / 1024)
const seconds = ((performance.now() - started) / 1000).toFixed(1)
process.stdout.write(
  `dist: ${scripts.length} scripts, ${sizeKib} KiB, bundles ${licences.packages.join(', ') || 'nothing'}, ${seconds} s\n`,
)

function fail(message: string): never {
  process.stderr.write(`build: ${message}\n`)
  process.exit(1)
}
