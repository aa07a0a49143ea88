/**
 * Files that code names by `new URL('./x', import.meta.url)`: worker scripts and data.
 *
 * Bundling moves the code to another folder than its source, so such a URL would point nowhere. While bundling, its
 * path becomes one from the root of `dist/`, and once it is known in which file the code landed, one from that file.
 */

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'
import type { Plugin } from 'esbuild'

const ASSET_URL = /new URL\(\s*(['"])(\.{1,2}\/[^'"]+)\1,\s*import\.meta\.url,?\s*\)/g
const DIST_ROOT = '@@dist@@'

export interface Assets {
  /** Modules to bundle as entry points, as paths from the project's root. */
  readonly scripts: readonly string[]
  /** Files to copy, as paths from `src/`. */
  readonly files: readonly string[]
}

/** Looks through the sources for URLs of other files of `src/`. What lies outside of it (package.json) is left where it is. */
export function findAssets(root: string): Assets {
  const scripts = new Set<string>()
  const files = new Set<string>()
  for (const source of globSync('src/**/*.ts', { cwd: root })) {
    for (const match of readFileSync(join(root, source), 'utf8').matchAll(ASSET_URL)) {
      const target = pathFromSrc(source, match[2] ?? '')
      if (target.startsWith('../')) continue
      if (target.endsWith('.ts')) scripts.add(`src/${target}`)
      else files.add(target)
    }
  }
  return { scripts: [...scripts], files: [...files] }
}

export const AssetUrls = {
  /** Makes each such URL one from the root of `dist/`. */
  plugin(root: string): Plugin {
    return {
      name: 'asset-urls',
      setup(build) {
        build.onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
          const source = relative(root, path)
          if (!source.startsWith(`src${sep}`)) return null
          const contents = readFileSync(path, 'utf8').replaceAll(ASSET_URL, (_whole, _quote, target: string) => {
            const settled = pathFromSrc(source, target).replace(/\.ts$/, '.js')
            return `new URL('${DIST_ROOT}/${settled}', import.meta.url)`
          })
          return { contents, loader: 'ts' }
        })
      },
    }
  },

  /** Makes each such URL one from the folder of the output file that it landed in. */
  settle(text: string, dist: string, outputPath: string): string {
    const up = relative(dirname(outputPath), dist).split(sep).join('/')
    return text.replaceAll(DIST_ROOT, up === '' ? '.' : up)
  },
}

function pathFromSrc(source: string, target: string): string {
  return posix.relative('src', posix.join(dirname(source).split(sep).join('/'), target))
}
