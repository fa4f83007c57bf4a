"""Exported models of sequences: what they take, on what they are compared, and what lies beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.config.inputs import TEXT
from cnntrain.config.sections import ExportSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.reader import Reader
from cnntrain.data.sequences.batch import of_lengths, unpadded
from cnntrain.errors import CnntrainError
from cnntrain.inference.model import Trained
from cnntrain.inference.portable.comparison import Comparison
from cnntrain.inference.portable.description import README
from cnntrain.inference.portable.from_bytes import FromBytes
from cnntrain.inference.portable.writers import Run, Source
from cnntrain.runs.named_output import save_bytes
from cnntrain.runtime.console import Console
from cnntrain.runtime.torch_private import can_loop
from cnntrain.sequences.tokens import WORD
from cnntrain.text import encoded, printable, some

PLACE = "its place in `vocabulary` (metadata), from 1; 0 if it is not there"
SEQUENCES = 1000  # of the test set, on which an exported model is compared with torch
BATCHES = (2, 7, 128)  # sizes that the comparison goes through; each batch has a length of its own
TEXT_OF_README = """# {model}, exported by cnntrain {cnntrain}

{files}

{input}
A batch is padded with anything behind the end of the shorter sequences, and `lengths` says where that is. At
most {steps} steps: cut off the rest, as training did.{unrolled} The output is {output}.

The classes: {names}. Each file holds them in its metadata, with the normalisation{also}.
"""
FILES = {
    "onnx": "- `model.onnx`: for onnxruntime and other programs:\n  "
    "`session.run(None, {{'{name}': ..., 'lengths': ...}})`.",
    "pt2": '- `model.pt2`: `torch.export.load("model.pt2").module()({name}, lengths)`.',
    "safetensors": "- `model.safetensors`: the weights alone, by the names of the network's state_dict.",
}


UNROLLED = " For `model.pt2`, whose steps torch has unrolled, T is {}: pad all to that."


class FromSequences(FromBytes):
    """A network of sequences with its preprocessing before it and the task's head after it.

    Args:
        trained: the model.

    Attributes:
        is_unrolled: whether torch.export writes one step after the other, for a fixed number of them.

    """

    def __init__(self, trained: Trained) -> None:
        mean, std = (torch.tensor(trained.normalization[name]) for name in ("mean", "std"))
        super().__init__(trained.model, trained.task, mean, std)
        self.mean, self.scale = mean, 1 / std  # of each feature, which is no byte
        self.is_series = trained.inputs != TEXT
        self.name = "series" if self.is_series else "tokens"
        layers = [module for module in trained.model.modules() if isinstance(module, nn.RNNBase)]
        self.is_unrolled = bool(layers) and not can_loop()

    def forward(self, images: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]  # one more
        """Map sequences to what the task makes of the outputs, float32 (N, ...).

        Args:
            images: the sequences, float32 (N, T, F), or the numbers of tokens, int64 (N, T).
            lengths: the steps of each, int64 (N,), from 1 to T.
        """
        return self.task.activate(self.network(images, lengths))

    def network(self, images: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]  # likewise
        """Map sequences to what the network gives before the task's head, float32 (N, ...)."""
        values = (images - self.mean) * self.scale if self.is_series else images[..., None].float()
        output: Tensor = self.model(of_lengths(values, lengths))
        return output


@dataclass(frozen=True)
class SequenceSource(Source):
    """What is written of a model of sequences.

    Args:
        lengths: the lengths of the example, float32 (N, T, F) or int64 (N, T): int64 (N,).
        steps: the most steps that a sequence has.
    """

    lengths: Tensor
    steps: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The example with its lengths."""
        return self.example, self.lengths

    @property
    def names(self) -> tuple[str, ...]:
        """What the inputs are called in ONNX."""
        assert isinstance(self.model, FromSequences)
        return self.model.name, "lengths"

    def dynamic_shapes(self, kind: str) -> dict[str, dict[int, Any]]:
        """Return which sizes are free: of the batch, and of its sequences unless torch unrolls them."""
        number, longest = torch.export.Dim("N"), torch.export.Dim("T", max=self.steps)
        assert isinstance(self.model, FromSequences)
        is_fixed = kind == "pt2" and self.model.is_unrolled
        return {"images": {0: number} if is_fixed else {0: number, 1: longest}, "lengths": {0: number}}

    @property
    def loops(self) -> bool:
        """Whether recurrent layers are written as loops: those of all sequences are, where torch can."""
        return True

    def as_written(self, kind: str) -> Source:
        """Return what is written in a format: of an unrolled network for sequences of all steps."""
        example, lengths = self.given(*self.inputs)
        return replace(self, example=example, lengths=lengths)

    def given(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return inputs as ``model.pt2`` takes them: padded to all steps if it is unrolled."""
        assert isinstance(self.model, FromSequences)
        return at_full_length(self.steps, *inputs) if self.model.is_unrolled else inputs


