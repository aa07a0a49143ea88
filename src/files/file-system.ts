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
  | 'realpathSync'
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
>

export const nodeFileSystem: FileSystem = fs
