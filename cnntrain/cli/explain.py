"""``cnntrain explain``: which explanation is asked for, of what. Imports no torch before all is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.cli.command import (
    ANYTHING,
    CONFIG_DIR_FLAGS,
    Command,
    config_dir_of,
    language_and_words,
    quiet_as_override,
    split_flags,
)
from cnntrain.cli.help import entry, key_lines, own_values
from cnntrain.config.conf_files import conf_folder, groups, read_yaml
from cnntrain.config.keys import KEYS, OVERRIDABLE
from cnntrain.config.mistakes.malformed import malformed
from cnntrain.errors import UserError, did_you_mean
from cnntrain.explain.table import FIRST, TOPICS, Subject, Topic, contents
from cnntrain.language.translation import LANGUAGES, later, speaking, spoken, tr
from cnntrain.tasks.chosen import DETECTION, check_classification, last_name
from cnntrain.text import expanded, printable, together

if TYPE_CHECKING:
    from cnntrain.runtime.console import Console


def explain(arguments: Sequence[str]) -> int:
    """``cnntrain explain [TOPIC] [overrides] [--as-script FILE]``; alone, the table of contents."""
    lang, arguments = language_and_words(arguments, EXPLAIN)
    with speaking(lang):
        if not arguments:
            print(f"{tr(HEADING)}\n\n{contents()}\n\n{tr(FOOT)}")
            return 0
        return explained(arguments)


def explained(arguments: Sequence[str]) -> int:
    """Explain one topic, or write a script, for words among which there is no ``lang=``."""
    flags, words = split_flags(quiet_as_override(arguments), EXPLAIN)
    script, config_dir = flags.get("--as-script"), config_dir_of(flags)
    topic, words = topic_of(words, of_run=script is not None)
    if script is not None and topic is not FIRST:
        raise UserError(f"--as-script writes a run, which {topic.name} is not: leave one of the two out")
    if script is not None and "=" in script and not Path(script).exists():
        raise UserError(f"--as-script needs a file after it, and {printable(script)} is an override")
    if script is not None and spoken.get() != LANGUAGES[0]:
        raise UserError(f"--as-script writes its comments in English: leave lang={spoken.get()} out")
    if script is not None:  # which says itself what it is for
        topic = replace(topic, tasks=(*topic.tasks, DETECTION))
    subjects = subjects_of(topic, words, config_dir)
    if script is not None:
        from cnntrain.config.sections import ScriptSettings
        from cnntrain.explain.script.script import write_script
        from cnntrain.runtime.console import Console

        (subject,) = subjects
        check_classification("--as-script", subject.config["task"])
        console = Console(subject.config["verbose"])
        write_script(ScriptSettings.from_config(subject.config), words, expanded(script), console)
        return 0
    show(topic, subjects)
    return 0


def show(topic: Topic, subjects: Sequence[Subject]) -> None:
    """Put together what a topic needs, and call it."""
    from cnntrain.runs.named_output import output_folder
    from cnntrain.runtime.console import Console

    config = subjects[0].config
    # A topic without a figure is nothing but its words.
    console = Console(config["verbose"] if topic.draws else max(1, config["verbose"]))
    with ExitStack() as stack:
        folder = output_folder(config["out"], "explain", topic.name)
        behind = [stack.enter_context(folder)] if topic.draws else []
        topic.load()(*needed(topic, subjects, console), console, *behind)


def needed(topic: Topic, subjects: Sequence[Subject], console: Console) -> list[Any]:
    """Return what the function of a topic is given first."""
    from cnntrain.explain.setup import builder, explained_models

    builds: list[Callable[[], Any]] = [builder(subject.config, console) for subject in subjects]
    if topic.needs in ("parts", "builds"):
        return builds if topic.needs == "parts" else [builds]
    if not topic.needs:
        return []
    models = explained_models(subjects, console)
    return [models] if topic.needs == "models" else models


def topic_of(words: Sequence[str], of_run: bool) -> tuple[Topic, list[str]]:
    """Return the topic and the overrides.

    If none is named, it is the one about the typed model, if there is one, and else the five steps.

    Args:
        words: the words as typed, without flags.
        of_run: whether a whole run is asked for, which the five steps stand for.
    """
    named = [word for word in words if "=" not in word and not word.startswith("~")]
    for word in named:
        if word not in TOPICS:
            if word in (*KEYS, *groups()):
                raise UserError(malformed(word, (), words[list(words).index(word) + 1 :]))
            near = did_you_mean(word, TOPICS) or f"; topics: {', '.join(TOPICS)}; without one: the five steps"
            raise UserError(f"explain: unknown topic {printable(word)!r}{near}")
    if len(named) > 1:
        raise UserError(f"explain takes one topic at a time, not {together(named)}")
    overrides = [word for word in words if word not in named]
    if named:
        return TOPICS[named[0]], overrides
    models = [word.removeprefix("model=") for word in words if word.startswith("model=")]
    about = [topic for topic in TOPICS.values() if not of_run and set(topic.models).intersection(models)]
    return (about or [FIRST])[0], overrides


def subjects_of(topic: Topic, words: Sequence[str], config_dir: str | None = None) -> list[Subject]:
    """Return what a topic is about: runs that are named, or what the overrides describe.

    Raises:
        UserError: an override is wrong, or a run is not there.
    """
    from cnntrain.config.overrides import normalized

    runs = [word.partition("=")[2] for word in words if word.startswith("run=")]
    typed = [word for word in words if not word.startswith("run=")]
    if runs and not topic.takes_run:
        *most, last = (other.name for other in TOPICS.values() if other.takes_run)
        raise UserError(f"run={runs[0]}: only explain {', '.join(most)} and {last} take a run")
    if len(runs) > 1 and topic.needs != "models":
        raise UserError(f"explain {topic.name} takes one run, not {len(runs)}")
    if runs:
        return [of_run(topic, run, typed) for run in runs]
    for key in (word.partition("=")[0] for word in typed):
        if "." not in key and key not in KEYS and (near := did_you_mean(key, ["run", "lang"])):
            raise UserError(f"unknown key {key}{near}")
        if topic.keys is not None and key.lstrip("+~") not in topic.keys:
            near = did_you_mean(key, topic.keys) or f": it takes {', '.join([*topic.keys, 'lang'])}"
            raise UserError(f"explain {topic.name} does not take {printable(key)}{near}")
    overrides = [*own_overrides(topic, typed), *normalized(typed)]
    group = topic.compared[0][0].partition("=")[0] if topic.compared else ""
    chosen = (
        (f"{group}=", f"{group}._") if topic.models else (group,)
    )  # arguments may hold for all its models
    if topic.compared and not any(word.startswith(chosen) for word in typed):
        return [of_overrides(topic, [*overrides, *each], config_dir) for each in topic.compared]
    return [of_overrides(topic, overrides, config_dir)]


def own_overrides(topic: Topic, typed: Sequence[str]) -> list[str]:
    """Return the values that a topic begins with, where nothing else is typed."""
    own = []
    for word in topic.overrides:
        key = word.partition("=")[0]
        group = key.partition(".")[0]
        if not any(
            other.startswith((f"{key}=", f"{group}=", f"{group}._", "experiment=")) for other in typed
        ):
            own.append(word)
    if topic.trains and not any(word.startswith(("epochs=", "experiment=")) for word in typed):
        own.append(f"epochs={read_yaml(conf_folder() / 'explain.yaml')['epochs']}")
    return own


def of_overrides(topic: Topic, overrides: Sequence[str], config_dir: str | None) -> Subject:
    """Return the configuration that ``train`` would compose of some overrides."""
    from cnntrain.config.composer import composed
    from cnntrain.config.overrides import check_overrides

    check_overrides(overrides, config_dir, is_sweep=False)
    config = composed(overrides, config_dir).completed()
    if config["seeds"] is not None:
        raise UserError(f"seeds={config['seeds']} makes a sweep of a run, and explain takes one: seed=N")
    return suited(topic, Subject(config))


def of_run(topic: Topic, run: str, overrides: Sequence[str]) -> Subject:
    """Return a run's configuration, overridden, and its best checkpoint."""
    from cnntrain.config.saved.from_checkpoint import check_overridable
    from cnntrain.inference.saved_run import open_best

    parsed = check_overridable(overrides, OVERRIDABLE["explain_run"], "explain run=RUN")
    saved = open_best(run, "eval", parsed, own={"out": None})
    return suited(topic, Subject(saved.config, saved.path, saved.state))


