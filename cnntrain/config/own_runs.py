"""The checkpoints that this user has made on this machine: they may name classes of the user's own.

``train model._target_=mynet.MyNet`` imports mynet, since the user typed it. ``eval`` of that run imports it
too, although a checkpoint is only data: the run's configuration is signed (HMAC-SHA-256) with a key that only
this user can read, in ``$XDG_STATE_HOME/cnntrain/key`` or below ``~/.local/state``. What is signed is the
configuration and the file from which each package of the user's own comes. So

- nobody else can make a checkpoint that is taken for the user's own, as the key never leaves the machine;
- a run that comes back changed is not taken for it, unless only its weights have changed;
- a signed run beside another ``mynet.py``, in a folder that was unpacked from somewhere, is not either.

The same holds for ``config.yaml`` of a run that has no checkpoint yet, and for the configurations of the jobs
that ``sweep.yaml`` describes.

Whoever can write to the user's own ``mynet.py`` needs no checkpoint. Without a valid signature, as with
anybody's checkpoint, ``trust=[mynet]`` is asked for. No torch.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import os
import secrets
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from cnntrain.config.instantiate import has_positional, is_own_class, targets

LENGTH = 32  # bytes of the key
SIGNATURE = "signature"
COMMENT = "# signature: "


def signature(config: Mapping[str, Any]) -> str | None:
    """Return the signature of a configuration that the user typed; None if it needs none or none is possible.

    Only a configuration that nobody's checkpoint may hold needs one.
    """
    if not needs_signature(config):
        return None
    own = key(make=True)
    return None if own is None else signed(config, own)


def is_own(state: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint is of a run of this user's, made here from the same source files."""
    found = state.get(SIGNATURE)
    if not isinstance(found, str):
        return False
    own = key(make=False)
    return own is not None and hmac.compare_digest(signed(state["config"], own).encode(), found.encode())


def as_comment(found: str | None) -> str:
    """Return the line of YAML that holds a signature; nothing without one."""
    return "" if found is None else f"{COMMENT}{found}\n"


def in_comment(text: str) -> str | None:
    """Return the signature that YAML holds in a comment of its last line, or None."""
    last = text.rstrip("\n").rpartition("\n")[2]
    return last.removeprefix(COMMENT) if last.startswith(COMMENT) else None


def needs_signature(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration names a class of others, or arguments by their places, or a compiler."""
    return bool(packages_of(config)) or has_positional(config) or config.get("compile") is True


def packages_of(config: Mapping[str, Any]) -> list[str]:
    """Return the packages of others whose classes a checkpoint's configuration would have built."""
    built = {name: node for name, node in config.items() if name != "launcher"}
    return sorted({target.partition(".")[0] for target in targets(built) if not is_own_class(target)})


def signed(config: Mapping[str, Any], own: bytes) -> str:
    """Return the signature of a configuration and the places of its packages."""
    places = {name: place_of(name) for name in packages_of(config)}
    text = json.dumps([config, places], sort_keys=True, default=str)
    return hmac.new(own, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def place_of(package: str) -> list[str]:
    """Return the file or the folders that a package would be imported from here, without importing it."""
    try:
        spec = importlib.util.find_spec(package) or PathFinder.find_spec(package, [str(Path.cwd())])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return [os.path.realpath(place) for place in places]


def key(make: bool) -> bytes | None:
    """Return this user's key; None if there is none, or it can't be made."""
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "cnntrain"
        if make and not (folder / "key").exists():
            make_key(folder)
        found = (folder / "key").read_bytes()
    except (OSError, RuntimeError):  # a read-only home, or no home at all
        return None
    return found if len(found) == LENGTH else None


def make_key(folder: Path) -> None:
    """Write a new key that only this user can read, unless another process has written one meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".key.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
        try:
            os.link(temporary, folder / "key")
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
