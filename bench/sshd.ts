/**
 * An SSH server of the bench's own: on loopback, with keys made for this run, known to nobody else.
 *
 * Owns its folder, its process and its configuration. What it leaves behind is nothing.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { atExit } from './cleanup.ts'
import { findProgram, signalGroup, startGroup } from './measure.ts'
import { freePort, waitForListener } from './ports.ts'

/** The same cipher for `ssh`, `scp` and `rsync` as Sealift itself takes. */
const CIPHER = 'aes256-gcm@openssh.com'
const START_TIMEOUT_MS = 5000
/** As root, sshd refuses to start without this folder, which a package's service unit makes. */
const PRIVILEGE_FOLDER = '/run/sshd'
const SFTP_SERVERS = ['/usr/lib/openssh/sftp-server', '/usr/libexec/openssh/sftp-server', '/usr/libexec/sftp-server']

export interface SshServer {
  /** Its forked children do the far end's work. */
  readonly pid: number
  /** `user@host` for commands. */
  readonly destination: string
  readonly port: number
  /** For `ssh` and `scp`, but for the port. */
  readonly options: readonly string[]
}

/**
 * @param folder an empty folder for keys and configuration
 * @throws Error in one line when it does not start
 */
export async function startSshd(sshd: string, folder: string): Promise<SshServer> {
  makeKey(join(folder, 'host_key'))
  makeKey(join(folder, 'user_key'))
  const port = await freePort()
  const user = userInfo().username
  const hostKey = readFileSync(join(folder, 'host_key.pub'), 'utf8')
  writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${port} ${hostKey}`)
  writeFileSync(join(folder, 'authorized_keys'), readFileSync(join(folder, 'user_key.pub')), { mode: 0o600 })
  const config = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${join(folder, 'host_key')}`,
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    `AllowUsers ${user}`,
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PidFile none',
    'PrintMotd no',
    'PrintLastLog no',
    // The keys are in a temporary folder, whose parent anybody may write to.
    'StrictModes no',
    `Subsystem sftp ${SFTP_SERVERS.find((path) => existsSync(path)) ?? 'internal-sftp'}`,
  ]
  writeFileSync(join(folder, 'sshd_config'), config.join('\n') + '\n')
  makePrivilegeFolder()

  const server = startGroup([sshd, '-D', '-e', '-f', join(folder, 'sshd_config')], ['ignore', 'ignore', 'pipe'])
  let stderr = ''
  server.stderr?.on('data', (data: Buffer) => (stderr = (stderr + data.toString()).slice(-2000)))
  atExit(() => signalGroup(server, 'SIGTERM'))
  const options = [
    ['-F', 'none'],
    ['-i', join(folder, 'user_key')],
    ['-c', CIPHER],
    ...[
      'IdentitiesOnly=yes',
      'IdentityAgent=none',
      'BatchMode=yes',
      'Compression=no',
      'StrictHostKeyChecking=yes',
      'GlobalKnownHostsFile=none',
      `UserKnownHostsFile=${join(folder, 'known_hosts')}`,
    ].map((option) => ['-o', option]),
  ].flat()
  const listens = await Promise.race([waitForListener(port, START_TIMEOUT_MS), failed(server)])
  const destination = `${user}@127.0.0.1`
  const probe = listens ? spawnSync('ssh', [...options, '-p', String(port), destination, 'true']) : null
  if (probe?.status !== 0) {
    throw new Error(
      `sshd does not let us in: ${lastLine(probe === null ? '' : probe.stderr.toString())} ${lastLine(stderr)}`,
    )
  }
  // The probe's own child is to be gone before anything is counted.
  await delay(50)
  return { pid: server.pid ?? 0, destination, port, options }
}

function failed(server: ReturnType<typeof startGroup>): Promise<false> {
  return new Promise((resolve) => {
    server.once('exit', () => resolve(false))
    server.once('error', () => resolve(false))
  })
}

function makeKey(path: string): void {
  const keygen = findProgram('ssh-keygen') ?? 'ssh-keygen'
  const made = spawnSync(keygen, ['-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', path], { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`ssh-keygen failed: ${lastLine(made.stderr)}`)
}

function makePrivilegeFolder(): void {
  if (process.getuid?.() !== 0 || existsSync(PRIVILEGE_FOLDER)) return
  mkdirSync(PRIVILEGE_FOLDER, { recursive: true, mode: 0o755 })
  atExit(() => rmdirSync(PRIVILEGE_FOLDER))
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
