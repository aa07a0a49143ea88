/**
 * Runs `test/tailnet` on a real tailnet of this machine's own (test/rigs/tailnet). Where that cannot be, the reason is
 * printed and the tests are skipped. Whatever happens, nothing of the tailnet is left behind.
 *
 *   npm run test:tailnet [-- FILTER…]
 */

import { buildTailscale, whyNoTailnet } from '../test/rigs/tailnet/build.ts'
import { removeTailnet, tailnetFolder } from '../test/rigs/tailnet/tailnet.ts'
import { runPreparedTests } from './prepared-tests.ts'
import { installPackage } from './test-setup.ts'

if (process.platform === 'linux') installPackage({ name: 'iproute2', program: 'ip', neededBy: 'tests on a tailnet' })
runPreparedTests({
  flag: '--tailnet',
  what: 'tailnet',
  whyNot: whyNoTailnet,
  make: buildTailscale,
  folder: tailnetFolder,
  remove: removeTailnet,
  variables: { made: 'SEALIFT_TAILNET_PROGRAMS', folder: 'SEALIFT_TAILNET_FOLDER', reason: 'SEALIFT_TAILNET_REASON' },
})
