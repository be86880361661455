"""The published random augmentation: filters of every kind, noise, and damage step by step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core import audio
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.degradations.band_limit import steep_low_pass
from tests.strategies import seeds

RATE_HZ = 22050
KINDS = ("butterworth", "chebyshev1", "chebyshev2", "bessel", "elliptic")
BAND: dict[str, Any] = {
    "name": "band-limit",
    "cutoff_hz": [850, 11025],
    "order": [2, 9],
    "zero_phase": True,
    "kind": list(KINDS),
}
NOISE: dict[str, Any] = {"name": "noise", "snr_db": [-5, 40], "kind": ["white", "pink"]}
PUBLISHED: dict[str, Any] = {
    "name": "sequence",
    "choose": "one",
    "steps": [
        "quantize-resample:levels=[64,1024],rate_hz=[8000,11025,12000,16000]",
        {
            "name": "sequence",
            "chances": [0.25, 1],
            "steps": [
                "clip:ratio=[0.06,0.9]",
                {
                    "name": "sequence",
                    "choose": "one",
                    "steps": [
                        {"name": "sequence", "chances": [0.5, 0.5], "steps": [BAND, NOISE]},
                        {"name": "sequence", "chances": [0.5, 0.5], "steps": [NOISE, BAND]},
                    ],
                },
            ],
        },
    ],
}


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def gains(spec: str, *frequencies_hz: float) -> list[float]:
    """The gain of a linear part at frequencies, dB, from its response to a click."""
    click = torch.zeros(1, 2 * RATE_HZ, dtype=torch.float64)
    click[0, RATE_HZ] = 1
    response = torch.fft.rfft(part(spec).apply(click, {}, RATE_HZ)[0])
    return [20 * float(response[round(2 * hz)].abs().log10()) for hz in frequencies_hz]


def rms(wave: Tensor) -> float:
    return float(wave.double().square().mean().sqrt())


@pytest.mark.parametrize(
    ("kind", "order", "corner_db", "octave_above_db"),
    [
        ("butterworth", 2, -3.01, -12.6),
        ("butterworth", 9, -3.01, -55),
        ("chebyshev1", 4, -0.5, -34),
        ("chebyshev2", 4, -60, -60),
        ("elliptic", 5, -0.5, -60),
    ],
)
def test_a_filter_falls_as_its_kind_says(
    kind: str, order: int, corner_db: float, octave_above_db: float
) -> None:
    spec = f"band-limit:cutoff_hz=2000,kind={kind},order={order}"
    deep, corner, above = gains(spec, 50, 2000, 4000)
    ripple = 0.5 if kind == "elliptic" or (kind == "chebyshev1" and order % 2 == 0) else 0
    assert -ripple - 0.01 <= deep <= 0.01
    assert corner == pytest.approx(corner_db, abs=0.05)
    assert above <= octave_above_db + 0.2


def test_a_bessel_filter_delays_all_that_passes_alike() -> None:
    """Its group delay is flat where a Butterworth's of the same order is not."""
    spread = {}
    for kind in ("bessel", "butterworth"):
        delays = [
            sum(signal.group_delay(section, w=[50, 1500], fs=RATE_HZ)[1] for section in sections)
            for sections in [steep_low_pass(kind, 6, 2000, RATE_HZ)]
        ]
        spread[kind] = abs(delays[0][0] - delays[0][1])
    assert spread["bessel"] < 0.2 * spread["butterworth"]


@pytest.mark.parametrize("kind", ["biquad", *KINDS])
def test_zero_phase_squares_the_gain_and_delays_nothing(kind: str) -> None:
    spec = f"band-limit:cutoff_hz=2000,kind={kind},order=3"
    once, twice = gains(spec, 1000, 2500), gains(f"{spec},zero_phase=true", 1000, 2500)
    assert twice == pytest.approx([2 * gain for gain in once], abs=0.01)
    click = torch.zeros(1, 2001, dtype=torch.float64)
    click[0, 1000] = 1
    answer = part(f"{spec},zero_phase=true").apply(click, {}, RATE_HZ)[0]
    torch.testing.assert_close(answer, answer.flip(0), rtol=0, atol=1e-6)


