"""Pairs are pairs: of one moment, listed when the work is stopped, and gone on with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from selfremaster.core import audio, degrading, jobs, manifests
from selfremaster.core.corpora import Entry, paired
from selfremaster.core.degrading import Step, degrade, read_log, recipe_of
from selfremaster.core.errors import ComponentError, ExperimentError, SelfRemasterError
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters
from selfremaster.core.pairs import check_aligned, plan_pairs
from selfremaster.registry.building import build
from tests.cli import left_behind, run, tone, with_plugins, write_tone

LATE = '''
"""Parts of a stranger."""

import torch

from selfremaster.core.interfaces import Degradation


class Late(Degradation):
    """Seven samples late."""

    delay_samples = 7

    def draw(self, generator, sample_rate):
        return {}

    def apply_one(self, wave, parameters, sample_rate):
        return torch.cat([torch.zeros_like(wave[:, :7]), wave[:, :-7]], dim=1)
'''


class Shorter(Degradation):
    """Takes the last sample away."""

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """Nothing."""
        return {}

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """One sample less."""
        return wave[:, :-1]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A folder of three files."""
    for name in ("a", "b", "c"):
        write_tone(tmp_path / "clean" / f"{name}.wav")
    return tmp_path / "clean"


# one moment


def test_a_part_that_changes_the_length_is_named() -> None:
    with pytest.raises(ComponentError, match=r"degradation shorter: makes \(1, 99\) of \(1, 100\)"):
        degrade(tone(100), 8000, [Step("shorter", Shorter(ComponentConfig()))], Generator())


@pytest.mark.parametrize(
    "spec",
    [
        "speed",
        "chain:steps=[clip, speed]",
        "one-of:choices=[clip, speed]",
        "sometimes:degradation=speed",
        "random-recording:era=telephone,telephone=speed",
    ],
)
def test_what_moves_the_sound_makes_no_pairs(clean: Path, tmp_path: Path, spec: str) -> None:
    words = ("degrade", clean, "--output", tmp_path / "out", "--degradation", spec)
    told = run(*words, "--manifest", tmp_path / "pairs.csv").error
    assert f"{spec.partition(':')[0]} moves the sound in time; its results are no pairs" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("spec", ["wow-flutter", "random-recording", "azimuth", "codec"])
def test_what_sways_about_its_place_makes_pairs(spec: str) -> None:
    check_aligned([recipe_of([Step(spec, build("degradation", spec))], aligned=True)])


