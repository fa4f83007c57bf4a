"""One part of the configured data set: from the cache, into memory, onto the disk, or as it is needed."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from cnntrain.config.inputs import IMAGES, TEXT
from cnntrain.config.instantiate import build, build_source, check_trusted, locate
from cnntrain.config.sections import DataSettings
from cnntrain.data import decoded_cache
from cnntrain.data.batches import Batch
from cnntrain.data.images import InMemoryDataset, fit
from cnntrain.data.resize import side_or_both
from cnntrain.data.sequences.dataset import in_memory
from cnntrain.data.sources.recorded import RecordedImages
from cnntrain.data.streaming import StreamingDataset, all_batches, read_all
from cnntrain.data.targets import TARGETS
from cnntrain.errors import UserError
from cnntrain.runs import cache_dir
from cnntrain.runtime import memory
from cnntrain.runtime.console import Console, count, format_bytes
from cnntrain.sequences.reading import read
from cnntrain.sequences.tokens import Tokens

AT_ONCE = 1024  # images that are written to the cache
SHARE = 0.5  # of the free memory that data may take


class Reader:
    """Reads the training and the test part of the configured data set.

    Args:
        data: the data set, and how it is read.
        console: the console for the progress of long reading.
        trust: packages that a checkpoint's configuration may name; None for what the user typed.
    """

    def __init__(self, data: DataSettings, console: Console, trust: Sequence[str] | None) -> None:
        self.data = data
        self.console = console
        self.trust = trust
        self.known: dict[str, Any] = {
            # What the configuration leaves open, the class has its own default for.
            **{name: value for name, value in data.passed_on.items() if value is not None},
            "image_size": side_or_both(data.read_size),
        }
        self.notes: list[str] = []
        self.opened: dict[bool, Any] = {}  # what was built, by whether it is the training part
        self.on_disk = False  # whether images are gathered from the disk, for want of memory

    def read(self, is_train: bool) -> InMemoryDataset | StreamingDataset:
        """Return one part: in memory, on the disk, or to be decoded batch by batch, as ``data.cache`` says.

        Raises:
            DataMissing: it could be downloaded.
            UserError: it can't be read, or does not fit the configuration.
        """
        if is_train:
            self.notes = []
        if self.data.inputs != IMAGES:
            return self.sequences(is_train)
        files = self.files(is_train)
        place = decoded_cache.cache_path(self.facts(is_train), files) if files else None
        images = self.from_cache(place)
        if images is None:
            dataset = self.opened[is_train] = self.build(is_train)
            if isinstance(dataset, RecordedImages):  # whose files are known by then
                own = {"digest": dataset.digest, "classes": dataset.classes}
                place = decoded_cache.cache_path({**self.facts(is_train), **own}, [])
                images = self.from_cache(place)
        found = images or self.made(dataset, place)
        return self.checked(found.seen_at(self.data.size))

    def sequences(self, is_train: bool) -> InMemoryDataset:
        """Return one part of data that are sequences: in memory."""
        node = {"source": self.data.source, "root": self.data.root}
        names = self.known.get("class_names")
        source = self.opened[is_train] = build_source(node, self.trust, train=is_train, class_names=names)
        with self.console.bar(len(source), 0, f"reading {type(source).__name__}", unit="sequence") as bar:
            found = read(source, self.data.inputs, bar.update)
        tokens = Tokens(self.data.tokens, self.data.vocabulary) if self.data.inputs == TEXT else None
        dataset, cut = in_memory(found, self.data.steps, tokens)
        if cut:
            self.console.warn(
                f"{count(cut, 'sequence')} of the {'training' if is_train else 'test'} part longer than "
                f"data.steps={self.data.steps}: the rest is cut off"
            )
        if dataset.images.shape[1] != self.data.features:
            raise UserError(
                f"data.features={self.data.features}, but the data have {dataset.images.shape[1]}"
            )
        self.checked(dataset)
        return dataset

    def facts(self, is_train: bool) -> dict[str, Any]:
        """Return what the decoded images depend on, besides the files."""
        code = inspect.getsourcefile(locate("data.source", self.data.source["_target_"]))
        return {
            "source": self.data.source,
            "train": is_train,
            "targets": self.data.targets,
            "known": {name: self.known.get(name) for name in ("num_classes", "on_bad_image", "value_range")},
            "code": hashlib.sha256(Path(code).read_bytes()).hexdigest() if code else None,
            **self.shape(),
        }

    def build(self, is_train: bool) -> Any:
        """Build the data set that the configuration names."""
        dataset = build("data.source", self.data.source, Dataset, self.trust, train=is_train, **self.known)
        if note := getattr(dataset, "note", ""):
            self.note(str(note))
        return dataset

    def files(self, is_train: bool) -> list[Path]:
        """Return the files that a part is made of, if its class lists them with a method ``files``."""
        node = self.data.source
        check_trusted("data.source", node, Dataset, self.trust)
        kind = locate("data.source", node["_target_"])
        if not isinstance(inspect.getattr_static(kind, "files", None), staticmethod | classmethod):
            return []
        tell = kind.files
        names = inspect.signature(tell).parameters
        given = {**self.known, **node, "train": is_train}
        return list(tell(**{name: given[name] for name in names if name in given}))

    def shape(self) -> dict[str, Any]:
        """Return the shape that images are resized to."""
        return {"channels": self.data.channels, "side": self.data.read_size, "resize": self.data.resize}

    def from_cache(self, place: Path | None) -> InMemoryDataset | None:
        """Return images that the cache has, or None."""
        if place is None or self.data.cache == "off":
            return None
        try:
            size = place.stat().st_size
        except OSError:  # it is not there, or nobody may look into the cache
            return None
        fits = self.data.cache == "ram" or (self.data.cache == "auto" and size <= SHARE * memory.free())
        images = decoded_cache.read(place, into_memory=fits)
        if images is not None:
            self.note(f"loaded from cache, {cache_dir.shown(place.parent)}")
            self.on_disk |= not fits
        return images

    def made(self, dataset: Any, place: Path | None) -> InMemoryDataset | StreamingDataset:
        """Decode images into memory or to the disk, or leave them to be decoded batch by batch."""
        targets, num_classes = TARGETS[self.data.targets], self.data.num_classes
        streamed = StreamingDataset(dataset, **self.shape(), targets=targets, num_classes=num_classes)
        how, why = self.choose_storage(dataset, streamed, place)
        if how == "disk" and place is not None:
            with self.console.bar(len(streamed), 0, f"decoding {streamed.name}", unit="image") as bar:
                batches = all_batches(streamed, self.data.workers, bar.update)
                images = self.keep(place, batches, streamed)
            if images is not None:
                self.on_disk = True
                return images
            how, why = "off", self.notes.pop()
        if how == "ram":
            images = self.in_memory(dataset, streamed)
            if place is not None:
                lots = zip(images.images.split(AT_ONCE), images.labels.split(AT_ONCE), strict=True)
                self.keep(place, lots, images)
            return images
        name = f"{targets.words} of {streamed.name}"
        with self.console.bar(len(streamed), 0, name, unit="image") as bar:
            streamed.find_labels(self.data.workers, bar.update)
        self.note(why)
        return streamed

    def choose_storage(self, dataset: Any, streamed: StreamingDataset, place: Path | None) -> tuple[str, str]:
        """Return ``ram``, ``disk`` or ``off``, and why nothing better.

        Raises:
            UserError: what was asked for is not possible.
        """
        asked, size, free = self.data.cache, streamed.size, memory.free()
        in_words = f"{format_bytes(size)} of images"
        if asked == "off":
            return "off", "data.cache=off"
        if asked == "ram" and size > free and not isinstance(dataset, InMemoryDataset):
            raise UserError(
                f"data.cache=ram is not possible: {in_words}, {format_bytes(free)} of memory free; "
                "data.cache=auto finds another way"
            )
        if asked == "ram" or (
            asked == "auto" and (isinstance(dataset, InMemoryDataset) or size <= SHARE * free)
        ):
            return "ram", ""
        if place is None:
            why = f"{streamed.name} has no method files, without which no cache is safe"
        else:
            why = cache_dir.obstacle(decoded_cache.folder(), size, self.data.cache_gb)
        if not why:
            return "disk", ""
        if asked == "disk":
            raise UserError(
                f"data.cache=disk is not possible: {in_words}, {why}; data.cache=off decodes in each epoch"
            )
        return "off", f"{in_words}, {format_bytes(free)} of memory free, {why}"

    def note(self, text: str) -> None:
        """Remember where the images are, or why, to be shown once for both parts."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def bound(self) -> int:
        """Bytes that the decoded data sets in the cache may have together."""
        return int(1e9 * self.data.cache_gb)

    def keep(
        self, place: Path, batches: Iterable[Batch], images: InMemoryDataset | StreamingDataset
    ) -> InMemoryDataset | None:
        """Write images to the cache, for which older ones make room; None if that is not possible."""
        why = cache_dir.obstacle(place.parent, images.size, self.data.cache_gb)
        if why:
            self.note(f"not cached: {why}")
            return None
        number, size = cache_dir.make_room(place.parent, images.size, self.bound)
        if number:
            self.console.line(
                f"[dim]cache: removed the {count(number, 'data set')} used longest ago, "
                f"{format_bytes(size)}: data.cache_gb={self.data.cache_gb:g}[/]"
            )
        names = images.names_for_cache
        error = decoded_cache.write(place, batches, len(images), names)
        if error is not None:
            self.note(f"not cached: {cache_dir.shown(place.parent)}: {error.strerror or error}")
            return None
        self.note(f"cached to {cache_dir.shown(place.parent)}")
        return decoded_cache.read(place, into_memory=False)

    def in_memory(self, dataset: Any, streamed: StreamingDataset) -> InMemoryDataset:
        """Return all images of a data set, decoded."""
        if isinstance(dataset, InMemoryDataset):
            return fit(dataset, **self.shape())
        with self.console.bar(len(streamed), 0, f"decoding {streamed.name}", unit="image") as bar:
            return read_all(streamed, self.data.workers, bar.update)

    def checked(self, images: InMemoryDataset | StreamingDataset) -> InMemoryDataset | StreamingDataset:
        """Check that the data have the targets and the classes that the configuration says."""
        if images.targets.name != self.data.targets:
            raise UserError(
                f"data.targets={self.data.targets}, but the data have {images.targets.words}: "
                f"data.targets={images.targets.name}"
            )
        expected, found = self.data.num_classes, len(images.class_names)
        if found != expected:
            raise UserError(
                f"data.num_classes={expected}, but the data have {found} classes: data.num_classes={found}"
            )
        return images
