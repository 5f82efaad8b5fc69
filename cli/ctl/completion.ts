/** Prints the completions of a shell: a script that asks `faithctl __complete` for the words that may come next. */
import { SHELLS } from './command-options.js'
import { choiceOf, DONE, type Run } from './task.js'

type Shell = (typeof SHELLS)[number]

export const run: Run = async (task) => {
  const [shell, program] = task.words
  const which = choiceOf(task, 'completion', shell, SHELLS) ?? 'bash'
  const of = choiceOf(task, 'completion', program, ['faithctl', 'faithd']) ?? 'faithctl'
  process.stdout.write(completionScript(which, of))
  return await Promise.resolve(DONE)
}

/** Makes the script that completes a program in a shell. */
function completionScript(shell: Shell, program: 'faithctl' | 'faithd'): string {
  return SCRIPTS[shell].replaceAll('@program@', program)
}

const SCRIPTS: Readonly<Record<Shell, string>> = {
  // Splits the line at blanks alone: bash would split an IPv6 address at each colon. Bash replaces the part behind the
  // last colon or equals sign, so the candidates go without the part before it.
  bash: `# bash completion of @program@; faithctl prints it
_@program@() {
  local line=\${COMP_LINE:0:COMP_POINT} word help words=()
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  words[0]=@program@
  local current=\${words[-1]}
  local kept=\${current%"\${current##*[=:]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r word help; do
    if [[ $word == :files ]]; then
      compopt -o default 2>/dev/null
      return
    fi
    COMPREPLY+=("\${word#"$kept"}")
  done < <(faithctl __complete "\${words[@]}" 2>/dev/null)
}
complete -F _@program@ @program@
`,
  zsh: `#compdef @program@
# zsh completion of @program@; faithctl prints it
_@program@() {
  local word help
  local -a candidates
  while IFS=$'\\t' read -r word help; do
    if [[ $word == :files ]]; then
      _files
      return
    fi
    candidates+=("\${word//:/\\\\:}:$help")
  done < <(faithctl __complete @program@ "\${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)
  _describe -V @program@ candidates
}
if [[ \${funcstack[1]} == _@program@ ]]; then
  _@program@ "$@"
else
  compdef _@program@ @program@
fi
`,
  fish: `# fish completion of @program@; faithctl prints it
function __complete_@program@
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    test (count $current) -eq 0; and set current ''
    for line in (faithctl __complete @program@ $before[2..-1] $current 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path $current
        else
            echo $line
        end
    end
end
complete -c @program@ -f -a '(__complete_@program@)'
`,
}
