/**
 * The named stages of a transfer: places where a process may die. Tests pass a function that kills the process there
 * (F-03); the program passes nothing.
 */

export type Stage =
  | 'listening'
  | 'resume-key-kept'
  | 'handshake-confirmed'
  | 'offer'
  | 'manifest'
  | 'accepted'
  | 'chunk'
  | 'acknowledged'
  | 'before-checkpoint'
  | 'after-checkpoint'
  | 'before-sync'
  | 'before-publish'
  | 'after-publish'
  | 'before-end'
  | 'after-end'
  | 'done'
  // Inside publishing, as `files/` names them.
  | (string & {})

export type StageProbe = (stage: Stage) => void

export const noProbe: StageProbe = () => undefined
