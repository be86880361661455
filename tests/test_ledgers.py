"""Batches that can be gone on with: only what is proven done is left, and nothing is lost."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from selfremaster.core import audio, ledgers, restoring
from selfremaster.core.files import sha256_of
from selfremaster.core.jobs import Job
from selfremaster.core.ledgers import LEDGER_NAME, PROVENANCE_SUFFIX
from tests.cli import left_behind, run, tone, write_tiny_bundle, write_tone
from tests.killed import killed

Settings = tuple[str, ...]
KILLS = 25
LONG = "SELFREMASTER_EXAMPLES=25"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    """Three recordings, one of them deeper."""
    folder = tmp_path / "tapes"
    for place, samples in (("a.wav", 4000), ("b.wav", 3000), ("1931/c.wav", 2000)):
        write_tone(folder / place, samples)
    return folder


def entries(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / LEDGER_NAME).read_text("utf-8").splitlines()
    return [told for told in map(json.loads, lines) if "output" in told]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in left_behind(folder)}


def test_a_record_says_what_was_made_of_what(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert run("restore", tapes, "--output", new, "--model", bundle, "--quiet").code == 0
    told = {entry["output"]: entry for entry in entries(new)}
    assert sorted(told) == ["1931/c.wav", "a.wav", "b.wav"]
    entry = told["1931/c.wav"]
    assert entry["input_sha256"] == sha256_of(tapes / "1931" / "c.wav")
    assert entry["output_sha256"] == sha256_of(new / "1931" / "c.wav")
    assert entry["settings"]["strength"] == 1.0
    assert entry["seconds"] == pytest.approx(2000 / 22050, abs=1e-3)
    assert set(entry["versions"]) == {"selfremaster", "torch"}


def test_only_what_is_proven_done_is_left(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle)
    assert run(*words).code == 0
    before = contents(new)
    told = run(*words, "--resume")
    assert told.code == 0
    assert "3 of 3 files were done before" in told.err
    write_tone(tapes / "a.wav", 5000)
    (new / "b.wav").write_bytes(b"damaged")
    (new / "1931" / "c.wav").unlink()
    told = run(*words, "--resume")
    assert told.code == 0
    assert "0 of 3 files were done before" in told.err
    after = contents(new)
    assert audio.inspect(new / "a.wav").samples == 5000
    assert {name: after[name] for name in ("b.wav", "1931/c.wav")} == {
        name: before[name] for name in ("b.wav", "1931/c.wav")
    }


@pytest.mark.parametrize("change", [("--strength", "0.5"), ("--pictures",), ("--resynthesise",)])
def test_other_work_is_done_anew(
    tapes: Path, bundle: Path, tmp_path: Path, change: Settings
) -> None:
    words = ("restore", tapes, "--output", tmp_path / "new", "--model", bundle, "--include", "a.*")
    assert run(*words, "--vocoder", "input-phase").code == 0
    told = run(*words, *change, "--resume")
    assert told.code == 0
    assert "0 of 1 files were done before" in told.err


def test_what_the_record_does_not_know_is_never_replaced(
    tapes: Path, bundle: Path, tmp_path: Path
) -> None:
    own = write_tone(tmp_path / "new" / "a.wav")
    before = own.read_bytes()
    told = run("restore", tapes, "--output", tmp_path / "new", "--model", bundle, "--resume")
    assert told.code == 2
    assert "a.wav: there, but no result of" in told.error
    assert own.read_bytes() == before
    assert left_behind(tmp_path / "new") == ["a.wav"]


@pytest.mark.parametrize(
    "tail", ['{"output": "a.wav", "inp', "null\n[]\n7\n", '{"output": 7}\n{"begun": []}\n', "["]
)
def test_lines_that_are_not_whole_are_passed_over(
    tapes: Path, bundle: Path, tmp_path: Path, tail: str
) -> None:
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle)
    assert run(*words, "--quiet").code == 0
    with (new / LEDGER_NAME).open("a") as file:
        file.write(tail)
    (new / "b.wav").unlink()
    assert "2 of 3 files were done before" in run(*words, "--resume").err
    assert "3 of 3 files were done before" in run(*words, "--resume").err


def test_leftovers_of_a_killed_run_are_cleared_and_no_others(
    tapes: Path, bundle: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    names = (".a.0123abcd.part.wav", ".a.0123abcd.part.flac", ".x.0123abcd.part.wav", ".a.wav")
    for name in names:
        (new / name).write_text("left")
    words = ("restore", tapes, "--output", new, "--model", bundle, "--quiet")
    assert run(*words, "--resume").code == 0
    assert [name for name in left_behind(new) if name.startswith(".")] == sorted(names[1:])


def test_several_processes_give_the_same_bytes(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    words = ("restore", tapes, "--model", bundle, "--quiet")
    assert run(*words, "--output", tmp_path / "one").code == 0
    (tapes / "empty.wav").touch()
    told = run(*words, "--output", tmp_path / "two", "--jobs", "2")
    assert told.code == 1
    assert "1 of 4 files failed, the others are done" in told.err
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert len(entries(tmp_path / "two")) == 3


def test_files_are_chosen_by_patterns(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle, "--quiet")
    assert run(*words, "--include", "*.wav", "--exclude", "1931/*", "--exclude", "b*").code == 0
    assert left_behind(new) == ["a.wav"]
    error = run(*words, "--include", "*.mp3").error
    assert "none of 3 sound files fits (*.mp3), such as 1931/c.wav; change the pattern" in error


def test_provenance_is_written_beside_a_result(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    words = ("restore", tapes / "a.wav", "--output", tmp_path / "new.wav", "--model", bundle)
    assert run(*words, "--provenance").code == 0
    told = json.loads((tmp_path / "new.provenance.json").read_text())
    assert told["output_sha256"] == sha256_of(tmp_path / "new.wav")
    assert told["input"] == str(tapes / "a.wav")
    assert len(told["model"]["sha256"]) == 64
    assert not (tmp_path / LEDGER_NAME).exists()


def test_what_cannot_be_gone_on_with_is_told(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    words = ("restore", tapes, "--output", tmp_path / "new", "--model", bundle, "--resume")
    assert "give one of them" in run(*words, "--overwrite").error
    single = ("restore", tapes / "a.wav", "--output", tmp_path / "a.wav", "--model", bundle)
    assert "--resume goes on with a folder of results" in run(*single, "--resume").error
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / LEDGER_NAME).mkdir()
    assert "is no record of results; move it away" in run(*words).error


def test_an_input_that_goes_away_fails_alone(
    tapes: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect = audio.inspect

    def gone(path: Path, **how: bool) -> audio.AudioInfo:
        if path.name == "b.wav":
            path.unlink()
        return inspect(path, **how)

    monkeypatch.setattr(audio, "inspect", gone)
    told = run("restore", tapes, "--output", tmp_path / "new", "--model", bundle, "--quiet")
    assert told.code == 1
    assert "b.wav: cannot be read: no such file" in told.err
    assert left_behind(tmp_path / "new") == ["1931/c.wav", "a.wav"]


def test_a_full_disk_leaves_old_files_as_they_were(
    tapes: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle, "--quiet")
    assert run(*words).code == 0
    before = contents(new)
    sync = os.fsync

    def full(descriptor: int) -> None:
        if ".part" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    told = run(*words, "--overwrite", "--strength", "0.5")
    assert told.code == 1
    assert "no space left on device; make room" in told.err
    assert contents(new) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_batch_that_is_killed_at_any_moment_ends_with_the_same_bytes(
    tapes: Path, bundle: Path, tmp_path: Path
) -> None:
    (tapes / "tiny.safetensors").write_bytes(bundle.read_bytes())
    audio.write(tapes / "stereo.flac", tone(2500, channels=2), 22050)
    (moments,) = killed(tmp_path / "out", 7, KILLS, restore=tapes)
    assert moments >= KILLS
    whole, *others = sorted((tmp_path / "out" / "restore").iterdir(), reverse=True)
    wanted = {
        name: data for name, data in contents(whole).items() if name.endswith(("wav", "flac"))
    }
    assert len(wanted) == 4
    for other in others:
        found = contents(other)
        assert sorted(found) == sorted(contents(whole))  # and no part of a file
        assert {name: found[name] for name in wanted} == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.skipif("SELFREMASTER_EXAMPLES" not in os.environ, reason=f"takes minutes; set {LONG}")
def test_many_processes_end_with_the_one_that_is_killed(
    tapes: Path, bundle: Path, tmp_path: Path
) -> None:
    """They notice it, and leave no part of a file."""
    (tapes / "tiny.safetensors").write_bytes(bundle.read_bytes())
    kills = int(os.environ["SELFREMASTER_EXAMPLES"])
    killed(tmp_path / "out", 7, kills, restore_jobs=tapes)
    whole, *others = sorted((tmp_path / "out" / "restore-jobs").iterdir(), reverse=True)
    wanted = {name: data for name, data in contents(whole).items() if name.endswith("wav")}
    assert len(wanted) == 3
    for other in others:
        found = contents(other)
        assert sorted(found) == sorted(contents(whole))
        assert {name: found[name] for name in wanted} == wanted


def test_an_input_that_changes_meanwhile_is_no_proof(
    tapes: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = restoring.keep

    def keep_and_change(job: Job, *words: Any) -> tuple[str, ...]:
        notes = keep(job, *words)
        if job.source.name == "b.wav":
            write_tone(job.source, 3500)
        return notes

    monkeypatch.setattr(restoring, "keep", keep_and_change)
    done = run("restore", tapes, "--output", tmp_path / "new", "--model", bundle)
    assert done.code == 1
    assert "b.wav: changed while it was restored" in done.err
    assert sorted(entry["output"] for entry in entries(tmp_path / "new")) == ["1931/c.wav", "a.wav"]


def test_failures_and_notes_are_on_the_record(tapes: Path, bundle: Path, tmp_path: Path) -> None:
    (tapes / "b.wav").write_text("no sound")
    whole = (tapes / "a.wav").read_bytes()
    (tapes / "a.wav").write_bytes(whole[:-1000])
    new = tmp_path / "new"
    assert run("restore", tapes, "--output", new, "--model", bundle).code == 1
    lines = [json.loads(line) for line in (new / LEDGER_NAME).read_text().splitlines()]
    (failed,) = [line for line in lines if "failed" in line]
    assert failed["failed"] == str(tapes / "b.wav")
    assert "not audio, or damaged" in failed["reason"]
    noted = {line["output"]: line.get("notes") for line in lines if "output" in line}
    assert "missing" in noted["a.wav"][0]
    assert noted["1931/c.wav"] is None


def test_provenance_that_cannot_be_written_fails_its_file_alone(
    tapes: Path, bundle: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    (new / f"a{PROVENANCE_SUFFIX}").mkdir(parents=True)
    words = ("--model", bundle, "--provenance", "--overwrite")
    done = run("restore", tapes, "--output", new, *words)
    assert done.code == 1
    assert (new / f"b{PROVENANCE_SUFFIX}").is_file()
    assert "a.wav" in done.err


def test_sounds_put_back_are_made_when_they_are_missing(
    tapes: Path, bundle: Path, tmp_path: Path
) -> None:
    new, again = tmp_path / "new", tmp_path / "again"
    words = ("restore", tapes, "--output", new, "--model", bundle)
    assert run(*words).code == 0
    done = run(*words, "--resume", "--redegraded", again)
    assert done.code == 0, done.err
    assert left_behind(again) == ["1931/c.wav", "a.wav", "b.wav"]
    (again / "b.wav").unlink()
    done = run(*words, "--resume", "--redegraded", again)
    assert "2 of 3 files were done before" in done.err
    assert (again / "b.wav").is_file()


@pytest.mark.parametrize("name", ["b.png", f"b{PROVENANCE_SUFFIX}", "again/b.wav"])
def test_going_on_never_replaces_what_lies_beside_and_is_unknown(
    tapes: Path, bundle: Path, tmp_path: Path, name: str
) -> None:
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle)
    assert run(*words).code == 0
    (new / name).parent.mkdir(exist_ok=True)
    (new / name).write_bytes(b"a scan of the label")
    more = ("--resume", "--pictures", "--provenance", "--redegraded", new / "again")
    told = run(*words, *more)
    assert told.code == 2
    assert f"{new / name}: there, but no result of" in told.err
    assert (new / name).read_bytes() == b"a scan of the label"
    (new / name).unlink()
    assert run(*words, *more).code == 0
    (new / name).unlink()
    (new / "1931" / "c.wav").unlink()
    done = run(*words, *more)  # what is known may be made anew
    assert "1 of 3 files were done before" in done.err
    assert (new / name).is_file()


def test_lines_that_are_no_lines_of_ours_are_passed_over(
    tapes: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    words = ("restore", tapes, "--output", new, "--model", bundle)
    assert run(*words).code == 0
    monkeypatch.setattr(ledgers, "LONGEST_LINE", 10_000)
    record = new / LEDGER_NAME
    record.write_bytes(b"[" * 25_000 + b"\n\xff\xfe\n" + record.read_bytes())
    done = run(*words, "--resume")
    assert "3 of 3 files were done before" in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_have_a_record_and_provenance(bundle: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"Aufnahme \xfc.wav")
    write_tone(tmp_path / "tapes" / name)
    write_tone(tmp_path / "tapes" / "b.wav")
    words = ("restore", tmp_path / "tapes", "--output", tmp_path / "new", "--model", bundle)
    assert run(*words, "--provenance").code == 0
    told = (tmp_path / "new" / Path(name).stem).with_suffix(PROVENANCE_SUFFIX).read_bytes()
    assert b"Aufnahme \xfc.wav" in told
    done = run(*words, "--provenance", "--resume")
    assert "2 of 2 files were done before" in done.err
