"""Bundles of the Hub: by the real huggingface_hub, from a small Hub on this machine."""

import hashlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selfremaster.benchmarks.addresses import model_content, path_content
from selfremaster.core.bundles import BUNDLE_NAME, read_bundle
from selfremaster.core.errors import BundleError
from selfremaster.core.experiments import Experiment
from selfremaster.core.files import sha256_of
from selfremaster.registry import assembling, hub
from selfremaster.registry.assembling import assemble, find_bundle, load, resolve
from selfremaster.registry.hub import HubReference
from selfremaster.registry.runs import start_from_bundles
from tests import tiny
from tests.cli import run, write_tone
from tests.odd_parts import write_grid, write_speech

ID = "some-org/tapes"
WORDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}[a-z0-9]", fullmatch=True)


class Hub:
    """Repositories with files by commit, and every path that was asked for."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}  # (commit, path in the repository)
        self.revisions: dict[str, str] = {}
        self.refusals: dict[str, tuple[int, str]] = {}  # repository -> status and code
        self.asked: list[str] = []
        self.address = ""
        self.cache = Path()
        self.reachable = True

    def publish(self, *bundles: Path, revision: str = "main", name: str = BUNDLE_NAME) -> str:
        """Put files under a new commit, and give that."""
        contents = b"".join(bundle.read_bytes() for bundle in bundles)
        commit = hashlib.sha1(contents + revision.encode()).hexdigest()
        self.revisions[revision] = self.revisions[commit] = commit
        self.files[commit, name] = contents
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content for ``/org/name/resolve/revision/file``."""
        self.asked.append(path)
        repository, _, rest = path.strip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        if repository != ID:
            status, code = self.refusals.get(repository, (401, "RepoNotFound"))
            return status, {"X-Error-Code": code}, b""
        commit = self.revisions.get(revision)
        if commit is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        told = {"X-Repo-Commit": commit}
        if (commit, file) not in self.files:
            return 404, {**told, "X-Error-Code": "EntryNotFound"}, b""
        content = self.files[commit, file]
        return 200, {**told, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}, content


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub that huggingface_hub asks, with a cache and pins that are empty."""
    package: Any = pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    original = package.hf_hub_download
    served = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = served.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815  # the base class looks for this name

        def log_message(self, *_: object) -> None:
            """Nothing is told on stderr."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    served.address = f"http://127.0.0.1:{listening.server_port}"
    served.cache = tmp_path / "cache"

    def download(*, local_files_only: bool, **given: Any) -> Any:
        here = local_files_only or not served.reachable
        places = {"endpoint": served.address, "cache_dir": served.cache}
        return original(**given, **places, local_files_only=here)

    monkeypatch.setattr(package, "hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(hub.PINS_VARIABLE, str(tmp_path / "settings" / "pins.json"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield served
    listening.shutdown()
    listening.server_close()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models with other weights."""
    folder = tmp_path_factory.mktemp("bundles")
    return [tiny.write_model(folder / f"{seed}.safetensors", seed) for seed in (1, 2)]


def pins() -> dict[str, str]:
    found: dict[str, str] = json.loads(hub.pins_path().read_text(encoding="utf-8"))
    return found


def refused(reference: str) -> str:
    """What is said of a reference, in one line."""
    with pytest.raises(BundleError) as caught:
        find_bundle(reference)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(
    repository=st.builds("{}/{}".format, WORDS, WORDS.filter(lambda w: "safetensors" not in w)),
    file=st.none() | st.builds("{}.safetensors".format, WORDS),
    revision=st.none() | WORDS.filter(lambda word: ".." not in word),
    sha256=st.none() | st.binary(max_size=9).map(lambda some: hashlib.sha256(some).hexdigest()),
)
def test_an_id_reads_back_from_its_text(
    repository: str, file: str | None, revision: str | None, sha256: str | None
) -> None:
    parts = {"repository": repository, "file": file, "revision": revision, "sha256": sha256}
    reference = HubReference(**{name: part for name, part in parts.items() if part})
    assert HubReference.parse(str(reference)) == reference
    assert HubReference.parse(f"hf://{reference}") == reference


@pytest.mark.parametrize(
    "text",
    [
        "tapes",
        "./some/tapes",
        "/some/tapes",
        "../tapes",
        "some/../tapes",
        "some/tapes/model.ckpt",
        "some/tapes/../x.safetensors",
        "some/model.safetensors",
        "some/tapes@../../x",
        "some/tapes#sha256=123",
        "some\\tapes",
        "C:/some",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert HubReference.parse(text) is None
    assert hub.is_reference(text) == ("#sha256=" in text)


def test_the_first_download_pins_what_an_id_stands_for(server: Hub, bundles: list[Path]) -> None:
    commit = server.publish(bundles[0])
    wave = tiny.speech_like(0.2, 1)
    restored = load(ID).restore(wave, tiny.RATE)
    torch.testing.assert_close(restored, load(bundles[0]).restore(wave, tiny.RATE))
    full = f"{ID}@{commit}#sha256={sha256_of(bundles[0])}"
    assert pins() == {ID: full}

    later = server.publish(bundles[1])
    hashes = [read_bundle(bundle).header["sha256"] for bundle in bundles]
    assert find_bundle(ID).header["sha256"] == hashes[0]
    assert find_bundle(f"hf://{ID}@main").header["sha256"] == hashes[1]
    assert pins()[f"{ID}@main"] == f"{ID}@{later}#sha256={sha256_of(bundles[1])}"
    asked = len(server.asked)
    server.reachable = False
    for reference, wanted in ((ID, 0), (f"{ID}@main", 1), (full, 0)):
        assert find_bundle(reference).header["sha256"] == hashes[wanted]
    assert len(server.asked) == asked
    assert pins().keys() == {ID, f"{ID}@main"}


def test_another_file_and_a_tag_have_pins_of_their_own(server: Hub, bundles: list[Path]) -> None:
    server.publish(bundles[1], revision="v2", name="small/voice.safetensors")
    reference = f"{ID}/small/voice.safetensors@v2"
    assert find_bundle(reference).tensors.keys() == read_bundle(bundles[1]).tensors.keys()
    assert pins().keys() == {reference}


def test_what_differs_from_its_pin_is_refused(
    server: Hub, bundles: list[Path], tmp_path: Path
) -> None:
    commit = server.publish(bundles[0])
    find_bundle(ID)
    server.cache = tmp_path / "another"
    server.files[commit, BUNDLE_NAME] = bundles[1].read_bytes()
    pin, came = pins()[ID], sha256_of(bundles[1])
    told = run("restore", write_tone(tmp_path / "a.wav"), "--output", "b.wav", "--model", ID)
    assert told.error.startswith(
        f"error: {ID}: is pinned to {pin}, and what came has the sha256 {came} ("
    )
    assert told.error.endswith(
        f"); find out why it changed, then name a revision ({ID}@REVISION), or remove its line "
        f"from {hub.pins_path()}"
    )
    assert pins() == {ID: pin}
    hub.pins_path().unlink()
    assert find_bundle(ID).header["sha256"] == read_bundle(bundles[1]).header["sha256"]

    server.revisions.clear()
    server.cache = tmp_path / "third"
    gone = f"{ID}: is pinned to {pins()[ID]}, and the Hub no longer has that revision"
    assert refused(ID).startswith(gone)


def test_a_hash_that_is_given_holds_without_a_pin(server: Hub, bundles: list[Path]) -> None:
    server.publish(bundles[0])
    digest = sha256_of(bundles[0])
    assert find_bundle(f"{ID}#sha256={digest.upper()}").tensors
    wrong = f"{ID}@main#sha256={'0' * 64}"
    assert refused(wrong).startswith(f"{wrong}: what came has the sha256 {digest} (")
    assert refused(wrong).endswith(
        f"name the revision that you mean ({ID}@REVISION#sha256=...), or correct the hash"
    )
    assert not hub.pins_path().exists()


def test_what_is_no_bundle_is_not_pinned(server: Hub, bundles: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tensors")
    server.publish(tmp_path / "text")
    assert "is not a safetensors file, or a damaged one; fetch" in refused(ID)
    assert not hub.pins_path().exists()
    server.publish(bundles[0])
    assert find_bundle(ID).tensors


def test_reasons_are_told_in_one_line(
    server: Hub, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(bundles[0])
    server.refusals["some-org/gated"] = (403, "GatedRepo")
    nothing = "neither a file nor a built-in name, and the Hugging Face Hub"
    page = f"https://huggingface.co/{ID}"
    assert refused("some-org/none") == (
        f"no bundle 'some-org/none': {nothing} has no repository some-org/none, or a private one; "
        "check the name, or log in by `hf auth login`"
    )
    assert refused("hf://some-org/none").startswith(
        "no bundle 'hf://some-org/none': the Hugging Face Hub has no repository"
    )
    assert refused("some-org/gated") == (
        "some-org/gated: is gated; agree to its terms at https://huggingface.co/some-org/gated and "
        "log in by `hf auth login`"
    )
    assert refused(f"{ID}@v9") == f"{ID}@v9: {ID} has no revision 'v9'; see {page}/commits/main"
    assert refused(f"{ID}/a.safetensors") == (
        f"{ID}/a.safetensors: {ID} has no a.safetensors in revision 'main'; name a bundle that "
        f"{page}/tree/main lists: {ID}/FILE.safetensors"
    )
    assert refused("some-org/a--b").startswith("some-org/a--b: is not an id that the Hub takes (")
    assert refused("hf://tapes") == (
        f"'hf://tapes' is not an id of a bundle on the Hugging Face Hub; write {hub.FORM}"
    )
    server.reachable = False
    assert refused(ID).startswith(
        f"no bundle {ID!r}: {nothing} cannot be reached for {BUNDLE_NAME}, of which no copy is here"
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert refused(ID) == (
        f"no bundle {ID!r}: {nothing} needs the package huggingface_hub; pip install "
        "'selfremaster[hub]'"
    )


def test_other_failures_of_a_download_are_one_line(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = logging.getLogger("huggingface_hub.utils")
    heard = []

    def broken(**_: object) -> str:
        heard.append(loud.isEnabledFor(logging.WARNING))
        raise RuntimeError("the connection\nbroke " + 500 * "far ")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    told = refused(ID)
    assert told.startswith(f"{ID}: cannot be downloaded (RuntimeError: the connection broke far")
    assert len(told) < 400
    assert [*heard, loud.isEnabledFor(logging.WARNING)] == [False, True]


def test_paths_and_built_in_names_come_first(
    server: Hub, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(bundles[0])
    folder = Path("some-org", "tapes")
    folder.mkdir(parents=True)
    (folder / BUNDLE_NAME).write_bytes(bundles[1].read_bytes())
    assert find_bundle(ID).header == read_bundle(bundles[1]).header
    (folder / BUNDLE_NAME).unlink()
    folder.rmdir()
    assert refused(ID).endswith(
        f"; as some-org is a folder here, a bundle of the Hugging Face Hub is hf://{ID}"
    )
    assert refused(str(Path("some-org", "a.wav"))).startswith("no bundle 'some-org/a.wav': neither")
    with pytest.raises(BundleError, match=r"^no bundle 'other/tapes': neither a file nor"):
        find_bundle(Path("other", "tapes"))
    monkeypatch.setattr(assembling, "builtin_bundles", lambda: {"other/tapes": bundles[1]})
    assert find_bundle("other/tapes").header == read_bundle(bundles[1]).header
    assert server.asked == []
    assert find_bundle(f"hf://{ID}").header == read_bundle(bundles[0]).header


def test_pins_that_cannot_be_read_or_kept_are_refused(server: Hub, bundles: list[Path]) -> None:
    commit = server.publish(bundles[0])
    place = hub.pins_path()
    place.parent.write_text("a file in the place of the folder")
    full = f"{ID}@{commit}#sha256={sha256_of(bundles[0])}"
    assert refused(ID).startswith(f"{place}: the pins of bundles from the Hub cannot be read")
    place.parent.unlink()
    place.parent.mkdir()
    for text in ("{", "[]", '{"a": 1}'):
        place.write_text(text)
        assert refused(ID).endswith("cannot be read; mend or remove it")
    for pin in ("other/tapes" + full.removeprefix(ID), ID, "nothing"):
        place.write_text(json.dumps({ID: pin}))
        assert refused(ID) == f"{place}: {pin!r} is no pin of {ID}; remove its line"
    place.unlink()
    (place.parent / f"{place.name}.lock").mkdir()
    assert refused(ID).startswith(f"{ID}: cannot be pinned in {place} (")
    assert refused(ID).endswith(
        f"name a file in {hub.PINS_VARIABLE} that can be written, or give {full}"
    )
    assert find_bundle(full).tensors


def test_pins_lie_among_the_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hub.PINS_VARIABLE, raising=False)
    assert hub.pins_path().name == "hub-pins.json"
    assert "selfremaster" in hub.pins_path().parent.name.lower()


def test_an_experiment_starts_from_the_hub(server: Hub, bundles: list[Path]) -> None:
    server.publish(bundles[0])
    experiment = resolve(tiny.experiment(Path("nowhere"), start={"vocoder": ID, "analyzer": ID}))
    model = assemble(experiment)
    wanted = read_bundle(bundles[0])
    hashes = start_from_bundles(model, experiment)
    assert hashes == dict.fromkeys(("vocoder", "analyzer"), wanted.header["sha256"])
    started = model.state_dict()
    own = [name for name in wanted.tensors if name.startswith("analyzer.")]
    assert own
    assert all(torch.equal(started[name], wanted.tensors[name]) for name in own)
    assert Experiment.from_mapping(experiment.model_dump(mode="json")).start["vocoder"] == ID


def test_a_benchmark_is_checked_without_downloads_and_addressed_by_content(
    server: Hub, bundles: list[Path], tmp_path: Path
) -> None:
    server.publish(bundles[0])
    restorers = {"ours": f"selfremaster:model={ID}", "input": "input"}
    grid = write_grid(
        tmp_path / "grid.yaml", write_speech(tmp_path / "speech"), restorers=restorers
    )
    with hub.downloads(allowed=False):
        assert model_content(ID, {}) == ID
    told = run("benchmark", grid, "--output", tmp_path / "out", "--check", "--json")
    assert (told.code, json.loads(told.out)["failing"], server.asked) == (0, [], [])
    assert not hub.pins_path().exists()

    content = path_content(bundles[0])
    assert model_content(ID, {}) == content
    asked = len(server.asked)
    with hub.downloads(allowed=False):
        assert model_content(ID, {}) == model_content(f"{ID}#sha256={content}", {}) == content
    told = run("benchmark", grid, "--output", tmp_path / "out", "--check", "--json")
    assert (told.code, json.loads(told.out)["failing"], len(server.asked)) == (0, [], asked)
    assert model_content("some-org/none", {}) == "some-org/none"


def test_check_show_and_doctor_know_the_hub(
    server: Hub, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(bundles[0])
    told = run("check", f"hf://{ID}", "--json")
    assert (told.code, {found["state"] for found in json.loads(told.out)}) == (0, {"kept"})
    shown = json.loads(run("show", "bundle", ID, "--json").out)
    assert shown["sha256"] == read_bundle(bundles[0]).header["sha256"]
    assert shown["bytes"] == bundles[0].stat().st_size
    monkeypatch.setattr("selfremaster.commands.doctor.find_spec", lambda name: None)
    lacking = json.loads(run("doctor", "--json").out)["missing_packages"][-1]
    assert lacking["package"] == "huggingface_hub"
    assert lacking["reason"].endswith("pip install 'selfremaster[hub]'")


def test_nothing_of_the_hub_is_imported_before_it_is_asked() -> None:
    ask = "import sys, selfremaster.registry.assembling as it; it.find_bundle('default'); "
    ask += "print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
