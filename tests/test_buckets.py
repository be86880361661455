"""`restore` from and to buckets: the same results at the same places, by few requests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfremaster.core import restoring, stores
from selfremaster.core.jobs import Job
from selfremaster.core.remotes import Remote
from tests.buckets import Server, served
from tests.cli import ROOT, Outcome, left_behind, run, write_tiny_bundle, write_tone

PLACES = {"a.wav": 4000, "b.flac": 3000, "1931/c d+é.wav": 2000}
SOUNDS = (".wav", ".flac")
KILLS = int(os.environ.get("SELFREMASTER_EXAMPLES", "12"))


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as variables:
        yield from served(variables)


@pytest.fixture
def server(listening: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Buckets that are empty, and clients that do not wait long."""
    listening.forget()
    monkeypatch.setattr(stores, "WAITS_SECONDS", (0.01, 0.01))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield listening
    assert left_behind(temporary) == []  # whatever came of it


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, recordings, and what becomes of them here."""
    folder = tmp_path_factory.mktemp("made")
    write_tiny_bundle(folder / "tiny.safetensors")
    for place, samples in PLACES.items():
        write_tone(folder / "tapes" / place, samples)
    words = ("restore", folder / "tapes", "--output", folder / "whole", "--quiet")
    assert run(*words, "--model", folder / "tiny.safetensors").code == 0
    return folder


@pytest.fixture
def tapes(server: Server, made: Path) -> Path:
    """The recordings, in a bucket as well."""
    for place in PLACES:
        server.put("archive", f"tapes/{place}", (made / "tapes" / place).read_bytes())
    return made


def restore(made: Path, *words: str | Path) -> Outcome:
    return run("restore", *words, "--model", made / "tiny.safetensors")


def sounds(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in contents.items() if name.endswith(SOUNDS)}


def wanted(made: Path) -> dict[str, bytes]:
    return {place: (made / "whole" / place).read_bytes() for place in PLACES}


def test_a_bucket_becomes_what_a_folder_becomes(server: Server, tapes: Path) -> None:
    words = ("s3://archive/tapes", "--output", "s3://archive/new", "--pictures", "--content")
    told = restore(tapes, *words, "--provenance", "--json")
    assert told.code == 0, told.err
    # a metric of the content may lack its weights, which are told and nothing else is
    assert all(line.startswith("content without ") for line in told.err.splitlines()), told.err
    found = server.contents("archive", "new/")
    assert sounds(found) == wanted(tapes)
    beside = {name for name in found if not name.startswith(".restored/")} - set(PLACES)
    ends = (".png", ".content.csv", ".provenance.json")
    assert beside == {str(Path(name).with_suffix("")) + end for name in PLACES for end in ends}
    one = json.loads(told.out)["restored"][0]
    assert one["input"] == "s3://archive/tapes/1931/c d+é.wav"
    assert one["picture"] == "s3://archive/new/1931/c d+é.png"
    entry = json.loads(found["a.provenance.json"])
    assert entry["input"] == "s3://archive/tapes/a.wav"
    assert entry["input_object"]["bytes"] == len((tapes / "tapes" / "a.wav").read_bytes())
    assert entry["output_object"]["bytes"] == len(found["a.wav"])
    assert "secret" not in "".join(map(str, found.values()))


def test_requests_are_few_and_grow_with_the_files(server: Server, tapes: Path) -> None:
    words = ("s3://archive/tapes", "--output", "s3://archive/new")
    assert restore(tapes, *words).code == 0
    # the inputs, the output; each file once; its result, its record, and once what is begun
    assert server.asked == {"list": 2, "get": 3, "put": 3 + 3 + 1}
    server.asked.clear()
    told = restore(tapes, *words, "--resume")
    assert "3 of 3 files were done before" in told.err
    assert server.asked == {"list": 2, "multipart get": 1}


def test_from_here_to_a_bucket_and_back(server: Server, tapes: Path, tmp_path: Path) -> None:
    assert restore(tapes, tapes / "tapes", "--output", "s3://other").code == 0
    assert sounds(server.contents("other")) == wanted(tapes)
    new = tmp_path / "new"
    words = ("s3://archive/tapes/", "--output", new, "--jobs", "2")
    assert restore(tapes, *words).code == 0
    assert {name: (new / name).read_bytes() for name in left_behind(new)} == wanted(tapes)
    for output in ("s3://other", str(new)):
        inputs = tapes / "tapes" if output == "s3://other" else "s3://archive/tapes"
        told = restore(tapes, inputs, "--output", output, "--resume")
        assert "3 of 3 files were done before" in told.err


def test_inputs_of_all_kinds_together(server: Server, tapes: Path, tmp_path: Path) -> None:
    server.put("other", "deep/er/x.wav", (tapes / "tapes" / "a.wav").read_bytes())
    inputs = ("s3://archive/tapes", tapes / "tapes" / "b.flac", "s3://other/deep/er/x.wav")
    told = restore(tapes, *inputs, "--output", tmp_path / "new")
    assert "s3://archive/tapes/b.flac" in told.error
    assert "would both be b.flac in the output" in told.error
    words = ("--exclude", "b.*", "--output", "s3://other/new/", "--format", "flac")
    assert restore(tapes, *inputs[::2], *words).code == 0
    names = set(sounds(server.contents("other", "new/")))
    assert names == {"a.flac", "1931/c d+é.flac", "x.flac"}


@pytest.mark.parametrize("single", ["s3://archive/tapes/a.wav", "here"])
@pytest.mark.parametrize("output", ["s3://other/b.wav", "s3://other/some/", "b.wav"])
def test_one_file_becomes_one_file(
    server: Server, tapes: Path, tmp_path: Path, single: str, output: str
) -> None:
    source = str(tapes / "tapes" / "a.wav") if single == "here" else single
    target = output if output.startswith("s3:") else str(tmp_path / output)
    assert restore(tapes, source, "--output", target).code == 0
    place = "some/a.wav" if output.endswith("/") else "b.wav"
    found = server.contents("other").get(place) or (tmp_path / "b.wav").read_bytes()
    assert found == wanted(tapes)["a.wav"]
    assert "exist" in restore(tapes, source, "--output", target).error


def test_only_what_is_proven_done_is_left(server: Server, tapes: Path) -> None:
    words = ("s3://archive/tapes", "--output", "s3://archive/new", "--resume")
    assert restore(tapes, *words).code == 0
    server.put("archive", "tapes/a.wav", write_tone(tapes / "longer.wav", 5000).read_bytes())
    server.put("archive", "new/b.flac", b"damaged")
    server.asked.clear()
    told = restore(tapes, *words)
    assert told.code == 0
    assert "1 of 3 files were done before" in told.err
    assert server.asked["get"] == 2
    assert server.contents("archive", "new/")["b.flac"] == wanted(tapes)["b.flac"]
    assert "0 of 3 files were done before" in restore(tapes, *words, "--strength", "0.5").err
    assert "0 of 3 files were done before" in restore(tapes, *words, "--pictures").err
    assert "3 of 3 files were done before" in restore(tapes, *words, "--pictures").err
    assert "give one of them" in restore(tapes, *words, "--overwrite").error


def test_results_that_are_there_are_not_replaced(server: Server, tapes: Path) -> None:
    server.put("archive", "new/a.wav", b"mine")
    words = ("s3://archive/tapes", "--output", "s3://archive/new")
    assert "s3://archive/new/a.wav: exists already" in restore(tapes, *words).error
    told = restore(tapes, *words, "--resume").error
    assert "s3://archive/new/a.wav: there, but no result of which" in told
    assert server.contents("archive", "new/") == {"a.wav": b"mine"}
    assert server.asked["get"] == server.asked["put"] == 0
    assert restore(tapes, *words, "--overwrite").code == 0
    assert sounds(server.contents("archive", "new/")) == wanted(tapes)


def test_what_was_begun_may_be_replaced(server: Server, tapes: Path) -> None:
    words = ("s3://archive/tapes", "--output", "s3://archive/new", "--resume")
    assert restore(tapes, *words).code == 0
    held = server.backend.buckets["archive"].keys
    for key in [key for key in held if "/.restored/done/" in key]:
        del held[key]
    told = restore(tapes, *words)
    assert told.code == 0
    assert "0 of 3 files were done before" in told.err


def test_what_lies_beside_results_and_is_unknown_is_not_replaced(
    server: Server, tapes: Path
) -> None:
    words = ("s3://archive/tapes", "--output", "s3://archive/new", "--resume", "--pictures")
    server.put("archive", "new/a.png", b"a scan of the label")
    told = restore(tapes, *words)
    assert told.code == 2
    assert "s3://archive/new/a.png: there, but no result of" in told.err
    assert server.contents("archive", "new/")["a.png"] == b"a scan of the label"
    server.forget()
    for place in PLACES:
        server.put("archive", f"tapes/{place}", (tapes / "tapes" / place).read_bytes())
    assert restore(tapes, *words).code == 0
    assert "3 of 3 files were done before" in restore(tapes, *words).err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("name", [b"\xfc.wav", b"two\nlines.wav"])
def test_names_that_no_store_takes_fail_alone(
    server: Server, made: Path, tmp_path: Path, name: bytes
) -> None:
    del server
    for one in (os.fsdecode(name), "b.wav"):
        write_tone(tmp_path / "in" / one)
    told = restore(made, tmp_path / "in", "--output", "s3://other/new", "--provenance")
    assert told.code == 1
    assert "bytes that are no UTF-8; rename the recording" in told.err
    assert "1 of 2 files failed" in told.err


def test_an_input_here_that_changes_meanwhile_is_told(
    server: Server, tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = restoring.keep

    def keep_and_change(job: Job, *words: Any) -> tuple[str, ...]:
        write_tone(job.source, 3500)
        return keep(job, *words)

    monkeypatch.setattr(restoring, "keep", keep_and_change)
    write_tone(tmp_path / "in" / "a.wav")
    told = restore(made, tmp_path / "in", "--output", "s3://other/new")
    assert told.code == 2
    assert "a.wav: changed while it was restored" in told.err
    assert not [name for name in server.contents("other") if "/done/" in name]


def test_an_output_inside_the_input_is_no_input(server: Server, tapes: Path) -> None:
    words = ("s3://archive", "--output", "s3://archive/tapes/new")
    assert restore(tapes, *words).code == 0
    told = restore(tapes, *words, "--resume")
    assert "3 of 3 files were done before" in told.err
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://archive/tapes", "--overwrite")
    assert "would take the place of the recording" in told.error


BAD_NAMES = {
    "../x.wav": "leads out of its folder",
    "a/../../x.wav": "leads out of its folder",
    "./x.wav": "leads out of its folder",
    "/etc/x.wav": "an empty part",
    "a//x.wav": "an empty part",
    "a\\x.wav": "a backslash",
    "a\nx.wav": "control signs",
    "x" * 252 + ".wav": "a part of 256 bytes",
    "a.wav/x.wav": "lies below a.wav",
}


def test_names_that_no_folder_can_hold_fail_alone(
    server: Server, tapes: Path, tmp_path: Path
) -> None:
    sound = (tapes / "tapes" / "a.wav").read_bytes()
    for name in BAD_NAMES:
        server.put("archive", f"tapes/{name}", sound)
    new = tmp_path / "deep" / "new"
    told = restore(tapes, "s3://archive/tapes", "--output", new)
    assert told.code == 1
    assert f"error: {len(BAD_NAMES)} of {len(BAD_NAMES) + 3} files failed" in told.err
    for why in BAD_NAMES.values():
        assert why in told.err
    assert len(told.err.splitlines()) == len(BAD_NAMES) + 1
    assert left_behind(tmp_path / "deep") == sorted(f"new/{place}" for place in PLACES)


def test_objects_that_are_no_recordings_are_passed_over(server: Server, tapes: Path) -> None:
    for key in ("tapes/", "tapes/1931/", "tapes/.a.wav", "tapes/.x/a.wav", "tapes/notes.txt"):
        server.put("archive", key, b"")
    server.put("archive", "tapes-2/z.wav", b"of another folder")
    server.put("archive", "tapes/empty.wav", b"")
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other/")
    assert told.code == 0
    assert told.err == (
        "1 sound files that hold no bytes are passed over\n1 other file was left alone (.txt 1)\n"
    )
    assert sounds(server.contents("other")) == wanted(tapes)


def test_a_thousand_objects_are_listed_at_once(server: Server, tapes: Path) -> None:
    for number in range(2100):
        server.put("archive", f"many/{number:05}.wav", b"no sound")
    words = ("s3://archive/many", "--include", "00007.wav", "--output", "s3://archive/new")
    told = restore(tapes, *words)
    assert told.code == 2
    assert "s3://archive/many/00007.wav" in told.error
    assert server.asked == {"list": 3 + 1, "get": 1, "put": 1}


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        ("s3://nowhere/a.wav", "new", "s3://nowhere/a.wav: no such bucket"),
        ("s3://nowhere", "new", "s3://nowhere: no such bucket"),
        ("s3://archive/none", "new", "s3://archive/none: no such object, and no sound files"),
        ("s3://archive/tapes", "s3://nowhere/new", "s3://nowhere/new: no such bucket"),
        ("s3://no bucket/a.wav", "new", "is no name that S3 takes"),
        ("s3:///a.wav", "new", "no bucket or host"),
        ("S3:/archive/a.wav", "new", "no bucket or host"),
        ("ftp://archive/a.wav", "new", "ftp:// is no store that is known; give a path, or s3://"),
        ("memory://a.wav", "new", "memory:// is no store"),
        ("s3://archive/tapes", "memory://new", "memory:// is no store"),
        ("s3://archive/tapes", "https://host/new/", "names no file"),
        ("s3://archive/tapes", "https://host/new.wav", "inputs alone; name s3://, gs:// or"),
        ("s3://archive/tapes", "s3://other/../new", "leads out of its folder"),
        ("s3://archive/tapes", "s3://other//new", "an empty part"),
        ("s3://archive/tapes", "s3://other/new.wav", "several results need a folder"),
        ("s3://archive/tapes/a.wav", "s3://other/new", "or a folder with / at its end"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    server: Server, tapes: Path, tmp_path: Path, inputs: str, output: str, words: str
) -> None:
    target = output if ":" in output else str(tmp_path / output)
    assert words in restore(tapes, inputs, "--output", target).error
    assert left_behind(tmp_path) == []
    assert server.contents("other") == {}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("list", "s3://archive/tapes: the store does not allow it; check the rights"),
        ("get", "a.wav: the store does not allow it; check the rights"),
        ("put", "s3://other/.restored/begun/"),
    ],
)
def test_rights_that_are_missing_are_told(
    server: Server, tapes: Path, what: str, words: str
) -> None:
    server.disturb = lambda asked, path: 403 if asked == what else None
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other")
    assert told.code == (1 if what == "get" else 2)
    assert words in told.err
    assert "Traceback" not in told.err
    assert sounds(server.contents("other")) == {}


def test_credentials_that_are_missing_are_told(
    server: Server, tapes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    stores._opened.cache_clear()
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other").error
    assert "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in told
    stores._opened.cache_clear()


@pytest.mark.parametrize("option", ["--reference", "--redegraded"])
def test_options_that_take_files_are_refused(server: Server, tapes: Path, option: str) -> None:
    words = ("s3://archive/tapes", "--output", "s3://other", option)
    assert f"{option}: takes no URL" in restore(tapes, *words, "s3://archive/x").error
    assert f"{option}: goes with files of this machine" in restore(tapes, *words, "x").error
    told = run("degrade", "s3://archive/tapes", "--output", "x", "--degradation", "clip")
    assert "URLs are for the inputs and the output of restore" in told.error


def test_what_breaks_off_is_tried_again_and_never_taken_for_whole(
    server: Server, tapes: Path
) -> None:
    broken: list[str] = []

    def once(what: str, path: str) -> int | str | None:
        if path in broken or what not in ("get", "put"):
            return None
        broken.append(path)
        return "cut" if what == "get" else 503

    server.disturb = once
    assert restore(tapes, "s3://archive/tapes", "--output", "s3://other").code == 0
    assert len(broken) == 3 + 3 + 3 + 1
    assert sounds(server.contents("other")) == wanted(tapes)
    server.disturb = lambda what, path: "cut" if path.endswith("a.wav") else None
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other/again")
    assert told.code == 1
    assert "a.wav: the connection to the store broke off" in told.err
    assert set(sounds(server.contents("other", "again/"))) == set(PLACES) - {"a.wav"}


def test_an_object_that_changes_meanwhile_is_told(server: Server, tapes: Path) -> None:
    def change(what: str, path: str) -> None:
        if what == "get" and path.endswith("/a.wav"):
            server.put("archive", "tapes/a.wav", b"another sound")

    server.disturb = change
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other")
    assert told.code == 1
    assert "s3://archive/tapes/a.wav: was changed after it was listed" in told.err


def test_errors_name_the_urls(server: Server, tapes: Path) -> None:
    server.put("archive", "tapes/a.wav", b"no sound at all")
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other")
    assert told.code == 1
    assert "failed: s3://archive/tapes/a.wav: " in told.err
    assert "selfremaster-fetched" not in told.err


def test_a_full_disk_is_told(server: Server, tapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "SPARE_BYTES", 1 << 60)
    told = restore(tapes, "s3://archive/tapes/a.wav", "--output", "s3://other/").error
    assert "does not fit on the disk for temporary files" in told
    assert "TMPDIR" in told


@pytest.mark.parametrize(("wrong", "words"), [(404, "no such bucket"), (503, "out of order")])
def test_a_store_that_goes_away_ends_in_failures(
    server: Server, tapes: Path, wrong: int, words: str
) -> None:
    put: list[str] = []

    def vanish(what: str, path: str) -> int | str | None:
        put.extend([path] * (what == "put"))
        return wrong if len(put) > 3 else None  # what is begun, and one result with its record

    server.disturb = vanish
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other")
    assert told.code == 1
    assert "2 of 3 files failed" in told.err
    assert told.err.count(words) == 2
    server.disturb = lambda what, path: None
    told = restore(tapes, "s3://archive/tapes", "--output", "s3://other", "--resume")
    assert "1 of 3 files were done before" in told.err
    assert sounds(server.contents("other")) == wanted(tapes)


def test_a_store_that_is_gone_is_waited_for_once(
    server: Server, tapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    server.disturb = lambda what, path: "cut" if what == "get" else None
    told = restore(tapes, "s3://archive/tapes", "--output", tmp_path / "new")
    assert "3 of 3 files failed" in told.err
    assert waited == list(stores.WAITS_SECONDS)
    server.stop()
    try:
        told = restore(tapes, "s3://archive/tapes", "--output", tmp_path / "new")
    finally:
        server.start_again()
    assert told.error == (
        "error: s3://archive/tapes: the store cannot be reached; check AWS_ENDPOINT_URL and the "
        "network"
    )


def test_a_program_of_its_own_ends_without_noise(
    server: Server, tapes: Path, tmp_path: Path
) -> None:
    server.disturb = lambda what, path: "cut" if path.endswith("/a.wav") else None
    words = ["-m", "selfremaster", "restore", "s3://archive/tapes", "--output", "s3://other"]
    words += ["--model", str(tapes / "tiny.safetensors"), "--quiet"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=ROOT, env=settings
    )
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr == (
        "failed: s3://archive/tapes/a.wav: the connection to the store broke off, again and "
        "again; go on later with --resume\n"
        "error: 1 of 3 files failed, the others are done\n"
    )
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_batch_that_is_killed_at_any_moment_ends_with_the_same_objects(
    server: Server, tapes: Path, tmp_path: Path
) -> None:
    words = ["-m", "tests.killed_remote", str(tapes), "7", str(KILLS)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= KILLS
    outputs = {name.partition("/")[0] for name in server.contents("other")}
    assert len(outputs) >= 2
    for output in outputs:
        found = server.contents("other", f"{output}/")
        assert sounds(found) == wanted(tapes)
        assert {f"{Path(place).with_suffix('')}.provenance.json" for place in PLACES} <= set(found)
    assert server.unfinished("other") == 0


def test_unfinished_uploads_beyond_the_first_page_are_aborted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Remote("s3", "archive", "new/")
    store = stores.store_of(folder)
    pages = {
        None: {
            "Uploads": [{"Key": "new/b.wav", "UploadId": "1"}],
            "IsTruncated": True,
            "NextKeyMarker": "new/b.wav",
            "NextUploadIdMarker": "1",
        },
        "new/b.wav": {
            "Uploads": [{"Key": f"new/{name}.wav", "UploadId": "2"} for name in "cd"],
            "IsTruncated": False,
        },
    }
    aborted = []

    def call(method: str, folder: object, **words: str) -> dict[str, object]:
        if method == "abort_multipart_upload":
            aborted.append((words["Key"], words["UploadId"]))
            return {}
        return pages[words.get("KeyMarker")]

    monkeypatch.setattr(store, "_call", call)
    store.clear_unfinished(folder, frozenset({"new/b.wav", "new/d.wav"}))
    assert aborted == [("new/b.wav", "1"), ("new/d.wav", "2")]
