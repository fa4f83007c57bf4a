"""A tokenizer of the library ``tokenizers``: a file of the user's, and how a configuration keeps it."""

from __future__ import annotations

import base64
import json
import zlib
from functools import lru_cache
from typing import Any

from cnntrain.errors import UserError, describe_error
from cnntrain.runtime.imports import needed
from cnntrain.sequences.layout import contents, decoded
from cnntrain.text import expanded, printable, shown_path

LARGEST = 6 * 2**20  # characters of a packed one, which a config.yaml holds
LARGEST_JSON = 2**26  # bytes, as of any file that is read
BE = "it takes a tokenizer.json, as the library tokenizers saves it"


def packed(file: str) -> str:
    """Return a file ``tokenizer.json`` as letters that YAML and Hydra take as they are: its JSON, compressed.

    Args:
        file: its path.

    Raises:
        UserError: it can't be read, is not a tokenizer, or is too large.
    """
    shown = f"data.tokens={printable(shown_path(file))}"
    path = expanded(file)
    if not path.is_file():
        raise UserError(f"{shown}: there is no such file; {BE}")
    try:
        content = json.loads(decoded(contents(path), shown))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{shown} is not JSON: {describe_error(error)}; {BE}") from error
    text = json.dumps(content, separators=(",", ":"))
    tokenizer_of(text, shown)
    found = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if len(found) > LARGEST:
        size = f"compressed it has {len(found) / 2**20:.0f} MB"
        raise UserError(f"{shown} is too large: {size}, and a checkpoint takes {LARGEST // 2**20} MB")
    return found


def unpacked(text: str) -> str:
    """Return the JSON of a packed tokenizer.

    Raises:
        UserError: it is none, or larger than any file that is read.
    """
    inflate = zlib.decompressobj()
    try:
        found = inflate.decompress(base64.b64decode(text, validate=True), LARGEST_JSON).decode()
    except (ValueError, zlib.error) as error:
        raise UserError(f"data.vocabulary holds no tokenizer: {describe_error(error)}") from error
    if not inflate.eof:
        raise UserError("data.vocabulary holds no tokenizer: it is cut off, or too large")
    return found


@lru_cache(maxsize=2)
def kept(text: str) -> Any:
    """Return the ``tokenizers.Tokenizer`` of a packed one. It neither pads nor cuts.

    Raises:
        UserError: it is none, or the library is not installed.
    """
    return tokenizer_of(unpacked(text), "data.vocabulary")


def tokenizer_of(text: str, shown: str) -> Any:
    """Return the ``tokenizers.Tokenizer`` of its JSON.

    Args:
        text: the JSON.
        shown: what messages call it.

    Raises:
        UserError: it is none, or the library is not installed.
    """
    needed("tokenizers", shown)
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # a plain Exception is all that the library raises
        raise UserError(f"{shown} is not a tokenizer: {printable(error)}; {BE}") from error
    tokenizer.no_padding()  # which batches do, and data.steps cuts
    tokenizer.no_truncation()
    if not tokenizer.get_vocab():
        raise UserError(f"{shown} has no tokens: train it first")
    return tokenizer


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """Return the numbers of a text's tokens, with those that the tokenizer puts around it.

    Raises:
        UserError: it can't take the text, as one without a token for unknown words can't.
    """
    try:
        found: list[int] = tokenizer.encode(text).ids
    except Exception as error:  # as above
        shown = printable(" ".join(text.split()), 40)
        raise UserError(f"the tokenizer can't take the text '{shown}': {printable(error)}") from error
    return found
