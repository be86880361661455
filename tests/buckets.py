"""A real S3 server on this machine, moto's, that tells what it was asked and fails on request."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "a-key-id-of-nobody",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-nobody",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
ACCOUNT = "123456789012"  # that moto gives everybody


class Server:
    """Buckets by moto; requests are counted by what they are and on what, and can be disturbed."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.disturb: Callable[[str, str], int | str | None] = lambda what, path: None
        """What becomes of a request: None as ever, a status, or ``cut`` for half of an answer."""
        self._server: Any = None
        self._thread: Any = None
        self.address = self.start(0)

    def start(self, port: int) -> str:
        """Listen; a server that was stopped has its buckets again."""
        import threading

        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", port, self._around(moto), threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.daemon = True
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Be gone, as far as clients can tell."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start_again(self) -> None:
        """Be there again, at the same address."""
        self.start(int(self.address.rpartition(":")[2]))

    def _around(self, moto: Any) -> WSGI:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
            what = kind_of(environ["REQUEST_METHOD"], path, query)
            self.asked[what] += 1
            wrong = self.disturb(what, path)
            if isinstance(wrong, int):
                code = {403: "AccessDenied", 404: "NoSuchBucket", 503: "SlowDown"}[wrong]
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start(f"{wrong} Wrong", [("Content-Type", "application/xml")])
                return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]
            answered = moto(environ, start)
            return _half(answered) if wrong == "cut" else answered

        return answer

    @property
    def backend(self) -> Any:
        """What moto holds, for keys that no client would put."""
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Make an object, whatever its key."""
        self.backend.put_object(bucket, key, data)

    def contents(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """The objects whose keys begin so, by the rest of their keys."""
        held = self.backend.buckets[bucket].keys
        return {key.removeprefix(prefix): held[key].value for key in held if key.startswith(prefix)}

    def unfinished(self, bucket: str) -> int:
        """How many uploads in parts were begun and neither ended nor aborted."""
        return len(self.backend.buckets[bucket].multiparts)

    def forget(self) -> None:
        """Hold nothing, and disturb nobody."""
        self.backend.reset()
        self.disturb = lambda what, path: None
        self.asked.clear()
        for bucket in ("archive", "other"):
            self.backend.create_bucket(bucket, "us-east-1")


def kind_of(method: str, path: str, query: str) -> str:
    """What a request asks for: list, head, get, put, or others of S3."""
    if method == "GET" and "list-type=2" in query:
        return "list"
    if "uploads" in query or "uploadId" in query or method == "DELETE":
        return f"multipart {method.lower()}"
    return method.lower()


def _half(answered: Iterable[bytes]) -> Iterator[bytes]:
    whole = b"".join(answered)
    yield whole[: len(whole) // 2]
    raise ConnectionResetError("the test wants it so")


def served(variables: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server for tests, that the usual variables name; skips where there is none to be had."""
    pytest.importorskip("s3fs", reason="the extra `cloud` is not installed")
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = Server()
    for name, value in VARIABLES.items():
        variables.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        variables.delenv(name, raising=False)
    variables.setenv("AWS_ENDPOINT_URL", server.address)
    yield server
    server.stop()
