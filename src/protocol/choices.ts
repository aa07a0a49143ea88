/** What users may choose by name, and both sides understand: plain words, so that the types of the library need nothing else. */

/** What becomes of what is in the way of a file (docs/cli.md, "Conflict policies"). */
export type ConflictPolicy = 'auto' | 'rename' | 'skip' | 'overwrite' | 'update' | 'fail'

export const CONFLICT_POLICIES: readonly ConflictPolicy[] = ['auto', 'rename', 'skip', 'overwrite', 'update', 'fail']

/** How chunks are compressed: a codec, or `auto`, which leaves alone what does not shrink. */
export type CompressSetting = 'none' | 'auto' | 'zstd' | 'gzip' | 'blosc-lz4'

/** All of them, in the order of the help. */
export const COMPRESS_SETTINGS: readonly CompressSetting[] = ['none', 'auto', 'zstd', 'gzip', 'blosc-lz4']
