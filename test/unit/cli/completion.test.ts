/** What may stand next on a line: from the real commands, so that a new option is completed without a word here. */

import { describe, expect, test, vi } from 'vitest'
import { complete, type Completion } from '../../../src/cli/completion.ts'
import { buildProgram } from '../../../src/cli/program.ts'

const IDS = [{ value: '4f2ed172-b3c1', description: 'in_progress film.mp4' }]

async function after(line: string, findTransfers = vi.fn(() => Promise.resolve(IDS))): Promise<Completion> {
  return complete(buildProgram(new AbortController().signal), line.split(' ').slice(1), findTransfers)
}

async function valuesAfter(line: string): Promise<string[] | 'files' | 'folders'> {
  const found = await after(line)
  return found.kind === 'words' ? found.candidates.map(({ value }) => value) : found.kind
}

describe('completion', () => {
  test.each([
    ['sealift s', ['send', 'status']],
    ['sealift quota s', ['set']],
    ['sealift comp', ['completion']],
    ['sealift he', ['help']],
    ['sealift help st', ['status']],
    ['sealift -', ['--version', '--help']],
    ['sealift frobnicate ', []],
    ['sealift send --comp', ['--compress', '--compression-level']],
    ['sealift tx --pr', ['--priority']],
    ['sealift send --compress z', ['zstd']],
    ['sealift send --compress=z', ['zstd']],
    ['sealift rx --conflict o', ['overwrite']],
    ['sealift completion ', ['bash', 'zsh', 'fish']],
    ['sealift completion bash ', []],
    ['sealift send --wait ', []],
    ['sealift send --nonsense=', []],
    ['sealift status 4', ['4f2ed172-b3c1']],
    ['sealift resume 5', []],
    ['sealift resume --transfer-id ', ['4f2ed172-b3c1']],
    ['sealift resume 4f2e ', []],
    ['sealift receive 192.168', []],
  ])('after %j is %j', async (line, values) => {
    expect(await valuesAfter(line)).toEqual(values)
  })

  test.each([
    ['sealift send ', 'files'],
    ['sealift send photos/ rep', 'files'],
    ['sealift send --pod --wait 5 ph', 'files'],
    ['sealift send -- --p', 'files'],
    ['sealift send --exclude-from ', 'files'],
    ['sealift send --exclude-from=pat', 'files'],
    ['sealift receive -o ', 'folders'],
    ['sealift receive 1.2.3.4:coral-magnet --output-dir=Down', 'folders'],
    ['sealift 1.2.3.4:coral-magnet -o ', 'folders'],
  ])('after %j are %s', async (line, kind) => {
    expect(await valuesAfter(line)).toBe(kind)
  })

  test('what was given is not offered again, but for what may be', async () => {
    const values = await valuesAfter('sealift send --pod --exclude *.log --compress none -q --')
    expect(values).toContain('--exclude')
    expect(values).toContain('--port')
    for (const given of ['--pod', '--compress', '--quiet']) expect(values).not.toContain(given)
  })

  test('every command and every option is described', async () => {
    for (const line of ['sealift ', 'sealift send -', 'sealift receive -', 'sealift resume -', 'sealift doctor -']) {
      const found = await after(line)
      if (found.kind !== 'words') throw new Error(`${line} completes ${found.kind}`)
      expect(found.candidates.length).toBeGreaterThan(4)
      for (const { value, description } of found.candidates) {
        expect(value).toMatch(/^[a-z-]+$/)
        expect(description).toMatch(/^\w[^\n\t]+$/)
      }
    }
  })

  test('transfers are looked up only where one may stand, and for resume the unfinished ones', async () => {
    const find = vi.fn(() => Promise.resolve(IDS))
    for (const line of ['sealift ', 'sealift send ', 'sealift status -', 'sealift resume --wait '])
      await after(line, find)
    expect(find).not.toHaveBeenCalled()
    await after('sealift resume ', find)
    expect(find).toHaveBeenLastCalledWith(true)
    await after('sealift status ', find)
    expect(find).toHaveBeenLastCalledWith(false)
  })
})
