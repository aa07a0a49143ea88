/**
 * Who may import whom. The table of docs/architecture.md as rules; each rule's comment is its reason, and
 * `scripts/check-layers.ts` prints it beside what broke it.
 */

/** What a folder of src may import of the others, and why no more. */
const LAYERS = {
  protocol: {
    may: [],
    why: 'the rules of the wire stay pure, so that they run in a browser and in tests without a machine around them',
  },
  config: { may: ['protocol'], why: 'settings are names, defaults and checks; who acts on them is not their business' },
  codecs: { may: ['protocol'], why: 'a codec turns bytes into bytes and knows no transfer, file or key' },
  crypto: { may: ['protocol'], why: 'crypto fills the port that the protocol defines and sees no files or peers' },
  identity: {
    may: ['protocol', 'crypto', 'files/folder-making\\.ts$'],
    why: 'keys, certificates and tokens are made before any transfer exists',
  },
  files: { may: ['protocol'], why: 'reading and writing trees safely must be testable without network or ledger' },
  ledger: {
    may: ['protocol', 'files/folder-making\\.ts$'],
    why: 'the ledger records what is safe; it does not know how the bytes came, and makes its folder as all folders are made',
  },
  carriers: {
    may: ['protocol/(errors|bytes)\\.ts$'],
    why: 'a carrier moves sealed bytes and is trusted with nothing else: no keys, files, ledger or transfer',
  },
  guard: {
    may: ['protocol', 'ledger'],
    why: 'who may come in is decided on recorded facts, not on a running transfer',
  },
  transfer: {
    may: ['protocol', 'crypto', 'codecs', 'files', 'ledger', 'carriers/carrier\\.ts$'],
    why: 'the engine knows carriers by their contract only; it is given carriers, admission and settings',
  },
  server: {
    may: ['protocol', 'config', 'codecs', 'identity', 'crypto', 'files', 'ledger', 'carriers', 'guard', 'transfer'],
    why: 'a server joins the parts below it; it must not need the HTTP service, the library page or the command line',
  },
  service: {
    may: ['protocol', 'config', 'codecs', 'identity', 'crypto', 'files', 'ledger', 'carriers', 'guard', 'transfer'],
    why: 'the service joins the parts below it; it must not need the TCP server, the library page or the command line',
  },
}

const BUNDLED = '(^|/)node_modules/(zod|commander|@noble/(curves|hashes))/'
/** What carriers share and is no carrier itself: the contract, and what TCP and TLS do alike with a socket. */
const CARRIER_GROUND = '^src/carriers/(carrier|socket-[a-z-]+)\\.ts$'

const layerRules = Object.entries(LAYERS).map(([folder, layer]) => ({
  name: `layer-${folder}`,
  severity: 'error',
  comment: layer.why,
  from: { path: `^src/${folder}/` },
  to: {
    path: '^(src|web|test|bench|scripts)/',
    pathNot: [folder, ...layer.may].map((may) => `^src/${may}${may.endsWith('$') ? '' : '/'}`),
  },
}))

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'layer-cli',
      severity: 'error',
      comment: 'the command line is shipped: it stands on src alone, never on tests or scripts',
      from: { path: '^src/(cli/|index\\.ts$)' },
      to: { path: '^(web|test|bench|scripts)/' },
    },
    {
      name: 'library-without-cli',
      severity: 'error',
      comment: 'the library must not draw on a terminal: the command line is a user of the library, not a part of it',
      from: { path: '^src/index\\.ts$' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'layer-web',
      severity: 'error',
      comment: 'the page runs in a browser: of src it may have the pure protocol and Web Crypto only',
      from: { path: '^web/' },
      to: { path: '^(src|test|bench|scripts)/', pathNot: '^src/(protocol/|crypto/web\\.ts$)' },
    },
    {
      name: 'protocol-pure',
      severity: 'error',
      comment: 'the protocol runs unchanged in a browser, so it imports nothing that only Node has',
      from: { path: '^src/protocol/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'protocol-small-libraries',
      severity: 'error',
      comment: 'the protocol may use small pure libraries (curve points, schemas) and no others',
      from: { path: '^src/protocol/' },
      to: { path: '(^|/)node_modules/', pathNot: '(^|/)node_modules/(zod|@noble/(curves|hashes))/' },
    },
    {
      name: 'no-carrier-imports-another',
      severity: 'error',
      comment: 'carriers are exchangeable: what two of them share belongs to the contract or to a module that is none',
      from: { path: '^src/carriers/(?:chat/)?([a-z0-9-]+)' },
      to: {
        path: '^src/carriers/',
        pathNot: [CARRIER_GROUND, '^src/carriers/(?:chat/)?$1[./]'],
      },
    },
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'two modules that need each other are one module, or hide a third',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      comment: 'a module that nothing imports and that imports nothing is dead',
      from: { orphan: true, path: '^src/', pathNot: '^src/(index|cli/main)\\.ts$' },
      to: {},
    },
    {
      name: 'not-to-unresolvable',
      severity: 'error',
      comment: 'an import that cannot be found breaks at run time',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'shipped-needs-are-declared',
      severity: 'error',
      comment: 'what src imports is either bundled by scripts/build.ts or a dependency that users install',
      from: { path: '^src/' },
      to: {
        path: '(^|/)node_modules/',
        dependencyTypesNot: ['npm', 'type-only'],
        pathNot: [BUNDLED, '(^|/)node_modules/@types/'],
      },
    },
    {
      name: 'no-deprecated-core',
      severity: 'error',
      comment: 'deprecated modules of Node go away',
      from: {},
      to: { dependencyTypes: ['deprecated'] },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^dist/'] },
    exclude: { path: ['^dist/', '^coverage/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
}
