"""Where results go: the tree is kept, nothing is lost, and a failure stops nobody else."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfremaster.core import audio, jobs
from selfremaster.core.errors import AudioError
from selfremaster.core.result_names import renamed, stems_of
from tests.cli import run, write_tiny_bundle, write_tone

PLACES = st.lists(
    st.tuples(
        st.sampled_from([".", "a", "b", "Tapes 1", "a/a"]),
        st.sampled_from(["old", "new.1", "ä"]),
        st.sampled_from([".wav", ".flac", ".FLAC"]),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")


@given(places=PLACES)
def test_a_folder_keeps_its_tree_and_nothing_is_written_twice(
    tmp_path_factory: pytest.TempPathFactory,
    places: list[tuple[str, str, str]],
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    wanted = {Path(inner, name + suffix) for inner, name, suffix in places}
    touch(*(folder / "in" / place for place in wanted))
    planned = jobs.plan([folder / "in"], folder / "out", beside=[".json", ".png"])
    assert {job.place for job in planned} == wanted
    written = [
        path for job in planned for path in (job.target, job.beside(".json"), job.beside(".png"))
    ]
    assert len(set(written)) == 3 * len(wanted)
    assert all(job.target == folder / "out" / job.place for job in planned)
    assert all(job.beside(".json").parent == job.target.parent for job in planned)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("output", "target"),
    [("new.flac", "new.flac"), ("made/", "made/old.wav"), ("there", "there/old.wav")],
)
def test_one_file_goes_to_a_file_or_into_a_folder(tmp_path: Path, output: str, target: str) -> None:
    touch(tmp_path / "old.wav")
    (tmp_path / "there").mkdir()
    (job,) = jobs.plan([tmp_path / "old.wav"], f"{tmp_path}/{output}")
    assert job.target == tmp_path / target
    assert job.beside(".json") == (tmp_path / target).with_suffix(".json")


def test_files_that_differ_in_their_suffix_alone_keep_it_in_what_lies_beside(
    tmp_path: Path,
) -> None:
    touch(tmp_path / "in" / "a.wav", tmp_path / "in" / "a.flac", tmp_path / "in" / "b.wav")
    planned = jobs.plan([tmp_path / "in"], tmp_path / "out")
    assert [job.beside(".json").name for job in planned] == [
        "a.flac.json",
        "a.wav.json",
        "b.json",
    ]


def test_names_that_differ_in_capitals_share_nothing(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "Tape.wav", tmp_path / "a" / "tape.flac")
    planned = jobs.plan([tmp_path / "a"], tmp_path / "out")
    names = [job.beside(".json").name for job in planned]
    assert sorted(names) == ["Tape.wav.json", "tape.flac.json"]


def test_results_inside_the_input_folder_are_no_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "tapes" / "a.wav", tmp_path / "tapes" / "restored" / "b.wav")
    planned = jobs.plan([tmp_path / "tapes"], tmp_path / "tapes" / "restored")
    assert [job.place.as_posix() for job in planned] == ["a.wav"]


def plan_over_its_input(folder: Path) -> None:
    jobs.plan([folder / "a.wav"], folder / "a.wav", overwrite=True)


def plan_into_its_own_folder(folder: Path) -> None:
    jobs.plan([folder], folder, overwrite=True)


def plan_over_a_link_to_its_input(folder: Path) -> None:
    os.link(folder / "a.wav", folder / "same.wav")
    jobs.plan([folder / "a.wav"], folder / "same.wav", overwrite=True)


def plan_over_the_other_input(folder: Path) -> None:
    touch(folder / "other" / "b.wav")
    jobs.plan([folder / "a.wav", folder / "other" / "b.wav"], folder / "other", overwrite=True)
    jobs.plan([folder / "other" / "b.wav", folder / "b.wav"], folder, overwrite=True)


def plan_over_a_protected_file(folder: Path) -> None:
    planned = jobs.plan([folder / "a.wav"], folder / "b.wav", overwrite=True)
    jobs.keep(planned, [folder / "b.wav"])


@pytest.mark.parametrize(
    "plan",
    [
        plan_over_its_input,
        plan_into_its_own_folder,
        plan_over_a_link_to_its_input,
        plan_over_the_other_input,
        plan_over_a_protected_file,
    ],
)
def test_originals_are_never_overwritten(tmp_path: Path, plan: Callable[[Path], None]) -> None:
    touch(tmp_path / "a.wav", tmp_path / "b.wav")
    with pytest.raises(AudioError, match="originals are never overwritten"):
        plan(tmp_path)


def test_what_exists_is_overwritten_only_on_demand(tmp_path: Path) -> None:
    touch(*(tmp_path / "in" / f"{name}.wav" for name in "abcde"))
    touch(*(tmp_path / "out" / f"{name}.json" for name in "abcde"))
    assert len(jobs.plan([tmp_path / "in"], tmp_path / "out")) == 5
    with pytest.raises(
        AudioError, match=r"a\.json, .*c\.json and 2 more exist already; add --over"
    ):
        jobs.plan([tmp_path / "in"], tmp_path / "out", beside=[".json"])
    planned = jobs.plan([tmp_path / "in"], tmp_path / "out", beside=[".json"], overwrite=True)
    assert len(planned) == 5


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        ([], "out", "no input"),
        (["none.wav"], "out/", "none.wav: no such file or folder"),
        (["a.wav"], "new", r"name a sound file \(.wav, .* or a folder with / at its end"),
        (["a.wav", "b.wav"], "a.wav", "is a file; name a folder"),
        (["a.wav", "b.wav"], "new.wav", "several results need a folder"),
        (["a.wav"], "b.wav/c.wav", "is a file; name another output"),
        (["empty"], "out", "no sound files in it"),
    ],
)
def test_words_for_what_cannot_be_planned(
    tmp_path: Path, inputs: list[str], output: str, words: str
) -> None:
    touch(tmp_path / "a.wav", tmp_path / "b.wav")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match=words):
        jobs.plan([tmp_path / name for name in inputs], f"{tmp_path}/{output}")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_found_before_the_work(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(AudioError, match="closed: cannot be written into"):
        jobs.plan([tmp_path / "a.wav"], closed / "deep" / "a.wav")


def test_a_failure_stops_nobody_else(tmp_path: Path) -> None:
    names = ("ours", "disk", "memory", "bug", "good")
    touch(*(tmp_path / "in" / f"{name}.wav" for name in names))
    raised = {
        "ours": AudioError("too silent"),
        "disk": OSError(28, "No space left on device"),
        "memory": MemoryError(),
        "bug": TypeError("wrong\nargument"),
    }

    def work(job: jobs.Job) -> str:
        if job.place.stem in raised:
            raise raised[job.place.stem]
        return job.place.stem

    outcomes = list(jobs.run(jobs.plan([tmp_path / "in"], tmp_path / "out"), work))
    told = {
        outcome.source.stem: outcome.reason
        for outcome in outcomes
        if isinstance(outcome, jobs.Failure)
    }
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == ["good"]
    assert told["ours"] == "too silent"
    assert told["disk"].endswith("disk.wav: no space left on device")
    assert told["memory"].endswith(
        "memory.wav: not enough memory for it; cut it into shorter files"
    )
    assert told["bug"].endswith("bug.wav: internal error: TypeError: wrong argument")


# names


@given(
    st.sets(
        st.builds(
            "".join,
            st.tuples(
                st.sampled_from(["", "b/"]),
                st.sampled_from(["a", "A", "a.wav", "a-2", "a.mp3-2"]),
                st.sampled_from([".wav", ".mp3", ".MP3", ".flac", ".wav.flac", ".amr", ".aac"]),
            ),
        ),
        max_size=20,
    ),
    st.sampled_from([None, ".wav", ".flac", ".mp3"]),
)
def test_no_two_results_share_a_name_nor_what_lies_beside(names: set[str], suffix: str) -> None:
    own_names = len(names) - len({name.casefold() for name in names})
    places = [Path(name) for name in sorted(names)]
    targets = renamed(places, suffix)
    stems = stems_of(targets)
    for found in (targets, stems):
        assert len(set(found)) == len(names)
        assert len({str(one).casefold() for one in found}) >= len(names) - own_names
    assert all(target.parent == place.parent for target, place in zip(targets, places, strict=True))
    assert all(target.suffix == (suffix or target.suffix) for target in targets)


# folders that cannot be listed, and links to folders


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two recordings, in which another one cannot be listed."""
    listed = os.scandir

    def refuses(path: str) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    folder = tmp_path / "in"
    for place in ("a.wav", "1931/c.wav", "lost+found/d.wav"):
        write_tone(folder / place)
    monkeypatch.setattr(os, "scandir", refuses)
    return folder


