"""`selfremaster transfer`: the sound of recordings put onto files, kept as those were."""

import json
from pathlib import Path

import pytest
import torch

from selfremaster.core import audio, spectra
from selfremaster.core.loudness import integrated_loudness
from selfremaster.core.profiles import ChannelProfile
from selfremaster.registry.assembling import load
from tests.cli import SPEECH, left_behind, run, tone, write_tone
from tests.tiny import write_model

DEGRADED = SPEECH.parent / "degraded"
SPOKEN = SPEECH / "heart" / "heart-1.flac"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny") / "tiny.safetensors", 1)


@pytest.fixture(scope="module")
def tape(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profiles") / "tape.json"
    words = ("--output", path, "--model", bundle)
    assert run("profile", DEGRADED / "alder", *words).code == 0
    return path


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "subtype"),
    [
        ("new.wav", 8000, 2, "PCM_24"),
        ("new.wav", 44100, 1, "FLOAT"),
        ("new.flac", 22050, 1, "PCM_16"),
        ("new.ogg", 16000, 1, "VORBIS"),
    ],
)
def test_a_result_is_kept_as_its_recording(
    bundle: Path, tape: Path, tmp_path: Path, name: str, rate_hz: int, channels: int, subtype: str
) -> None:
    wave = tone(3001, channels, rate_hz, level=0.2)
    audio.write(tmp_path / name, wave, rate_hz, subtype=subtype)
    words = ("--output", f"{tmp_path}/old/", "--model", bundle)
    told = run("transfer", tmp_path / name, "--profile", tape, *words)
    assert told == (0, f"{tmp_path}/{name} -> {tmp_path}/old/{name}\n", "")
    before, after = (audio.inspect(path) for path in (tmp_path / name, tmp_path / "old" / name))
    assert after == before
    made, _ = audio.read(tmp_path / "old" / name)
    for one, other in zip(made, wave, strict=True):
        wanted = integrated_loudness(other, rate_hz)
        assert integrated_loudness(one, rate_hz) == pytest.approx(wanted, abs=0.1)
    assert left_behind(tmp_path) == [name, f"old/{name}"]


def test_a_profile_does_what_python_does_and_from_does_the_same(
    bundle: Path, tape: Path, tmp_path: Path
) -> None:
    wave, sample_rate = audio.read(SPOKEN)
    expected = load(bundle).transfer(wave, sample_rate, ChannelProfile.load(tape), 0.7)
    for name, words in (
        ("by-profile", ("--profile", tape)),
        ("by-recording", ("--from", DEGRADED / "alder")),
    ):
        output = tmp_path / f"{name}.wav"
        told = run(
            *("transfer", SPOKEN, *words, "--output", output, "--model", bundle),
            *("--strength", "0.7"),
        )
        assert told.code == 0, told.err
        made, _ = audio.read(output)
        assert torch.allclose(made, expected, atol=1e-4)


def test_strength_0_writes_the_recording_again(bundle: Path, tape: Path, tmp_path: Path) -> None:
    words = ("--output", tmp_path / "o.flac", "--model", bundle, "--strength", "0", "--quiet")
    assert run("transfer", SPOKEN, "--profile", tape, *words) == (0, "", "")
    assert torch.equal(audio.read(tmp_path / "o.flac")[0], audio.read(SPOKEN)[0])


