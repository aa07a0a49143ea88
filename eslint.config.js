/** Type-checked rules for all TypeScript; what each folder may touch of the runtime; looser rules where tests need them. */

import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** What the protocol must do without, so that it runs in a browser and answers the same every time. */
const IMPURE_GLOBALS = [
  ['Buffer', 'use Uint8Array: browsers have no Buffer'],
  ['process', 'the protocol knows no process'],
  ['setTimeout', 'time is given from outside'],
  ['setInterval', 'time is given from outside'],
  ['setImmediate', 'time is given from outside'],
  ['Date', 'time is given from outside'],
  ['performance', 'time is given from outside'],
  ['crypto', 'randomness comes through the crypto port'],
  ['console', 'only src/cli writes to the terminal'],
  ['fetch', 'the protocol opens no connections'],
].map(([name, message]) => ({ name, message }))

const CONSOLE_RULE = { name: 'console', message: 'only src/cli writes to the terminal' }
const RANDOM_RULE = {
  object: 'Math',
  property: 'random',
  message: 'guessable and not repeatable: randomness is a CSPRNG or given from outside',
}

const FOLDER_RULE = {
  selector:
    ':matches(CallExpression[callee.name=/^mkdir/], CallExpression[callee.property.name=/^mkdir/]) [key.name="recursive"]',
  message: 'never returns below /proc: src/files/folder-making.ts makes folders',
}

const VERIFY_RULE = {
  selector: 'Property[key.name="rejectUnauthorized"][value.value=false]',
  message: 'a certificate that nobody checks vouches for nobody',
}

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', 'node_modules/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: ['error', 'always'],
      'object-shorthand': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],

      // Numbers and booleans print as one expects.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `() => stream.destroy()` is clear enough, and so is `while (true)`.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      // A name with an underscore says that it is not used.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // Implementing an asynchronous contract needs no await.
      '@typescript-eslint/require-await': 'off',
      // Empty callbacks are how a promise is marked as watched elsewhere.
      '@typescript-eslint/no-empty-function': 'off',
      // `x as number` where noUncheckedIndexedAccess cannot see a loop's bound reads as well as `x!`.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // Errors of other libraries are passed on as they are.
      '@typescript-eslint/only-throw-error': ['error', { allowRethrowing: true }],
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      '@typescript-eslint/no-invalid-void-type': [
        'error',
        { allowAsThisParameter: true, allowInGenericTypeArguments: true },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      'no-restricted-globals': ['error', CONSOLE_RULE],
      'no-restricted-syntax': ['error', FOLDER_RULE, VERIFY_RULE],
    },
  },
  {
    files: ['src/protocol/**/*.ts'],
    rules: { 'no-restricted-globals': ['error', ...IMPURE_GLOBALS] },
  },
  {
    files: ['src/{protocol,crypto,identity}/**/*.ts'],
    rules: { 'no-restricted-properties': ['error', RANDOM_RULE] },
  },
  {
    files: ['src/cli/**/*.ts'],
    rules: { 'no-restricted-globals': 'off' },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Tests look for terminal controls, take variables out of environments, and await promises of nothing.
      'no-control-regex': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
    },
  },
  {
    // Runs on old Nodes: see its first comment.
    files: ['bin/*.js'],
    languageOptions: { ecmaVersion: 2020, sourceType: 'module', globals: { process: 'readonly' } },
    rules: { 'no-undef': 'error', 'prefer-const': 'off' },
  },
)
