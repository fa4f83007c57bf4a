"""Shell completion: words are completed from conf/, without Hydra or torch, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnntrain.cli.command import Command
from cnntrain.cli.help import own_values
from cnntrain.config.conf_files import choice_values, default_choices, defaults, groups
from cnntrain.config.keys import KEYS, home_of
from cnntrain.errors import UserError
from cnntrain.runs.run_folder import OUTPUTS, SWEEP

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


def completion(arguments: Sequence[str]) -> int:
    """``cnntrain completion SHELL``."""
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        raise UserError(f"completion takes the name of a shell: {', '.join(SCRIPTS)}")
    print(SCRIPTS[arguments[0]])
    return 0


def candidates(words: Sequence[str], commands: Mapping[str, Command]) -> list[str]:
    """Return the completions of the last word; the words before it are complete.

    An empty list leaves the word to the shell, which offers files.
    """
    *before, current = words or [""]
    return [candidate for candidate in offers(before, current, commands) if candidate.startswith(current)]


def offers(before: Sequence[str], current: str, commands: Mapping[str, Command]) -> list[str]:
    """Return what may follow complete words, before what is typed already narrows it."""
    if not before:
        return [*commands, "--help", "--version"] if current.startswith("-") else list(commands)
    command, arguments = commands.get(before[0]), before[1:]
    if command is None:
        return []
    if arguments and arguments[-1] in ("--help", "-h"):
        return ["all", *groups(), *KEYS] if command.composes else []
    if arguments and command.flags.get(arguments[-1]):
        return [value for value in command.flags[arguments[-1]] if value.islower()]
    if current.startswith("-"):
        return [*(flag for flag in command.flags if flag.startswith("--")), "--help"]
    return words_of(command, arguments, current)


def words_of(command: Command, arguments: Sequence[str], current: str) -> list[str]:
    """Return what may follow the words after a command, except for flags."""
    if command.needs_run and not arguments:
        return ["last", *runs()]
    if command.takes_files and len(arguments) <= command.needs_run:
        return []  # files and folders, which the shell offers
    key, equals, value = current.partition("=")
    offered = names(command, arguments)
    if equals and offered:
        names_run = key in KEYS and KEYS[key].path == "run" and home_of(key) in ("train", command.name)
        return [f"{key}={run}" for run in ("last", *runs())] if names_run else values(key, value)
    topics = () if arguments else command.topics
    if topics and not current:
        return list(topics)  # which 80 keys would hide
    runs_too = ["last", *runs()] if command.takes_runs else []
    return [*topics, *runs_too, *(f"{name}=" for name in offered)]


def values(key: str, typed: str) -> list[str]:
    """Return the overrides that give a key one of its values, where these can be listed."""
    rule, offered = KEYS.get(key), groups()
    if key in offered:
        head, comma, _ = typed.rpartition(",")  # optim=sgd,a
        return [f"{key}={head}{comma}{choice}" for choice in offered[key]]
    if rule is None:
        return []
    listed = ("true", "false") if rule.kind == "bool" else rule.choices or rule.examples
    return [f"{key}={value}" for value in (*listed, *(("auto",) if rule.auto else ()))]


def names(command: Command, arguments: Sequence[str]) -> list[str]:
    """Return the keys that may stand before the = for a command, given the choices already made."""
    if not command.composes:
        return list(command.keys or own_values(command.name))
    offered = groups()
    typed = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    found = {*offered, *(key for key in defaults() if key.partition(".")[0] not in offered)}
    for group, choice in {**default_choices(), **typed}.items():
        for one in choice.split(","):
            if one in offered.get(group, ()):
                found.update(choice_values(group, one))
    found.update(key for key in own_values(command.name) if key in KEYS)
    return sorted(found)


def runs() -> list[str]:
    """Return the runs and sweeps under outputs/, newest first."""
    patterns = ("train/*/config.yaml", "sweeps/*/*/config.yaml", f"sweeps/*/{SWEEP}")
    found = [path.parent for pattern in patterns for path in Path(OUTPUTS).glob(pattern)]
    return [str(folder) for folder in sorted(found, key=lambda f: f.stat().st_mtime, reverse=True)]


COMPLETION = Command(
    "completion",
    completion,
    {"bash|zsh|fish": "print a completion script for a shell"},
    """\
cnntrain completion bash|zsh|fish

Prints a completion script. To load it in every new shell:
  bash   echo 'source <(cnntrain completion bash)' >> ~/.bashrc
  zsh    echo 'source <(cnntrain completion zsh)' >> ~/.zshrc
  fish   cnntrain completion fish > ~/.config/fish/completions/cnntrain.fish
""",
    topics=tuple(SCRIPTS),
)
