/** Help as it is read. */

import { describe, expect, test } from 'vitest'
import { buildProgram } from '../../../src/cli/program.ts'

const program = buildProgram(new AbortController().signal)
const commands = program.commands.filter((command) => command.name() !== 'complete')

describe('help', () => {
  test.each([program, ...commands].map((command) => [command.name(), command] as const))(
    'of %s fits 80 columns and has examples',
    (_, command) => {
      let help = ''
      command.configureOutput({ writeOut: (text) => (help += text) })
      command.outputHelp()
      for (const line of help.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80)
      expect(help).toMatch(/^Usage: sealift/)
      expect(help).toMatch(/\nExamples:\n {2}(\$|bash)/)
      if (command !== program) expect(help).toContain('-h, --help')
    },
  )

  test('lists no command that is only for shells', () => {
    expect(program.helpInformation()).not.toMatch(/complete\b/)
  })

  test('says of every option with a value what it is without', () => {
    const silent = [
      '--listen',
      '--allow-user',
      '--allow-tag',
      '--exclude',
      '--first',
      '--exclude-from',
      '--transfer-id',
      '--text',
    ]
    for (const command of commands)
      for (const { long, flags, description } of command.options) {
        if (!flags.includes('<') || silent.includes(long ?? '')) continue
        expect(description, `${command.name()} ${flags}`).toMatch(/default: |it decides|alone it means|SEALIFT_TOKEN/)
      }
  })
})
