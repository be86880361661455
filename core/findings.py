"""What is to be said of a sound that was restored: level and channels."""

import math
from collections.abc import Iterator

from selfremaster.core.effects import Channels, Sent
from selfremaster.core.keeping import LEAST_TOLD_DB
from selfremaster.core.loudness import ABSOLUTE_GATE_LUFS

MOST_CANCELLED = 0.1  # of the seconds that sound


def findings(sent: Sent, channels: Channels, wanted_lufs: float | None) -> Iterator[str]:
    """In a line each: what became of the level, and channels that cancel each other."""
    if sent.softer_db > LEAST_TOLD_DB:
        yield f"{sent.softer_db:.1f} dB softer than asked for, so that its peaks fit"
    if wanted_lufs is not None and not math.isfinite(sent.before.whole_lufs):
        yield (
            f"it is softer than {ABSOLUTE_GATE_LUFS:g} LUFS, which counts as silence, and keeps "
            f"its own level instead of {wanted_lufs:g} LUFS"
        )
    if channels == "mono":
        yield from _of_mixed(sent)
    elif sent.phase.is_anti_phase:
        yield (
            f"its channels are in anti-phase (correlation {sent.phase.correlation:.2f}) and "
            "all but vanish in mono; --channels mono turns one over"
        )
    elif told := _cancelled(sent, 1):
        yield f"its channels are in anti-phase for {told} of its sound, and vanish there in mono"


def loudness_of(sent: Sent, wanted_lufs: float | None) -> float | None:
    """How loud it came back; nothing where the recording is too soft to be any."""
    whole_lufs = sent.before.whole_lufs
    if not math.isfinite(whole_lufs):
        return None
    return (whole_lufs if wanted_lufs is None else wanted_lufs) - sent.softer_db


def _of_mixed(sent: Sent) -> Iterator[str]:
    is_turned = sent.phase.is_anti_phase
    if is_turned:
        yield (
            f"its channels are in anti-phase (correlation {sent.phase.correlation:.2f}); one was "
            "turned over before they were mixed"
        )
    if told := _cancelled(sent, -1 if is_turned else 1):
        yield (
            f"its channels cancel each other for {told} of its sound, which all but vanish in "
            "mono; --channels linked keeps them"
        )


def _cancelled(sent: Sent, sign: int) -> str:
    """How many seconds, in words; nothing where they are few."""
    seconds, whole = sent.phase.against(sign)
    return f"{seconds} of {whole} seconds" if seconds > MOST_CANCELLED * whole else ""
