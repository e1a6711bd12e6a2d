/**
 * `warren completion SHELL`: a script that asks `warren complete` for candidates. The words go over as arguments, never
 * through eval: what stands on the line is not run.
 */
import { WarrenError } from '../../protocol/errors.js';
import type { Context } from '../context.js';

const BASH = `# bash completion for warren
# now:      eval "$(warren completion bash)"
# for good: warren completion bash > ~/.local/share/bash-completion/completions/warren

_warren() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(warren complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -o bashdefault -o default -F _warren warren
`;

const ZSH = `#compdef warren
# zsh completion for warren
# now:      eval "$(warren completion zsh)"
# for good: warren completion zsh > a folder of $fpath, as _warren

_warren() {
  local line
  local -a candidates
  while IFS= read -r line; do
    candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <(warren complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#candidates} )); then
    _describe -t values warren candidates
  else
    _files
  fi
}

if [ "\${funcstack[1]}" = "_warren" ]; then
  _warren "$@"
else
  compdef _warren warren
fi
`;

const FISH = `# fish completion for warren
# now:      warren completion fish | source
# for good: warren completion fish > ~/.config/fish/completions/warren.fish

function __warren_complete
    set -l words (commandline -opc)
    set -e words[1]
    warren complete -- $words (commandline -ct) 2>/dev/null
end

complete -c warren -f -a '(__warren_complete)'
complete -c warren -l home -r -f -a '(__fish_complete_directories)'
`;

const SCRIPTS: ReadonlyMap<string, string> = new Map([
  ['bash', BASH],
  ['zsh', ZSH],
  ['fish', FISH],
]);

export const SHELLS: readonly string[] = [...SCRIPTS.keys()];

export function completion(context: Context, shell: string): Promise<void> {
  const script = SCRIPTS.get(shell);
  if (script === undefined)
    throw new WarrenError('bad-value', `there is no completion for "${shell}"`, {
      hint: `write one of ${SHELLS.join(', ')}`,
    });
  context.world.stdout.write(script);
  return Promise.resolve();
}
