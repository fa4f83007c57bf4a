"""Shell completion: words are completed from conf/, without Hydra or torch, at once."""

from __future__ import annotations

from pathlib import Path

from cnntrain.config import groups
from cnntrain.run_folder import OUTPUTS

SCRIPTS = {
    "bash": """\
_cnntrain() {
    local cur words
    cur="${COMP_LINE:0:COMP_POINT}"
    read -r -a words <<< "$cur"
    [[ "$cur" == *" " ]] && words+=("")
    local word="${words[-1]}" prefix=""
    # bash splits words at = and completes only what stands behind it
    [[ "$word" == *=* ]] && prefix="${word%=*}="
    COMPREPLY=()
    while IFS= read -r line; do
        [[ -n "$line" ]] && COMPREPLY+=("${line#"$prefix"}")
    done < <(cnntrain _complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
    return 0
}
complete -o default -F _cnntrain cnntrain""",
    "zsh": """\
_cnntrain() {
    local -a found
    found=("${(@f)$(cnntrain _complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -S '' -- $found
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _cnntrain cnntrain""",
    "fish": """\
function __cnntrain_complete
    set -l words (commandline -opc) (commandline -ct)
    cnntrain _complete $words[2..-1] 2>/dev/null
end
complete -c cnntrain -f -a '(__cnntrain_complete)'""",
}


def candidates(words: list[str], commands: list[str]) -> list[str]:
    """Return what may stand in the place of the last word, the words before it being complete."""
    *before, current = words or [""]
    if not before:
        return [name for name in commands if name.startswith(current)]
    command = before[0]
    if command == "completion":
        return [shell for shell in SCRIPTS if shell.startswith(current)]
    if command in ("resume", "eval") and len(before) == 1:
        return [run for run in ["last", *runs()] if run.startswith(current)]
    offered = groups()
    key, equals, value = current.partition("=")
    if equals and key in offered:
        head, comma, last = value.rpartition(",")  # optim=sgd,a
        return [f"{key}={head}{comma}{choice}" for choice in offered[key] if choice.startswith(last)]
    if equals:
        return [f"{key}={choice}" for choice in choices_of(key) if choice.startswith(value)]
    return [name for name in names(command, offered) if name.startswith(current)]


def choices_of(key: str) -> tuple[str, ...]:
    """Return the values that a key may have, where they can be listed."""
    from cnntrain.schema import KEYS

    rule = KEYS.get(key)
    if key == "device":
        return ("auto", "cpu", "cuda", "mps")
    if rule is None:
        return ()
    return ("true", "false") if rule.kind == "bool" else rule.choices


def names(command: str, offered: dict[str, list[str]]) -> list[str]:
    """Return what may stand before the = for a command."""
    from cnntrain.cli import EVALUABLE, RESUMABLE
    from cnntrain.config import defaults
    from cnntrain.schema import KEYS

    if command == "resume":
        return [f"{key}=" for key in RESUMABLE]
    if command == "eval":
        data_keys = [key for key in KEYS if key.startswith("data.")]
        return [f"{key}=" for key in [*EVALUABLE, "data", *data_keys] if not key.endswith(".")]
    return sorted({f"{name}=" for name in [*offered, *defaults()]})


def runs() -> list[str]:
    """Return the runs under outputs/, newest first."""
    found = [
        p.parent
        for pattern in ("train/*", "sweeps/*/*")
        for p in Path(OUTPUTS).glob(f"{pattern}/config.yaml")
    ]
    return [str(folder) for folder in sorted(found, key=lambda f: f.stat().st_mtime, reverse=True)]
