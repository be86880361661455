"""Metrics by networks: the scores of the original packages, and what each hears and does not."""

import importlib.util
import json
import math
import sys
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Metric
from selfremaster.core.levels import resample
from selfremaster.plugins.metrics import channel_similarity as channels
from selfremaster.plugins.metrics.power_mels import power_mel
from tests.network_waves import RATE_HZ, WAVES, utterance

STORED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "reference" / "network_scores.json").read_text(encoding="utf-8")
)
VOICES = [[f"{voice}-{number}" for number in (1, 2, 3)] for voice in ("alder", "heart")]
DAMAGES = ("band-limit", "clip", "quantize-resample", "overdrive", "noise", "reverb")


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


needs_dnsmos = needs("speechmos", "onnxruntime")
needs_resemblyzer = needs("resemblyzer")
needs_distillmos = needs("distillmos")


@lru_cache
def metric(spec: str) -> Metric:
    part: Metric = sr.build("metric", spec)
    return part


def measure(spec: str, estimate: Tensor, reference: Tensor | None = None) -> float:
    return metric(spec).compute(estimate, RATE_HZ, reference)[spec.partition(":")[0]]


@needs_distillmos
@pytest.mark.parametrize("name", STORED["distillmos"])
def test_distillmos_gives_the_scores_of_its_package(name: str) -> None:
    assert measure("distillmos", WAVES[name]()) == pytest.approx(
        STORED["distillmos"][name], abs=2e-3
    )


@needs_dnsmos
@pytest.mark.parametrize("name", STORED["dnsmos"])
def test_dnsmos_gives_the_scores_of_its_package(name: str) -> None:
    found = metric("dnsmos").compute(WAVES[name](), RATE_HZ)
    assert found == pytest.approx(STORED["dnsmos"][name], abs=2e-3)


@needs_dnsmos
def test_dnsmos_hears_the_gain_unless_told_the_loudness() -> None:
    wave = WAVES["heart"]()
    loud, quiet = (metric("dnsmos").compute(gain * wave, RATE_HZ) for gain in (1, 0.02))
    assert quiet["dnsmos-p808"] == pytest.approx(loud["dnsmos-p808"], abs=0.1)
    assert quiet["dnsmos-sig"] < loud["dnsmos-sig"] - 0.2
    levelled = metric("dnsmos:loudness_lufs=-26")
    assert levelled.policy.gain == "removed"
    one, other = (levelled.compute(gain * wave, RATE_HZ) for gain in (1, 0.02))
    assert one == pytest.approx(other, abs=1e-3)


@needs_dnsmos
def test_dnsmos_judges_what_is_played() -> None:
    wave = 3 * WAVES["heart"]()
    beyond, cut_off = (
        metric("dnsmos").compute(part, RATE_HZ) for part in (wave, wave.clamp(-1, 1))
    )
    assert beyond == cut_off


@needs_dnsmos
def test_dnsmos_of_long_waves_is_the_mean_of_pieces() -> None:
    long = WAVES["long"]()
    pieces = [long[start * RATE_HZ :][: int(9.01 * RATE_HZ)] for start in range(3)]
    alone = [metric("dnsmos").compute(piece, RATE_HZ) for piece in pieces]
    mean = {name: sum(score[name] for score in alone) / 3 for name in alone[0]}
    assert metric("dnsmos").compute(long, RATE_HZ) == pytest.approx(mean, abs=1e-4)
    assert metric("dnsmos:step_seconds=9").compute(long, RATE_HZ) == pytest.approx(
        alone[0], abs=1e-4
    )


@needs_dnsmos
def test_dnsmos_of_silence_is_no_number() -> None:
    found = metric("dnsmos").compute(torch.zeros(RATE_HZ), RATE_HZ)
    assert all(math.isnan(number) for number in found.values())
    with pytest.raises(ComponentError, match="0 samples of estimate; nothing to measure"):
        metric("dnsmos").compute(torch.zeros(0), RATE_HZ)


def test_power_mel_has_the_power_of_a_tone_in_its_band() -> None:
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(RATE_HZ) / RATE_HZ)
    mel, louder = (power_mel(gain * tone, RATE_HZ, 400, 160, 40) for gain in (1, 2))
    assert mel.shape == (101, 40)
    middle = mel[20:80].mean(dim=0)
    # Slaney's scale has 15 mels at 1000 Hz and 45.245 at 8000 Hz, for 41 steps
    assert int(middle.argmax()) == round(15 / (45.245 / 41)) - 1
    assert torch.equal(4 * mel, louder)


@needs_resemblyzer
@pytest.mark.parametrize("pair", STORED["speaker-similarity"])
def test_speakers_are_as_alike_as_the_package_says(pair: str) -> None:
    one, other = (_voice(name) for name in pair.split())
    assert float(one @ other) == pytest.approx(STORED["speaker-similarity"][pair], abs=1e-3)


@needs_resemblyzer
def test_a_voice_is_the_direction_of_the_package() -> None:
    stored = torch.tensor(STORED["embedding"]["values"], dtype=torch.float64)
    assert float((_voice(STORED["embedding"]["wave"]) - stored).abs().max()) < 5e-4


@lru_cache
def _voice(name: str) -> Tensor:
    part: Any = metric("speaker-similarity")
    wave = WAVES[name]() if name in WAVES else utterance(name)
    direction: Tensor = part.embed(wave, RATE_HZ)
    return direction


