"""Shell completion: words are completed from conf/, without Hydra or torch, at once."""

from __future__ import annotations

from pathlib import Path

from cnntrain.cli.flags import (
    COMPARE_FLAGS,
    CONFIG_DIR_FLAGS,
    DATA_FLAGS,
    EXPLAIN_FLAGS,
    HYDRA_FLAGS,
    PREDICT_FLAGS,
    TOPICS,
)
from cnntrain.config.compose import choice_values, default_choices, defaults, groups
from cnntrain.config.schema import KEYS
from cnntrain.runs.run_folder import OUTPUTS, SWEEP

COMMAND_FLAGS = {
    "train": HYDRA_FLAGS,
    "bench": CONFIG_DIR_FLAGS,
    "explain": EXPLAIN_FLAGS,
    "summary": CONFIG_DIR_FLAGS,
    "data": DATA_FLAGS,
    "compare": COMPARE_FLAGS,
    "predict": PREDICT_FLAGS,
}
SCRIPTS = {
    "bash": """\
_cnntrain() {
    local line="${COMP_LINE:0:COMP_POINT}" words word prefix=""
    read -r -a words <<< "$line"
    [[ "$line" == *" " ]] && words+=("")
    word="${words[${#words[@]}-1]}"
    # bash splits words at = and completes only what stands behind it
    [[ "$word" == *=* && "$COMP_WORDBREAKS" == *=* ]] && prefix="${word%=*}="
    COMPREPLY=()
    while IFS= read -r line; do
        [[ -n "$line" ]] && COMPREPLY+=("${line#"$prefix"}")
    done < <(cnntrain _complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _cnntrain cnntrain""",
    "zsh": """\
_cnntrain() {
    local -a found open closed
    found=("${(@f)$(cnntrain _complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    open=(${(M)found:#*=}) closed=(${found:#*=})
    if (( $#open + $#closed )); then
        compadd -S '' -- $open
        compadd -- $closed
    else
        compset -P '*='
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _cnntrain cnntrain""",
    "fish": """\
function __cnntrain_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (cnntrain _complete $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        set -l key (string match -r '^.*=' -- (commandline -ct))
        for path in (__fish_complete_path (string replace -r '^.*=' '' -- (commandline -ct)))
            echo "$key$path"
        end
    end
end
complete -c cnntrain -f -a '(__cnntrain_complete)'""",
}


def candidates(words: list[str], commands: list[str]) -> list[str]:
    """Return the completions of the last word; the words before it are complete.

    An empty list leaves the word to the shell, which offers files.
    """
    *before, current = words or [""]
    return [candidate for candidate in offers(before, current, commands) if candidate.startswith(current)]


def offers(before: list[str], current: str, commands: list[str]) -> list[str]:
    """Return what may follow complete words, before what is typed already narrows it."""
    if not before:
        return [*commands, "--help", "--version"] if current.startswith("-") else commands
    command, *arguments = before
    if command == "data" and not current.startswith("-"):
        return []  # the shell offers folders
    if command == "completion":
        return list(SCRIPTS)
    if command not in commands:
        return []
    flags = COMMAND_FLAGS.get(command, {})
    if arguments and arguments[-1] in ("--help", "-h"):
        return ["all", *groups(), *KEYS] if command == "train" else []
    if arguments and flags.get(arguments[-1]):
        return [value for value in flags[arguments[-1]] if value.islower()]
    if command in ("resume", "eval", "report", "predict", "export") and not arguments:
        return ["last", *runs()]
    if current.startswith("-"):
        return [*(flag for flag in flags if flag.startswith("--")), "--help"]
    if command == "predict" and len(arguments) == 1:
        return []  # a file, which the shell offers
    key, equals, value = current.partition("=")
    if key == "init_from" or (command == "explain" and key == "run"):
        return [f"{key}={run}" for run in ("last", *runs())]
    if command == "explain" and not arguments and not current:
        return list(TOPICS)  # which 80 keys would hide
    if command == "explain" and not arguments and not equals:
        return [*TOPICS, *(f"{name}=" for name in names(command, arguments))]
    if command == "compare" and not equals:
        return ["last", *runs(), "monitor="]
    return values(key, value) if equals else [f"{name}=" for name in names(command, arguments)]


def values(key: str, typed: str) -> list[str]:
    """Return the overrides that give a key one of its values, where these can be listed."""
    rule, offered = KEYS.get(key), groups()
    if key in offered:
        head, comma, _ = typed.rpartition(",")  # optim=sgd,a
        return [f"{key}={head}{comma}{choice}" for choice in offered[key]]
    if key == "device":
        return [f"{key}={name}" for name in ("auto", "cpu", "cuda", "mps")]
    listed = ("true", "false") if rule and rule.kind == "bool" else rule.choices if rule else ()
    listed = (*listed, *(("auto",) if rule and rule.auto else ()))
    return [f"{key}={value}" for value in listed]


def names(command: str, arguments: list[str]) -> list[str]:
    """Return the keys that may stand before the = for a command, given the choices already made."""
    from cnntrain.config.amendable import AMENDABLE

    if command in AMENDABLE:
        return list(AMENDABLE[command])
    offered = groups()
    typed = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    found = {*offered, *(key for key in defaults() if key.partition(".")[0] not in offered)}
    for group, choice in {**default_choices(), **typed}.items():
        for one in choice.split(","):
            if one in offered.get(group, ()):
                found.update(choice_values(group, one))
    return sorted(found)


def runs() -> list[str]:
    """Return the runs and sweeps under outputs/, newest first."""
    patterns = ("train/*/config.yaml", "sweeps/*/*/config.yaml", f"sweeps/*/{SWEEP}")
    found = [path.parent for pattern in patterns for path in Path(OUTPUTS).glob(pattern)]
    return [str(folder) for folder in sorted(found, key=lambda f: f.stat().st_mtime, reverse=True)]
