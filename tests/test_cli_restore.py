"""`selfremaster restore`: results as the recordings were kept, and every bad input in one line."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import soundfile
import torch

from selfremaster.core import audio, restoring
from selfremaster.core.bundles import BUNDLE_NAME, write_bundle
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.experiments import Experiment
from selfremaster.core.levels import rms_db
from selfremaster.registry.assembling import assemble, load
from selfremaster.registry.building import build, component_class
from tests import tiny
from tests.cli import SPEECH, left_behind, run, tone, write_tiny_bundle, write_tone
from tests.tiny import write_model

SPOKEN = SPEECH / "heart" / "heart-1.flac"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "subtype"),
    [
        ("old.wav", 8000, 2, "PCM_24"),
        ("old.wav", 44100, 1, "FLOAT"),
        ("old.flac", 22050, 1, "PCM_16"),
        ("old.ogg", 16000, 1, "VORBIS"),
    ],
)
def test_a_result_is_kept_as_its_recording(
    bundle: Path, tmp_path: Path, name: str, rate_hz: int, channels: int, subtype: str
) -> None:
    wave = tone(3001, channels, rate_hz, level=0.2)
    audio.write(tmp_path / name, wave, rate_hz, subtype=subtype)
    told = run("restore", tmp_path / name, "--output", f"{tmp_path}/new/", "--model", bundle)
    assert told == (0, f"{tmp_path}/{name} -> {tmp_path}/new/{name}\n", "")
    before, after = (audio.inspect(path) for path in (tmp_path / name, tmp_path / "new" / name))
    assert after == before
    restored, _ = audio.read(tmp_path / "new" / name)
    assert torch.allclose(rms_db(restored), rms_db(wave), atol=0.5)
    assert left_behind(tmp_path) == [f"new/{name}", name]


def test_a_folder_keeps_its_tree_and_one_bad_file_stops_no_other(
    bundle: Path, tmp_path: Path
) -> None:
    tapes = tmp_path / "tapes"
    write_tone(tapes / "a.wav")
    write_tone(tapes / "deep" / "b.wav", samples=1)
    (tapes / "text.wav").write_text("not a sound")
    (tapes / "empty.wav").touch()
    (tapes / "cut.wav").write_bytes((tapes / "a.wav").read_bytes()[:3000])
    options = ("--model", bundle, "--strict")
    told = run("restore", tapes, "--output", tmp_path / "out", *options)
    assert told.code == 1
    assert left_behind(tmp_path / "out") == ["a.wav", "deep/b.wav"]
    *failures, summary = told.err.splitlines()
    assert summary == "error: 3 of 5 files failed, the others are done"
    assert [line.split(": ")[1] for line in failures] == [
        str(tapes / name) for name in ("cut.wav", "empty.wav", "text.wav")
    ]
    assert "truncated: about" in failures[0]
    assert "0 samples of audio" in failures[1]
    assert "not audio, or damaged" in failures[2]
    again = run("restore", tapes, "--output", tmp_path / "out", *options)
    assert "out/a.wav, " in again.error
    assert "exist already; add --overwrite" in again.error
    both = run("restore", tapes, "--output", tmp_path / "out", *options, "--overwrite")
    assert both.code == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "0 samples of audio; nothing to restore"),
        (b"not a sound", "not audio, or damaged"),
        (None, "no such file or folder; check the path"),
    ],
)
def test_a_bad_recording_is_one_line_and_leaves_nothing(
    bundle: Path, tmp_path: Path, content: bytes | None, error: str
) -> None:
    if content is not None:
        (tmp_path / "old.wav").write_bytes(content)
    before = left_behind(tmp_path)
    told = run("restore", tmp_path / "old.wav", "--output", tmp_path / "o.wav", "--model", bundle)
    assert f"{tmp_path}/old.wav: {error}" in told.error
    assert left_behind(tmp_path) == before


def foreign(path: Path, bundle: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)


def truncated(path: Path, bundle: Path) -> None:
    path.write_bytes(bundle.read_bytes()[:-1000])


def changed(path: Path, bundle: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def text(path: Path, bundle: Path) -> None:
    path.write_text("not a bundle")


def folder_without_bundle(path: Path, bundle: Path) -> None:
    path.mkdir()


def missing(path: Path, bundle: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (foreign, "a safetensors file, but not written by selfremaster"),
        (truncated, "is not a safetensors file, or a damaged one"),
        (changed, "does not fit its own hash"),
        (text, "is not a safetensors file"),
        (folder_without_bundle, f"a folder without {BUNDLE_NAME}; has its training ended?"),
        (missing, "neither a file nor a built-in name"),
    ],
)
def test_a_bad_bundle_is_one_line_and_leaves_nothing(
    bundle: Path, tmp_path: Path, make: Callable[[Path, Path], None], error: str
) -> None:
    make(tmp_path / "model", bundle)
    before = left_behind(tmp_path)
    words = ("--output", tmp_path / "o.flac", "--model", tmp_path / "model")
    assert error in run("restore", SPOKEN, *words).error
    if not (tmp_path / "model").is_dir():
        assert error in run("check", f"{tmp_path}/model").out or make is missing
    assert left_behind(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--vocoder", "hifigann"), "no vocoder named 'hifigann'; did you mean 'hifigan'?"),
        (("--vocoder", "griffin-lim:iteration=1"), "no setting 'iteration'; did you mean 'iterat"),
        (("--vocoder", "hifigan:preset=v3,initial_channels=8"), "has weights that nobody trained"),
        (("--device", "gpu"), "no device named 'gpu'; known: auto, cpu"),
        (("--device", "cuda:77"), "device 'cuda:77' is not there; use auto or cpu"),
        (("--device", "cpu:x"), "no device named 'cpu:x'"),
        (("--metric", "lsd"), "metric lsd compares with a clean original; give --reference"),
        (("--metric", "lds"), "no metric named 'lds'; did you mean 'lsd'?"),
        (("--reference", "none.wav"), "none.wav: no such file or folder; check the path of --ref"),
        (("--reference", str(SPEECH / "alder")), "no clean original"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(
    bundle: Path, tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    told = run("restore", SPOKEN, "--output", tmp_path / "o.flac", "--model", bundle, *words)
    assert error in told.error
    assert left_behind(tmp_path) == []


def test_a_model_must_be_named_until_there_is_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path
) -> None:
    from selfremaster.registry import assembling

    words = ("restore", write_tone(tmp_path / "a.wav"), "--output", tmp_path / "o.wav")
    monkeypatch.setattr(assembling, "builtin_bundles", dict)
    assert "--model is missing; give a bundle" in run(*words).error
    monkeypatch.setattr(assembling, "builtin_bundles", lambda: {"default": bundle})
    assert run(*words).code == 0


def test_another_vocoder_speaks(bundle: Path, tmp_path: Path) -> None:
    old = write_tone(tmp_path / "old.wav")
    spoken = {}
    for vocoder in (None, "input-phase", "griffin-lim", "griffin-lim:iterations=2"):
        words = () if vocoder is None else ("--vocoder", vocoder)
        output = tmp_path / f"{len(spoken)}.wav"
        assert run("restore", old, "--output", output, "--model", bundle, *words).code == 0
        spoken[vocoder] = output.read_bytes()
    assert spoken["griffin-lim"] == spoken[None]  # the model's own, as it was trained
    assert len(set(spoken.values())) == 3


def test_the_model_s_own_vocoder_is_taken_with_its_weights(tmp_path: Path) -> None:
    experiment = Experiment.from_mapping(
        {
            "model": {
                "vocoder": "hifigan:preset=v3,initial_channels=8",
                "channel": "identity",
                "output": "input-phase",
            },
            "seed": 5,
        }
    )
    model = assemble(experiment)
    write_bundle(tmp_path / "m", model, experiment)
    assert load(tmp_path / "m").output is not None
    taken = load(tmp_path / "m", output="hifigan")
    assert taken.output is None
    with pytest.raises(ComponentError, match=r"nobody trained; take .* own, hifigan"):
        load(tmp_path / "m", output="hifigan:preset=v3,initial_channels=16")


def test_pictures_and_numbers_before_and_after(bundle: Path, tmp_path: Path) -> None:
    old, clean, new = (tmp_path / name for name in ("old", "clean", "new"))
    for name in ("a", "b"):
        write_tone(clean / f"{name}.flac", samples=6000)
        audio.write(old / f"{name}.wav", tone(6000).clamp(-0.1, 0.1), 22050)
    words = ("restore", old, "--output", new, "--model", bundle, "--reference", clean)
    told = run(*words, "--pictures", "--vocoder", "input-phase")
    assert told.code == 0, told.err
    assert left_behind(new) == ["a.png", "a.wav", "b.png", "b.wav"]
    assert (new / "a.png").read_bytes().startswith(b"\x89PNG")
    heading, *rows = told.out.splitlines()[2:]
    assert heading.split() == "file lsd ↓ input restored mel-l1 ↓ input restored".split()
    assert [row.split()[0] for row in rows] == [str(old / "a.wav"), str(old / "b.wav"), "mean"]
    told = run(*words, "--metric", "lsd", "--json", "--overwrite")
    restored = json.loads(told.out)["restored"]
    assert [item["input"] for item in restored] == [str(old / "a.wav"), str(old / "b.wav")]
    numbers = [float(number) for number in rows[0].split()[1:]]
    assert restored[0]["input_metrics"]["lsd"] == pytest.approx(numbers[0], abs=1e-3)
    assert restored[0]["output_metrics"].keys() == {"lsd"}
    assert json.loads(told.out)["failed"] == []


@pytest.fixture(scope="module")
def stirred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose channel features have a say."""
    return write_model(tmp_path_factory.mktemp("stirred") / "stirred.safetensors", 1)


