/**
 * Checks programs that use the packed package by its types alone, as strict as the compiler can be, in each of the
 * environments that users have. One compiler for all of them, which reads each file once: a `tsc` each would take seconds.
 */

import { dirname, join } from 'node:path'
import ts from 'typescript'

export interface Environment {
  readonly resolution: 'nodenext' | 'bundler'
  /** The types of a browser. */
  readonly dom: boolean
  /** The types of Node. */
  readonly node: boolean
}

/** All that there are: by both ways to resolve a package, with either, both and none of the types. */
export const ENVIRONMENTS: readonly Environment[] = (['nodenext', 'bundler'] as const).flatMap((resolution) =>
  [false, true].flatMap((dom) => [false, true].map((node) => ({ resolution, dom, node }))),
)

export class TypeChecker {
  readonly #root: string
  readonly #read = new Map<string, ts.SourceFile | undefined>()

  /** @param root holds the programs and `node_modules` */
  constructor(root: string) {
    this.#root = root
  }

  /**
   * What the compiler says of the programs and of the package's declarations; of those of Node and of the browser only what
   * keeps them from being used, since they are none of ours.
   * @param files of the programs, in the root
   */
  check({ resolution, dom, node }: Environment, files: readonly string[]): string[] {
    const isNodeNext = resolution === 'nodenext'
    const options: ts.CompilerOptions = {
      noEmit: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
      skipLibCheck: false,
      target: ts.ScriptTarget.ES2024,
      lib: ['lib.es2024.d.ts', ...(dom ? ['lib.dom.d.ts'] : [])],
      module: isNodeNext ? ts.ModuleKind.NodeNext : ts.ModuleKind.ESNext,
      moduleResolution: isNodeNext ? ts.ModuleResolutionKind.NodeNext : ts.ModuleResolutionKind.Bundler,
      types: node ? ['node'] : [],
    }
    const program = ts.createProgram({
      rootNames: files.map((file) => join(this.#root, file)),
      options,
      host: this.#host(options),
    })
    const ours = program
      .getSourceFiles()
      .filter(({ fileName }) => fileName.startsWith(this.#root) && !fileName.includes('/node_modules/@types/'))
    const found = [
      ...program.getOptionsDiagnostics(),
      ...program.getGlobalDiagnostics(),
      ...ours.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
    ]
    return found.map((diagnostic) => this.#say(diagnostic))
  }

  #host(options: ts.CompilerOptions): ts.CompilerHost {
    const host = ts.createCompilerHost(options)
    const read = host.getSourceFile.bind(host)
    host.getCurrentDirectory = () => this.#root
    host.getSourceFile = (fileName, versionOrOptions, ...rest) => {
      const format = typeof versionOrOptions === 'object' ? versionOrOptions.impliedNodeFormat : undefined
      const key = `${String(format)} ${fileName}`
      if (!this.#read.has(key)) this.#read.set(key, read(fileName, versionOrOptions, ...rest))
      return this.#read.get(key)
    }
    return host
  }

  #say({ file, start = 0, messageText }: ts.Diagnostic): string {
    const said = ts.flattenDiagnosticMessageText(messageText, '\n')
    if (file === undefined) return said
    const { line } = file.getLineAndCharacterOfPosition(start)
    const name = file.fileName.slice(dirname(this.#root).length + 1)
    return `${name}:${String(line + 1)}: ${said}`
  }
}
