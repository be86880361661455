"""The page of serve: what visitors get is what the command writes, and no more than that."""

import asyncio
import errno
import json
import os
import re
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import torch

from selfremaster.core import audio, diaries
from selfremaster.core.errors import AudioError, ComponentError, SelfRemasterError
from selfremaster.core.restoring import Form
from selfremaster.core.streaming import BLOCK_SAMPLES
from selfremaster.pages import guards, servers, workshops
from selfremaster.pages.layouts import Layout
from selfremaster.pages.visitors import Visitors
from selfremaster.pages.workshops import (
    ANEW,
    AS_MODEL,
    FAITHFUL,
    Limits,
    Made,
    Workshop,
    pack,
    safe_name,
)
from tests.cli import run, write_tiny_bundle, write_tone
from tests.odd import REFUSED
from tests.odd_files import make, odd_files, outcome_of
from tests.served import served

NAME = "<img src=x onerror=alert(1)>.wav"
EVERY = "SELFREMASTER_EXAMPLES" in os.environ  # odd file is restored there, not one of ten
MOST_SECONDS = 5  # of the processor, for a bad or odd file, pictures and all


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture
def workshop(tmp_path: Path, bundle: Path) -> Workshop:
    folder = tmp_path / "page"
    folder.mkdir()
    return Workshop(folder, {"tiny": bundle}, device="cpu")


def restored_in_turn(workshop: Workshop, paths: Sequence[Path]) -> Iterator[Made]:
    return workshop.restore(paths, "tiny", AS_MODEL, Form(), workshop.new_place())


def restored(workshop: Workshop, *paths: Path, form: Form | None = None) -> list[Made]:
    place = workshop.new_place()
    return [*workshop.restore(paths, "tiny", AS_MODEL, form or Form(), place)]


def test_results_are_those_of_the_command(workshop: Workshop, bundle: Path, tmp_path: Path) -> None:
    source = write_tone(tmp_path / "a tape.wav")
    (made,) = restored(workshop, source, form=Form(strength=0.5))
    target = tmp_path / "by-command.wav"
    words = ["--model", bundle, "--device", "cpu", "--strength", "0.5"]
    assert run("restore", source, "--output", target, *words).code == 0
    assert made.result is not None
    assert made.result.name == "a tape.wav"
    assert made.result.read_bytes() == target.read_bytes()
    assert made.failure == ""


def test_both_sounds_are_played_alike(workshop: Workshop, tmp_path: Path) -> None:
    source = tmp_path / "surround.wav"
    audio.write(source, 0.1 * torch.randn(6, 9600), 96000, subtype="FLOAT")
    (made,) = restored(workshop, source)
    assert made.before is not None
    assert made.after is not None
    for path in (made.before, made.after):
        info = audio.inspect(path)
        assert (info.channels, info.sample_rate, info.samples) == (1, 48000, 4800)
    assert made.picture is not None
    assert made.picture.read_bytes().startswith(b"\x89PNG")
    assert made.result is not None
    assert audio.inspect(made.result).channels == 6


def test_a_bad_file_stops_no_other(workshop: Workshop, tmp_path: Path) -> None:
    good, bad = write_tone(tmp_path / "good.wav"), tmp_path / "bad.wav"
    bad.write_text("no sound")
    made = {one.name: one for one in restored(workshop, bad, good)}
    assert "not audio, or damaged" in made["bad.wav"].failure
    assert str(tmp_path) not in made["bad.wav"].failure
    assert made["good.wav"].result is not None


def is_taken(path: Path) -> bool:
    try:
        audio.inspect(path, strict=False)
    except AudioError:
        return False
    return True