def test_what_the_model_takes_recordings_for_is_written(stirred: Path, tmp_path: Path) -> None:
    old, again = tmp_path / "old", tmp_path / "again"
    write_tone(old / "a.wav")
    audio.write(old / "deep" / "b.flac", tone(3000, 2, 16000), 16000)
    words = ("restore", old, "--output", tmp_path / "new", "--model", stirred)
    told = run(*words, "--redegraded", again)
    assert told.code == 0, told.err
    assert told.out.splitlines()[:2] == [
        f"{old}/a.wav -> {tmp_path}/new/a.wav",
        f"{old}/a.wav -> {again}/a.wav (redegraded)",
    ]
    assert left_behind(again) == left_behind(old) == left_behind(tmp_path / "new")
    model = load(stirred)
    for place in ("a.wav", "deep/b.flac"):
        assert audio.inspect(again / place) == audio.inspect(old / place)
        wave, sample_rate = audio.read(old / place)
        made, _ = audio.read(again / place)
        assert torch.allclose(made, model.redegrade(wave, sample_rate), atol=1e-3)
    assert run(*words, "--overwrite", "--redegraded", again, "--quiet") == (0, "", "")
    assert "again/a.wav, " in run(*words[:3], tmp_path / "b", *words[4:], "--redegraded", again).err


