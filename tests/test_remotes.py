"""URLs: what is taken for one, what is refused, and which names can be places in folders."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfremaster.core import packages
from selfremaster.core.errors import RemoteError
from selfremaster.core.remote_jobs import RemoteJob
from selfremaster.core.remotes import Identity, Remote, parse, why_unsafe
from selfremaster.core.scratch import PREFIX, clear_scratch, scratch
from tests.cli import run

KEYS = st.text("ab./\\ \n\x7f%é?#:*~😀", min_size=1, max_size=20)


@pytest.mark.parametrize(
    "text", ["a.wav", "/a/b.wav", "C:\\a.wav", "a:b.wav", "s3", "s3:a", "./s3://", "x:/a.wav"]
)
def test_paths_are_paths(text: str) -> None:
    assert parse(text) == Path(text)


@given(key=KEYS)
def test_keys_are_kept_as_they_are(key: str) -> None:
    if any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in key):
        with pytest.raises(RemoteError, match="control signs"):
            parse(f"s3://archive/{key}")
        return
    found = parse(f"S3://archive/{key}")
    assert found == Remote("s3", "archive", key)
    assert str(found) == f"s3://archive/{key}"


@given(place=KEYS)
def test_a_place_that_is_safe_stays_in_its_folder(place: str) -> None:
    if why_unsafe(place) is None:
        path = Path("/some/folder", place)
        assert path.is_relative_to("/some/folder")
        assert path.relative_to("/some/folder").as_posix() == place
        assert ".." not in path.parts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://host/folder/", "names no file"),
        ("https://host", "names no file"),
        ("https:///a.wav", "no bucket or host"),
        ("https://me:secret@host/a.wav", "https://host: a name or password in a URL"),
        ("http://host/a.wav", "http:// is taken from this machine alone"),
        ("http://127.0.0.1.example.com/a.wav", "from this machine alone"),
        ("https://host/%2e%2e%2fa.wav", "leads out of its folder"),
        ("https://host/a%5Cb.wav", "a backslash"),
        ("https://host/a%00b.wav", "control signs"),
        ("https://[::1/a.wav", "is no URL"),
        ("https://host:99999999/a.wav", "is no URL"),
        ("gs://", "names no bucket"),
    ],
)
def test_what_is_no_url_is_told(text: str, words: str) -> None:
    with pytest.raises(RemoteError) as told:
        parse(text)
    assert words in str(told.value)
    assert "secret" not in str(told.value)


def test_what_may_be_a_secret_is_not_shown() -> None:
    found = parse("https://host/a%20b.wav?signature=secret")
    assert isinstance(found, Remote)
    assert str(found) == "https://host/a%20b.wav"
    assert "secret" not in repr(found)
    assert found.name == "a b.wav"
    assert str(parse("http://[::1]:80/a.wav")) == "http://[::1]:80/a.wav"


def test_jobs_can_be_handed_to_other_processes() -> None:
    source, target = Remote("s3", "a", "b.wav", "query"), Remote("s3", "a", "c.wav")
    job = RemoteJob(source, Path("b.wav"), target, target.with_suffix(""), Identity("tag", 3))
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert again.source.query == "query"
    assert str(job.beside(".png")) == "s3://a/c.png"


@pytest.mark.parametrize(("url", "package"), [("s3://a/b.wav", "s3fs"), ("gs://a/b.wav", "gcsfs")])
def test_a_package_that_is_missing_is_told(
    url: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(packages, "import_module", missing)
    monkeypatch.setattr("selfremaster.core.stores._opened", _opened_anew)
    told = run("restore", url, "--output", tmp_path / "new.wav")
    assert f"needs the package {package}; pip install 'selfremaster[cloud]'" in told.error


def _opened_anew(target: str, process: int) -> object:
    from importlib import import_module

    module, _, name = target.partition(":")
    return getattr(import_module(module), name)()


def test_folders_of_killed_processes_are_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("selfremaster.core.scratch.YOUNG_SECONDS", -1.0)
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "recording.wav").write_text("left")
    others = tmp_path / "others"
    others.mkdir()
    with scratch() as held:
        clear_scratch()
        assert held.is_dir()
    assert list(tmp_path.iterdir()) == [others]
