/**
 * What makes bash, zsh and fish ask Sealift for completions: a function for each that hands over the words of the line and
 * takes what `sealift complete` answers (`completion.ts`). See docs/decisions/015-own-shell-completion.md.
 *
 * None of them evaluates what was typed: words go over as they are, quotes and all.
 */

export const COMPLETION_SHELLS = ['bash', 'zsh', 'fish'] as const
export type CompletionShell = (typeof COMPLETION_SHELLS)[number]

/**
 * Without an answer, `-o default` lets bash complete file names by itself, with its quoting. Works from bash 3.2 on, without
 * the package bash-completion.
 */
const BASH = `# bash completion for sealift
_sealift() {
  local IFS=$'\\n'
  COMPREPLY=($(sealift complete bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [[ \${COMPREPLY[0]} != :files ]] || COMPREPLY=()
}
complete -o default -F _sealift sealift
`

/** As a file \`_sealift\` in the fpath, or evaluated behind compinit. */
const ZSH = `#compdef sealift
# zsh completion for sealift
_sealift() {
  local -a answer
  answer=("\${(@f)$(sealift complete zsh -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  compset -P '--*='
  case $answer[1] in
    :files) _files ;;
    :folders) _files -/ ;;
    ?*) _describe sealift answer ;;
    *) return 1 ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _sealift "$@"
else
  compdef _sealift sealift
fi
`

const FISH = `# fish completion for sealift
function __sealift_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (sealift complete fish -- $words[2..-1] "$current" 2>/dev/null)
    switch "$answer[1]"
        case :files :folders
            set -l option (string match -r -- '^--[^=]*=' "$current")
            set -l path (string unescape -- (string replace -r -- '^--[^=]*=' '' "$current"))
            if test "$answer[1]" = :folders
                string replace -r -- '^' "$option" (__fish_complete_directories "$path")
            else
                string replace -r -- '^' "$option" (__fish_complete_path "$path")
            end
        case '*'
            string join -- \\n $answer
    end
end
complete -c sealift -f -a '(__sealift_complete)'
`

export const COMPLETION_SCRIPTS: Readonly<Record<CompletionShell, string>> = { bash: BASH, zsh: ZSH, fish: FISH }