@torch.no_grad()
def compared_on_batches(run: Run, model: FromBytes, batches: Sequence[tuple[Tensor, ...]]) -> Comparison:
    """Compare an exported model with torch on batches of sequences with their lengths."""
    result = Comparison()
    for batch in batches:
        found, output = run(*batch), model.network(*batch)
        expected = model.task.activate(output)
        result.difference = max(result.difference, float((found - expected).abs().max()))
        result.largest = max(result.largest, float(expected.abs().max()))
        result.same = result.same and model.task.means_the_same(found, expected, output)
    return result


def at_full_length(steps: int, sequences: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return sequences padded to that many steps, (N, steps, ...), and their lengths."""
    whole = sequences.new_zeros((len(sequences), steps, *sequences.shape[2:]))
    whole[:, : sequences.shape[1]] = sequences
    return whole, lengths


def batches_for(
    settings: ExportSettings, trained: Trained, console: Console, trust: Sequence[str] | None
) -> tuple[list[tuple[Tensor, ...]], str]:
    """Return batches of several sizes and lengths to compare on, and what they are: of the test set."""
    try:
        test = Reader(settings.trained.data, console, trust).read(is_train=False)
        assert isinstance(test, InMemoryDataset)
        count = min(SEQUENCES, len(test))
        places = torch.arange(count).split([*sizes_of(count)])
        found = [unpadded(test.gather(some)) for some in places]
        what = f"{count:,} test sequences"
    except CnntrainError as error:
        if settings.names_data:
            raise
        console.warn(f"compared on noise, since the test sequences can't be read: {error}")
        generator = torch.Generator().manual_seed(0)
        steps = [max(1, trained.shape[1] // 2), trained.shape[1]]
        found = [
            (torch.rand(8, length, trained.features, generator=generator), torch.zeros(8, length) > 0)
            for length in steps
        ]
        what = "16 sequences of noise"
    whole = [(values, (~is_padding).sum(1)) for values, is_padding in found]
    if trained.inputs == TEXT:
        return [(values[..., 0].long(), lengths) for values, lengths in whole], what
    return list(whole), what


def sizes_of(count: int) -> list[int]:
    """Return sizes of batches that add up to a number."""
    sizes = [size for size in BATCHES[:-1] if size < count]
    whole, rest = divmod(count - sum(sizes), BATCHES[-1])
    return [*sizes, *([BATCHES[-1]] * whole), *([rest] if rest else [])]


def facts(trained: Trained) -> dict[str, str]:
    """Return what a file says about its input and its preprocessing, as text."""
    steps, features = trained.shape[1], trained.features
    if trained.tokens is None:
        kind = f"series: float32 (N, T, {features}), as in the files"
        how: dict[str, Any] = {"steps": steps, "features": features}
    else:
        kind = "tokens: int64 (N, T), numbers of tokens"
        how = {"steps": steps, "tokens": trained.tokens.words}
        if trained.tokens.tokenizer is None:
            how["vocabulary"] = list(trained.tokens.numbers)
        else:
            how["tokenizer"] = json.loads(trained.tokens.tokenizer.to_str())
    return {"input": f"{kind}; lengths: int64 (N,)", "preprocessing": json.dumps(how)}


def describe(folder: Path, formats: Sequence[str], metadata: Mapping[str, str], model: FromSequences) -> None:
    """Write the README beside exported models of sequences.

    Args:
        folder: the folder of the models.
        formats: those that the model was exported to.
        metadata: the metadata of the exported models.
        model: the model that was exported.

    Raises:
        RunFailed: it can't be written.
    """
    how, name, is_unrolled = json.loads(metadata["preprocessing"]), model.name, model.is_unrolled
    kinds = {
        "bytes": "Its numbers are the bytes of the text in UTF-8.",
        "characters": f"A character's number is {PLACE}.",
        "words": "The text in small letters is cut into words and marks by the regular expression "
        rf"`{WORD.pattern}`; a token's number is {PLACE}.",
        "tokens": "Its numbers are the ids of the tokenizer\n"
        "`tokenizers.Tokenizer.from_str(json.dumps(how['tokenizer']))`: `how` is `preprocessing` (metadata).",
    }
    takes = metadata["input"].replace("; lengths", "`, and `lengths")
    text = TEXT_OF_README.format(
        model=metadata["model"],
        cnntrain=metadata["cnntrain"],
        files="\n".join(FILES[kind].format(name=name) for kind in formats),
        input=f"Input `{takes}`. {kinds.get(how.get('tokens'), '')}",
        steps=how["steps"],
        unrolled=UNROLLED.format(how["steps"]) if is_unrolled and "pt2" in formats else "",
        output=metadata["output"],
        names=printable(some(json.loads(metadata["class_names"]))),
        also="".join(f" and the {kind}" for kind in ("vocabulary", "tokenizer") if how.get(kind)),
    )
    save_bytes(folder / README, encoded(text))
