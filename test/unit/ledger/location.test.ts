import { describe, expect, test } from 'vitest'
import { bootIdFromUptime, readBootId } from '../../../src/ledger/boot-id.ts'
import { ledgerPath } from '../../../src/ledger/location.ts'

describe('ledgerPath', () => {
  const linux = { platform: 'linux', home: '/home/u', workingFolder: '/w' } as const

  test('DB_PATH is taken as it is, from the working folder', () => {
    expect(ledgerPath({ DB_PATH: 'x/l.db', XDG_DATA_HOME: '/d' }, linux)).toBe('/w/x/l.db')
    expect(ledgerPath({ DB_PATH: '/x/l.db' }, linux)).toBe('/x/l.db')
    expect(() => ledgerPath({ DB_PATH: 'a\0b' }, linux)).toThrow(expect.objectContaining({ code: 'settings_invalid' }))
  })

  test('without it, the data folder of each system', () => {
    expect(ledgerPath({}, linux)).toBe('/home/u/.local/share/sealift/ledger.db')
    expect(ledgerPath({ DB_PATH: '', XDG_DATA_HOME: '/d' }, linux)).toBe('/d/sealift/ledger.db')
    expect(ledgerPath({ XDG_DATA_HOME: 'relative' }, linux)).toBe('/home/u/.local/share/sealift/ledger.db')
    expect(ledgerPath({ XDG_DATA_HOME: '/d' }, { platform: 'darwin', home: '/Users/u' })).toBe(
      '/Users/u/Library/Application Support/sealift/ledger.db',
    )
    expect(ledgerPath({ LOCALAPPDATA: 'C:\\U\\Local' }, { platform: 'win32', home: 'C:\\U' })).toBe(
      'C:\\U\\Local\\sealift\\ledger.db',
    )
    expect(ledgerPath({}, { platform: 'win32', home: 'C:\\U' })).toBe('C:\\U\\AppData\\Local\\sealift\\ledger.db')
  })
})

describe('boot id', () => {
  test('is the same twice in one run of the machine', () => {
    expect(readBootId()).toBe(readBootId())
    expect(readBootId()).not.toBe('')
  })

  test('without the kernel, follows the start of the machine and not the clock', () => {
    expect(readBootId('/nonexistent')).toMatch(/^since-\d+$/)
    const first = bootIdFromUptime(1_000_000_000, 5000)
    expect(bootIdFromUptime(1_000_600_300, 5600)).toBe(first)
    expect(bootIdFromUptime(1_000_600_000, 20)).not.toBe(first)
  })
})
