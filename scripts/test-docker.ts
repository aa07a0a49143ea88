/**
 * Runs `test/docker` with a Docker daemon of its own (test/rigs/docker). Where that cannot be, the reason is printed and
 * the tests are skipped. Whatever happens, nothing of the daemon is left behind but the cached base image.
 *
 *   npm run test:docker [-- FILTER…]
 */

import { makeBaseImage } from '../test/rigs/docker/base-image.ts'
import { dockerFolder, removeDocker, whyNoDocker } from '../test/rigs/docker/docker.ts'
import { runPreparedTests } from './prepared-tests.ts'
import { installPackage } from './test-setup.ts'

const PACKAGES = [
  { name: 'docker.io', program: 'dockerd' },
  { name: 'docker-compose', program: 'docker-compose' },
  { name: 'debootstrap', program: 'debootstrap' },
]

if (process.platform === 'linux')
  for (const wanted of PACKAGES) installPackage({ ...wanted, neededBy: 'tests of the container' })
runPreparedTests({
  flag: '--docker',
  what: 'Docker',
  whyNot: whyNoDocker,
  make: makeBaseImage,
  folder: dockerFolder,
  remove: removeDocker,
  variables: { made: 'SEALIFT_DOCKER_ARCHIVE', folder: 'SEALIFT_DOCKER_FOLDER', reason: 'SEALIFT_DOCKER_REASON' },
})