@given(
    kind=st.sampled_from(KINDS),
    order=st.integers(2, 9),
    cutoff_hz=st.floats(1, 100_000),
    rate_hz=st.sampled_from([8000, 22050, 192_000]),
)
def test_no_filter_is_unstable(kind: str, order: int, cutoff_hz: float, rate_hz: int) -> None:
    sections = steep_low_pass(kind, order, min(cutoff_hz, 0.4999 * rate_hz), rate_hz)
    assert len(sections) == (order + 1) // 2
    for _, (_, first, second) in sections:
        assert abs(second) < 1  # the triangle of stability
        assert abs(first) < 1 + second


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [-5, 0, 40])
def test_noise_has_the_level_that_the_ratio_says(kind: str, snr_db: float) -> None:
    wave = noise(2, 20_000) * torch.tensor([[1.0], [0.01]])
    noisy, drawn = part(f"noise:snr_db={snr_db},kind={kind}")(wave, seeded())
    assert drawn[0]["seed"] != drawn[1]["seed"]
    for clean, found in zip(wave.double(), noisy.double(), strict=True):
        ratio = 20 * np.log10(rms(clean) / rms(found - clean))
        assert ratio == pytest.approx(snr_db, abs=0.01)


def test_the_published_level_is_the_mean_magnitude() -> None:
    wave = noise(1, 20_000)
    noisy, _ = part("noise:snr_db=10,level=magnitude")(wave, seeded())
    ratio = wave.double().abs().mean() / (noisy.double() - wave.double()).abs().mean()
    assert 20 * float(ratio.log10()) == pytest.approx(10, abs=0.01)


def test_white_noise_is_flat_and_pink_noise_falls_by_3_db_an_octave() -> None:
    silence = torch.zeros(1, 1 << 17, dtype=torch.float64)
    for kind, slope_db in (("white", 0), ("pink", -3.01)):
        added, _ = part(f"noise:kind={kind}")(silence, seeded())
        power = torch.fft.rfft(added[0]).abs().square()
        octaves = [float(power[start : 2 * start].mean().log10()) for start in (4096, 8192, 16384)]
        assert 10 * np.diff(octaves) == pytest.approx([slope_db] * 2, abs=0.3)


def test_silence_gets_noise_of_the_floor() -> None:
    added, _ = part("noise:snr_db=20,floor_db=-40")(torch.zeros(1, 5000), seeded())
    assert rms(added) == pytest.approx(0.001, rel=1e-3)


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    """A folder of two noises; the samples of each tell where they are from."""
    folder = tmp_path / "noises"
    for name, hz, samples in (("hum.wav", 50, 4000), ("deep/buzz.wav", 900, 30_000)):
        time = torch.arange(samples) / RATE_HZ
        audio.write(folder / name, (torch.sin(2 * np.pi * hz * time) / 2)[None], RATE_HZ)
    return folder


def test_recorded_noise_is_a_stretch_of_a_file_that_is_told(noises: Path) -> None:
    spec = {"name": "noise", "folder": str(noises), "snr_db": 0}
    hissing = part(spec)
    wave = 0.1 * torch.ones(1, 6000)
    drawn = [hissing.draw(seeded(seed), RATE_HZ) for seed in range(30)]
    assert {values["file"] for values in drawn} == {"deep/buzz.wav", "hum.wav"}
    assert len({values["start"] for values in drawn}) == 30
    hum = next(values for values in drawn if values["file"] == "hum.wav")
    added = (hissing.apply(wave, hum, RATE_HZ) - wave)[0]
    sound = audio.read(noises / "hum.wav")[0][0]
    wanted = sound[(int(hum["start"] * 4000) + torch.arange(6000)) % 4000]
    torch.testing.assert_close(added, wanted * 0.1 / rms(wanted), rtol=0, atol=1e-5)
    check("degradation", hissing)


def test_recorded_noise_keeps_its_pitch_at_another_rate(noises: Path) -> None:
    spec = {"name": "noise", "folder": str(noises), "file": "deep/buzz.wav", "start": 0}
    added, _ = part(spec)(torch.zeros(1, 8000), seeded(), 16000)
    assert int(torch.fft.rfft(added[0]).abs().argmax()) == 450  # 900 Hz, 2 Hz a bin


