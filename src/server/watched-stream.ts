/** A stream whose end is told, so that what was counted for a connection is counted no longer. */

import { type ByteSink, type ByteStream, sealerOf } from '../carriers/carrier.ts'

/** @param onGone called once, when this side has let go of the stream or the connection broke */
export function watchedStream(stream: ByteStream, onGone: () => void): ByteStream {
  let isGone = false
  const gone = (): void => {
    if (isGone) return
    isGone = true
    onGone()
  }
  return {
    peer: stream.peer,
    seal: sealerOf(stream),
    start: (sink: ByteSink) =>
      stream.start({
        space: () => sink.space(),
        filled: (bytes) => sink.filled(bytes),
        ended: (error) => {
          // One that the peer ended in order lives on until this side has had its say.
          if (error !== null) gone()
          sink.ended(error)
        },
      }),
    resume: () => stream.resume(),
    write: (parts) => stream.write(parts),
    end: () => stream.end(),
    destroy: () => {
      stream.destroy()
      gone()
    },
  }
}
