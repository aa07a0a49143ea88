/**
 * The calls of the operating system that reading and writing trees may use. A port, so that tests can make the
 * N-th call fail (F-05) and see which calls are made; the program always passes `node:fs` itself.
 */

import fs from 'node:fs'

export type FileSystem = Pick<
  typeof fs,
  | 'openSync'
  | 'closeSync'
  | 'readSync'
  | 'read'
  | 'writeSync'
  | 'write'
  | 'fstatSync'
  | 'lstatSync'
  | 'statSync'
  | 'statfsSync'
  | 'readdirSync'
  | 'readlinkSync'
  | 'mkdirSync'
  | 'rmdirSync'
  | 'rmSync'
  | 'unlinkSync'
  | 'renameSync'
  | 'linkSync'
  | 'symlinkSync'
  | 'chmodSync'
  | 'fchmodSync'
  | 'utimesSync'
  | 'lutimesSync'
  | 'futimesSync'
  | 'ftruncateSync'
  | 'fsyncSync'
  | 'fsync'
  | 'existsSync'
  | 'accessSync'
> & {
  /** As the system resolves it; Node's own takes `..` behind a link as text. */
  readonly realpathSync: (path: string) => string
}

export const nodeFileSystem: FileSystem = { ...fs, realpathSync: (path) => fs.realpathSync.native(path) }