def test_odd_files_become_what_they_become_elsewhere(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    found = [odd for odd in odd_files() if odd.name != "folder.wav"]
    make(folder, found)
    paths = [folder / odd.name for odd in found]
    refused = [path for path in paths if not is_taken(path)]
    taken = [path for path in paths if path not in refused]
    paths = [*refused, *taken[:: 1 if EVERY else 10]]
    workshop.limits = Limits(files=len(paths))
    names: set[str] = set()
    brought = {safe_name(path.name, names): path for path in paths}
    started = time.process_time()
    for made in restored_in_turn(workshop, paths):
        seconds, started = time.process_time() - started, time.process_time()
        path = brought.pop(made.name)
        assert seconds < MOST_SECONDS, path
        outcome, words, info = outcome_of(path)
        assert bool(made.failure) == (outcome == REFUSED), path
        if made.result is None:
            assert made.failure.splitlines() == [made.failure]
            assert str(folder) not in made.failure
            same = made.failure.startswith(words[:20].replace(str(path), path.name))
            assert same or path.is_symlink() or not path.is_file(), path
        else:
            assert info is not None
            assert audio.check(made.result).samples == info.samples  # raises for NaN and infinity
    assert not brought


def test_limits_are_told_by_name(workshop: Workshop, tmp_path: Path) -> None:
    workshop.limits = Limits(files=2, mebibytes=1, minutes=0.01)
    source = write_tone(tmp_path / "long.wav", samples=22050)
    (made,) = restored(workshop, source)
    assert made.failure == (
        "is too long for this page; bring 2 files at a time, each of 1 MiB and 0.01 minutes at most"
    )
    large = tmp_path / "large.wav"
    large.write_bytes(bytes((1 << 20) + 1))
    (made,) = restored(workshop, large)
    assert made.failure.startswith("is too large for this page")
    with pytest.raises(AudioError, match="3 files; bring 2 files at a time"):
        restored(workshop, source, source, source)
    with pytest.raises(AudioError, match="no recording"):
        restored(workshop)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("tape 1.wav", "tape 1.wav"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "recording"),
        ("", "recording"),
        (NAME, "img src-x onerror-alert-1.wav"),
        ("a\nb\x00.flac", "a-b.flac"),
        ("tape.w\u202ev", "tape.w-v"),
        ("x" * 300 + ".wav", "x" * 80 + ".wav"),
        ("Überspielung.mp3", "Überspielung.mp3"),
    ],
)
def test_names_lead_nowhere(given: str, name: str) -> None:
    assert safe_name(given, set()) == name


def test_no_name_is_there_twice() -> None:
    names: set[str] = set()
    assert [safe_name(one, names) for one in ("a.wav", "A.wav", "a.wav")] == [
        "a.wav",
        "A-2.wav",
        "a-3.wav",
    ]


def test_all_results_in_one_file(workshop: Workshop, tmp_path: Path) -> None:
    paths = [write_tone(tmp_path / f"{number}.wav") for number in range(2)]
    made = restored(workshop, *paths)
    packed = pack(made, tmp_path)
    assert packed is not None
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["0.wav", "1.wav"]
        assert made[0].result is not None
        assert archive.read("0.wav") == made[0].result.read_bytes()
    assert pack([Made("bad.wav", failure="not audio")], tmp_path) is None


def test_the_sound_of_one_recording_goes_onto_another(
    workshop: Workshop, bundle: Path, tmp_path: Path
) -> None:
    old, clean = write_tone(tmp_path / "old.wav"), write_tone(tmp_path / "clean.wav", samples=5000)
    profile = workshop.profile_of([old], "tiny", workshop.new_place())
    profile.save(tmp_path / "old.json")
    place = workshop.new_place()
    (made,) = workshop.transfer([clean], "tiny", profile, 0.7, place)
    target = tmp_path / "by-command.wav"
    words = ["--profile", tmp_path / "old.json", "--model", bundle, "--device", "cpu"]
    done = run("transfer", clean, "--output", target, *words, "--strength", "0.7")
    assert done.code == 0, done.err
    assert made.result is not None
    assert made.result.read_bytes() == target.read_bytes()
    assert made.picture is not None
    assert made.picture.read_bytes().startswith(b"\x89PNG")


def test_only_what_is_offered_can_be_chosen(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="no such model here; choose one of tiny"):
        workshop.model(str(tmp_path))
    with pytest.raises(ComponentError, match="no such model here"):
        workshop.model("tiny", "hifigan")
    with pytest.raises(ComponentError, match="choose a sound"):
        workshop.offered_profile("../secret")
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound at all")
    with pytest.raises(AudioError, match=r"bad\.wav: not audio"):
        workshop.profile_of([bad], "tiny", workshop.new_place())


def test_a_model_is_loaded_once_and_speaks_as_it_is_told(workshop: Workshop) -> None:
    first = workshop.model("tiny")
    assert workshop.model("tiny") is first
    faithful = workshop.model("tiny", FAITHFUL)
    assert type(faithful.output).__name__ == "Blend"
    assert workshop.model("tiny", ANEW).output is None


