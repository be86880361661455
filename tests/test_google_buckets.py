"""Buckets of gs://, by gcsfs, against a small server that speaks as much of its language."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from selfremaster.core import stores
from tests.cli import run, write_tiny_bundle, write_tone


class Google:
    """Objects of one bucket, and how often what was asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.address = ""

    def put(self, key: str, data: bytes) -> dict[str, Any]:
        """Make an object, which has a generation of its own."""
        self.objects[key] = (data, len(self.asked) + 1000 * (key in self.objects) + 1)
        return self.told(key)

    def told(self, key: str) -> dict[str, Any]:
        """What is told of an object."""
        data, generation = self.objects[key]
        md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
        return {"kind": "storage#object", "name": key, "bucket": "archive", "size": str(len(data)),
                "generation": str(generation), "md5Hash": md5}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """As much of the JSON interface as gcsfs asks for."""

    google: Google

    def do_GET(self) -> None:
        """Lists, what is told of an object, and what it holds."""
        parts = urlsplit(self.path)
        words = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found = re.fullmatch(r"(/download)?/storage/v1/b/([^/]+)/o(?:/(.+))?", parts.path)
        if found is None or found[2] != "archive":
            self.say(404, {})
        elif found[3] is None:
            self.google.asked.append("list")
            keys = [key for key in self.google.objects if key.startswith(words.get("prefix", ""))]
            told = [self.google.told(key) for key in sorted(keys)]
            self.say(200, {"kind": "storage#objects", "items": told})
        elif (key := unquote(found[3])) not in self.google.objects:
            self.say(404, {})
        elif words.get("alt") == "media" or found[1]:
            self.google.asked.append("get")
            data, _ = self.google.objects[key]
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, end = (int(span[1]), int(span[2] or len(data))) if span else (0, len(data))
            self.say(206 if span else 200, data[start : end + 1])
        else:
            self.google.asked.append("head")
            self.say(200, self.google.told(key))

    def do_POST(self) -> None:
        """Uploads, whole or in parts."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        words = parse_qs(urlsplit(self.path).query)
        self.google.asked.append("put")
        if words.get("uploadType") == ["resumable"]:
            name = f"/resumable/{len(self.google.uploads)}-and-more-signs"
            self.google.uploads[name] = (json.loads(body)["name"], b"")
            self.say(200, {}, Location=self.google.address + name)
        elif self.path in self.google.uploads:
            key, before = self.google.uploads[self.path]
            self.google.uploads[self.path] = (key, before + body)
            self.say(200, self.google.put(key, before + body))
        else:
            head, _, rest = body.partition(b"\n--==0==\nContent-Type: ")
            key = json.loads(head.partition(b"\n\n")[2])["name"]
            data = rest.partition(b"\n\n")[2].removesuffix(b"\n--==0==--")
            self.say(200, self.google.put(key, data))

    def say(self, status: int, told: Any, **headers: str) -> None:
        """Answer in JSON, or in bytes."""
        data = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing is told on stderr."""


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    pytest.importorskip("gcsfs", reason="the extra `cloud` is not installed")
    served = Google()
    handler = type("Bound", (Handler,), {"google": served})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    served.address = f"http://127.0.0.1:{listening.server_port}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", served.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    stores._opened.cache_clear()
    yield served
    listening.shutdown()
    listening.server_close()
    stores._opened.cache_clear()


def test_buckets_of_google_are_as_others(google: Google, tmp_path: Path) -> None:
    model = write_tiny_bundle(tmp_path / "tiny.safetensors")
    for place, samples in {"a.wav": 3000, "1931/c d.wav": 2000}.items():
        google.put(f"tapes/{place}", write_tone(tmp_path / "tapes" / place, samples).read_bytes())
    google.put("tapes/../x.wav", b"escapes")
    google.put("tapes-2/y.wav", b"of another folder")
    here = ("restore", tmp_path / "tapes", "--output", tmp_path / "here", "--model", model)
    assert run(*here).code == 0
    words = ("restore", "gs://archive/tapes", "--output", "gs://archive/new", "--model", model)
    told = run(*words, "--provenance")
    assert told.code == 1
    assert "gs://archive/tapes/../x.wav: its name leads out of its folder" in told.err
    for place in ("a.wav", "1931/c d.wav"):
        data, _ = google.objects[f"new/{place}"]
        assert data == (tmp_path / "here" / place).read_bytes()
    google.asked.clear()
    told = run(*words, "--resume")
    assert "2 of 2 files were done before" in told.err
    assert set(google.asked) == {"list"}  # once more where a connection breaks
    google.put("tapes/a.wav", google.objects["tapes/1931/c d.wav"][0])
    assert "1 of 2 files were done before" in run(*words, "--resume").err
    assert google.objects["new/a.wav"][0] == google.objects["new/1931/c d.wav"][0]


def test_what_google_refuses_is_told(google: Google, tmp_path: Path) -> None:
    model = write_tiny_bundle(tmp_path / "tiny.safetensors")
    for url in ("gs://nowhere/a.wav", "gs://archive/a.wav", "gs://archive/none"):
        told = run("restore", url, "--output", tmp_path / "new.wav", "--model", model).error
        assert "no such" in told


def test_large_files_are_put_whole(google: Google, tmp_path: Path) -> None:
    from selfremaster.core.remotes import Identity, Remote

    path, remote = tmp_path / "large", Remote("gs", "archive", "large")
    path.write_bytes(bytes(range(256)) * (24 << 10))
    store = stores.store_of(remote)
    identity = store.put(path, remote)
    assert google.objects["large"][0] == path.read_bytes()
    found = store.fetch(remote, tmp_path / "again", identity)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert found.identity == identity
    with pytest.raises(Exception, match="was changed after it was listed"):
        store.fetch(remote, tmp_path / "again", Identity("1", path.stat().st_size))