def test_pairs_of_what_is_late_are_moved_forward_and_replayed(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange_delay.py").write_text(LATE)
    monkeypatch.syspath_prepend(tmp_path)
    with with_plugins(monkeypatch, ("odd", "degradation", "late", "strange_delay:Late")):
        words = ("degrade", clean, "--output")
        drawn = ("--degradation", "late")
        assert run(*words, tmp_path / "late", *drawn).code == 0
        pairs = ("--manifest", tmp_path / "pairs.csv")
        assert run(*words, tmp_path / "moved", *drawn, *pairs).code == 0
        assert read_log(tmp_path / "moved" / "a.json").advance_samples == 7
        before, after, late = (
            audio.read(folder / "a.wav")[0]
            for folder in (clean, tmp_path / "moved", tmp_path / "late")
        )
        assert torch.equal(after[:, :-7], before[:, :-7])
        assert not after[:, -7:].any()
        assert torch.equal(late[:, 7:], before[:, :-7])
        assert run(*words, tmp_path / "again", "--replay", tmp_path / "moved").code == 0
        assert torch.equal(audio.read(tmp_path / "again" / "a.wav")[0], after)
        other = ("--replay", tmp_path / "late", "--manifest", tmp_path / "others.csv")
        assert "late lags by 7 samples, and the log" in run(*words, tmp_path / "x", *other).error


# stopped, and gone on with


def interrupt(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """End all at the third file."""
    original = degrading._degrade

    def interrupted(
        recipe: degrading.Recipe, seed: int | None, job: jobs.Job
    ) -> degrading.Degraded:
        if job.source.stem == "c":
            raise error
        return original(recipe, seed, job)

    monkeypatch.setattr(degrading, "_degrade", interrupted)


def test_what_is_done_is_listed_when_all_is_stopped_and_resumed(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, pairs = tmp_path / "out", tmp_path / "pairs.csv"
    words = ("degrade", clean, "--output", out, "--degradation", "hiss", "--manifest", pairs)
    with monkeypatch.context() as patch:
        interrupt(patch, KeyboardInterrupt())
        told = run(*words)
    assert (told.code, told.err.splitlines()) == (
        130,
        [
            f"2 pairs so far -> {pairs}; --resume does the rest",
            "interrupted; 2 of 3 files are degraded",
        ],
    )
    assert [item.path for item in manifests.read(pairs).items] == ["out/a.wav", "out/b.wav"]
    kept = (out / "a.wav").stat().st_mtime_ns
    told = run(*words, "--resume")
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines() == [
        f"{clean}/c.wav -> {out}/c.wav",
        "2 of 3 files were done before",
        f"3 pairs -> {pairs}",
    ]
    assert (out / "a.wav").stat().st_mtime_ns == kept
    whole = manifests.content_hash(manifests.read(pairs))
    assert run(*words, "--overwrite").code == 0
    assert manifests.content_hash(manifests.read(pairs)) == whole


def test_a_killed_process_leaves_the_list_of_what_is_done(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(work: Any, planned: Any, *_: Any) -> Iterator[Any]:
        yield work(planned[0])
        raise SelfRemasterError("a process was ended from outside")

    monkeypatch.setattr(jobs, "spread", ending)
    pairs = tmp_path / "pairs.csv"
    words = ("degrade", clean, "--output", tmp_path / "out", "--degradation", "clip", "--jobs", "2")
    told = run(*words, "--manifest", pairs)
    assert told.code == 2
    assert told.err.splitlines()[-1] == "error: a process was ended from outside"
    assert len(manifests.read(pairs).items) == 1


@pytest.mark.parametrize(
    "other", [("--seed", "1"), ("--degradation", "clip"), ("--level", "match"), ()]
)
def test_what_was_done_otherwise_is_not_kept(
    clean: Path, tmp_path: Path, other: tuple[str, ...]
) -> None:
    words = ("degrade", clean, "--output", tmp_path / "out", "--resume", "--degradation", "hiss")
    assert run(*words).code == 0
    told = run(*words, *other, "--json")
    if other:
        assert "exist already; add --overwrite" in told.error
        told = run(*words, *other, "--overwrite", "--json")
    kept = json.loads(told.out)["kept"]
    assert len(kept) == (0 if other else 3)


def test_replays_are_resumed_too_and_odd_files_are_not_touched(clean: Path, tmp_path: Path) -> None:
    first, out = tmp_path / "first", tmp_path / "out"
    assert run("degrade", clean, "--output", first, "--degradation", "hiss").code == 0
    words = ("degrade", clean, "--output", out, "--replay", first, "--resume", "--json")
    assert json.loads(run(*words).out)["kept"] == []
    (out / "b.wav").unlink()
    (out / "b.json").unlink()
    again = json.loads(run(*words).out)
    assert (len(again["kept"]), len(again["degraded"])) == (2, 1)
    (out / "b.wav").unlink()
    (out / "b.json").write_text("mine")
    assert "b.json: exists already" in run(*words).error
    (tmp_path / "mine.csv").write_text("path,split\nclean/a.wav,train\n")
    told = run(*words, "--overwrite", "--manifest", clean / "a.wav").error
    assert "a.wav" in told
    planned = jobs.plan([clean], out, overwrite=True)
    with pytest.raises(SelfRemasterError, match="exists already"):
        plan_pairs(planned, tmp_path / "mine.csv", resume=True)


# manifests


def test_pairs_tell_the_clean_content_and_are_matched_by_row(clean: Path, tmp_path: Path) -> None:
    audio.write(clean / "a.flac", tone(3000), 22050)
    out, pairs = tmp_path / "out", tmp_path / "pairs.csv"
    words = ("degrade", clean, "--output", out, "--degradation", "clip", "--manifest", pairs)
    assert run(*words).code == 0
    read = manifests.read(pairs)
    first = manifests.content_hash(read, "clean")
    assert first != manifests.content_hash(read)
    digests = {item.sha256 for item in manifests.build(clean).items}
    assert {item.others["clean_sha256"] for item in read.items} == digests
    audio.write(clean / "b.wav", 0.5 * tone(), 22050)
    assert run(*words, "--overwrite").code == 0
    assert manifests.content_hash(manifests.read(pairs), "clean") != first


def test_rows_of_one_manifest_are_pairs_whatever_their_names() -> None:
    mine = [Entry(Path(f"out/2.{suffix}"), 1.0, "2") for suffix in ("flac", "wav")]
    theirs = [Entry(Path(f"in/2.{suffix}"), 1.0, "2") for suffix in ("flac", "wav")]
    assert paired(mine, theirs, by_row=True) == (mine, theirs)
    with pytest.raises(ExperimentError, match="several suffixes"):
        paired(mine, theirs)
    longer = [theirs[0], theirs[1]._replace(seconds=2.0)]
    with pytest.raises(ExperimentError, match=r"2\.wav lasts 1\.00 s and .* 2\.00 s"):
        paired(mine, longer, by_row=True)


def test_a_name_that_is_no_text_is_told_before_any_work(clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "out\n"
    words = ("degrade", clean, "--output", out, "--degradation", "clip")
    told = run(*words, "--manifest", tmp_path / "pairs.csv").error
    assert "its name is not plain UTF-8 text; rename it" in told
    assert left_behind(tmp_path) == [f"clean/{name}.wav" for name in "abc"]
