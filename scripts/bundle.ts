/**
 * Makes JavaScript of the sources by esbuild: for `dist/`, and for the processes that tests start.
 *
 * Bundled, because loading many small modules is most of the start time of a command: everything that is not in
 * `dependencies`. Code behind `import()` stays in files of its own that are loaded when used.
 */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { build, type BuildResult } from 'esbuild'
import { AssetUrls, findAssets } from './build-assets.ts'
import { ownGlobals } from './build-own-globals.ts'

export interface Bundle {
  /** What is written, as paths from the folder of the bundle. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Copied as they are, as paths from `src/`. */
  readonly assets: readonly string[]
  readonly metafile: NonNullable<BuildResult['metafile']>
}

/** Names of the packages that are not bundled. @param root the project */
export function readDependencies(root: string): string[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Object.keys(manifest.dependencies)
}

/**
 * Bundles in memory.
 * @param root the project
 * @param others further modules to start from: name in the bundle, path from the root
 * @throws Error that says what is wrong, in one line
 */
export async function makeBundle(root: string, others: Readonly<Record<string, string>> = {}): Promise<Bundle> {
  const assets = findAssets(root)
  // Worker scripts are entry points too: they are named by URL, not imported.
  const sources = ['src/index.ts', 'src/cli/main.ts', ...assets.scripts]
  const entryPoints = Object.fromEntries(sources.map((path) => [path.replace(/^src\/(.*)\.ts$/, '$1'), path]))
  const outdir = join(root, 'dist')
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: { ...entryPoints, ...others },
    outdir,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24.7',
    external: readDependencies(root),
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    logLevel: 'warning',
    metafile: true,
    write: false,
    plugins: [AssetUrls.plugin(root), ownGlobals],
  }).catch((cause: unknown) => {
    throw new Error('esbuild could not bundle the sources', { cause })
  })
  const files = new Map<string, Uint8Array>()
  for (const { path, text, contents } of outputFiles) {
    const name = relative(outdir, path)
    const isScript = name.endsWith('.js')
    if (isScript && text.includes('Dynamic require of'))
      throw new Error(`${name} calls require(), which ESM does not have: make that package a dependency`)
    files.set(name, isScript ? Buffer.from(AssetUrls.settle(text, outdir, path)) : contents)
  }
  return { files, assets: assets.files, metafile }
}

export function writeBundle(root: string, folder: string, { files, assets }: Bundle): void {
  for (const [name, contents] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), contents)
  }
  for (const asset of assets) {
    mkdirSync(dirname(join(folder, asset)), { recursive: true })
    copyFileSync(join(root, 'src', asset), join(folder, asset))
  }
}
