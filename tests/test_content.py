"""The content meter: nothing suspicious where the same is said, and what is where it is not."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from selfremaster.core import audio, content_pairs
from selfremaster.core.components import ComponentConfig
from selfremaster.core.content import (
    INVENTED,
    OTHER_PITCH,
    SAYS_OTHER,
    Second,
    content_of,
    measure_content,
)
from selfremaster.core.content_files import write_content
from selfremaster.core.errors import AudioError
from selfremaster.core.interfaces import Metric
from selfremaster.core.promises.inputs import noise
from selfremaster.core.streaming import Spool
from selfremaster.core.voicing import grid_of
from selfremaster.registry.building import build
from tests.cli import SPEECH

RATE = 22050
FILTERS = [
    "filter:low_hz=200,high_hz=4000,order=4",
    "filter:high_hz=1000,order=8",
    "eq",
    "gain:gain_db=-20",
    "polarity",
]
DAMAGE = ["noise:snr_db=10", "clip:ratio=0.1", "band-limit", "reverb", "hum:level_db=-10"]


def said(voice: str) -> Tensor:
    """Three sentences of one voice, ten seconds, between soft noise."""
    files = sorted((SPEECH / voice).glob("*.flac"))
    wave = torch.cat([audio.read(path)[0] for path in files], dim=-1)[:, : 10 * RATE]
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    return 0.7 * wave + 1e-4 * noise


@pytest.fixture(scope="module")
def speech() -> Tensor:
    return said("heart")


def damaged(wave: Tensor, spec: str) -> Tensor:
    sound, _ = build("degradation", spec)(wave, torch.Generator().manual_seed(1), RATE)
    return sound


def suspicious(told: list[Second]) -> list[int]:
    return [round(one.start_seconds) for one in told if one.why]


def in_second(wave: Tensor, second: int, other: Tensor) -> Tensor:
    replaced = wave.clone()
    replaced[:, second * RATE : (second + 1) * RATE] = other[:, :RATE]
    return replaced


def test_the_recording_itself_agrees_altogether(speech: Tensor) -> None:
    told = measure_content(speech, speech, RATE)
    assert len(told) == 10
    assert suspicious(told) == []
    assert min(one.agreement for one in told) > 0.9999
    assert {one.invented_share for one in told} == {0.0}
    assert {one.invented_dbfs for one in told} == {-math.inf}
    voiced = [one for one in told if not math.isnan(one.voicing_flips_share)]
    assert len(voiced) >= 8
    assert {(one.voicing_flips_share, one.pitch_differs_share) for one in voiced} == {(0.0, 0.0)}


@pytest.mark.parametrize("spec", FILTERS)
def test_level_and_filters_say_the_same_and_invent_nothing(speech: Tensor, spec: str) -> None:
    told = measure_content(speech, damaged(speech, spec), RATE)
    assert suspicious(told) == []
    assert min(one.agreement for one in told) > 0.9
    assert max(one.invented_share for one in told) < 0.01


@pytest.mark.parametrize("spec", DAMAGE)
def test_a_perfect_restoration_of_damage_is_not_suspicious(speech: Tensor, spec: str) -> None:
    told = measure_content(damaged(speech, spec), speech, RATE)
    assert suspicious(told) == []
    assert min(one.agreement for one in told if one.heard_share > 0.2) > 0.6


def test_noise_that_is_raised_or_taken_off_is_no_invention(speech: Tensor) -> None:
    noisy = damaged(speech, "noise:snr_db=15")
    for result in (damaged(noisy, "filter:low_hz=1000,order=2"), speech):
        told = measure_content(noisy, result, RATE)
        assert suspicious(told) == []
        assert max(one.invented_share for one in told) < 0.01


@pytest.mark.parametrize("spec", [None, "noise:snr_db=15", "band-limit"])
@pytest.mark.parametrize("voice", ["heart", "alder"])
def test_a_second_of_other_words_is_found(speech: Tensor, spec: str | None, voice: str) -> None:
    other = said(voice)[:, 4 * RATE :]
    recording = damaged(speech, spec) if spec else speech
    told = measure_content(recording, in_second(speech, 5, other), RATE)
    assert 5 in suspicious(told)
    assert set(suspicious(told)) <= {4, 5, 6}
    assert SAYS_OTHER in told[5].why
    assert told[5].agreement < 0.4
    assert min(one.agreement for one in told if one.start_seconds not in {4, 5, 6}) > 0.9


def test_babble_in_place_of_speech_is_found_everywhere(speech: Tensor) -> None:
    alder = said("alder")
    babble = sum(alder.roll(shift * RATE, dims=-1) for shift in (0, 2, 5, 7)) / 2
    told = measure_content(speech, babble, RATE)
    assert suspicious(told) == list(range(10))


def test_a_high_band_from_nowhere_is_counted_and_when_it_prevails_suspicious(
    speech: Tensor,
) -> None:
    dull = damaged(speech, "filter:high_hz=3000,order=12")
    bright = measure_content(dull, speech, RATE)
    assert suspicious(bright) == []
    assert all(0 < one.invented_share < 0.5 for one in bright if one.heard_share > 0.2)
    hiss = torch.randn(1, RATE, generator=torch.Generator().manual_seed(3))
    high = damaged(hiss, "filter:low_hz=5000,high_hz=10000,order=12")
    loud = in_second(dull, 3, dull[:, 3 * RATE :][:, :RATE] + 0.3 * high)
    told = measure_content(dull, loud, RATE)
    assert suspicious(told) == [3]
    assert told[3].why == (INVENTED,)
    level = 10 * math.log10(float((0.3 * high).square().mean()))
    assert told[3].invented_dbfs == pytest.approx(level, abs=1)


def test_speech_in_a_pause_is_an_invention(speech: Tensor) -> None:
    pause = 1e-4 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(4))
    recording = in_second(speech, 5, pause)
    told = measure_content(recording, speech, RATE)
    assert 5 in suspicious(told)
    assert INVENTED in told[5].why
    assert told[5].invented_share > 0.9
    assert measure_content(speech, recording, RATE)[5].why == (SAYS_OTHER,)


def test_another_pitch_is_heard_where_the_words_are_the_same() -> None:
    time = torch.arange(5 * RATE) / RATE

    def vowels(f0_hz: float) -> Tensor:
        wave = sum(torch.cos(2 * torch.pi * f0_hz * k * time) for k in range(1, int(4000 / f0_hz)))
        return (0.02 * wave * torch.sin(torch.pi * 3 * time).clamp(min=0))[None]

    noise = 1e-4 * torch.randn(1, len(time), generator=torch.Generator().manual_seed(5))
    told = measure_content(vowels(100) + noise, vowels(160) + noise, RATE)
    assert all(OTHER_PITCH in one.why for one in told)
    assert min(one.pitch_differs_share for one in told) > 0.8
    whispered = torch.randn(1, len(time), generator=torch.Generator().manual_seed(6))
    whispered = 0.05 * whispered * torch.sin(torch.pi * 3 * time).clamp(min=0)
    flips = measure_content(vowels(100) + noise, whispered + noise, RATE)
    assert min(one.voicing_flips_share for one in flips) > 0.5


@pytest.mark.parametrize("rate_hz", [8000, 48000])
def test_other_rates_and_channels_tell_the_same(speech: Tensor, rate_hz: int) -> None:
    wave = audio.resample(speech, RATE, rate_hz)
    other = audio.resample(in_second(speech, 5, said("alder")), RATE, rate_hz)
    told = measure_content(wave.expand(2, -1), other[0], rate_hz)
    assert 5 in suspicious(told)
    assert set(suspicious(told)) <= {4, 5, 6}


def test_silence_and_the_shortest_sounds_have_nothing_to_tell() -> None:
    for samples in (1, 1000, 3 * RATE + 5):
        silence = torch.zeros(1, samples)
        told = measure_content(silence, silence, RATE)
        assert len(told) == math.ceil(samples / RATE)
        assert suspicious(told) == []
        assert all(math.isnan(one.agreement) for one in told)


def test_lengths_have_to_be_alike() -> None:
    with pytest.raises(AudioError, match="content: 8 samples before and 9 after; give the same"):
        measure_content(torch.zeros(1, 8), torch.zeros(1, 9), RATE)
    with pytest.raises(AudioError, match="content: 0 samples before"):
        measure_content(torch.zeros(1, 0), torch.zeros(1, 0), RATE)


class Length(Metric):
    """How many samples there are."""

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"own-length": "higher"}

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The length in seconds."""
        assert reference is not None
        assert len(reference) == len(estimate)
        return {"own-length": len(estimate) / sample_rate}


