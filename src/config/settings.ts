/**
 * Settings: where the value of each comes from (flag, environment, file, default), and all that is wrong with them, found
 * at start.
 *
 * Owns the order of the sources and the form of the faults. Which settings there are is said by the table that it is given;
 * what is done with a value is its caller's.
 */

import { parseEnv } from 'node:util'
import { SealiftError } from '../protocol/errors.ts'

/** Where a value came from, the strongest first. */
export type SettingSource = 'flag' | 'environment' | 'file' | 'default'

export interface Setting<Value> {
  /** Its name in the environment and in a settings file. */
  readonly env: string
  /** Its option on the command line, `--port`; `null` where it has none. */
  readonly flag: string | null
  /** That option as help shows it, with the kind of its value: `--port <port>`. */
  readonly option: string | null
  /** In one line, for the list of settings. */
  readonly meaning: string
  /** As it would be written. */
  readonly byDefault: string
  /**
   * @param name how the user gave it, for the message
   * @throws SealiftError `settings_invalid`
   */
  readonly parse: (text: string, name: string) => Value
  /** Its value is not shown. */
  readonly isSecret?: boolean
}

export type SettingsTable = Readonly<Record<string, Setting<unknown>>>

/** The values that a table describes. */
export type SettingsOf<Table extends SettingsTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : never
}

/** One setting as it was found: what `--print-config` shows. */
export interface FoundSetting {
  readonly env: string
  readonly flag: string | null
  readonly meaning: string
  /** As it was written; for a secret only whether there is one. */
  readonly text: string
  readonly source: SettingSource
}

export interface SettingSources {
  /** Texts of the options of the command line, by the setting's name in the table; `undefined` where not given. */
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Text of the settings file, lines of `NAME=value`; `null` where there is none. */
  readonly file: string | null
}

/**
 * The values of all settings.
 * @throws SealiftError `settings_invalid`: one fault is its message; of several, each is a line of its hint
 */
export function resolveSettings<Table extends SettingsTable>(
  table: Table,
  sources: SettingSources,
): { readonly values: SettingsOf<Table>; readonly found: readonly FoundSetting[] } {
  const fileValues = sources.file === null ? {} : parseEnv(sources.file)
  const faults = unknownNames(table, fileValues).map(
    (name) => new SealiftError('settings_invalid', `the settings file has an unknown name: ${name}`),
  )
  const values: Record<string, unknown> = {}
  const found: FoundSetting[] = []
  for (const [key, setting] of Object.entries(table)) {
    const { env, flag, meaning, byDefault } = setting
    const candidates: readonly [SettingSource, string | undefined, string][] = [
      ['flag', sources.flags[key], flag ?? env],
      ['environment', given(sources.environment[env]), env],
      ['file', given(fileValues[env]), `${env} of the settings file`],
    ]
    const [source, text, name] = candidates.find(([, value]) => value !== undefined) ?? ['default', byDefault, env]
    found.push({ env, flag, meaning, source, text: setting.isSecret === true ? secretText(text) : (text ?? '') })
    try {
      values[key] = setting.parse(text ?? '', name)
    } catch (error) {
      if (!(error instanceof SealiftError)) throw error
      faults.push(error)
    }
  }
  refuse(faults)
  return { values: values as SettingsOf<Table>, found }
}

/** An empty variable is one that is not set: that is how a compose file leaves one out. */
function given(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
}

function secretText(text: string | undefined): string {
  return given(text) === undefined ? '' : '(set)'
}

function unknownNames(table: SettingsTable, fileValues: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(Object.values(table).map(({ env }) => env))
  return Object.keys(fileValues).filter((name) => !known.has(name))
}

function refuse(faults: readonly SealiftError[]): void {
  const [first, ...others] = faults
  if (first === undefined) return
  if (others.length === 0) throw first
  throw new SealiftError('settings_invalid', `${String(faults.length)} settings have values that cannot be`, {
    hint: faults.map(({ message }) => message).join('\n'),
  })
}