def suited(topic: Topic, subject: Subject) -> Subject:
    """Return a subject that a topic can be about.

    Raises:
        UserError: the run learns something else, or its model has nothing of the kind.
    """
    task, model = (str(subject.config[group]["_target_"]) for group in ("task", "model"))
    if topic.models and model not in topic.targets:
        choices = " or ".join(f"model={name}" for name in topic.models)
        raise UserError(f"explain {topic.name} is about {choices}, and this model is {last_name(model)}")
    if task not in topic.tasks:
        known = together(last_name(target).lower() for target in topic.tasks)
        raise UserError(f"explain {topic.name} is for {known} only, and this run learns {last_name(task)}")
    inputs = subject.config["data"].get("inputs") or "images"
    if inputs not in topic.inputs:
        raise UserError(f"explain {topic.name} is for images only, and these data are data.inputs={inputs}")
    return subject


def topics_and_keys(subject: str) -> str:
    """Return what help says about the topics, the flag and the keys of their own."""
    topics = "\n".join(entry(f"  {topic.name}", topic.help) for topic in TOPICS.values())
    values = own_values("explain")
    keys = f"Keys of the topics, and their own defaults:\n{key_lines(values, values)}"
    return f"Topics:\n{topics}\n\n{FLAGS}\n{keys}"


FLAGS = """\
Flags:
  --as-script FILE            write the run as one plain PyTorch file that does
                              not need cnntrain and ends with the same weights:
                              cnntrain explain model=cnn --as-script cnn.py
"""
HEADING = later("""\
cnntrain explain TOPIC [KEY=VALUE ...]

Each topic shows one claim of the course with numbers, and draws a figure.""")
FOOT = later("""\
Keys without a topic are for `steps`: cnntrain explain model=cnn optim=sgd
or, by their model, for its topic:    cnntrain explain model=unet
A run as one plain PyTorch file:      cnntrain explain --as-script lesson.py
In French:                            cnntrain explain lang=fr
More: cnntrain explain --help""")
EXPLAIN = Command(
    "explain",
    explain,
    {"[TOPIC]": "claims of the course; no TOPIC: a list"},
    """\
cnntrain explain                                    table of contents
cnntrain explain TOPIC [KEY=VALUE ...]
cnntrain explain [KEY=VALUE ...] [--as-script FILE]

Shows what training does, one topic at a time, with numbers in the terminal and
figures in a new folder under outputs/explain/. Accepts the keys of `cnntrain
train`. Keys without a topic are for `steps`, or for the topic about their
`model=`, if there is one.

""",
    {**CONFIG_DIR_FLAGS, "--as-script": ANYTHING},
    topics=TOPICS,
    keys_help=topics_and_keys,
    composes=True,
)
