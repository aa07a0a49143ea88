/** Files go to a receiving server over TLS: by token, key and certificate, and after a cut. */

import { beforeAll, expect, test } from 'vitest'
import { plantCertificate, TestAuthority } from '../rigs/certificates.ts'
import { ServerPlace } from '../rigs/server-place.ts'

let authority: TestAuthority

beforeAll(async () => {
  authority = await TestAuthority.make()
})

async function tlsPlace(): Promise<{ place: ServerPlace; ca: string }> {
  const settings: Record<string, string> = { ST_TLS: 'yes' }
  const place = new ServerPlace(settings)
  const ca = plantCertificate(place.path('tls'), 'ca', authority.own).cert
  const { cert, key } = plantCertificate(place.path('tls'), 'server', await authority.sign())
  Object.assign(settings, { ST_CERT: cert, ST_KEY: key })
  return { place, ca }
}

test('a file goes by token inside TLS, and both sides say what sealed it', async () => {
  const { place, ca } = await tlsPlace()
  await place.start()
  const file = place.plant('alice', 'a.txt', 'over TLS')
  const { error, events } = await place.pushed('alice', file, { tls: true, ca })
  expect(error).toBeNull()
  expect(place.read('a.txt')).toBe('over TLS')
  expect(events).toContainEqual(
    expect.objectContaining({ event: 'connected', suite: 'tls+mlkem768', cipher: 'aes-256-gcm' }),
  )
  expect(await place.heard('connected')).toMatchObject({ suite: 'tls', cipher: 'aes-256-gcm' })
})