def test_another_sound_is_put_back_and_measured(stirred: Path, tmp_path: Path) -> None:
    old = write_tone(tmp_path / "old.wav")
    wave, sample_rate = audio.read(old)
    model = load(stirred)
    own = model.profile(wave, sample_rate)
    other = own.model_copy(update={"values": tuple(value + 3 for value in own.values)})
    other.save(tmp_path / "speaker.json")
    words = ("restore", old, "--model", stirred, "--output", tmp_path / "new.wav", "--overwrite")
    measured = ("--reference", old, "--metric", "lsd")
    again = ("--redegraded", tmp_path / "again.wav", "--profile", tmp_path / "speaker.json")
    told = run(*words, *measured, *again, "--json")
    assert told.code == 0, told.err
    (result,) = json.loads(told.out)["restored"]
    assert result["redegraded"] == str(tmp_path / "again.wav")
    expected = model.redegrade(wave, sample_rate, other)
    made, _ = audio.read(tmp_path / "again.wav")
    assert torch.allclose(made, expected, atol=1e-3)
    assert not torch.allclose(made, model.redegrade(wave, sample_rate), atol=1e-3)
    lsd = build("metric", "lsd").compute(expected[0], sample_rate, wave[0])
    assert result["redegraded_metrics"] == pytest.approx(lsd, rel=1e-3)
    heading, row = run(*words, *measured, *again).out.splitlines()[2:]
    assert heading.split() == "file lsd ↓ input restored redegraded".split()
    assert float(row.split()[3]) == pytest.approx(lsd["lsd"], abs=1e-2)
    without = json.loads(run(*words, "--json").out)["restored"][0]
    assert (without["redegraded"], without["redegraded_metrics"]) == (None, {})


