"""The folder of an adaptation: what is begun anew, what goes on, and what is left alone."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from selfremaster.core import audio, manifests, pieces
from selfremaster.core import training as trainer
from selfremaster.core.bundles import read_bundle
from selfremaster.core.checkpoints import checkpoint_step
from selfremaster.registry import adaptation_plans, adapting
from selfremaster.registry.assembling import builtin_bundles
from tests import tiny
from tests.adaptations import adapt, broken_off, make_quick, write_tape
from tests.cli import Outcome, run


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tape(tmp_path_factory.mktemp("tape"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return tiny.write_model(folder / "model.safetensors", seed=3)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


@pytest.fixture(scope="module")
def adapted(tape: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("adapted") / "out"
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        assert adapt(tape, output, model).code == 0
    return output


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def differing(first: Path, second: Path) -> list[str]:
    """The weights of two bundles that are not the same."""
    one, other = (read_bundle(place).tensors for place in (first, second))
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


# nothing is removed or written before all is found


def test_what_is_wrong_is_told_before_anything_is_removed(
    adapted: Path, tape: Path, model: Path, tmp_path: Path
) -> None:
    before = contents(adapted)
    (tmp_path / "empty").mkdir()
    audio.write(tmp_path / "short" / "a.wav", tiny.speech_like(20, 1), tiny.RATE)
    wrong = {
        "no sound files in it": adapt(
            tape, adapted, model, "--overwrite", "--clean", tmp_path / "empty"
        ),
        "seconds of speech are too little": adapt(
            tmp_path / "short", adapted, model, "--overwrite"
        ),
        "no device named 'abacus'": run(
            *("adapt", tape, "--output", adapted, "--model", model, "--by-losses"),
            *("--overwrite", "--device", "abacus"),
        ),
    }
    for words, outcome in wrong.items():
        assert words in outcome.error
    assert contents(adapted) == before


def test_what_would_be_removed_is_nothing_to_learn_from(
    adapted: Path, tape: Path, model: Path, tmp_path: Path
) -> None:
    before = contents(adapted)
    speech = adapted / "speech"
    listed = adapt(tape, adapted, model, "--overwrite", "--clean", speech / "manifest.csv")
    assert listed.error.endswith("holds nothing but results; give other clean speech")
    named = adapt(speech / "0001.flac", adapted, model, "--overwrite")
    assert named.error.endswith("out: holds all the recordings; name another output")
    assert contents(adapted) == before


def test_a_bad_clean_side_leaves_no_folder(tape: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    outcome = adapt(tape, tmp_path / "out", model, "--clean", tmp_path / "clean")
    assert "no sound files in it" in outcome.error
    assert not (tmp_path / "out").exists()


def cut_off(patch: pytest.MonkeyPatch, after: int) -> None:
    """Press Ctrl-C while the pieces are written."""
    writing = audio.write

    def write(path: Path, *given: Any) -> None:
        if path.stem == f"{after + 1:04d}":
            raise KeyboardInterrupt
        writing(path, *given)

    patch.setattr(pieces.audio, "write", write)


def test_an_unfinished_preparation_is_begun_anew(
    adapted: Path, tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_off(patch, 2)
        stopped = adapt(tape, tmp_path / "out", model)
    assert stopped.code == 130
    assert "interrupted; nothing was learned yet; the same command begins anew" in stopped.err
    assert sorted(contents(tmp_path / "out")) == [
        "adaptation.json",
        "clean.csv",
        "speech/0001.flac",
        "speech/0002.flac",
    ]
    (tmp_path / "out" / "speech" / "mine.txt").write_text("mine")
    assert adapt(tape, tmp_path / "out", model).code == 0
    assert differing(tmp_path / "out", adapted) == []
    assert (tmp_path / "out" / "speech" / "mine.txt").read_text() == "mine"


def test_a_preparation_that_is_cut_off_anew_is_known_as_ours(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    assert adapt(tape, output, model).code == 0
    with monkeypatch.context() as patch:
        cut_off(patch, 0)
        assert adapt(tape, output, model, "--overwrite").code == 130
    assert sorted(contents(output)) == ["adaptation.json", "clean.csv"]
    assert adapt(tape, output, model, "--resume").code == 0


# Ctrl-C


def going_on(stopped: Outcome) -> Outcome:
    """What comes of the command that is named after Ctrl-C."""
    assert stopped.code == 130, stopped
    words = shlex.split(stopped.err.splitlines()[-1].partition("go on with: ")[2])
    return run(*words[1:])


def test_ctrl_c_names_the_command_that_goes_on_to_the_same_bits(
    adapted: Path, tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        broken_off(patch, 3)
        stopped = adapt(tape, tmp_path / "out", model)
    assert "interrupted; step 2 is saved, go on with: selfremaster adapt" in stopped.err
    assert going_on(stopped).code == 0
    assert differing(tmp_path / "out", adapted) == []
    assert adapting.read_course(tmp_path / "out") == adapting.read_course(adapted)


def test_ctrl_c_before_the_first_step_keeps_the_speech(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        broken_off(patch, 0)
        stopped = adapt(tape, tmp_path / "out", model)
    assert "interrupted; the speech is cut, go on with: selfremaster adapt" in stopped.err
    before = (tmp_path / "out" / "speech" / "0001.flac").stat().st_mtime_ns
    resumed = going_on(stopped)
    assert "no checkpoint to go on from; beginning" in resumed.err
    assert (tmp_path / "out" / "speech" / "0001.flac").stat().st_mtime_ns == before


def stop(*given: Any) -> None:
    """Press Ctrl-C."""
    raise KeyboardInterrupt


def test_ctrl_c_in_the_report_keeps_the_model(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfremaster.benchmarks.reporting import adaptations

    with monkeypatch.context() as patch:
        patch.setattr(adaptations, "write", stop)
        stopped = adapt(tape, tmp_path / "out", model)
    bundle = tmp_path / "out" / "model.safetensors"
    assert f"interrupted; the model is {bundle}, without its report; for that" in stopped.err
    before = bundle.read_bytes()
    assert going_on(stopped).code == 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert bundle.read_bytes() == before


# going on


def test_it_goes_on_however_the_places_are_spelled_and_whatever_the_precision(
    adapted: Path, tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert adapt(tape, Path("out"), model, "--steps", "2").code == 0
    (tmp_path / "out").rename(tmp_path / "moved")
    spelled = str(tmp_path / "moved") + "/"
    with monkeypatch.context() as patch:
        patch.setattr(adaptation_plans, "choose_precision", lambda device: "bf16-mixed")
        resumed = run(
            *("adapt", tape / "." / "side-a.wav", "--output", spelled, "--model", model.parent),
            *("--steps", "4", "--device", "cpu", "--by-losses", "--resume"),
        )
    assert resumed.code == 0, resumed.err
    steps = [one.step for one in adapting.read_course(tmp_path / "moved")]
    assert steps == [0, 2, 4]


def test_it_does_not_go_on_from_another_model(adapted: Path, tape: Path, tmp_path: Path) -> None:
    other = tiny.write_model(tmp_path / "model.safetensors", seed=4)
    assert "was begun with other --model" in adapt(tape, adapted, other, "--resume").error


def test_going_on_and_beginning_anew_do_not_go_together(
    adapted: Path, tape: Path, model: Path
) -> None:
    before = contents(adapted)
    assert adapt(tape, adapted, model, "--resume", "--overwrite").error == (
        "error: --resume goes on, and --overwrite begins anew; give one of them"
    )
    assert contents(adapted) == before


def test_a_run_without_its_log_does_not_go_on(tape: Path, model: Path, tmp_path: Path) -> None:
    assert adapt(tape, tmp_path, model, "--steps", "2").code == 0
    (tmp_path / "log.csv").unlink()
    error = adapt(tape, tmp_path, model, "--resume", "--quiet").error
    assert "log.csv: no longer tells how the model was judged; begin anew" in error


def test_a_run_that_was_stopped_at_its_start_does_not_go_on_without_its_log(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = []
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_part_of_the_minutes", stop)
        assert adapt(tape, tmp_path, model).code == 130
    assert checkpoint_step(tmp_path) == 0
    (tmp_path / "log.csv").unlink()
    monkeypatch.setattr(trainer.Trainer, "run", lambda *_, **__: learned.append(1))
    error = adapt(tape, tmp_path, model, "--resume", "--quiet").error
    assert "log.csv: no longer tells how the model was judged; begin anew" in error
    assert learned == []


def test_what_no_record_says_is_ours_is_named_with_what_to_remove(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "speech").mkdir()
    (tmp_path / "clean.csv").touch()
    for more in ((), ("--overwrite",), ("--resume",)):
        assert adapt(tape, tmp_path, model, *more).error == (
            f"error: {tmp_path}: clean.csv, speech are there, and no adaptation.json says that an "
            "adaptation wrote them; remove them, if nothing of yours, or name another folder"
        )


def test_a_damaged_record_is_named(tape: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "adaptation.json").write_text("[]")
    error = adapt(tape, tmp_path, model, "--resume").error
    assert "adaptation.json: is damaged; begin anew with --overwrite, or name another" in error


def test_the_model_is_the_one_that_is_named(
    tape: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "model.safetensors").write_bytes(model.read_bytes())
    monkeypatch.chdir(tmp_path)
    told = adapt(tape, Path("out"), "default", "--json", "--quiet")
    assert told.code == 0, told.err
    assert read_bundle(Path("out")).tensors.keys() == read_bundle(model).tensors.keys()
    given = json.loads(Path("out/adaptation.json").read_text())["given"]
    assert given["model"] == read_bundle(model).header["sha256"]
    built_in = adaptation_plans.Wanted([tape], Path("out"), str(builtin_bundles()["default"]))
    assert built_in.model_name == "default"


# what others own


def test_nothing_is_written_through_a_link(tape: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "speech").symlink_to(tmp_path / "others", target_is_directory=True)
    error = adapt(tape, tmp_path / "out", model).error
    assert "speech: is a link, and nothing is written where it leads; remove it" in error
    assert list((tmp_path / "others").iterdir()) == []


def test_overwriting_leaves_what_others_put_into_the_folders(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    assert adapt(tape, tmp_path, model).code == 0
    mine = [tmp_path / name for name in ("speech/a.flac", "speech/0900.flac", "tensorboard/b.txt")]
    for path in mine:
        path.write_text("mine")
    events = set((tmp_path / "tensorboard").glob("events*"))
    assert adapt(tape, tmp_path, model, "--overwrite").code == 0
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert not events & set((tmp_path / "tensorboard").glob("events*"))
    listed = {item.path for item in manifests.read(tmp_path / "speech" / "manifest.csv").items}
    assert "0900.flac" not in listed


def test_a_piece_does_not_take_the_place_of_somebody_elses_file(
    tape: Path, model: Path, tmp_path: Path
) -> None:
    assert adapt(tape, tmp_path, model).code == 0
    record = tmp_path / "adaptation.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "pieces": 2}))
    (tmp_path / "speech" / "manifest.csv").unlink()
    before = contents(tmp_path)
    error = adapt(tape, tmp_path, model, "--overwrite").error
    assert "0003.flac: is there, and not of an adaptation; name another folder" in error
    assert contents(tmp_path) == before
