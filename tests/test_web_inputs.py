"""Single files of web servers as inputs of `restore`: whole, or a failure in one line."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from selfremaster.core import stores
from selfremaster.core.remotes import Remote
from selfremaster.core.web_stores import MOST_REDIRECTS, WebStore
from tests.cli import Outcome, left_behind, run, write_tiny_bundle, write_tone

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """A server of this machine that answers as a test wants it to."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.address = ""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    pytest.importorskip("fsspec", reason="the extra `cloud` is not installed")
    pytest.importorskip("aiohttp", reason="the extra `cloud` is not installed")
    served = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.pages.get(self.path.partition("?")[0], status(404))(self)

        def log_message(self, *_: object) -> None:
            """Nothing is told on stderr."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients may go."""

    listening = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    served.address = f"http://127.0.0.1:{listening.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(stores, "WAITS_SECONDS", (0.01, 0.01))
    stores._opened.cache_clear()
    yield served
    listening.shutdown()
    listening.server_close()


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {**headers, "Content-Length": "0"}.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def file(data: bytes, told: int | None = None, sent: int | None = None, tag: str = "") -> Answer:
    """A file whose length is told, as it is or otherwise, and of which so much is sent."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1]) if tag else 0
        handler.send_response(206 if start else 200)
        if told is None or told >= 0:
            handler.send_header("Content-Length", str((told or len(data)) - start))
        if tag:
            handler.send_header("ETag", tag)
        handler.end_headers()
        handler.wfile.write(data[start : len(data) if sent is None else start + sent])

    return answer


def restore(model: Path, *words: str | Path) -> Outcome:
    return run("restore", *words, "--model", model)


def test_a_file_of_a_server_becomes_what_a_file_becomes(
    web: Web, model: Path, tmp_path: Path
) -> None:
    sound = write_tone(tmp_path / "a.wav")
    web.pages["/tapes/a%20b.wav"] = file(sound.read_bytes())
    web.pages["/to"] = status(302, Location="/tapes/a%20b.wav?key=a-secret")
    words = (f"{web.address}/tapes/a%20b.wav?key=a-secret", "--output", f"{tmp_path}/new/")
    told = restore(model, *words, "--provenance")
    assert told.code == 0, told.err
    assert restore(model, sound, "--output", tmp_path / "here.wav").code == 0
    assert (tmp_path / "new" / "a b.wav").read_bytes() == (tmp_path / "here.wav").read_bytes()
    assert web.asked == ["/tapes/a%20b.wav?key=a-secret"]
    written = (tmp_path / "new" / "a b.provenance.json").read_text()
    assert "a-secret" not in told.out + told.err + written
    assert restore(model, f"{web.address}/to", "--output", tmp_path / "b.wav").code == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(404), "no such file (404)"),
        (status(403), "the server does not allow it (403)"),
        (status(418), "the server refuses it (418)"),
        (status(503), "overloaded or out of order (503); try again later"),
        (status(302, Location="/a.wav"), f"redirects more than {MOST_REDIRECTS} times"),
        (status(302, Location="ftp://127.0.0.1/a.wav"), "redirects to what is not https://"),
        (status(302, Location="http://192.0.2.1/a.wav"), "redirects to what is not https://"),
        (status(302, Location="file:///etc/passwd"), "redirects to what is not https://"),
        (file(b"x" * 5000, sent=2000), "the connection to the server broke off"),
        (file(b"x" * 5000, told=9000), "the connection to the server broke off"),
        (file(b"<html>sign in</html>"), "not audio, or damaged"),
        (file(b""), "0 samples of audio"),
    ],
)
def test_what_a_server_may_answer_is_told_in_one_line(
    web: Web, model: Path, tmp_path: Path, answer: Answer, words: str
) -> None:
    web.pages["/a.wav"] = answer
    told = restore(model, f"{web.address}/a.wav?key=a-secret", "--output", tmp_path / "b.wav")
    assert f"{web.address}/a.wav: " in told.error
    assert words in told.error
    assert "a-secret" not in told.error
    assert left_behind(tmp_path) == []


def test_what_breaks_off_goes_on_where_the_file_is_the_same(web: Web, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    cut, whole = file(data, sent=4000, tag='"one"'), file(data, tag='"one"')
    web.pages["/a.wav"] = lambda handler: (cut if len(web.asked) < 3 else whole)(handler)
    remote = Remote("http", web.address.removeprefix("http://"), "a.wav")
    found = WebStore().fetch(remote, tmp_path / "a.wav", None)
    assert (tmp_path / "a.wav").read_bytes() == data
    assert found.identity is not None
    assert found.identity.size == len(data)
    assert len(web.asked) == 3


def test_another_file_is_not_mixed_with_the_first(web: Web, tmp_path: Path) -> None:
    first = file(b"x" * 5000, sent=2000, tag='"one"')
    second = file(b"y" * 5000, tag='"two"')

    web.pages["/a.wav"] = lambda handler: (first if len(web.asked) < 2 else second)(handler)
    remote = Remote("http", web.address.removeprefix("http://"), "a.wav")
    with pytest.raises(Exception, match="was changed after it was listed"):
        WebStore().fetch(remote, tmp_path / "a.wav", None)


def test_a_length_that_lies_is_no_limit_and_no_order(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.pages["/a.wav"] = file(b"x" * 5000, told=1 << 60)
    web.pages["/endless.wav"] = file(b"x" * 5_000_000, told=-1)
    host = web.address.removeprefix("http://")
    with pytest.raises(Exception, match="does not fit on the disk"):
        WebStore().fetch(Remote("http", host, "a.wav"), tmp_path / "a.wav", None)
    free = (3 << 20) + stores.SPARE_BYTES

    class Small:
        def __init__(self) -> None:
            there = tmp_path / "a.wav"
            self.free = free - (there.stat().st_size if there.exists() else 0)

    monkeypatch.setattr("shutil.disk_usage", lambda path: Small())
    (tmp_path / "a.wav").unlink()
    with pytest.raises(Exception, match="does not fit on the disk"):
        WebStore().fetch(Remote("http", host, "endless.wav"), tmp_path / "a.wav", None)
    assert (tmp_path / "a.wav").stat().st_size <= 3 << 20


def test_a_batch_knows_files_that_servers_have_a_word_for(
    web: Web, model: Path, tmp_path: Path
) -> None:
    data = write_tone(tmp_path / "a.wav").read_bytes()
    web.pages["/a.wav"] = file(data, tag='"one"')
    web.pages["/b.wav"] = file(data)
    urls = (f"{web.address}/a.wav", f"{web.address}/b.wav")
    words = (*urls, "--output", tmp_path / "new")
    assert restore(model, *words).code == 0
    told = restore(model, *words, "--resume")
    assert told.code == 0
    assert "1 of 2 files were done before" in told.err
    del web.pages["/b.wav"]
    told = restore(model, *words, "--resume")
    assert told.code == 2
    assert "b.wav: no such file (404)" in told.err
