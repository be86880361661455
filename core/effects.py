"""Send a sound of any length through a model's parts, and bring it back as it was kept."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from selfremaster.core.blending import blend_blocks
from selfremaster.core.chunks import stream_in_chunks
from selfremaster.core.levels import check_rates, peak_gain, resampled_length
from selfremaster.core.memory import give_back
from selfremaster.core.metering import LevelMeter, gains_between
from selfremaster.core.phases import PhaseMeter
from selfremaster.core.streaming import (
    Altered,
    Resampled,
    Sound,
    Spool,
    resample_blocks,
    side_by_side,
)

Channels = Literal["linked", "independent", "mono"]
CHANNELS: tuple[Channels, ...] = ("linked", "independent", "mono")

GRID_SAMPLES = 2**16
PIECE_GRIDS = 8
SILENCE = 1e-6  # of the peak: quieter than half a step of 16 bits at -26 dB of full scale
SILENCE_SECONDS = 0.01
MANY_SAMPLES = 1 << 18  # of a piece: with less, little memory comes and goes


class Frame(NamedTuple):
    """What a function works at: its rate, Hz, its hop in samples, its level, and where it is."""

    sample_rate: int
    hop_samples: int
    peak_db: float
    device: torch.device


class Sent(NamedTuple):
    """A sound that came back, and what the one that was sent was like."""

    sound: Sound
    before: LevelMeter  # of what was mixed down, where it was
    phase: PhaseMeter  # before that
    softer_db: float  # than the one that was sent, where its peaks would not have fitted


class Effect(NamedTuple):
    """What can be put onto sounds: for a rate, a function and what it works at."""

    at: Callable[[int], tuple[Callable[[Tensor], Tensor], Frame]]

    def sent(
        self, sound: Sound, strength: float, folder: Path | None = None
    ) -> AbstractContextManager["Sent"]:
        """The sound under the effect, each channel by itself, as `sent_through` gives it."""
        function, frame = self.at(sound.sample_rate)
        return sent_through(
            function,
            sound,
            frame,
            channels="independent",
            strength=strength,
            upright=True,
            folder=folder,
        )


@contextmanager
def sent_through(
    function: Callable[[Tensor], Tensor],
    sound: Sound,
    frame: Frame,
    *,
    channels: Channels = "linked",
    strength: float = 1.0,
    upright: bool = False,
    wanted_lufs: float | None = None,
    speakers: int | None = None,
    folder: Path | None = None,
) -> Iterator[Sent]:
    """A sound under an effect: same rate, length and loudness; inside of the block it can be read.

    The sound is brought to the rate and the peak that the function works at, and back, piece by
    piece: 24 seconds with three more on both sides, on a grid of whole hops. Memory does not grow
    with its length; what comes back is kept in the folder, or in memory without one. Where nothing
    at all is in the recording, for a hundredth of a second and more, nothing comes back.

    ``channels``: ``linked`` ones get one gain, ``independent`` ones have each its own loudness, and
    ``mono`` sends their mean, which comes back as one; their difference where they are in
    anti-phase. ``strength`` goes from the sound, 0, to what comes back, 1, as `blend_blocks` does.
    What came out upside down is turned over before it is mixed, or always where it is to come back
    ``upright``. ``wanted_lufs`` is a loudness to give it instead of its own; ``speakers`` say how
    much each channel counts for it, as in `channel_weights`.

    The function is given (channels, samples) and keeps the shape. What it gives for a sample may
    hang on two and a half seconds around it; what reaches further is faded from piece to piece.
    Raises `AudioError` for rates that nothing is resampled from.
    """
    check_rates(sound.sample_rate, frame.sample_rate)
    apart = channels == "independent"
    mixed_from: PhaseMeter | None = None
    if channels == "mono" and sound.channels > 1:
        sound, mixed_from = mixed_down(sound)
        speakers = None
    before = LevelMeter(sound.sample_rate, sound.channels, apart, speakers)
    gain = peak_gain(_peak_of(sound, frame.sample_rate, before), frame.peak_db)
    loudest = 10 ** (frame.peak_db / 20)

    def work(piece: Tensor) -> Tensor:
        made = function(piece.to(frame.device)).float().cpu()
        if piece.shape[-1] >= MANY_SAMPLES:
            give_back()
        return made * _sounding(piece, SILENCE * loudest, frame.sample_rate)

    heard = (block * gain for block in Resampled(sound, frame.sample_rate).blocks())
    made = stream_in_chunks(work, heard, *pieces_of(frame.hop_samples))
    back = resample_blocks(made, frame.sample_rate, sound.sample_rate, sound.samples)
    with ExitStack() as stack:
        kept = stack.enter_context(Spool(sound.sample_rate, sound.channels, folder))
        result = _levelled(back, kept, before, wanted_lufs)
        if upright or strength != 1:
            result = result._replace(sound=_same_way_up(sound, result.sound))
        if strength != 1:
            mixed = stack.enter_context(Spool(sound.sample_rate, sound.channels, folder))
            pairs = side_by_side(sound, result.sound)
            blended = blend_blocks(pairs, strength, sound.sample_rate)
            result = _levelled(blended, mixed, before, wanted_lufs)
        yield result if mixed_from is None else result._replace(phase=mixed_from)


def grid_of(hop_samples: int) -> int:
    """The samples between the places where pieces may begin: an even number of hops, about 2^16.

    What a vocoder draws once for all, such as noise, repeats on this grid, and what it sums up,
    such as phase, begins anew on it; so a piece sounds as it does within the whole.

    >>> grid_of(256), grid_of(300)
    (65536, 66000)
    """
    return 2 * hop_samples * math.ceil(GRID_SAMPLES / (2 * hop_samples))


def pieces_of(hop_samples: int) -> tuple[int, int]:
    """How long pieces and their context are, in samples.

    >>> pieces_of(256)
    (524288, 65536)
    """
    grid = grid_of(hop_samples)
    return PIECE_GRIDS * grid, grid


def mixed_down(sound: Sound) -> tuple[Sound, PhaseMeter]:
    """The mean of all channels of a sound; of two in anti-phase half their difference.

    >>> from selfremaster.core.streaming import Held
    >>> wave = torch.tensor([[1.0, -1.0], [-0.5, 0.5]])
    >>> [block.tolist() for block in mixed_down(Held(wave, 8000))[0].blocks()]
    [[[0.75, -0.75]]]
    """
    meter = PhaseMeter(sound.sample_rate)
    for block in sound.blocks() if sound.channels == 2 else ():
        meter.add(block)
    signs = torch.ones(sound.channels, 1)
    if meter.is_anti_phase:
        signs[1] = -1
    return Altered(sound, lambda block: (signs * block).mean(dim=0, keepdim=True), 1), meter


def _peak_of(sound: Sound, sample_rate: int, meter: LevelMeter) -> float:
    """The peak of a sound at another rate; the meter hears the sound itself."""

    def metered() -> Iterator[Tensor]:
        for block in sound.blocks():
            meter.add(block)
            yield block

    samples = resampled_length(sound.samples, sound.sample_rate, sample_rate)
    blocks = resample_blocks(metered(), sound.sample_rate, sample_rate, samples)
    return max((float(block.abs().max()) for block in blocks), default=0.0)


def _sounding(wave: Tensor, threshold: float, sample_rate: int) -> Tensor:
    """1 where a wave sounds and around it, 0 where nothing at all is in it, (channels, samples)."""
    reach = max(round(SILENCE_SECONDS * sample_rate), 1)
    loud = functional.pad((wave.abs() > threshold).double(), (reach, reach))
    near = (_sums(loud, 2 * reach + 1) > 0).double()
    faded = functional.pad(near, (reach // 2, reach - reach // 2), mode="replicate")
    return (_sums(faded, reach + 1) / (reach + 1)).float()


def _sums(whole_numbers: Tensor, size: int) -> Tensor:
    """The sum of so many in a row, wherever they begin, (channels, samples) -> fewer samples."""
    summed = functional.pad(whole_numbers.cumsum(-1), (1, 0))
    return summed[:, size:] - summed[:, :-size]


def _levelled(
    blocks: Iterable[Tensor], kept: Spool, before: LevelMeter, wanted_lufs: float | None
) -> Sent:
    """Write a sound down, and give it the loudness of another one, or the one that is wanted."""
    after = LevelMeter(kept.sample_rate, kept.channels, before.apart, before.speakers)
    for block in blocks:
        kept.add(block)
        after.add(block)
    gains, softer_db = gains_between(before, after, wanted_lufs)
    levelled = Altered(kept, lambda block: block * gains, kept.channels)
    return Sent(levelled, before, before.phase, softer_db)


def _same_way_up(sound: Sound, effect: Sound) -> Sound:
    """The effect with those channels turned over that are the other way up than the sound's.

    What is learned by magnitudes alone may come out upside down, which nobody hears until it is
    mixed with the sound that it was made from.
    """
    alike = torch.zeros(sound.channels, dtype=torch.float64)
    for dry, wet in side_by_side(sound, effect):
        alike += (dry.double() * wet.double()).sum(dim=1)
    signs = torch.where(alike < 0, -1.0, 1.0)[:, None]
    return Altered(effect, lambda block: signs * block, sound.channels)