def test_a_sound_that_cannot_be_put_back_is_one_line_and_leaves_nothing(
    bundle: Path, stirred: Path, tmp_path: Path
) -> None:
    old = write_tone(tmp_path / "old.wav")
    model = load(stirred)
    profile = model.profile(*audio.read(old))
    profile.save(tmp_path / "tape.json")
    parts = {"analyzer": tiny.ANALYZER, "channel": None, "vocoder": tiny.VOCODER}
    deaf, experiment = tmp_path / "deaf", Experiment.from_mapping({"model": parts})
    write_bundle(deaf, assemble(experiment), experiment)
    level = tmp_path / "level.json"
    assert run("profile", old, "--method", "mean-spectrum", "--output", level).code == 0
    before = left_behind(tmp_path)
    again = ("--redegraded", tmp_path / "again.wav")
    own, tape = ("--model", stirred), ("--profile", tmp_path / "tape.json")
    for words, error in (
        ((*again, "--model", deaf), "this model has no channel module to put the sound"),
        ((*again, *tape, "--model", bundle), "was made by model tiny ("),
        ((*again, *own, "--profile", level), "is a spectral profile, not a channel profile"),
        ((*again, *own, "--profile", old), "old.wav: a profile is a .json or .safetensors file"),
        ((*own, *tape), "--profile is what --redegraded puts back; give --redegraded, too"),
        (("--redegraded", tmp_path / "o.wav", *own), "o.wav: the restored sound goes there; name"),
        (("--redegraded", old, *own, "--overwrite"), "originals are never overwritten"),
        (("--redegraded", tmp_path / "o.txt", *own), "o.txt: name a sound file"),
    ):
        assert error in run("restore", old, "--output", tmp_path / "o.wav", *words).error, words
    assert left_behind(tmp_path) == before
    missing = ("--output", tmp_path / "o.wav", *own, "--reference", old, *again)
    assert run("restore", old, *missing).code == 0


def test_no_original_is_overwritten_by_what_is_put_back(stirred: Path, tmp_path: Path) -> None:
    old, clean = (write_tone(tmp_path / name) for name in ("old.wav", "clean.wav"))
    before = clean.read_bytes()
    words = ("--output", tmp_path / "o.wav", "--model", stirred, "--overwrite")
    again = ("--reference", clean, "--redegraded", clean)
    assert "originals are never overwritten" in run("restore", old, *words, *again).error
    assert clean.read_bytes() == before


def test_results_inside_the_folder_of_recordings_are_no_input(
    stirred: Path, tmp_path: Path
) -> None:
    write_tone(tmp_path / "a.wav")
    words = ("restore", tmp_path, "--output", tmp_path / "new", "--model", stirred, "--quiet")
    for more in ((), ("--overwrite",)):
        told = run(*words, "--redegraded", tmp_path / "again", *more)
        assert told == (0, "", "")
    assert left_behind(tmp_path) == ["a.wav", "again/a.wav", "new/a.wav"]


def test_a_sound_that_cannot_be_written_leaves_nothing_put_back(
    stirred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, target = audio.write_blocks, tmp_path / "o.wav"

    def fail(path: Path, *given: Any, **named: Any) -> None:
        if path == target:
            raise OSError(errno.EIO, "the disk is broken", "disk")
        write(path, *given, **named)

    old = write_tone(tmp_path / "old.wav")
    monkeypatch.setattr("selfremaster.core.audio.write_blocks", fail)
    words = ("--output", target, "--model", stirred, "--redegraded", tmp_path / "again.wav")
    assert run("restore", old, *words).error == "error: disk: the disk is broken"
    assert left_behind(tmp_path) == ["old.wav"]


def test_a_reference_of_another_rate_and_one_channel_is_brought_to_the_recording(
    tmp_path: Path, bundle: Path
) -> None:
    clean = tmp_path / "clean.wav"
    audio.write(clean, audio.resample(tone(6000), 22050, 44100), 44100, subtype="FLOAT")
    old = tmp_path / "old.wav"
    audio.write(old, tone(6000).expand(2, -1), 22050, subtype="FLOAT")
    words = ("restore", old, "--output", tmp_path / "o.wav", "--model", bundle, "--json")
    told = run(*words, "--reference", clean, "--metric", "si-sdr")
    (result,) = json.loads(told.out)["restored"]
    assert result["input_metrics"]["si-sdr"] > 30


def not_finite(path: Path) -> None:
    wave = tone(4000)
    wave[0, 7] = float("nan")
    soundfile.write(path, wave[0].numpy(), 22050, subtype="FLOAT")


def cut_off(path: Path) -> None:
    write_tone(path)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Path.touch, "clean.wav: 0 samples of audio"),
        (lambda path: path.write_text("no sound"), "clean.wav: not audio, or damaged"),
        (cut_off, "clean.wav: truncated: about"),
        (not_finite, "clean.wav: sample 7 (0.000 seconds) is nan, not a finite number"),
    ],
)
def test_a_bad_original_is_one_line_and_nothing_is_written(
    bundle: Path, tmp_path: Path, make: Callable[[Path], None], error: str
) -> None:
    old, clean = write_tone(tmp_path / "old.wav"), tmp_path / "clean.wav"
    make(clean)
    words = ("--output", tmp_path / "o.wav", "--model", bundle, "--reference", clean)
    assert error in run("restore", old, *words, "--pictures").error
    assert left_behind(tmp_path) == ["clean.wav", "old.wav"]


