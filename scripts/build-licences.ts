/** The licence texts of the packages whose code ended up in the bundles. */

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Metafile } from 'esbuild'

export interface Licences {
  /** `name@version`, sorted. */
  readonly packages: readonly string[]
  readonly text: string
}

/** @throws Error where a bundled package ships no licence text. */
export function collectLicences(root: string, metafile: Metafile): Licences {
  const folders = new Set<string>()
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder)
    }
  }
  const sections = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Record<
      'name' | 'version' | 'license',
      string
    >
    const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry))
    if (file === undefined) throw new Error(`${name} is bundled and ships no licence text`)
    const text = readFileSync(join(root, folder, file), 'utf8').trim()
    return { title: `${name}@${version}`, body: `${name} ${version} (${license})\n\n${text}\n` }
  })
  const rule = `\n${'-'.repeat(78)}\n\n`
  return {
    packages: sections.map((section) => section.title),
    text: [
      'The files of this folder contain code of these packages.\n',
      ...sections.map((section) => section.body),
    ].join(rule),
  }
}
