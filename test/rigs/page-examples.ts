/** The programs that a page of the documents shows: its TypeScript fences. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from './packed-package.ts'

export interface PageExample {
  /** `docs/library.md: Events`, with a number behind it from the second one below a heading on. */
  readonly name: string
  readonly code: string
}

/** @param page path from the project's folder on */
export function readExamples(page: string): PageExample[] {
  const examples: PageExample[] = []
  for (const section of readFileSync(join(PROJECT, page), 'utf8').split(/^## /m).slice(1)) {
    const [heading = ''] = section.split('\n')
    const fences = [...section.matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
    fences.forEach(([, code = ''], at) => {
      examples.push({ name: `${page}: ${heading}${at === 0 ? '' : ` ${String(at + 1)}`}`, code })
    })
  }
  return examples
}
