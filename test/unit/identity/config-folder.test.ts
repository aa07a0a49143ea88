import { expect, test } from 'vitest'

import { configFolder } from '../../../src/identity/config-folder.ts'

test.each([
  ['linux', {}, '/home/ana/.config/sealift'],
  ['linux', { XDG_CONFIG_HOME: '/etc/ana' }, '/etc/ana/sealift'],
  ['linux', { XDG_CONFIG_HOME: 'relative' }, '/home/ana/.config/sealift'],
  ['linux', { XDG_CONFIG_HOME: '' }, '/home/ana/.config/sealift'],
  ['darwin', { XDG_CONFIG_HOME: '/etc/ana' }, '/home/ana/Library/Application Support/sealift'],
] as const)('on %s with %j it is %s', (platform, env, folder) => {
  expect(configFolder(env, { platform, home: '/home/ana' })).toBe(folder)
})

test('on Windows it is in the roaming data', () => {
  const home = String.raw`C:\Users\ana`
  const roaming = String.raw`C:\Users\ana\AppData\Roaming`
  for (const env of [{}, { APPDATA: roaming }])
    expect(configFolder(env, { platform: 'win32', home })).toBe(String.raw`${roaming}\sealift`)
})