def test_what_is_heard_is_never_held_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many channels at a high rate, of which ten minutes would be gigabytes."""
    source, target = tmp_path / "wide.flac", tmp_path / "heard.wav"
    audio.write(source, 0.1 * torch.randn(8, 192_000), 192_000)
    monkeypatch.setattr(workshops, "LONGEST_HEARD_SECONDS", 0.7)
    largest, held = 0, audio.write_blocks

    def write(path: Path, blocks: Iterator[torch.Tensor], *about: Any, **more: Any) -> Any:
        def measured() -> Iterator[torch.Tensor]:
            nonlocal largest
            for block in blocks:
                largest = max(largest, block.numel())
                yield block

        return held(path, measured(), *about, **more)

    monkeypatch.setattr(audio, "write_blocks", write)
    workshops._playable(source, target)
    found = audio.inspect(target)
    assert (found.channels, found.sample_rate, found.subtype) == (1, 48_000, "PCM_16")
    assert found.seconds == pytest.approx(0.7)
    assert largest <= BLOCK_SAMPLES


def test_a_result_that_cannot_be_played_fails_alone(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_tone(tmp_path / f"{number}.wav") for number in range(2)]
    playable = workshops._playable

    def full(source: Path, target: Path) -> Path:
        if source.name == "0.wav":
            raise OSError(28, "No space left on device")
        return playable(source, target)

    monkeypatch.setattr(workshops, "_playable", full)
    made = restored(workshop, *paths)
    assert [one.failure for one in made] == ["No space left on device", ""]


def test_what_a_killed_server_left_is_deleted_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("selfremaster.core.scratch.YOUNG_SECONDS", -1.0)
    left = tmp_path / f"{servers.PREFIX}left"
    left.mkdir()
    (left / "private.wav").write_text("a tape")
    with servers.own_folder() as folder:
        assert not left.exists()
        with servers.own_folder() as other:  # of another server, which lives
            assert folder.exists()
            assert folder != other
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_spoils_no_result_when_all_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    result = write_tone(tmp_path / "tape.wav")
    with pytest.raises(SelfRemasterError, match=r"restored\.zip.*[Nn]o space left"):
        pack([Made("tape.wav", result)], tmp_path)
    assert list(tmp_path.iterdir()) == [result]


def test_what_two_visitors_brought_stays_while_one_is_there(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path)
    ours, mine = tmp_path / "hash" / "tape.wav", tmp_path / "work"
    ours.parent.mkdir()
    ours.write_text("a tape")
    mine.mkdir()
    unknown = tmp_path / "brought-and-not-used.wav"
    unknown.write_text("a tape")
    visitors.keep(visitors.came("first"), [ours, mine])
    visitors.keep(visitors.came("second"), [ours])
    visitors.left("first")
    visitors.left("somebody else")
    assert sorted(tmp_path.iterdir()) == [unknown, ours.parent]
    visitors.left("second")
    assert list(tmp_path.iterdir()) == []


def test_work_whose_visitor_left_goes_when_it_ends(tmp_path: Path) -> None:
    visitors, place = Visitors(tmp_path), tmp_path / "work"
    for visitor in ("first", "second"):
        visitors.came(visitor)
    place.mkdir()
    visitors.begin("first", place)
    visitors.done("first", place)
    assert place.exists()
    visitors.begin("first", place)
    visitors.left("first")
    visitors.left("second")
    assert place.exists()  # what is at work finds what it made
    visitors.done("first", place)
    assert not place.exists()


def test_work_ends_with_the_program(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradio = pytest.importorskip("gradio", reason="needs the extra ui")
    source = write_tone(tmp_path / "tape.wav")
    monkeypatch.setattr(diaries, "_diary", diaries._Diary())
    diaries.end_work()
    layout = Layout(workshop)
    with pytest.raises(gradio.Error, match="the program that serves this page was ended"):
        [*layout.restore([str(source)], None, "tiny", 1.0, AS_MODEL, "linked", True, -23, "me", ())]
    assert not [*workshop.folder.rglob("restored/*")]


def test_who_does_not_come_for_the_next_result_hinders_nobody(
    workshop: Workshop, tmp_path: Path
) -> None:
    paths = [write_tone(tmp_path / f"{number}.wav") for number in range(2)]
    working = workshop.restore(paths, "tiny", AS_MODEL, Form(), workshop.new_place())
    assert next(working).name == "0.wav"
    assert len(restored(workshop, *paths)) == 2
    assert next(working).name == "1.wav"


def test_one_thing_at_a_time(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for the end of a file."""
    source = write_tone(tmp_path / "tape.wav")
    made, most, running = workshops._made, 0, 0

    def watched(*given: Any) -> Made:
        nonlocal most, running
        running += 1
        most = max(most, running)
        time.sleep(0.05)
        done = made(*given)
        running -= 1
        return done

    monkeypatch.setattr(workshops, "_made", watched)
    with ThreadPoolExecutor(3) as several:
        told = [*several.map(lambda _: restored(workshop, source), range(3))]
    assert [len(one) for one in told] == [1, 1, 1]
    assert most == 1