def test_a_folder_keeps_its_tree_and_one_bad_file_stops_no_other(
    bundle: Path, tape: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    write_tone(new / "a.wav")
    write_tone(new / "deep" / "b.wav", samples=1)
    (new / "text.wav").write_text("not a sound")
    words = ("--profile", tape, "--output", tmp_path / "old", "--model", bundle)
    told = run("transfer", new, *words, "--json")
    assert told.code == 1
    assert left_behind(tmp_path / "old") == ["a.wav", "deep/b.wav"]
    assert "text.wav: not audio, or damaged" in told.err
    assert "error: 1 of 3 files failed, the others are done" in told.err
    result = json.loads(told.out)
    assert [item["input"] for item in result["transferred"]] == [
        str(new / "a.wav"),
        str(new / "deep" / "b.wav"),
    ]
    assert [item["input"] for item in result["failed"]] == [str(new / "text.wav")]
    assert result["strength"] == 1.0
    assert (result["profile"]["kind"], result["profile"]["name"]) == ("channel", "tape")
    again = run("transfer", new, *words)
    assert "exist already; add --overwrite" in again.error
    assert run("transfer", new, *words, "--overwrite").code == 1


def test_profiles_are_mixed(bundle: Path, tape: Path, tmp_path: Path) -> None:
    first = ChannelProfile.load(tape)
    second = first.model_copy(
        update={"name": "disc", "values": tuple(value + 2 for value in first.values)}
    )
    second.save(tmp_path / "disc.safetensors")
    given = ("--profile", tape, "--profile", tmp_path / "disc.safetensors")
    wave, sample_rate = audio.read(SPOKEN)
    made = []
    for weights in (None, "0.5,0.5", "1,3"):
        output = tmp_path / f"{len(made)}.wav"
        words = () if weights is None else ("--weights", weights)
        told = run("transfer", SPOKEN, *given, *words, "--output", output, "--model", bundle)
        assert told.code == 0, told.err
        made.append(audio.read(output)[0])
    assert torch.equal(made[0], made[1])
    mixed = ChannelProfile.mix([first, second], [1, 3])
    expected = load(bundle).transfer(wave, sample_rate, mixed)
    assert torch.allclose(made[2], expected, atol=1e-4)
    assert not torch.allclose(made[2], made[0], atol=1e-3)


def test_a_mean_spectrum_muffles_as_the_recordings_are_muffled(tmp_path: Path) -> None:
    words = ("--method", "mean-spectrum", "--clean", SPEECH / "alder")
    source = ("--from", DEGRADED / "alder")
    told = run("transfer", SPEECH / "heart", *source, *words, "--output", tmp_path / "old")
    assert told.code == 0, told.err
    gain = tmp_path / "gain.json"
    assert run("profile", DEGRADED / "alder", *words, "--output", gain).code == 0
    again = ("--profile", gain, "--output", tmp_path / "again")
    assert run("transfer", SPEECH / "heart", *again).code == 0
    made, same, clean = (
        [audio.read(path) for path in sorted(folder.glob("*.flac"))]
        for folder in (tmp_path / "old", tmp_path / "again", SPEECH / "heart")
    )
    truth = [audio.read(path) for path in sorted((DEGRADED / "heart").glob("*.flac"))]
    assert all(torch.allclose(a[0], b[0], atol=1e-4) for a, b in zip(made, same, strict=True))
    before, after = (spectra.ltas_distance(sounds, truth) for sounds in (clean, made))
    assert after < 0.5 * before


def test_the_published_form_is_put_on_as_well(tmp_path: Path) -> None:
    words = ("--method", "mean-spectrum", "--form", "published")
    wave, rate = audio.read(SPOKEN)
    tape = torch.nn.functional.avg_pool1d(wave, 9, 1, 4)
    audio.write(tmp_path / "tapes" / "heart-1.wav", tape, rate, subtype="FLOAT")
    source = ("--from", tmp_path / "tapes", *words)
    other = SPEECH / "alder" / "alder-1.flac"
    clean = ("--clean", SPEECH / "heart")
    told = run("transfer", other, *source, *clean, "--output", tmp_path / "o.wav", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["profile"]["sources"][0]["file"] == "heart-1.wav"
    gain = tmp_path / "gain.json"
    assert run("profile", tmp_path / "tapes", *words, *clean, "--output", gain).code == 0
    assert run("transfer", other, "--profile", gain, "--output", tmp_path / "p.wav").code == 0
    made, same = (audio.read(tmp_path / name)[0] for name in ("o.wav", "p.wav"))
    assert torch.allclose(made, same, atol=1e-4)
    spoken, rate = audio.read(other)
    truth = torch.nn.functional.avg_pool1d(spoken, 9, 1, 4)
    before, after = (
        spectra.ltas_distance([(sound, rate)], [(truth, rate)]) for sound in (spoken, made)
    )
    assert after < 0.5 * before
    wrong = ("--output", tmp_path / "q.wav", "--clean", SPEECH / "alder")
    assert "heart-1.wav: no clean original" in run("transfer", other, *source, *wrong).error


def test_bad_words_are_one_line_and_leave_nothing(bundle: Path, tape: Path, tmp_path: Path) -> None:
    tone_file = write_tone(tmp_path / "a.wav")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    (tmp_path / "bad.json").write_text("{}")
    other = write_model(tmp_path / "other.safetensors", 2)
    spectrum = ("--method", "mean-spectrum")
    level, gain = tmp_path / "level.json", tmp_path / "gain.json"
    assert run("profile", SPOKEN, *spectrum, "--output", level).code == 0
    assert run("profile", SPOKEN, *spectrum, "--clean", SPOKEN, "--output", gain).code == 0
    before = left_behind(tmp_path)
    model = ("--model", bundle)
    either = "give either --profile (which may be repeated) or --from"
    for words, error in (
        (model, either),
        (("--profile", tape, "--from", SPOKEN, *model), either),
        (("--profile", tape, "--strength", "1.6", *model), "strength 1.6: give 0"),
        (("--profile", tape, "--strength", "nan", *model), "strength nan: give 0"),
        (("--profile", tape, "--model", other), "profile 'tape' was made by model tiny ("),
        (("--profile", tmp_path / "none.json", *model), "none.json: no such file"),
        (("--profile", tmp_path / "bad.json", *model), "bad.json: not a profile"),
        (("--profile", SPOKEN, *model), "heart-1.flac: a profile is a .json or .safetensors"),
        (("--profile", tape, "--weights", "1,2", *model), "2 weights for 1 profiles"),
        (("--profile", tape, "--weights", "much", *model), "--weights much: give numbers"),
        (("--from", SPOKEN, "--weights", "1", *model), "--weights are those of profiles"),
        (("--from", tmp_path / "bad.wav", *model), "bad.wav: not audio, or damaged"),
        (("--from", tmp_path / "none.wav", *model), "none.wav: no such file or folder"),
        (("--from", SPOKEN, *spectrum), "compares --from with clean speech; give --clean"),
        (("--profile", level), "'level' is the level of recordings"),
        (("--profile", gain, *model), "--method mean-spectrum uses no model"),
        (("--profile", gain, "--method", "selfremaster"), "a spectral profile is for --method"),
        (("--profile", gain, "--clean", SPOKEN), "--clean is for --from; a profile was compared"),
        (("--profile", tape, "--profile", gain, *model), "only profiles of one kind"),
        (("--profile", gain, "--form", "robust"), "--form is for --from; a profile was compared"),
        (("--from", SPOKEN, *spectrum, "--form", "published"), "their originals; give --clean"),
        (("--profile", gain, "--profile", level), "only equal ones can be mixed"),
    ):
        output = ("--output", tmp_path / "o.wav")
        assert error in run("transfer", tone_file, *words, *output).error, words
    assert left_behind(tmp_path) == before


def test_neither_profile_nor_recording_is_overwritten(
    bundle: Path, tape: Path, tmp_path: Path
) -> None:
    new, old = write_tone(tmp_path / "new.wav"), write_tone(tmp_path / "old.wav")
    before = old.read_bytes()
    words = ("--from", old, "--output", old, "--model", bundle, "--overwrite")
    assert "originals are never overwritten" in run("transfer", new, *words).error
    assert old.read_bytes() == before