@pytest.mark.parametrize("spec", [PUBLISHED, "sequence:peak_db=-3", "sequence:choose=one"], ids=str)
def test_sequences_keep_the_promises_of_their_kind(spec: str | dict[str, Any]) -> None:
    check("degradation", part(spec))


@given(seed=seeds())
def test_the_published_augmentation_is_told_whole(seed: int) -> None:
    wave = speech_like(600)
    damaged, drawn = part(PUBLISHED)(wave, seeded(seed), RATE_HZ)
    assert sum(step is not None for step in drawn[0]["steps"]) == 1
    again = part(PUBLISHED).apply(wave, json.loads(json.dumps(drawn)), RATE_HZ)
    assert torch.equal(again, damaged)


def test_each_step_has_its_chance_and_one_of_several_its_weight() -> None:
    by_chance = part({"name": "sequence", "steps": ["clip", "clip"], "chances": [0.25, 1]})
    generator = seeded()
    taken = [by_chance.draw(generator, RATE_HZ)["steps"] for _ in range(2000)]
    assert np.mean([first is not None for first, _ in taken]) == pytest.approx(0.25, abs=0.03)
    assert all(second is not None for _, second in taken)
    weighed = part(
        {"name": "sequence", "steps": ["clip", "clip", "clip"], "chances": [0, 0.2, 0.6]}
        | {"choose": "one"}
    )
    taken = [weighed.draw(generator, RATE_HZ)["steps"] for _ in range(2000)]
    shares = [np.mean([steps[number] is not None for steps in taken]) for number in range(3)]
    assert shares == pytest.approx([0, 0.25, 0.75], abs=0.03)


def test_steps_are_taken_in_their_order() -> None:
    wave = speech_like(2000)
    both = part({"name": "sequence", "steps": ["clip:ratio=0.1", "band-limit"]})
    clipped = part("clip:ratio=0.1").apply(wave, {}, RATE_HZ)
    torch.testing.assert_close(
        both.apply(wave, {}, RATE_HZ), part("band-limit").apply(clipped, {}, RATE_HZ)
    )


def test_a_sequence_says_of_itself_what_its_steps_say() -> None:
    assert part({"name": "sequence", "steps": ["clip"]}).differentiable
    assert not part({"name": "sequence", "steps": ["clip", "quantize-resample"]}).differentiable
    assert part({"name": "sequence", "steps": ["clip", "noise"]}).adds_sound
    assert not part({"name": "sequence", "steps": ["clip"]}).adds_sound


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"name": "sequence", "steps": ["clip"], "chances": [1, 1]}, "2 chances for 1 steps"),
        ({"name": "sequence", "steps": []}, "steps"),
        ({"name": "sequence", "steps": ["clip:ratio=3"]}, "ratio=3"),
        (
            {"name": "sequence", "steps": ["clip"], "chances": [0], "choose": "one"},
            "chooses nothing",
        ),
        ("noise:file=a.wav", "go with a folder of noises"),
        ("band-limit:kind=brickwall", "kind=brickwall"),
        ("band-limit:order=1", "order=1: .*greater than or equal to 2"),
    ],
    ids=str,
)
def test_bad_settings_are_named(spec: str | dict[str, Any], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part(spec)


def test_bad_parameters_are_named(noises: Path) -> None:
    wave = torch.ones(1, 10)
    for spec, parameters, words in (
        ("sequence", {"step": []}, "no setting 'step'; known: steps"),
        ("sequence", {"steps": [None]}, "for each of the 2 steps"),
        ("sequence", {"steps": [None, 3]}, "for each of the 2 steps"),
        ("sequence:choose=one", {}, "is to be drawn"),
        ("noise", {}, "seed is to be drawn"),
        ({"name": "noise", "folder": str(noises)}, {"file": "no.wav"}, "file=no.wav is not"),
    ):
        with pytest.raises(ComponentError, match=words):
            part(spec).apply(wave, parameters, RATE_HZ)
    with pytest.raises(AudioError, match="no such file or folder"):
        part({"name": "noise", "folder": str(noises / "none")})(wave, seeded())