def test_further_listeners_have_columns_of_their_own(speech: Tensor, tmp_path: Path) -> None:
    wave = speech[:, : round(6.5 * RATE)]
    told = measure_content(wave, wave, RATE, [Length(ComponentConfig())])
    write_content(tmp_path / "a.content.csv", told)
    with (tmp_path / "a.content.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "start_seconds",
        "heard_percent",
        "agreement",
        "invented_dbfs",
        "invented_percent",
        "voicing_flips_percent",
        "pitch_differs_percent",
        "own_length",
        "suspicious",
        "why",
    ]
    assert [row["start_seconds"] for row in rows] == [*"0123456"]
    assert [row["own_length"] for row in rows] == ["4.000"] * 4 + ["2.500"] * 3
    assert {row["invented_dbfs"] for row in rows} == {""}
    assert {row["suspicious"] for row in rows} == {"0"}


@pytest.mark.parametrize(
    ("seconds", "lengths"), [(1, [1]), (30, [30]), (30.3, [30.3]), (41, [30, 11]), (65, [30, 35])]
)
def test_a_short_rest_is_heard_with_the_piece_before_it(
    seconds: float, lengths: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    listen = content_pairs._listen

    def counted(wave: Any, rate: int, frames: int, shares: Any) -> Any:
        heard.append(frames)
        return listen(wave, rate, frames, shares)

    monkeypatch.setattr(content_pairs, "_listen", counted)
    wave = noise(1, round(seconds * 8000))
    measure_content(wave, wave, 8000)
    hop = grid_of(8000).hop
    assert [frames * hop / 8000 for frames in heard[::2]] == pytest.approx(lengths, abs=0.02)


def test_blocks_of_any_lengths_tell_the_same(speech: Tensor) -> None:
    """What comes in small blocks, in pieces of half a minute, is what comes at once."""
    recording = torch.cat([speech, speech.flip(-1)] * 8, dim=-1)
    restored = damaged(recording, "clip")
    told = measure_content(recording, restored, RATE)
    with Spool(RATE, 1) as before, Spool(RATE, 1) as after:
        for sound, wave, length in ((before, recording, 1000), (after, restored, 77_777)):
            for block in wave.split(length, dim=-1):
                sound.add(block)
        assert str(content_of(before, after)) == str(told)  # NaN is told alike, too