@needs_resemblyzer
def test_a_voice_is_nearer_to_itself_than_to_another() -> None:
    alder, heart = (torch.stack([_voice(name) for name in names]) for names in VOICES)
    same = [float(part.min()) for part in (alder @ alder.T, heart @ heart.T)]
    assert min(same) > float((alder @ heart.T).max()) + 0.15


@needs_resemblyzer
def test_a_voice_has_no_loudness_and_is_the_same_a_little_later() -> None:
    clean = WAVES["heart"]()
    assert measure("speaker-similarity", clean / 100, clean) == pytest.approx(1, abs=1e-6)
    late = torch.cat([torch.zeros(80), clean])
    assert 0.985 < measure("speaker-similarity", late, clean) <= 1


@needs_resemblyzer
@pytest.mark.parametrize("samples", [1, 3000])
def test_too_little_of_a_voice_gives_no_number(samples: int) -> None:
    wave = WAVES["heart"]()[8000 : 8000 + samples]
    assert math.isnan(measure("speaker-similarity", wave, wave))


@needs_resemblyzer
def test_the_package_that_carries_the_voices_weights_is_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refusing:
        def find_spec(self, name: str, *rest: Any) -> None:
            if name in {"webrtcvad", "librosa", "resemblyzer.voice_encoder"}:
                raise AssertionError(f"{name} is imported")

    for name in list(sys.modules):
        if name.partition(".")[0] in {"webrtcvad", "librosa", "resemblyzer"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    assert sr.build("metric", "speaker-similarity").network is not None


@pytest.mark.parametrize(
    ("name", "package", "remedy"),
    [
        ("dnsmos", "speechmos", r"pip install 'selfremaster\[metrics\]'"),
        ("dnsmos", "onnxruntime", r"pip install 'selfremaster\[metrics\]'"),
        ("speaker-similarity", "resemblyzer", "pip install --no-deps resemblyzer"),
        ("wer", "pocketsphinx", r"pip install 'selfremaster\[wer\]'"),
    ],
)
def test_a_missing_package_is_named(
    name: str, package: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "speechmos":
        monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ComponentError, match=f"^metric {name}: needs .*{package}; {remedy}$"):
        sr.build("metric", name)


@lru_cache
def _damaged(name: str, damage: str) -> channels.Traces:
    wave = resample(utterance(name), RATE_HZ, 22050)[None]
    heard = sr.build("degradation", damage)(wave, Generator().manual_seed(0), 22050)[0][0]
    return channels.traces(resample(heard, 22050, RATE_HZ))


def test_a_channel_is_known_again_when_another_speaks() -> None:
    wins = []
    for number, own in enumerate(VOICES):
        others = VOICES[1 - number]
        for name in own:
            for damage in DAMAGES:
                here = _damaged(name, damage)
                alike = [channels.distance(here, _damaged(other, damage)) for other in others]
                unlike = [
                    channels.distance(here, _damaged(same, elsewhere))
                    for same in own
                    for elsewhere in DAMAGES
                    if elsewhere != damage
                ]
                wins += [near < far for near in alike for far in unlike]
    # measured: 97.9 %; by the correlation or distance of mean spectra alone 69 %
    assert sum(wins) / len(wins) >= 0.95


def test_another_voice_in_the_same_channel_has_about_a_half() -> None:
    found = [
        1 / (1 + channels.distance(_damaged(one, damage), _damaged(other, damage)))
        for damage in DAMAGES
        for one in VOICES[0]
        for other in VOICES[1]
    ]
    assert np.median(found) == pytest.approx(0.5, abs=0.1)


def test_a_channel_has_no_loudness_and_is_the_same_a_little_later() -> None:
    clean = utterance("heart-1")
    assert measure("channel-similarity", clean, clean) == 1
    assert measure("channel-similarity", clean / 30, clean) == pytest.approx(1, abs=1e-3)
    late = torch.cat([torch.zeros(160), clean])
    assert 0.9 < measure("channel-similarity", late, clean) <= 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_recording_is_in_another_channel(damage: str) -> None:
    clean = utterance("alder-1")
    heard = sr.build("degradation", damage)(clean[None], Generator().manual_seed(0), RATE_HZ)[0][0]
    assert measure("channel-similarity", heard, clean) < 0.55


def test_a_channel_of_less_than_a_second_or_silent_is_no_number() -> None:
    clean = utterance("heart-1")
    for heard, wanted in [
        (clean[:15999], clean[:15999]),
        (clean, torch.zeros(RATE_HZ)),
        (torch.zeros(RATE_HZ), clean),
    ]:
        assert math.isnan(measure("channel-similarity", heard, wanted))


@pytest.mark.parametrize("name", ["channel-similarity", "speaker-similarity", "wer"])
def test_what_compares_asks_for_its_reference(name: str) -> None:
    try:
        part = metric(name)
    except ComponentError as error:
        pytest.skip(str(error))
    with pytest.raises(ComponentError, match="compares with the clean original; give reference"):
        part.compute(torch.ones(RATE_HZ), RATE_HZ)
    with pytest.raises(ComponentError, match=r"estimate of shape \(1, 9\); give \(samples,\)"):
        part.compute(torch.ones(1, 9), RATE_HZ, torch.ones(9))
