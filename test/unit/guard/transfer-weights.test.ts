import { expect, test } from 'vitest'
import { TransferWeights, type Weighed } from '../../../src/guard/transfer-weights.ts'

/** A connection, and what it weighs. */
class Connection implements Weighed {
  weight: number | null = null

  weigh(weight: number): void {
    this.weight = weight
  }
}

test('all connections of a transfer weigh together what it weighs, whoever of them comes and goes', () => {
  const weights = new TransferWeights()
  const [one, two, other] = [new Connection(), new Connection(), new Connection()]
  const now = (): (number | null)[] => [one, two, other].map(({ weight }) => weight)
  weights.set(one, 'a', 0)
  weights.set(other, 'b', 10)
  expect(now()).toEqual([0, null, 10])
  weights.set(one, 'a', 6)
  weights.set(two, 'a', null)
  expect(now()).toEqual([3, 3, 10])
  weights.set(two, 'a', 2)
  expect(now()).toEqual([1, 1, 10])
  weights.leave(one)
  weights.leave(one)
  expect(two.weight).toBe(2)
  weights.set(two, 'b', 10)
  expect([two.weight, other.weight]).toEqual([5, 5])
})
