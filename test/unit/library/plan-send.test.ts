import { expect, test } from 'vitest'
import { planSend, SealiftError } from '../../../src/index.ts'
import { makePlace } from '../../rigs/place.ts'

test.each([
  ['with a reason of its own', new Error('the window was closed'), 'interrupted', 'the window was closed'],
  ['without one', undefined, 'interrupted', 'stopped'],
  ['with an error of Sealift', new SealiftError('terminated', 'by a signal'), 'terminated', 'by a signal'],
])('a plan that is stopped before, %s, is none', async (_, reason, code, message) => {
  const signal = AbortSignal.abort(reason)
  await expect(planSend(makePlace(1).source, { signal })).rejects.toMatchObject({
    name: 'SealiftError',
    code,
    message,
  })
})

test('a plan that is stopped in the middle is none, however small the tree', async () => {
  const stop = new AbortController()
  const plan = planSend(makePlace(1).source, { signal: stop.signal })
  stop.abort()
  await expect(plan).rejects.toMatchObject({ code: 'interrupted' })
})
