"""F0 and mel-cepstra: the published numbers, what pitch, level and envelope mean, and errors."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.interfaces import Features
from selfremaster.core.levels import normalise_peak
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.features import world
from selfremaster.plugins.features.mel import MelConfig, MelSpectrogram
from selfremaster.plugins.features.mel_cepstrum import alpha_of, analysis_matrix, synthesis_matrix
from selfremaster.plugins.features.source_filter import SourceFilter, SourceFilterConfig
from tests.strategies import seeds, waves

REFERENCE = Path(__file__).parent / "reference" / "features.npz"
RATE_HZ = 22050
FEATURES = SourceFilter(SourceFilterConfig())
PUBLISHED = SourceFilter(SourceFilterConfig(preset="published"))


def reference(name: str) -> Tensor:
    with np.load(REFERENCE) as stored:
        return torch.from_numpy(stored[name])


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """Two seconds of speech, (1, samples), at a peak of -3 dB."""
    return normalise_peak(reference("in/pcm16_22050").float()[None] / 32768, peak_db=-3)


def voice(f0_hz: float, samples: int = 12000, level: float = 0.3) -> Tensor:
    """The harmonics of a steady voice up to 5000 Hz, each softer than the one before."""
    phase = 2 * math.pi * f0_hz * torch.arange(samples, dtype=torch.float64) / RATE_HZ
    orders = range(1, 1 + int(5000 / f0_hz))
    return level * torch.stack([(order * phase).sin() / order for order in orders]).sum(0)[None]


def rms_db(distance: Tensor) -> float:
    """Mel-cepstral distance with the level, as the RMS of log envelopes, (order + 1, frames)."""
    squares = distance[0] ** 2 + 0.5 * (distance[1:] ** 2).sum(dim=0)
    return 20 / math.log(10) * float(squares.mean().sqrt())


# the published numbers


@pytest.mark.parametrize("extractor", ["dio", "harvest"])
def test_the_published_rows_are_met(speech: Tensor, extractor: str) -> None:
    part: Features = sr.build("features", f"source-filter:preset=published,f0={extractor}")
    found = part(speech)[0]
    assert found.shape == (42, 173)
    torch.testing.assert_close(found[0], reference(f"f0_{extractor}"), rtol=0, atol=1e-3)
    torch.testing.assert_close(found[1:], reference("melcep"), rtol=0, atol=1e-4)


SWIPE = """
import sys
import numpy as np
import torch
import selfremaster as sr

