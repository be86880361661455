"""`selfremaster profile`: recordings in, a small file out, and every bad input in one line."""

import json
from pathlib import Path

import pytest
import torch

from selfremaster.core import audio, spectra
from selfremaster.core.profiles import ChannelProfile, SpectralProfile
from selfremaster.registry import assembling
from selfremaster.registry.assembling import load
from tests.cli import SPEECH, left_behind, run, write_tiny_bundle, write_tone

SPOKEN = SPEECH / "heart" / "heart-1.flac"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def test_a_profile_of_a_recording_is_that_of_python(bundle: Path, tmp_path: Path) -> None:
    told = run("profile", SPOKEN, "--output", tmp_path / "tape.json", "--model", bundle)
    assert told == (0, f"1 recording, 3.4 seconds -> {tmp_path}/tape.json\n", "")
    profile = ChannelProfile.load(tmp_path / "tape.json")
    assert (profile.name, profile.model.name) == ("tape", "tiny")
    assert [source.file for source in profile.sources] == ["heart-1.flac"]
    wave, sample_rate = audio.read(SPOKEN)
    assert profile.values == load(bundle).profile(wave, sample_rate).values
    assert left_behind(tmp_path) == ["tape.json"]


def test_files_and_folders_make_one_profile(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "tape.safetensors"
    words = ("--model", bundle, "--name", "the tape", "--json", "--quiet")
    told = run("profile", SPEECH / "heart", SPOKEN, "--output", output, *words)
    assert told.code == 0
    profile = ChannelProfile.load(output)
    assert profile.name == "the tape"
    files = ["heart-1.flac", "heart-2.flac", "heart-3.flac"]
    assert [source.file for source in profile.sources] == files
    described = json.loads(told.out)
    assert described["profile"]["output"] == str(output)
    assert described["profile"]["seconds"] == pytest.approx(profile.seconds)
    assert described["profile"]["model"]["sha256"] == profile.model.sha256
    assert described["failed"] == []
    assert "values" not in described["profile"]


def test_files_of_one_name_in_several_folders_are_all_heard(bundle: Path, tmp_path: Path) -> None:
    files = [write_tone(tmp_path / name / "a.wav", samples=3000) for name in ("one", "two")]
    words = ("--output", tmp_path / "o.json", "--model", bundle, "--quiet")
    assert run("profile", *files, *words) == (0, "", "")
    assert len(ChannelProfile.load(tmp_path / "o.json").sources) == 2


def test_one_bad_recording_stops_no_other(bundle: Path, tmp_path: Path) -> None:
    write_tone(tmp_path / "tapes" / "a.wav")
    (tmp_path / "tapes" / "b.wav").write_bytes(b"no sound")
    output = tmp_path / "tape.json"
    told = run("profile", tmp_path / "tapes", "--output", output, "--model", bundle)
    assert told.code == 1
    assert told.out == f"1 recording, 0.2 seconds -> {output}\n"
    assert "b.wav: not audio, or damaged" in told.err
    assert "error: 1 of 2 files failed, the others are done" in told.err
    (tmp_path / "tapes" / "a.wav").write_bytes(b"no sound")
    output.unlink()
    told = run("profile", tmp_path / "tapes", "--output", output, "--model", bundle, "--json")
    assert told.code == 1
    assert json.loads(told.out)["profile"] is None
    assert not output.exists()


def test_a_mean_spectrum_with_and_without_clean_speech(tmp_path: Path) -> None:
    words = ("profile", SPEECH / "heart", "--method", "mean-spectrum", "--output")
    assert run(*words, tmp_path / "level.json").code == 0
    assert run(*words, tmp_path / "gain.json", "--clean", SPEECH / "heart").code == 0
    level, gain = (SpectralProfile.load(tmp_path / f"{name}.json") for name in ("level", "gain"))
    assert (level.quantity, gain.quantity) == ("level", "gain")
    assert gain.values == pytest.approx([0.0] * 513, abs=1e-6)
    assert len(gain.sources) == len(gain.clean_sources) == 3
    assert level.sample_rate == 22050
    again = run(
        "restore", SPOKEN, "--output", tmp_path / "o.wav", "--model", tmp_path / "gain.json"
    )
    assert "is not a safetensors file" in again.error


def test_the_published_form_compares_recordings_with_their_originals(tmp_path: Path) -> None:
    old, clean = tmp_path / "old", tmp_path / "clean"
    pairs = []
    for name, place in (("heart-1", "a"), ("heart-2", "deep/b")):
        wave, rate = audio.read(SPEECH / "heart" / f"{name}.flac")
        wave = wave[:, :20_000]
        tape = torch.nn.functional.avg_pool1d(wave, 5, 1, 2)
        audio.write(old / f"{place}.wav", tape, rate, subtype="FLOAT")
        audio.write(clean / f"{place}.flac", wave, rate)
        pairs.append((audio.read(old / f"{place}.wav")[0], audio.read(clean / f"{place}.flac")[0]))
    words = ("profile", old, "--method", "mean-spectrum", "--form", "published")
    told = run(*words, "--clean", clean, "--output", tmp_path / "gain.json")
    assert told.code == 0, told.err
    gain = SpectralProfile.load(tmp_path / "gain.json")
    assert (gain.quantity, gain.form, gain.name) == ("gain", "published", "gain")
    assert [source.file for source in gain.sources] == ["a.wav", "b.wav"]
    assert [source.file for source in gain.clean_sources] == ["a.flac", "b.flac"]
    expected = spectra.paired_gain(pairs, rate).values_db
    assert torch.allclose(gain.spectrum.values_db, expected, atol=1e-3)
    robust = run(
        *("profile", old, "--method", "mean-spectrum", "--form", "robust", "--clean", clean),
        *("--output", tmp_path / "robust.json"),
    )
    assert robust.code == 0
    assert SpectralProfile.load(tmp_path / "robust.json").form == "robust"
    audio.write(clean / "a.flac", torch.zeros(1, 9000) + 0.1, rate)
    told = run(*words, "--clean", clean, "--output", tmp_path / "one.json", "--json")
    assert told.code == 1
    assert f"{old}/a.wav: 0.91 seconds, its clean original {clean}/a.flac 0.41; give" in told.err
    described = json.loads(told.out)
    assert described["profile"]["form"] == "published"
    assert [source["file"] for source in described["profile"]["sources"]] == ["b.wav"]
    (clean / "a.flac").unlink()
    error = run(*words, "--clean", clean, "--output", tmp_path / "two.json").error
    assert f"{old}/a.wav: no clean original {clean}/a.wav; name the folder" in error
    one = ("--clean", clean / "deep" / "b.flac", "--output", tmp_path / "two.json")
    assert "b.flac: one original for 2 recordings; name a folder" in run(*words, *one).error
    none = ("--clean", tmp_path / "none", "--output", tmp_path / "two.json")
    assert "none: no such file or folder; check the path of --clean" in run(*words, *none).error
    assert not (tmp_path / "two.json").exists()


def test_bad_words_are_one_line_and_leave_nothing(bundle: Path, tmp_path: Path) -> None:
    tone = write_tone(tmp_path / "a.wav")
    (tmp_path / "there.json").write_text("mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.wav").write_bytes(b"no sound")
    before = left_behind(tmp_path)
    output = ("--output", tmp_path / "o.json")
    model = ("--model", bundle)
    spectrum = ("--method", "mean-spectrum")
    for words, error in (
        ((tone, "--output", tmp_path / "o.wav", *model), "o.wav: a profile is a .json or .safe"),
        ((tone, "--output", tmp_path / "there.json", *model), "exists already; add --overwrite"),
        ((tmp_path / "none.wav", *output, *model), "none.wav: no such file or folder"),
        ((tmp_path / "bad" / "bad.wav", *output, *model), "bad.wav: not audio, or damaged"),
        ((tone, *output, "--method", "mean-spectra"), "no method named 'mean-spectra'; did you"),
        ((tone, *output, "--clean", tone, *model), "--clean is for --method mean-spectrum"),
        ((tone, *output, "--form", "robust", *model), "--form is for --method mean-spectrum"),
        ((tone, *output, *spectrum, "--form", "publish"), "no form named 'publish'; did you mean"),
        ((tone, *output, *spectrum, "--form", "published"), "with their originals; give --clean"),
        ((tone, *output, *spectrum, *model), "mean-spectrum uses no model; leave --model out"),
        ((tone, *output, *spectrum, "--clean", tmp_path / "bad"), "no recording can be read"),
        ((tone, *output, "--model", tmp_path / "none"), "neither a file nor a built-in name"),
        ((tone, *output, *model, "--device", "tpu"), "no device named 'tpu'"),
    ):
        assert error in run("profile", *words).error
    assert left_behind(tmp_path) == before
    assert (tmp_path / "there.json").read_text() == "mine"


def test_a_vocoder_alone_hears_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(bundle)
    model.analyzer = None
    monkeypatch.setattr(assembling, "load", lambda *_, **__: model)
    tone = write_tone(tmp_path / "a.wav")
    told = run("profile", tone, "--output", tmp_path / "o.json", "--model", bundle)
    assert "this model is a vocoder alone: it has no analysis module to hear with" in told.error


def test_a_model_must_be_named_until_there_is_a_default(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("profile", write_tone(tmp_path / "a.wav"), "--output", tmp_path / "o.json")
    monkeypatch.setattr(assembling, "builtin_bundles", dict)
    assert "--model is missing; give a bundle" in run(*words).error
    monkeypatch.setattr(assembling, "builtin_bundles", lambda: {"default": bundle})
    assert run(*words).code == 0
    assert ChannelProfile.load(tmp_path / "o.json").model.name == "tiny"


def test_silence_has_no_mean_spectrum(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", torch.zeros(1, 4000), 8000)
    words = ("--output", tmp_path / "o.json", "--method", "mean-spectrum")
    assert "a.wav: nothing but silence" in run("profile", tmp_path / "a.wav", *words).error
