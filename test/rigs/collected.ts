/** All that an asynchronous iterable gives, where a test wants to look at it as a whole. */
export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
