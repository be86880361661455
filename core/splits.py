"""Which split a file or a speaker belongs to, so that it stays there when others come."""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from selfremaster.core.errors import ExperimentError

Kind = Literal["single", "multi-seen", "multi-unseen"]
SPLITS = ("train", "val", "test")


def check_settings(kind: str, fractions: Sequence[float]) -> None:
    """Raise `ExperimentError` for what `draw_splits` cannot do."""
    if kind not in get_args(Kind):
        raise ExperimentError(f"no kind of corpus {kind!r}; known: {', '.join(get_args(Kind))}")
    if (
        len(fractions) != len(SPLITS)
        or not all(0 <= fraction <= 1 for fraction in fractions)
        or abs(sum(fractions) - 1) > 1e-6
        or fractions[0] == 0
    ):
        raise ExperimentError(
            f"fractions {tuple(fractions)}: three numbers for {', '.join(SPLITS)} are needed, "
            f"which make 1 together, the first above 0"
        )


def draw_splits(
    speakers: Mapping[str, str], kind: str, fractions: Sequence[float], seed: int
) -> dict[str, str]:
    """The split of every file, given who speaks in it; the rule is that of `manifests.build`."""
    if kind == "multi-unseen":
        of_speaker = _draw(sorted(set(speakers.values())), fractions, seed)
        return {name: of_speaker[speaker] for name, speaker in speakers.items()}
    groups: dict[str, list[str]] = {}
    for name, speaker in speakers.items():
        groups.setdefault(speaker if kind == "multi-seen" else "", []).append(name)
    splits: dict[str, str] = {}
    for group in groups.values():
        splits |= _draw(group, fractions, seed)
    return splits


def _draw(names: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """The split of each name, as the docstring of `manifests.build` says."""
    ends = [sum(fractions[: index + 1]) for index in range(len(SPLITS))]
    ranges = {
        split: (end - part, end)
        for split, part, end in zip(SPLITS, fractions, ends, strict=True)
        if part > 0
    }
    last = list(ranges)[-1]
    numbers = {name: _fraction(seed, name) for name in names}
    drawn = {
        name: next((split for split, (_, end) in ranges.items() if number < end), last)
        for name, number in numbers.items()
    }
    for split in ("train", "test", "val"):
        if split not in ranges or split in drawn.values():
            continue
        low, high = ranges[split]
        counts = {other: list(drawn.values()).count(other) for other in ranges}
        spare = [name for name in sorted(names) if counts[drawn[name]] > 1]
        if not spare and split == "train":
            spare = sorted(names)
        if spare:
            nearest = min(spare, key=lambda name: max(low - numbers[name], numbers[name] - high))
            drawn[nearest] = split
    return drawn


def _fraction(seed: int, name: str) -> float:
    """A number from 0 to 1 that belongs to a name, however the system composes its accents."""
    text = f"{seed}\0{unicodedata.normalize('NFC', name)}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64