def test_a_folder_that_cannot_be_listed_is_a_failure_and_the_rest_is_done(
    closed: Path, tmp_path: Path
) -> None:
    model, new = write_tiny_bundle(tmp_path / "tiny.safetensors"), tmp_path / "new"
    done = run("restore", closed, "--output", new, "--model", model)
    assert done.code == 1
    assert done.err.splitlines() == [
        f"failed: {closed}/lost+found: cannot be listed: permission denied; check its rights, or "
        'leave it out (--exclude "lost+found/*")',
        "error: 1 of 3 files failed, the others are done",
    ]
    words = ("--overwrite", "--exclude", "lost+found/*")
    assert run("restore", closed, "--output", new, "--model", model, *words).code == 0


def test_other_work_refuses_a_folder_that_cannot_be_listed(closed: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r'lost\+found: cannot be listed.*--exclude "lost'):
        jobs.plan([closed], tmp_path / "new")
    assert len(jobs.plan([closed], tmp_path / "new", exclude=["LOST+found/*"])) == 2
    with pytest.raises(AudioError, match=r"cannot be listed: permission denied; check its rights"):
        audio.find_audio(closed)
    (closed / "a.wav").unlink()
    (closed / "1931" / "c.wav").unlink()
    with pytest.raises(AudioError, match=r"no sound files in it, and .*found cannot be listed"):
        jobs.plan([closed], tmp_path / "new", refused=[])


def test_links_to_folders_take_no_place_from_them(tmp_path: Path) -> None:
    write_tone(tmp_path / "in" / "z" / "b.wav")
    write_tone(tmp_path / "other" / "c.wav")
    (tmp_path / "in" / "a-link").symlink_to("z")
    (tmp_path / "in" / "z" / "round").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "z" / "far").symlink_to(tmp_path / "other")
    found = [place.as_posix() for _, place in audio.find_audio(tmp_path / "in")]
    assert found == ["z/b.wav", "z/far/c.wav"]
