"""What listeners hear: equally loud, nameless, anchors and noise as the standards have them."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.benchmarks.listening.designs import Clip, Heard, Material, Sentence
from selfremaster.benchmarks.listening.material import check_material, of_folders
from selfremaster.benchmarks.listening.sounds import (
    TONE_GAP_SECONDS,
    TONE_RATE,
    TONE_SECONDS,
    low_pass,
    modulated_noise,
    tones,
    write_sounds,
)
from selfremaster.core import audio
from selfremaster.core.errors import AudioError
from selfremaster.core.loudness import integrated_loudness
from tests.listening import speech_systems

RATE = 22050


def sine(hertz: float, rate: int = RATE) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(rate) / rate)[None] / 2


def rms(wave: Tensor) -> float:
    return float(wave[..., 2000:-2000].square().mean().sqrt())


@given(st.sampled_from([1000, 3500, 7000]), st.sampled_from([RATE, 48000]))
def test_an_anchor_keeps_what_is_below_and_nothing_above(cutoff: int, rate: int) -> None:
    below, above = sine(0.97 * cutoff, rate), sine(1.2 * cutoff, rate)
    assert 20 * math.log10(rms(low_pass(below, rate, cutoff)) / rms(below)) > -0.1
    assert 20 * math.log10(rms(low_pass(above, rate, cutoff)) / rms(above)) < -55
    assert torch.allclose(
        low_pass(below, rate, cutoff)[..., 2000:-2000], below[..., 2000:-2000], atol=5e-3
    )


def test_an_anchor_above_the_band_cannot_be_made() -> None:
    with pytest.raises(AudioError, match="an anchor of 3500 Hz cannot be made of sounds at 8000"):
        low_pass(sine(100, 8000), 8000, 3500)


@pytest.mark.parametrize("quality_db", [0.0, 10.0])
def test_modulated_noise_follows_the_speech(quality_db: float) -> None:
    wave = sine(440) * torch.linspace(0, 1, RATE)
    noise = modulated_noise(wave, quality_db, seed=1) - wave
    assert 20 * math.log10(rms(wave) / rms(noise)) == pytest.approx(quality_db, abs=0.3)
    assert float(noise[..., :10].abs().max()) < 1e-3
    assert torch.equal(modulated_noise(wave, quality_db, seed=1), wave + noise) or torch.allclose(
        modulated_noise(wave, quality_db, seed=1), wave + noise
    )


@pytest.mark.parametrize("count", [2, 5])
def test_so_many_quiet_tones(count: int) -> None:
    wave = tones(count, -23)
    seconds = count * TONE_SECONDS + (count + 1) * TONE_GAP_SECONDS
    assert len(wave) == pytest.approx(seconds * TONE_RATE, abs=count + 2)
    sounding = (wave.abs().unfold(0, 240, 240).amax(dim=1) > 1e-4).int()
    assert int((sounding.diff() == 1).sum()) == count
    loudness = integrated_loudness(
        wave[round(TONE_GAP_SECONDS * TONE_RATE) :][: round(TONE_SECONDS * TONE_RATE)], TONE_RATE
    )
    assert loudness == pytest.approx(-49, abs=0.5)


def material(folder: Path) -> Material:
    clean, clipped, quiet = speech_systems(folder)
    return of_folders({"clipped": clipped, "quiet": quiet}, clean)


def written(folder: Path, made: Material, target: float = -23) -> dict[Heard, tuple[str, Clip]]:
    wanted = [
        Heard(kind, label, sentence)
        for sentence in list(made.sentences)[:2]
        for kind, label in (
            ("system", "clipped"),
            ("system", "quiet"),
            ("reference", "reference"),
            ("shown", "reference"),
            ("noise", "noise"),
            ("anchor", "anchor 3500 Hz"),
        )
    ]
    return {
        heard: (name, clip) for heard, name, clip in write_sounds(folder, wanted, made, target, 3)
    }


def test_all_versions_are_equally_loud_and_their_names_tell_nothing(tmp_path: Path) -> None:
    made = material(tmp_path / "in")
    there = written(tmp_path / "out", made)
    names = {name for name, _ in there.values()}
    assert len(names) == 12
    for heard, (name, clip) in there.items():
        info = audio.inspect(tmp_path / "out" / name)
        assert (info.format, info.subtype, info.sample_rate) == ("WAV", "PCM_16", RATE)
        wave, rate = audio.read(tmp_path / "out" / name)
        assert integrated_loudness(wave, rate) == pytest.approx(clip.loudness_lufs, abs=0.1)
        assert float(audio.peak_db(wave.reshape(-1))) < -0.9
        assert len(name) == 16 + len(".wav")
        for told in ("clipped", "quiet", "reference", "heart", "alder"):
            assert told not in name
        assert clip.sentence == heard.sentence
    for sentence in {heard.sentence for heard in there}:
        loudness = {
            clip.loudness_lufs for heard, (_, clip) in there.items() if heard.sentence == sentence
        }
        assert len(loudness) == 1


def test_sounds_are_the_same_again_and_lower_where_they_would_clip(tmp_path: Path) -> None:
    made = material(tmp_path / "in")
    once, twice = (written(tmp_path / name, made) for name in ("one", "two"))
    assert once == twice
    for name, _ in once.values():
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    loud = written(tmp_path / "loud", made, target=-10)
    assert {clip.loudness_lufs for _, clip in loud.values()} != {-10.0}
    peaks = [
        float(audio.peak_db(audio.read(tmp_path / "loud" / name)[0].reshape(-1)))
        for name, _ in loud.values()
    ]
    assert max(peaks) == pytest.approx(-1, abs=0.01)


def test_no_file_tells_the_hidden_reference_by_size_time_or_bytes(tmp_path: Path) -> None:
    made = material(tmp_path / "in")
    sentence = next(iter(made.sentences.values()))
    wave, rate = audio.read(sentence.systems["quiet"])
    slower = audio.resample(wave, rate, 16000)[:, :-300]  # another rate, and a little shorter
    audio.write(sentence.systems["quiet"], slower, 16000)
    there = written(tmp_path / "out", made)
    for one in list(made.sentences)[:2]:
        files = {heard: name for heard, (name, _) in there.items() if heard.sentence == one}
        paths = [tmp_path / "out" / name for name in files.values()]
        assert len({path.stat().st_size for path in paths}) == 1
        assert len({path.stat().st_mtime for path in paths}) == 1
        assert len({path.read_bytes() for path in paths}) == len(paths)
        shown, hidden = (
            audio.read(tmp_path / "out" / files[Heard(kind, "reference", one)])[0]
            for kind in ("shown", "reference")
        )
        assert float((shown - hidden).abs().max()) <= 3 / 2**15
        assert len({there[heard][1].seconds for heard in files}) == 1


def test_silence_has_nothing_to_rate(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", torch.zeros(1, 4000), RATE)
    made = Material(("a",), {"s": Sentence({"a": tmp_path / "a.wav"})})
    with pytest.raises(AudioError, match="s: the version of a is silent; nothing to rate"):
        list(write_sounds(tmp_path, [Heard("system", "a", "s")], made, -23, 0))


def test_versions_of_other_lengths_are_of_other_stretches(tmp_path: Path) -> None:
    made = material(tmp_path)
    check_material(made, rows=3, aligned=True)
    first = next(iter(made.sentences.values()))
    wave, rate = audio.read(first.systems["quiet"])
    audio.write(first.systems["quiet"], wave[:, : rate // 4], rate)
    with pytest.raises(
        AudioError, match=r"alder-1: 0\.25 seconds from quiet, but 0\.50 from clipped"
    ):
        check_material(made, rows=3, aligned=True)


def test_folders_match_by_name_whatever_the_suffix(tmp_path: Path) -> None:
    made = material(tmp_path)
    assert list(made.sentences) == [
        f"{who}/{who}-{n}" for who in ("alder", "heart") for n in (1, 2, 3)
    ]
    assert {sentence.speaker for sentence in made.sentences.values()} == {"alder", "heart"}
    sentence = made.sentences["alder/alder-1"]
    wave, rate = audio.read(sentence.systems["quiet"])
    sentence.systems["quiet"].unlink()
    audio.write(sentence.systems["quiet"].with_suffix(".wav"), wave, rate)
    again = of_folders({"clipped": tmp_path / "clipped", "quiet": tmp_path / "quiet"})
    assert again.sentences["alder/alder-1"].systems["quiet"].suffix == ".wav"
    assert not again.has_references