@pytest.fixture(scope="module")
def address(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    with served(folder, "--model", f"tiny={bundle}") as found:
        yield found


def status(address: str, **headers: str) -> int:
    try:
        with urlopen(Request(address, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    with urlopen(address, timeout=30) as answer:
        policy = answer.headers["content-security-policy"]
        page = answer.read().decode()
    assert "default-src 'self'" in policy
    assert re.findall(r"<(?:script|link)[^>]*(?:src|href)=[\"']?https?://(?!127)", page) == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_names_that_lead_here_from_elsewhere_are_refused(address: str, host: str) -> None:
    assert status(address, Host=host) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://["]
)
def test_other_pages_are_refused(address: str, origin: str) -> None:
    assert status(f"{address}/gradio_api/queue/join", Origin=origin) == 403


def test_this_computer_may_come(address: str) -> None:
    port = address.rpartition(":")[2]
    assert status(address, Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "README.md", "pyproject.toml", "../README.md", "C:/Windows/win.ini"]
)
def test_files_of_this_computer_are_not_served(address: str, path: str) -> None:
    assert status(f"{address}/gradio_api/file={path}") in {400, 403, 404}


def test_inputs_are_uploads_only(address: str) -> None:
    """A path of this computer, or an address, given as if it had been brought, is not read."""
    with urlopen(f"{address}/config", timeout=30) as answer:
        config = json.load(answer)
    steps = [step for step in config["dependencies"] if len(step["inputs"]) > 5]
    for step in steps:
        for stolen in ("/etc/passwd", "http://127.0.0.1:9/secret.wav", "https://example.org/a.wav"):
            file = {"path": stolen, "meta": {"_type": "gradio.FileData"}}
            data: list[Any] = [[file], *[None] * (len(step["inputs"]) - 1)]
            asked = {"data": data, "fn_index": step["id"], "session_hash": "thief"}
            assert posted(address, json.dumps(asked).encode()) == (403, "bring the file itself")
    assert steps


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (b"{", {}, (403, "nothing that this page asks")),
        (b"[" * 100_000, {}, (403, "nothing that this page asks")),
        (b'"' + bytes(1 << 20), {}, (413, "more than this page asks")),
        (b'[{"a": {"path": ["/etc/passwd"]}}]', {}, (403, "bring the file itself")),
        (b'{"path": "a\\u0000b"}', {}, (403, "bring the file itself")),
        (b"", {"Content-Type": "multipart/form-data"}, (411, "say how long it is")),
        (
            b"-",
            {"Content-Type": "multipart/form-data", "Content-Length": str(10**12)},
            (413, "more than may be brought at a time"),
        ),
    ],
)
def test_only_what_the_page_asks_is_asked(
    tmp_path: Path, body: bytes, headers: Mapping[str, str], told: tuple[int, str]
) -> None:
    assert guarded(tmp_path, body, headers) == told


def test_what_the_page_asks_arrives_as_it_was(tmp_path: Path) -> None:
    body = json.dumps({"data": [{"path": str(tmp_path / "tape.wav")}, None]}).encode()
    assert guarded(tmp_path, body, {}) == (200, body.decode())
    assert guarded(tmp_path, body, {}, pieces=7) == (200, body.decode())
    large = {"Content-Type": "multipart/form-data", "Content-Length": str(len(body))}
    assert guarded(tmp_path, body, large) == (200, body.decode())


def test_uploads_leave_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "SPARED_BYTES", 1 << 60)
    headers = {"Content-Type": "multipart/form-data", "Content-Length": "3"}
    assert guarded(tmp_path, b"abc", headers) == (507, "no room for it on the disk here")


def guarded(
    folder: Path, body: bytes, headers: Mapping[str, str], pieces: int = 1
) -> tuple[int, str]:
    """What is answered to a request: what it brought, where it is passed on."""
    size = -(-len(body) // pieces) or 1
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        got, more = b"", True
        while more:
            message = await receive()
            got, more = got + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": got})

    lines = {"Host": "localhost", "Content-Type": "application/json", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    }
    asyncio.run(guards.Guard(echo, True, folder, Limits())(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


def posted(address: str, body: bytes) -> tuple[int, str]:
    request = Request(
        f"{address}/gradio_api/queue/join", body, {"Content-Type": "application/json"}
    )
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_it_ends_without_a_traceback_while_a_page_is_open(bundle: Path, tmp_path: Path) -> None:
    with ExitStack() as open_page:
        with served(tmp_path, "--model", f"tiny={bundle}") as found:  # says what stderr may hold
            heartbeat = urlopen(f"{found}/gradio_api/heartbeat/visitor", timeout=30)
            open_page.enter_context(heartbeat)
            assert b"ALIVE" in heartbeat.readline()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profiles", "nowhere"], "nowhere: no such folder"),
        (["--profiles", "."], "holds no profile (.json)"),
        (["--model", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--model", "a=x", "--model", "a=y"], "two models named a"),
        (["--host", "no-such-host.invalid"], "cannot listen on no-such-host.invalid"),
        (["--port", "70000"], "'--port': Input should be less than or equal to 65535"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("serve", *words)
    assert done.code == 2
    assert message in done.error


def test_a_bad_profile_is_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    done = run("serve", "--profiles", tmp_path)
    assert done.code == 2
    assert "bad.json" in done.error
