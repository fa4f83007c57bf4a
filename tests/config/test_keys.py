"""Every key has all its fields, and they agree with conf/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from image_tree import digits

from cnntrain.compare.diff import differing
from cnntrain.config.conf_files import choice_values, conf_folder, groups, raw_yaml, typed_values
from cnntrain.config.keys import GROUPS, INFERRED, KEYS, OVERRIDABLE, affected_by, home_of
from cnntrain.config.schema import UNCHANGED, Affects, Command, Key
from cnntrain.image_folder.inventory import usable_inventory

IN_CHOICES = {
    home: {key for choice in choices for key in choice_values(home, choice)}
    for home, choices in groups().items()
}
IN_FILES = {path.stem: set(dict(typed_values(raw_yaml(path)))) for path in conf_folder().glob("*.yaml")}
IN_CHOICES["data"].add("data.source")  # which help does not show


def test_a_key_without_a_line_of_doc_or_without_what_it_affects_cannot_exist() -> None:
    with pytest.raises(TypeError, match="affects"):
        Key("float", "a new option")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="doc"):
        Key("float", affects="weights")  # type: ignore[call-arg]


def test_each_key_has_its_fields() -> None:
    for key, rule in KEYS.items():
        assert rule.doc, key
        assert rule.affects in get_args(Affects), key
        assert set(rule.commands) <= set(get_args(Command)), key
        assert not rule.inferred or rule.accepts("auto"), key
        assert all(rule.accepts(value) for value in rule.examples), key
        assert all(value is UNCHANGED or rule.accepts(value) for value in (rule.local, rule.before)), key


def test_the_default_of_each_key_is_in_its_home_in_conf() -> None:
    for key in KEYS:
        assert key in {**IN_FILES, **IN_CHOICES}[home_of(key)], key


def test_each_value_in_conf_has_a_key() -> None:
    for where, keys in (*IN_FILES.items(), *IN_CHOICES.items()):
        assert keys - {f"{where}._target_"} <= {*KEYS, f"{where}._partial_"}, where


def test_a_key_without_a_row_changes_what_its_group_does_or_else_the_weights() -> None:
    assert affected_by("launcher.own") == affected_by("logger.mine._target_") == "output"
    assert affected_by("optim.own") == affected_by("of_another_version") == "weights"


def test_only_what_changes_the_weights_makes_another_experiment() -> None:
    for key in ("epochs", "precision", "init_from", "optim.own", "of_another_version"):
        assert differing([{key: "1"}, {key: "2"}]) == [key]
    for key in ("seed", "data.split_seed", "data.root", "threads", "doctor", "optim.fused", "launcher.own"):
        assert differing([{key: "1"}, {key: "2"}]) == []


def test_each_command_takes_keys_or_groups_that_are_there() -> None:
    for command in get_args(Command):
        assert OVERRIDABLE[command]
        assert set(OVERRIDABLE[command]) <= {*KEYS, *GROUPS}


def test_what_auto_stands_for_is_found_in_a_folder_of_images(tmp_path: Path) -> None:
    facts = usable_inventory(str(digits(tmp_path / "digits")), "stop", 64, 0).facts(0.15, "auto", "auto")
    assert set(facts) == set(INFERRED)


def test_the_tables_need_neither_torch_nor_hydra() -> None:
    code = (
        "import sys, cnntrain.config.keys; print(sorted({'torch', 'hydra', 'omegaconf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
