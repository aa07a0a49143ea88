/**
 * Builds `dist/`: JavaScript by esbuild, type declarations by tsc, and the licences of what was bundled.
 *
 * Bundled, because loading many small modules is most of the start time of a command: everything that is not in
 * `dependencies`. Code behind `import()` stays in files of its own that are loaded when used.
 */

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { AssetUrls, findAssets } from './build-assets.ts'
import { pruneDeclarations } from './build-declarations.ts'
import { collectLicences } from './build-licences.ts'
import { ownGlobals } from './build-own-globals.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>
}
const dependencies = Object.keys(manifest.dependencies)

const started = performance.now()
rmSync(dist, { recursive: true, force: true })

const assets = findAssets(root)
const result = await build({
  absWorkingDir: root,
  // Worker scripts are entry points too: they are named by URL, not imported.
  entryPoints: ['src/index.ts', 'src/cli/main.ts', ...assets.scripts],
  outdir: 'dist',
  outbase: 'src',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24.7',
  external: dependencies,
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  write: false,
  plugins: [AssetUrls.plugin(root), ownGlobals],
}).catch(() => fail('esbuild could not bundle the sources'))

for (const file of result.outputFiles) {
  mkdirSync(dirname(file.path), { recursive: true })
  const isScript = file.path.endsWith('.js')
  if (isScript && file.text.includes('Dynamic require of'))
    fail(`${relative(root, file.path)} calls require(), which ESM does not have: make that package a dependency`)
  writeFileSync(file.path, isScript ? AssetUrls.settle(file.text, dist, file.path) : file.contents)
}
for (const asset of assets.files) {
  mkdirSync(dirname(join(dist, asset)), { recursive: true })
  copyFileSync(join(root, 'src', asset), join(dist, asset))
}

const compiler = fileURLToPath(import.meta.resolve('typescript/bin/tsc'))
const declarations = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (declarations.status !== 0) fail('the type declarations could not be made')
const fault = pruneDeclarations(dist, dependencies)
if (fault !== null) fail(fault)

const licences = collectLicences(root, result.metafile)
writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), licences.text)

const scripts = result.outputFiles.filter((file) => file.path.endsWith('.js'))
const sizeKib = Math.round(scripts.reduce((sum, file) => sum + file.contents.length, 0) / 1024)
const seconds = ((performance.now() - started) / 1000).toFixed(1)
process.stdout.write(
  `dist: ${scripts.length} scripts, ${sizeKib} KiB, bundles ${licences.packages.join(', ') || 'nothing'}, ${seconds} s\n`,
)

function fail(message: string): never {
  process.stderr.write(`build: ${message}\n`)
  process.exit(1)
}
