"""Which images of a folder show the same: exact copies, and near ones (scaled, recompressed, brighter).

Near copies are found by a perceptual hash: the signs of random projections of a 16x16 thumbnail. Like
images fall into like buckets (Charikar 2002, Similarity Estimation Techniques from Rounding
Algorithms). Whatever shares a bucket is compared by correlation. The cost is bounded, since a bucket is
compared in batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

ALIKE = 0.995  # correlation of two thumbnails from which they count as one image
BANDS, BITS = 12, 16  # buckets that each image falls into, and bits of each: 98 % of 0.995 meet in one
REACH = 256  # images of its bucket with which each is compared, which bounds the cost
LOT = 2**15  # pairs compared at a time
FLAT = 4.0  # deviation of a thumbnail's values, 0 to 255, below which there is nothing to compare


def exact_groups(pixels: np.ndarray) -> np.ndarray:
    """Return a group number for each image: the same for equal hashes. int64 (N,)."""
    return np.unique(pixels, return_inverse=True)[1].astype(np.int64)


def near_duplicate_groups(pixels: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """Return a group number for each image: the same for exact and for near copies.

    Args:
        pixels: hash of each image, (N,).
        looks: grey thumbnail of each, uint8 (N, values).

    Returns:
        int64 (N,): the lowest index of an image of the group.
    """
    first: dict[bytes, int] = {}
    parent = np.array([first.setdefault(key, index) for index, key in enumerate(pixels.tolist())], np.int64)
    values = looks.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    length = np.linalg.norm(values, axis=1)
    candidates = np.flatnonzero((parent == np.arange(len(parent))) & (length > FLAT * looks.shape[1] ** 0.5))
    values = values[candidates] / length[candidates, None]
    planes = np.random.default_rng(0).standard_normal((looks.shape[1], BANDS * BITS)).astype(np.float32)
    # The mean of all images is taken out. Else images of like layouts would fall into few buckets.
    signs = ((values - values.mean(0)) @ planes > 0).reshape(-1, BANDS, BITS) if len(values) else None
    for band in range(BANDS if signs is not None else 0):
        keys = signs[:, band] @ (1 << np.arange(BITS))  # type: ignore[index]
        order = np.argsort(keys, kind="stable")
        for one, other in neighbours(keys[order]):
            near = np.einsum("ij,ij->i", values[order[one]], values[order[other]]) >= ALIKE
            for a, b in zip(candidates[order[one[near]]], candidates[order[other[near]]], strict=True):
                union(parent, a, b)
    return np.array([find_root(parent, index) for index in range(len(parent))], np.int64)


def neighbours(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of equal keys that are up to REACH apart, as pairs, LOT at a time; keys are sorted."""
    for apart in range(1, min(REACH, len(keys))):
        places = np.flatnonzero(keys[apart:] == keys[:-apart])
        if not len(places):
            return
        for begin in range(0, len(places), LOT):
            some = places[begin : begin + LOT]
            yield some, some + apart


def find_root(parent: np.ndarray, index: int) -> int:
    """Return the head of an image's group, and shorten the way to it."""
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = int(parent[index])
    return int(index)


def union(parent: np.ndarray, one: int, other: int) -> None:
    """Make two groups one."""
    a, b = sorted((find_root(parent, one), find_root(parent, other)))
    parent[b] = a


def copies_across(
    files: Sequence[str], groups: np.ndarray, parts: np.ndarray
) -> dict[tuple[str, str], list[str]]:
    """Return the files of a part that are exact or near copies of another part's, by the two parts.

    Args:
        files: the images.
        groups: the number of the group of like images of each, int64 (N,).
        parts: the part of each, (N,).
    """
    found = {}
    for part, other in (("train", "test"), ("train", "val"), ("val", "test")):
        places = np.flatnonzero(parts == part)
        there = np.unique(groups[parts == other])
        names = [files[i] for i in places[np.isin(groups[places], there)]]
        if names:
            found[part, other] = names
    return found


def choose_held_out(
    labels: np.ndarray, groups: np.ndarray, keys: np.ndarray, fraction: float, salt: str
) -> np.ndarray:
    """Choose a share of each class by a hash of each image's contents, so that no group is on both sides.

    An image is held out if its hash, as a number from 0 to 1, is below the fraction. No other image matters
    for that, so adding or removing files moves none across, and the share of a class is met on average. Two
    exceptions: the images of a group go where the one with the lowest key goes; and each class of two or
    more groups is seen on both sides: its lowest hash is held out whatever it is, and its highest is not.

    Args:
        labels: int64 (N,).
        groups: number of the group of like images, int64 (N,).
        keys: hash of each image's contents, bytes (N,).
        fraction: share of each class; 0 holds nothing out.
        salt: another salt gives another choice.

    Returns:
        bool (N,), true for what is held out.
    """
    if fraction <= 0 or not len(labels):
        return np.zeros(len(labels), bool)
    _, group = np.unique(groups, return_inverse=True)
    lowest: dict[int, bytes] = {}
    for number, key in zip(group.tolist(), keys.tolist(), strict=True):
        lowest[number] = min(lowest.get(number, key), key)
    salted = hashlib.blake2b(digest_size=8, salt=hashlib.sha256(salt.encode()).digest()[:16])
    shares = np.array([hash_fraction(lowest[number], salted) for number in range(len(lowest))])
    chosen = shares < fraction
    classes = [np.unique(group[labels == label]) for label in np.unique(labels)]
    for members in classes:
        if len(members) > 1 and not chosen[members].any():
            chosen[members[shares[members].argmin()]] = True
    for members in classes:
        if chosen[members].all():
            chosen[members[shares[members].argmax()]] = False
    return chosen[group]


def hash_fraction(key: bytes, salted: Any) -> float:
    """Return a number from 0 to below 1 that follows from a key and a salted hash, evenly spread."""
    own = salted.copy()
    own.update(key)
    return int.from_bytes(own.digest(), "big") / 2**64


def held_out_by_index(labels: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose a share of each class as runs did that have no record of their split, to find theirs again.

    A file added or removed gives another choice, which is why new runs do not use it.

    Args:
        labels: int64 (N,).
        groups: number of the group of like images, int64 (N,).
        fraction: share of each class.
        seed: the same seed gives the same choice.

    Returns:
        bool (N,), true for what is held out.
    """
    chosen = np.zeros(len(labels), bool)
    generator = np.random.default_rng([seed, 0x5917])
    members_of: dict[int, list[int]] = {}
    for index, group in enumerate(groups.tolist()):
        members_of.setdefault(group, []).append(index)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        # A class with at least two images is seen on both sides.
        wanted = min(round(len(members) * fraction) or int(fraction > 0), len(members) - 1)
        wanted -= int(chosen[members].sum())  # that groups of other classes brought along
        for group in dict.fromkeys(groups[generator.permutation(members)].tolist()):
            own = members_of[group]
            if wanted <= 0:
                break
            if chosen[own[0]] or (labels[own] == label).sum() > wanted:
                continue
            chosen[own] = True
            wanted -= int((labels[own] == label).sum())
    return chosen
