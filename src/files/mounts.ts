/**
 * Which file system a folder is on, as Linux lists them. Read from `/proc`, so that no disk is touched and none can
 * hang. Elsewhere nothing is known.
 */

import { readFileSync } from 'node:fs'

export interface Mount {
  /** As the system calls it: `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly type: string
  /** Where it hangs. */
  readonly folder: string
  /** Whether other machines are asked for what is on it. */
  readonly isNetwork: boolean
  /** Whether it is gone with the power. */
  readonly isInMemory: boolean
}

const NETWORK =
  /^(?:nfs4?|cifs|smb3|smbfs|9p|virtiofs|ceph|lustre|afs|gpfs|glusterfs|gfs2|ocfs2|beegfs|fuse\.(?:sshfs|rclone|s3fs|goofys|gcsfuse|davfs2?|glusterfs|cephfs|curlftpfs|gvfsd-fuse|vmhgfs-fuse))$/

/**
 * The mount that holds a path; `null` where the system does not say.
 * @param path real and absolute
 * @param table text of `/proc/self/mountinfo`
 */
export function findMount(path: string, table: string | null = readMounts()): Mount | null {
  if (table === null) return null
  let found: Mount | null = null
  for (const line of table.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const folder = unescape(before.split(' ')[4] ?? '')
    const type = after.split(' ')[0] ?? ''
    if (folder === '' || type === '' || !isBelow(path, folder)) continue
    // Of two in the same place the later hides the earlier.
    if (found !== null && folder.length < found.folder.length) continue
    found = { type, folder, isNetwork: NETWORK.test(type), isInMemory: type === 'tmpfs' || type === 'ramfs' }
  }
  return found
}

function isBelow(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`)
}

/** Spaces and their like are octal there (proc_pid_mountinfo(5)). */
function unescape(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_whole, octal: string) => String.fromCharCode(parseInt(octal, 8)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

function readMounts(): string | null {
  try {
    return readFileSync('/proc/self/mountinfo', 'latin1')
  } catch {
    return null
  }
}
