"""Recordings of the eras: every draw makes a sound, and each era has its own."""

import json
import math
import os
from collections import Counter
from functools import lru_cache
from typing import Any, cast

import pytest
import torch
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.degradations.eras import ERAS
from selfremaster.plugins.degradations.random_recording import (
    RandomRecording,
    RandomRecordingConfig,
    field_of,
)

RATE_HZ = 22050
EXAMPLES = int(os.environ.get("SELFREMASTER_EXAMPLES", "2000"))
BATCH = 20
OVERSHOOT = 1.25  # of what was sampled at full scale and is rebuilt, or decoded
PER_ERA = 12


@lru_cache(maxsize=8)
def part(spec: str = "random-recording") -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def recordings(era: str, wave: Tensor, seed: int = 3) -> Tensor:
    """A wave as so many recordings of an era, (PER_ERA, samples)."""
    spec = f"random-recording:era={era}"
    generator = seeded(seed)
    drawn = [part(spec).draw(generator, RATE_HZ) for _ in range(PER_ERA)]
    return part(spec).apply(wave.expand(PER_ERA, -1), drawn, RATE_HZ)


@lru_cache(maxsize=8)
def spectrum_db(era: str) -> Tensor:
    """White noise as heard in an era, dB for each band of 100 Hz, (PER_ERA, bands)."""
    heard = recordings(era, noise(1, RATE_HZ // 2, seed=8, level=0.1)).double()
    power = torch.fft.rfft(heard * torch.hann_window(heard.shape[-1])).abs().square()
    return cast("Tensor", 10 * power[:, :5500].unflatten(-1, (110, 50)).mean(-1).log10())


def over_the_middle(era: str, low_hz: int, high_hz: int) -> Tensor:
    """The level of a band over that from 700 to 1500 Hz, dB, of each recording, sorted."""
    bands = (10 ** (spectrum_db(era) / 10)).double()
    level = bands[:, low_hz // 100 : high_hz // 100].mean(-1)
    return cast("Tensor", (10 * (level / bands[:, 7:15].mean(-1)).log10()).sort().values)


def loudest(era: str) -> float:
    """All eras end in the archive's converter, at full scale; one in what rings beyond it."""
    return OVERSHOOT if era == "early-digital" else 1.0


def check_draws(draws: int, seconds: float, seed: int) -> Counter[str]:
    """Draw recordings of speech so long and at many levels; how many there are of each era."""
    samples = round(seconds * RATE_HZ)
    speech = torch.cat([speech_like(samples, seed=own) for own in range(BATCH)])
    speech = speech * 10 ** (-10 * (torch.arange(BATCH)[:, None] % 5) / 20)
    generator = seeded(seed)
    counted: Counter[str] = Counter()
    for _ in range(math.ceil(draws / BATCH)):
        heard, drawn = part()(speech, generator, RATE_HZ)
        counted.update(own["era"] for own in drawn)
        assert heard.isfinite().all(), drawn
        limits = torch.tensor([loudest(own["era"]) for own in drawn])
        assert (heard.abs().amax(-1) <= limits).all(), drawn
        louder_db = 20 * (heard.std(-1) / speech.std(-1)).log10()
        assert (louder_db > -30).all(), drawn
        assert (heard.std(-1) > 1e-4).all(), drawn
    return counted


def test_every_draw_is_a_sound_that_ends_where_its_era_does() -> None:
    counted = check_draws(EXAMPLES, seconds=0.3, seed=1)
    each = counted.total() / len(ERAS)
    assert set(counted) <= set(ERAS)
    assert all(counted[era] >= each - 5 * math.sqrt(each) for era in ERAS)  # 5 deviations


def test_long_draws_are_heard_with_their_echoes_and_dropouts() -> None:
    check_draws(max(1, EXAMPLES // 100), seconds=5, seed=2)


def test_what_is_drawn_replays_from_json() -> None:
    wave = torch.cat([speech_like(5000), noise(13, 5000)])
    heard, drawn = part()(wave, seeded(2), RATE_HZ)
    assert len({own["era"] for own in drawn}) > 3
    logged = json.loads(json.dumps(drawn, allow_nan=False))
    assert torch.equal(part().apply(wave, logged, RATE_HZ), heard)
    for row, own in enumerate(logged):
        alone = part().apply(wave[row : row + 1], own, RATE_HZ)[0]
        torch.testing.assert_close(heard[row], alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("era", ERAS)
def test_speech_and_recording_stay_aligned(era: str) -> None:
    wave = noise(1, RATE_HZ // 2, seed=8, level=0.1)
    heard = recordings(era, wave)
    size = 2 * wave.shape[-1]
    alike = torch.fft.irfft(torch.fft.rfft(heard, size) * torch.fft.rfft(wave, size).conj(), size)
    lag = alike.abs().argmax(-1)
    lag = torch.where(lag > size // 2, lag - size, lag)
    assert lag.abs().max() <= 0.004 * RATE_HZ


def test_the_horn_hears_neither_depth_nor_heights() -> None:
    """Maxfield and Harrison, 1926: 168 to 2000 Hz."""
    assert over_the_middle("acoustic-1910", 3500, 5500).max() < -25
    assert over_the_middle("acoustic-1910", 3500, 5500).median() < -40
    assert over_the_middle("acoustic-1910", 0, 100).median() < -15


def test_electrical_discs_reach_five_kilohertz_and_no_further() -> None:
    assert over_the_middle("shellac-1930", 3000, 4500).median() > -6
    assert over_the_middle("shellac-1930", 8500, 11000).max() < -20


def test_radio_ends_at_five_kilohertz() -> None:
    assert over_the_middle("radio-1940", 2500, 4000).min() > -6
    assert over_the_middle("radio-1940", 6500, 11000).max() < -25


def test_tape_has_nearly_everything() -> None:
    assert over_the_middle("tape-1960", 5000, 7000).median() > -6
    assert over_the_middle("tape-1960", 100, 300).median() > -6


def test_the_telephone_lets_300_to_3400_hertz_through() -> None:
    assert over_the_middle("telephone", 400, 3000).min() > -8
    assert over_the_middle("telephone", 0, 100).median() < -20  # but for hum in some
    assert over_the_middle("telephone", 4500, 11000).max() < -20
    assert over_the_middle("telephone", 4500, 11000).median() < -40


def test_early_digital_has_half_its_low_rate_at_most() -> None:
    """Where it is filtered; samplers without a filter ring above."""
    above = over_the_middle("early-digital", 6000, 11000)
    assert above[0] < -60
    assert above[-1] > -20


def pauses(era: str) -> tuple[Tensor, Tensor]:
    """Speech and the pause after it, as heard in an era, (PER_ERA, samples) each."""
    speech, silence = speech_like(RATE_HZ // 2), torch.zeros(1, RATE_HZ // 2)
    heard = recordings(era, torch.cat([speech, silence], dim=-1)).double()
    return heard[:, : RATE_HZ // 2], heard[:, -RATE_HZ // 4 :]


def pause_db(era: str) -> Tensor:
    """The level of the pauses over that of the speech, dB, sorted."""
    speech, pause = pauses(era)
    below = pause.std(-1).clamp(min=1e-6) / speech.std(-1)
    return cast("Tensor", (20 * below.log10()).sort().values)


def test_older_media_are_noisier() -> None:
    old, new = pause_db("acoustic-1910"), pause_db("tape-1960")
    assert old.median() > new.median() + 8
    assert (old > -45).all()
    assert (new < -20).all()


def test_cassettes_hiss_above_all_in_the_heights() -> None:
    assert (pause_db("cassette-1980") > -55).all()
    _, pause = pauses("cassette-1980")
    power = torch.fft.rfft(pause * torch.hann_window(pause.shape[-1])).abs().square()
    middle, high = power[:, 125:250].mean(-1), power[:, 1000:1750].mean(-1)  # bins of 4 Hz
    assert (10 * (high / middle).log10()).median() > 1


def test_a_recording_in_stereo_is_of_one_era() -> None:
    pair = torch.cat([speech_like(6000)] * 2)
    for seed in range(20):
        drawn = part().draw_channels(seeded(seed), RATE_HZ, 2)
        assert drawn[0] == part().draw(seeded(seed), RATE_HZ)
        assert drawn[0]["era"] == drawn[1]["era"]
    heard = part().apply(pair, drawn, RATE_HZ)
    assert not torch.equal(heard[0], heard[1])  # each has a noise of its own
    alike = torch.corrcoef(heard)[0, 1]
    assert alike > 0.7


def test_eras_can_be_listed_and_weighed() -> None:
    spec = "random-recording:era=[telephone, tape-1960, radio-1940],weights=[3, 1, 0]"
    generator = seeded()
    counted = Counter(part(spec).draw(generator, RATE_HZ)["era"] for _ in range(400))
    assert set(counted) == {"telephone", "tape-1960"}
    assert counted["telephone"] / 400 == pytest.approx(0.75, abs=0.07)


def test_an_era_can_be_given_another_chain() -> None:
    spec: dict[str, Any] = {
        "name": "random-recording",
        "era": "shellac-1930",
        "shellac_1930": {"name": "chain", "steps": ["clip:ratio=0.5"]},
    }
    replaced: Degradation = sr.build("degradation", spec)
    assert replaced.differentiable
    assert not replaced.adds_sound
    heard, drawn = replaced(torch.tensor([[0.1, -1.0]]), seeded())
    assert drawn[0]["era"] == "shellac-1930"
    assert heard.tolist() == [[pytest.approx(0.1), -0.5]]


def test_every_era_has_a_setting_and_a_chain_that_can_be_drawn_from() -> None:
    assert {field_of(era) for era in ERAS} == set(RandomRecordingConfig.model_fields) - {
        "era",
        "weights",
    }
    whole = part()
    assert isinstance(whole, RandomRecording)
    assert list(whole.labelled) == list(ERAS)
    assert whole.delay_samples == 0
    for era, chain in whole.labelled.items():
        first, second = (chain.draw(seeded(seed), RATE_HZ) for seed in (1, 2))
        assert first != second, era


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("random-recording:era=minidisc", "era=minidisc: .*'acoustic-1910', 'shellac-1930'"),
        ("random-recording:era=[]", "era"),
        ("random-recording:era=[telephone,telephone]", "listed twice"),
        ("random-recording:weights=[1,2]", "2 weights for 7 eras"),
        ("random-recording:era=telephone,weights=[0]", "weights of 0 choose nothing"),
        ({"name": "random-recording", "telephone": "clip:ratio=3"}, "ratio=3"),
    ],
    ids=str,
)
def test_bad_settings_are_named(spec: str | dict[str, Any], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        sr.build("degradation", spec)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "which one is taken is to be drawn"),
        ({"era": "minidisc"}, "era=minidisc; give one of acoustic-1910, shellac-1930"),
        ({"era": ["telephone"]}, "give one of"),
        ({"choice": 1}, "no setting 'choice'; known: era, parameters"),
        ({"era": "telephone", "parameters": 3}, "give a mapping"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part().apply(torch.ones(1, 10), parameters, RATE_HZ)