sound, heard = sys.argv[1:]
part = sr.build("features", "source-filter:preset=published,f0=swipe")
np.save(heard, part.source(torch.from_numpy(np.load(sound)))[0, 0].numpy())
"""


def test_swipe_is_met_as_far_as_it_meets_itself(speech: Tensor, tmp_path: Path) -> None:
    """In a process of its own: it reads memory that others have left behind."""
    pytest.importorskip("pysptk")
    sound, heard = tmp_path / "sound.npy", tmp_path / "heard.npy"
    np.save(sound, speech.numpy())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-W", "ignore", "-c", SWIPE, str(sound), str(heard)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    found, wanted = torch.from_numpy(np.load(heard)), reference("f0_swipe")
    agree = torch.isclose(found, wanted, rtol=0.01, atol=1.0)
    assert agree.float().mean() > 0.9


def test_the_log_mel_is_that_of_the_mel_features(speech: Tensor) -> None:
    assert torch.equal(FEATURES.log_mel(speech), MelSpectrogram(MelConfig())(speech))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 44100, 48000])
def test_the_warping_is_that_of_sptk(rate_hz: int) -> None:
    sptk = pytest.importorskip("pysptk")
    assert alpha_of(rate_hz) == pytest.approx(sptk.util.mcepalpha(rate_hz), abs=1e-9)


@pytest.mark.parametrize(("size", "order", "alpha"), [(1024, 40, 0.455), (512, 1, 0.31)])
def test_the_matrices_are_those_of_sptk(size: int, order: int, alpha: float) -> None:
    sptk = pytest.importorskip("pysptk")
    envelope = np.random.default_rng(0).normal(size=size // 2 + 1)
    cepstrum = sptk.sp2mc(np.exp(2 * envelope), order, alpha)
    analysed = analysis_matrix(size, order, alpha).numpy() @ envelope
    np.testing.assert_allclose(analysed, cepstrum, rtol=0, atol=1e-9)
    smooth = synthesis_matrix(size, order, alpha).numpy() @ cepstrum
    wanted = 0.5 * np.log(sptk.mc2sp(cepstrum, alpha, size))
    np.testing.assert_allclose(smooth, wanted, rtol=0, atol=1e-9)


# promises beyond those of the registry's default


@pytest.mark.parametrize(
    "changes",
    [
        "preset=published",
        "f0=harvest",
        "sample_rate=8000,fmax_hz=4000,hop_samples=80,size=512",
        "hop_samples=441,order=24,bands=40",
    ],
)
def test_other_settings_keep_the_promises(changes: str) -> None:
    check("features", sr.build("features", f"source-filter:{changes}"))


@settings(max_examples=30)
@given(wave=waves(max_samples=6000))
def test_any_wave_has_its_frames_of_numbers(wave: Tensor) -> None:
    found = FEATURES(wave)
    assert found.shape == (len(wave), 43, 1 + wave.shape[-1] // 256)
    assert found.isfinite().all()
    assert set(found[:, 1].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("samples", [1, 2, 10, 255, 256, 257, 5512])
@pytest.mark.parametrize("f0", ["dio", "harvest"])
def test_short_waves_have_their_frames(f0: str, samples: int) -> None:
    found = sr.build("features", f"source-filter:f0={f0}")(noise(1, samples))
    assert found.shape == (1, 43, 1 + samples // 256)
    assert found.isfinite().all()


def test_the_rows_are_those_computed_alone(speech: Tensor) -> None:
    for part in (FEATURES, PUBLISHED):
        rows = part(speech)
        assert torch.equal(part.source(speech), rows[:, : part.source_channels])
        assert torch.equal(part.target(speech), part.predicted(rows))
        assert torch.equal(part(speech), rows)  # WORLD's dither is always the same


def test_a_long_wave_heard_in_turns_is_the_same(
    speech: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = speech.repeat(1, 2)
    whole = FEATURES(wave)
    monkeypatch.setattr(world, "TURN_SECONDS", 1.3)
    turns = FEATURES(wave)
    assert turns.shape == whole.shape
    same = (turns - whole).abs().amax(dim=1) < 1e-3
    assert same.float().mean() > 0.98


def test_types_and_strides_do_not_matter(speech: Tensor) -> None:
    wave = speech[:, :8000]
    assert FEATURES(wave).dtype == FEATURES(wave.bfloat16()).dtype == torch.float32
    assert FEATURES(wave.double()).dtype == torch.float64
    torch.testing.assert_close(FEATURES(wave.double()).float(), FEATURES(wave))
    strided = wave.repeat_interleave(2, dim=1)[:, ::2]
    assert torch.equal(FEATURES(strided.double()), FEATURES(wave.double()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(FEATURES(wave), FEATURES(wave.requires_grad_()))


# pitch


@settings(max_examples=20)
@given(f0_hz=st.floats(75, 600))
def test_the_pitch_of_a_voice_is_found(f0_hz: float) -> None:
    found, voiced = FEATURES.pitch_of(FEATURES.source(voice(f0_hz)))
    middle = slice(8, -8)
    assert voiced[0, middle].all()
    torch.testing.assert_close(
        found[0, middle], torch.full_like(found[0, middle], f0_hz), rtol=0.02, atol=0
    )


def test_a_lower_limit_reaches_lower_voices() -> None:
    low: Features = sr.build("features", "source-filter:size=2048,f0_floor_hz=50,pitch=linear")
    found = low.source(voice(60))[0, 0, 8:-8]
    torch.testing.assert_close(found, torch.full_like(found, 60), rtol=0.02, atol=0)


@settings(max_examples=10)
@given(gain_db=st.floats(-30, 6))
def test_the_pitch_does_not_hang_on_the_level(speech: Tensor, gain_db: float) -> None:
    wave = speech[:, 8000:20000].double()
    softer = FEATURES.source(wave * 10 ** (gain_db / 20))
    torch.testing.assert_close(softer, FEATURES.source(wave), rtol=0, atol=1e-4)


@settings(max_examples=10)
@given(seed=seeds())
def test_noise_has_hardly_any_voice(seed: int) -> None:
    wave = 0.1 * torch.randn(1, 22050, generator=Generator().manual_seed(seed))
    assert FEATURES.source(wave)[0, 1].mean() < 0.25


def test_silence_has_no_voice_and_the_level_of_the_floor() -> None:
    found = FEATURES(torch.zeros(1, 5000))
    assert not found[:, :2].any()
    wanted = torch.zeros(41)
    wanted[0] = math.log(1e-5)
    torch.testing.assert_close(found[0, 2:], wanted[:, None].expand(-1, 20), rtol=0, atol=1e-5)
    assert not PUBLISHED.source(torch.zeros(1, 5000)).any()
    assert FEATURES.pitch_of(found)[0].unique().tolist() == pytest.approx([150.0])


def test_pitch_is_carried_through_what_is_unvoiced() -> None:
    silent = torch.zeros(1, 6000)
    wave = torch.cat([silent, voice(100), silent, voice(200)], dim=1).float()
    octaves, voiced = FEATURES.source(wave)[0]
    assert not voiced[:20].any()
    assert octaves[0] == pytest.approx(math.log2(100 / 150), abs=0.05)
    assert octaves[0] == octaves[20]
    gap = octaves[72:92]
    assert not voiced[74:90].any()
    assert (gap.diff() > 0).all()
    torch.testing.assert_close(gap[1:-1].diff().diff(), torch.zeros(16), rtol=0, atol=1e-4)


def test_a_raw_pitch_is_held_where_it_is_unvoiced() -> None:
    rows = torch.tensor([[[0.0, 100.0, 0.0, 0.0, 200.0, 0.0]], [[0.0] * 6]])
    f0_hz, voiced = PUBLISHED.pitch_of(rows)
    assert f0_hz.tolist() == [[100.0, 100.0, 100.0, 100.0, 200.0, 200.0], [150.0] * 6]
    assert torch.equal(voiced, (rows[:, 0] > 0).float())


# level and envelope


@settings(max_examples=10)
@given(gain=st.floats(0.1, 4))
def test_a_gain_raises_the_first_row_alone(gain: float) -> None:
    wave = speech_like(6000, seed=5) + noise(1, 6000, level=0.01)  # nothing near the floor
    moved = FEATURES.at_gain(FEATURES.target(wave), torch.tensor([gain]))
    torch.testing.assert_close(moved, FEATURES.target(gain * wave), rtol=0, atol=2e-3)


def test_each_wave_has_its_gain_and_silence_stays_silence() -> None:
    target = FEATURES.target(torch.cat([noise(1, 3000), torch.zeros(1, 3000)]))
    moved = FEATURES.at_gain(target, torch.tensor([1e-9, 2.0]))
    assert torch.equal(moved[1], target[1])
    assert moved[0, 0].unique().tolist() == pytest.approx([math.log(1e-5)])
    assert torch.equal(moved[0, 1:], target[0, 1:])


def test_white_noise_has_a_flat_envelope_of_its_level() -> None:
    envelope = FEATURES.log_envelope(FEATURES.target(noise(1, 44100, level=0.2)))
    middle = envelope[0, 8:-8].mean(dim=1)
    assert envelope.shape == (1, 513, 173)
    assert (middle - math.log(0.2)).abs().max() < 0.5


@given(order=st.integers(0, 6), depth=st.floats(-2, 2), rate_hz=st.sampled_from([8000, 22050]))
def test_the_matrices_undo_each_other(order: int, depth: float, rate_hz: int) -> None:
    alpha = alpha_of(rate_hz)
    cepstrum = torch.zeros(41, dtype=torch.float64)
    cepstrum[order] = depth
    envelope = synthesis_matrix(1024, 40, alpha) @ cepstrum
    back = analysis_matrix(1024, 40, alpha) @ envelope
    torch.testing.assert_close(back, cepstrum, rtol=0, atol=1e-9)


def test_a_larger_order_comes_nearer_to_the_envelope(speech: Tensor) -> None:
    wave = speech[0, 8000:14000].double().numpy()
    f0 = world.f0_track(wave, RATE_HZ, 256, "dio", (71.0, 800.0))
    envelope = torch.from_numpy(
        np.concatenate([*world.log_envelopes(wave, f0, RATE_HZ, 256, 1024)])
    )
    errors = []
    for order in (10, 40, 200):
        there, back = analysis_matrix(1024, order, 0.455), synthesis_matrix(1024, order, 0.455)
        errors.append(float((envelope @ (back @ there).T - envelope).square().mean().sqrt()))
    assert errors[0] > 1.5 * errors[1]
    assert errors[2] < 0.1 < errors[1]


def test_an_envelope_looked_at_first_in_inference_has_a_gradient_later() -> None:
    synthesis_matrix.cache_clear()
    target = FEATURES.target(noise(1, 2000))
    with torch.inference_mode():
        FEATURES.log_envelope(target)
    target.requires_grad_()
    FEATURES.log_envelope(target.double()).sum().backward()
    assert target.grad is not None
    assert target.grad[:, 0].unique().tolist() == pytest.approx([513.0])


# what the log-mel tells of the mel-cepstrum


def test_the_rough_cepstrum_is_much_nearer_than_a_constant(speech: Tensor) -> None:
    target = FEATURES.target(speech)[0]
    rough = FEATURES.rough(FEATURES.log_mel(speech))[0]
    constant = target.mean(dim=1, keepdim=True)
    heard = synthesis_matrix(1024, 40, FEATURES.alpha)[: round(8000 / RATE_HZ * 1024)].float()
    error, guess = ((heard @ (made - target)).square().mean().sqrt() for made in (rough, constant))
    assert error < 0.45 * guess
    # this speech has nothing above 8000 Hz, which no band tells
    assert rms_db(rough - target) < 0.85 * rms_db(constant - target)


@given(level=st.floats(1e-3, 0.5))
def test_the_rough_cepstrum_of_noise_is_its_level(level: float) -> None:
    rough = FEATURES.rough(FEATURES.log_mel(noise(1, 22050, level=level)))[0].mean(dim=1)
    assert rough[0] == pytest.approx(math.log(level), abs=0.2)
    assert rough[1:].abs().max() < 0.2


@pytest.mark.parametrize(
    "changes", ["bands=3", "bands=200", "bands=1,fmax_hz=120", "size=512,f0_floor_hz=140,order=60"]
)
def test_a_rough_cepstrum_is_found_with_any_bands(changes: str) -> None:
    part: Any = sr.build("features", f"source-filter:{changes}")
    rough = part.rough(part.log_mel(noise(1, 4000)))
    assert rough.shape == (1, part.predicted_channels, 16)
    assert rough.abs().max() < 20


def test_the_rough_cepstrum_is_linear_and_keeps_type_and_gradient() -> None:
    log_mel = FEATURES.log_mel(noise(2, 4000)).double().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = FEATURES.rough(log_mel)
    assert rough.dtype == torch.float64
    rough[:, 0].sum().backward()
    assert log_mel.grad is not None
    assert (log_mel.grad[:, 4:].sum(dim=1) - 1).abs().max() < 0.01  # louder by so much everywhere
    assert not FEATURES.state_dict()


# errors


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("f0_floor_hz=900", r"f0_floor_hz=900.0 and f0_ceil_hz=800.0 must rise and lie within"),
        ("f0_ceil_hz=12000", r"f0_ceil_hz=12000.0 must rise and lie within .*11025.0 Hz"),
        ("sample_rate=48000", "f0_floor_hz=71.0 is below 141.0 Hz, the lowest that .*size=1024"),
        ("size=1000", "size=1000 is no power of 2"),
        ("f0=rapt", "f0=rapt: Input should be 'dio', 'harvest' or 'swipe'"),
        ("pitch=hz", "pitch=hz: Input should be 'log' or 'linear'"),
        ("preset=paper", "no preset 'paper'; known: default, published"),
        ("hop_samples=1025", "hop_samples=1025 is longer than the window of 1024"),
        ("oder=24", "no setting 'oder'; did you mean 'order'"),
    ],
)
def test_settings_that_cannot_be_are_told(changes: str, words: str) -> None:
    with pytest.raises(ComponentError, match=f"^features source-filter: .*{words}"):
        sr.build("features", f"source-filter:{changes}")


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(AudioError, match="not finite numbers; repair it first"):
        FEATURES(torch.tensor([[0.0, math.nan]]))


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("pyworld", "needs the package pyworld; pip install pyworld"),
        ("pkg_resources", 'pyworld needs pkg_resources; pip install "setuptools<81"'),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    world.package.cache_clear()
    monkeypatch.setattr(world, "import_module", absent)
    try:
        with pytest.raises(ComponentError, match=words):
            SourceFilter(SourceFilterConfig())
    finally:
        world.package.cache_clear()