def test_a_bad_original_of_several_stops_no_other(bundle: Path, tmp_path: Path) -> None:
    for folder in ("old", "clean"):
        for name in ("a.wav", "b.wav"):
            write_tone(tmp_path / folder / name)
    (tmp_path / "clean" / "a.wav").write_bytes(b"no sound")
    words = ("--output", tmp_path / "new", "--model", bundle, "--reference", tmp_path / "clean")
    told = run("restore", tmp_path / "old", *words, "--pictures", "--metric", "si-sdr")
    assert told.code == 1
    assert f"{tmp_path}/clean/a.wav: not audio, or damaged" in told.err
    assert left_behind(tmp_path / "new") == ["b.png", "b.wav"]


def test_a_number_that_cannot_be_had_leaves_nothing(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ComponentError("metric si-sdr: there is nothing to compare")

    monkeypatch.setattr(component_class("metric", "si-sdr"), "compute", refuse)
    old, clean = (write_tone(tmp_path / name) for name in ("old.wav", "clean.wav"))
    words = ("--output", tmp_path / "o.wav", "--model", bundle, "--reference", clean)
    told = run("restore", old, *words, "--metric", "si-sdr", "--pictures")
    assert told.error == f"error: {old}: metric si-sdr: there is nothing to compare"
    assert left_behind(tmp_path) == ["clean.wav", "old.wav"]


@pytest.mark.parametrize("failing", ["draw", "write"])
def test_a_picture_or_sound_that_cannot_be_made_leaves_neither(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "the disk is broken", "disk")

    old = write_tone(tmp_path / "old.wav")
    target = "core.pictures.write_spectrograms" if failing == "draw" else "core.audio.write_blocks"
    monkeypatch.setattr(f"selfremaster.{target}", fail)
    told = run("restore", old, "--output", tmp_path / "o.wav", "--model", bundle, "--pictures")
    assert told.error == "error: disk: the disk is broken"
    assert left_behind(tmp_path) == ["old.wav"]


def test_an_original_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    old = write_tone(tmp_path / "old.wav")
    clean = write_tone(tmp_path / "clean.wav")
    words = ("restore", old, "--model", bundle, "--overwrite", "--reference", clean)
    for place in (old, clean):
        before = place.read_bytes()
        assert "originals are never overwritten" in run(*words, "--output", place).error
        assert place.read_bytes() == before


def test_quiet_prints_nothing(bundle: Path, tmp_path: Path) -> None:
    old = write_tone(tmp_path / "old.wav")
    told = run("restore", old, "--output", tmp_path / "o.wav", "--model", bundle, "--quiet")
    assert told == (0, "", "")


def test_from_python_a_vocoder_alone_and_a_metric_without_reference_are_refused(
    tmp_path: Path,
) -> None:
    alone = assemble(
        Experiment.from_mapping(
            {"model": {"analyzer": None, "channel": None, "vocoder": "griffin-lim"}}
        )
    )
    with pytest.raises(BundleError, match="a vocoder alone"):
        restoring.restore_files(alone, [])
    from selfremaster.core import jobs

    planned = jobs.plan([write_tone(tmp_path / "a.wav")], tmp_path / "o.wav")
    model = load(write_tiny_bundle(tmp_path / "m"))
    with pytest.raises(ComponentError, match="give --reference"):
        restoring.restore_files(model, planned, metrics=[build("metric", "lsd")])
