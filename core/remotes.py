"""URLs of recordings and results: what they are made of, and which names are safe."""

import ipaddress
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from selfremaster.core.errors import RemoteError, SelfRemasterError

WEB = ("https", "http")
BUCKETS = ("s3", "gs")
KNOWN = "s3://BUCKET/KEY, gs://BUCKET/KEY, and for inputs https://HOST/FILE"
LONGEST_NAME_BYTES = 255  # that file systems take
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)(.*)", re.DOTALL)  # one letter is a drive


class Identity(NamedTuple):
    """What tells the content of an object from any that it had before, without reading it."""

    tag: str  # an ETag or a generation: the store's word for this very content
    size: int  # bytes

    def told(self) -> dict[str, str | int]:
        """As a record tells it."""
        return {"etag": self.tag, "bytes": self.size}


@dataclass(frozen=True, order=True)
class Remote:
    """An object of a store, or what names there begin with as a folder.

    It is no path: `str` gives the URL, without what stands behind ``?`` in one of the web, which
    may be a secret.

    >>> str(Remote("s3", "archive", "1931/a.wav").with_name("b.wav"))
    's3://archive/1931/b.wav'
    """

    scheme: str
    bucket: str  # or the host
    key: str  # as the store has it; with / at its end it is a folder
    query: str = field(default="", repr=False)

    def __str__(self) -> str:
        """The URL."""
        return f"{self.scheme}://{self.bucket}/{self.key}".removesuffix("/" * (not self.key))

    @property
    def is_web(self) -> bool:
        """Whether it is a single file of a server, from which nothing can be listed."""
        return self.scheme in WEB

    @property
    def name(self) -> str:
        """The last part of it."""
        last = self.key.rstrip("/").rpartition("/")[2]
        return unquote(last) if self.is_web else last

    @property
    def suffix(self) -> str:
        """The end of the name with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def prefix(self) -> str:
        """What the keys in it begin with, where it is a folder."""
        return f"{self.key.rstrip('/')}/" if self.key else ""

    @property
    def parent(self) -> "Remote":
        """The folder that it lies in."""
        return replace(self, key=self.key.rstrip("/").rpartition("/")[0], query="")

    def with_name(self, name: str) -> "Remote":
        """Its neighbour of another name."""
        return self.parent.within(name)

    def with_suffix(self, suffix: str) -> "Remote":
        """Its neighbour that differs in the suffix."""
        return self.with_name(str(PurePosixPath(self.name).with_suffix(suffix)))

    def within(self, place: str) -> "Remote":
        """What lies in this folder at a place."""
        return replace(self, key=self.prefix + place, query="")

    def place_in(self, folder: "Remote") -> str | None:
        """Where it lies in a folder, or None."""
        same = (self.scheme, self.bucket) == (folder.scheme, folder.bucket)
        inside = same and self.key.startswith(folder.prefix)
        return self.key.removeprefix(folder.prefix) if inside else None


Place = Path | Remote
"""Where a recording or a result lies: here, or in a store."""


def here(place: Place) -> Path:
    """A file of this machine; raises `RemoteError` for any other."""
    if isinstance(place, Remote):
        raise RemoteError(f"{place}: is no file of this machine; copy it here")
    return place


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL, also where a path made one slash of two.

    >>> is_url("s3://a/b.wav"), is_url("gs:/a/b.wav"), is_url("C:/b.wav"), is_url("a/b.wav")
    (True, True, False, False)
    """
    found = _URL.fullmatch(text)
    return found is not None and (
        len(found[2]) > 1 or found[1].lower() in (*WEB, *BUCKETS, "file", "ftp")
    )


def parse(text: str) -> Place:
    """A path, or a URL of a store that is known; raises `RemoteError` for others."""
    found = _URL.fullmatch(text)
    if found is None or not is_url(text):
        return Path(text)
    scheme, rest = found[1].lower(), found[3]
    if scheme not in (*WEB, *BUCKETS):
        raise RemoteError(f"{scheme}:// is no store that is known; give a path, or {KNOWN}")
    if len(found[2]) != 2:
        raise RemoteError(
            f"{scheme}:{found[2]}...: has no bucket or host after two slashes; give {KNOWN}"
        )
    if scheme in WEB:
        return _web(scheme, text)
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise RemoteError(f"{text}: names no bucket; give {scheme}://BUCKET/KEY")
    if has_control_signs(rest):
        raise RemoteError(f"{text!r}: holds control signs; check the URL")
    return Remote(scheme, bucket, key)


def parse_here(text: str) -> Path:
    """A path of this machine; raises `SelfRemasterError` for URLs, which `restore` alone takes."""
    if is_url(text):
        scheme = text.partition(":")[0]
        raise SelfRemasterError(
            f"{scheme}://: URLs are for the inputs and the output of restore; copy the files here "
            "and name them by their path"
        )
    return Path(text)


def _web(scheme: str, text: str) -> Remote:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        secret = parts.username is not None or parts.password is not None
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        raise RemoteError(f"{scheme}://...: is no URL; give https://HOST/FILE") from None
    if secret:
        raise RemoteError(
            f"{scheme}://{host}: a name or password in a URL would be told to all; leave it out"
        )
    if not host or not parts.path.strip("/") or parts.path.endswith("/"):
        raise RemoteError(
            f"{scheme}://{host}{parts.path}: names no file; folders can be listed in s3:// and "
            "gs:// alone"
        )
    found = Remote(
        scheme, (f"[{host}]" if ":" in host else host) + port, parts.path[1:], parts.query
    )
    _check_web(found)
    why = why_unsafe(found.name)
    if why:
        raise RemoteError(f"{found}: its name {why}; download it and give it another")
    return found


def _check_web(remote: Remote) -> None:
    """Raise `RemoteError` for http://, by which anybody on the way could change a recording."""
    if remote.scheme == "http" and not is_loopback(urlsplit(str(remote)).hostname or ""):
        raise RemoteError(
            f"{remote}: http:// is taken from this machine alone; give https://, or download it"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def why_unsafe(place: str) -> str | None:
    """Why an object cannot be given the same place in a folder, or None where it can.

    >>> why_unsafe("1931/a.wav"), why_unsafe("../a.wav")
    (None, 'leads out of its folder')
    """
    parts = place.split("/")
    if has_control_signs(place):
        return "holds control signs"
    if "\\" in place:
        return "holds a backslash"
    if ".." in parts or "." in parts:
        return "leads out of its folder"
    if "" in parts:
        return "has an empty part between two slashes"
    longest = max(len(part.encode("utf-8", "surrogatepass")) for part in parts)
    if longest > LONGEST_NAME_BYTES:
        return f"has a part of {longest} bytes, of which file systems take {LONGEST_NAME_BYTES}"
    return None


def has_control_signs(text: str) -> bool:
    """Whether there are signs in a name that no store or page shows, or that are no text."""
    return any(
        ord(sign) < 32 or 127 <= ord(sign) < 160 or 0xD800 <= ord(sign) < 0xE000 for sign in text
    )
