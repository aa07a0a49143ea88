#!/usr/bin/env node
/**
 * Starts the command line. Written for old Nodes too: one that cannot run Sealift gets one clear line instead of a
 * syntax error, so nothing newer than ES5 and `import()` stands here, and no static import.
 */

var version = process.versions.node.split('.').map(Number)

if (version[0] > 24 || (version[0] === 24 && version[1] >= 7)) {
  enableCompileCache()
  import('../dist/cli/main.js')
} else {
  process.stderr.write(
    'sealift needs Node 24.7 or newer; this is ' +
      process.versions.node +
      '\nhint: install a newer Node (https://nodejs.org/en/download) or put one first on PATH\n',
  )
  process.exitCode = 2
}

/**
 * Keeps compiled code between starts, in the user's own cache folder: Node's default is a folder in the shared
 * temporary one that another user of the machine could make first, and cached code is run as it is found.
 * A cache that cannot be had only costs time.
 */
function enableCompileCache() {
  try {
    var path = process.getBuiltinModule('path')
    var os = process.getBuiltinModule('os')
    var home = os.homedir()
    if (process.getuid && process.getBuiltinModule('fs').statSync(home).uid !== process.getuid()) return
    var caches = path.join(home, '.cache')
    if (process.platform === 'darwin') caches = path.join(home, 'Library', 'Caches')
    if (process.platform === 'win32') caches = process.env.LOCALAPPDATA || path.join(home, 'AppData', 'Local')
    process.getBuiltinModule('module').enableCompileCache(path.join(caches, 'sealift', 'compiled'))
  } catch (error) {
    return
  }
}
