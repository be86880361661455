"""Stores that speak S3, by s3fs: Amazon's, and those of others by AWS_ENDPOINT_URL."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selfremaster.core.packages import require
from selfremaster.core.remotes import Identity, Remote
from selfremaster.core.stores import (
    CHANGED,
    CONNECT_SECONDS,
    READ_SECONDS,
    Entry,
    ShortError,
    Store,
    Stream,
    Trouble,
)

CHUNK_BYTES = 1 << 20
PART_BYTES = 16 << 20  # held in memory while it is put; larger files are put in parts
MOST_PARTS = 9000  # S3 takes 10,000

_MISSING = {
    "NoSuchBucket": "no such bucket; check its name, and AWS_ENDPOINT_URL where it is not Amazon's",
    "NoSuchKey": "no such object; check the URL",
    "404": "no such object; check the URL",
}
_REFUSED = {
    "AccessDenied": "the store does not allow it; check the rights of your key",
    "AllAccessDisabled": "the store does not allow it; check the rights of your key",
    "403": "the store does not allow it, or there is no such object; check the rights of your key",
    "InvalidObjectState": "lies in a cold class of storage; have the store bring it back first",
    "PreconditionFailed": CHANGED,
    "412": CHANGED,
    "PermanentRedirect": "the bucket lies in another region; name that by AWS_DEFAULT_REGION",
    "301": "the bucket lies in another region; name that by AWS_DEFAULT_REGION",
    "AuthorizationHeaderMalformed": "the bucket lies in another region; name that by "
    "AWS_DEFAULT_REGION",
    "KeyTooLongError": "its key is longer than the store takes; choose a shorter --output",
    "NotImplemented": "the store does not know this request; check AWS_ENDPOINT_URL",
}
_KEYS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "InvalidClientTokenId",
    "RequestTimeTooSkewed",
}
_PASSING = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"}
NO_KEYS = (
    "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and for a "
    "store that is not Amazon's AWS_ENDPOINT_URL"
)


class S3Store(Store):
    """Buckets by S3; the usual variables say where and who, as they do for other programs."""

    def __init__(self) -> None:
        s3fs = require("s3fs", "cloud")
        once = {"total_max_attempts": 1}  # further ones are ours
        config = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": once}
        self._system = s3fs.S3FileSystem(
            config_kwargs=config, use_listings_cache=False, skip_instance_cache=True
        )
        self._system.retries = 1

    def entries(self, folder: Remote) -> Iterator[Entry]:
        """A request for every thousand objects."""
        further: dict[str, str] = {}
        while True:
            page = self._patiently("list_objects_v2", folder, Prefix=folder.prefix, **further)
            for told in page.get("Contents", ()):
                yield Entry(told["Key"], _identity(told["ETag"], told["Size"]))
            if not page.get("IsTruncated"):
                return
            further = {"ContinuationToken": page["NextContinuationToken"]}

    def entry(self, remote: Remote) -> Entry | None:
        """What is told of one object, or None; one request."""
        told = self.patiently(remote, lambda: self._call_or_none("head_object", remote))
        if told is None:
            return None
        return Entry(remote.key, _identity(told["ETag"], told["ContentLength"]))

    @contextmanager
    def opened(self, remote: Remote, start: int, known: Identity | None) -> Iterator[Stream]:
        """Read an object from a byte on; the store refuses if it is no longer the one known."""
        conditions: dict[str, str] = {"IfMatch": f'"{known.tag}"'} if known else {}
        if start:
            conditions["Range"] = f"bytes={start}-"
        told = self._call("get_object", remote, Key=remote.key, **conditions)
        body = told["Body"]
        try:
            identity = _identity(told["ETag"], start + told["ContentLength"])
            yield Stream(self._chunks(body), identity.tag, identity.size)
        finally:
            with suppress(Exception):  # a broken connection cannot be closed either
                body.close()

    def put(self, path: Path, remote: Remote) -> Identity:
        """One request, or for large files one a part; what fails leaves nothing there."""
        size = path.stat().st_size
        if size > PART_BYTES:
            return Identity(self._put_parts(path, remote, size), size)
        data = path.read_bytes()
        told = self._patiently("put_object", remote, Key=remote.key, Body=data)
        return _identity(told["ETag"], size)

    def _put_parts(self, path: Path, remote: Remote, size: int) -> str:
        begun = self._patiently("create_multipart_upload", remote, Key=remote.key)
        names = {"Key": remote.key, "UploadId": begun["UploadId"]}
        length = max(PART_BYTES, -(-size // MOST_PARTS))
        parts: list[dict[str, Any]] = []
        try:
            with path.open("rb") as file:
                while data := file.read(length):
                    number = len(parts) + 1
                    told = self._patiently(
                        "upload_part", remote, **names, PartNumber=number, Body=data
                    )
                    parts.append({"PartNumber": number, "ETag": told["ETag"]})
            whole = {"Parts": parts}
            told = self._patiently(
                "complete_multipart_upload", remote, **names, MultipartUpload=whole
            )
        except BaseException:  # Ctrl-C as well
            with suppress(Exception):
                self._call("abort_multipart_upload", remote, **names)
            raise
        return _identity(told["ETag"], size).tag

    def clear_unfinished(self, folder: Remote, keys: frozenset[str]) -> None:
        """Abort uploads in parts that a killed run began; without the right to it they stay."""
        further: dict[str, str] = {}
        with suppress(Exception):
            while True:
                told = self._call("list_multipart_uploads", folder, Prefix=folder.prefix, **further)
                for upload in told.get("Uploads", ()):
                    if upload["Key"] in keys:
                        names = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                        self._call("abort_multipart_upload", folder, **names)
                if not told.get("IsTruncated"):
                    return
                further = {
                    "KeyMarker": told["NextKeyMarker"],
                    "UploadIdMarker": told["NextUploadIdMarker"],
                }

    def trouble(self, error: Exception, remote: Remote) -> Trouble | None:
        """What s3fs, botocore and aiohttp raise, in words."""
        for one in (error.__cause__, error):
            answer = getattr(one, "response", None)
            if isinstance(answer, dict):
                return _answered(answer)
        return _unanswered(error)

    def _chunks(self, body: Any) -> Iterator[bytes]:
        from fsspec.asyn import sync

        while chunk := sync(self._system.loop, body.read, CHUNK_BYTES):
            yield chunk

    def _call(self, method: str, remote: Remote, **words: Any) -> Any:
        return self._system.call_s3(method, Bucket=remote.bucket, **words)

    def _patiently(self, method: str, remote: Remote, **words: Any) -> Any:
        return self.patiently(remote, lambda: self._call(method, remote, **words))

    def _call_or_none(self, method: str, remote: Remote) -> Any:
        try:
            return self._call(method, remote, Key=remote.key)
        except FileNotFoundError:
            return None


def _identity(tag: str, size: int) -> Identity:
    return Identity(tag.strip('"'), size)


def _answered(answer: dict[str, Any]) -> Trouble:
    """What the store itself said."""
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING or code in _REFUSED:
        return Trouble(_MISSING.get(code) or _REFUSED[code])
    if code in _KEYS:
        return Trouble(
            f"the store does not take your key ({code}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        )
    if code in _PASSING or status >= 500 or status == 429:
        return Trouble(
            f"the store is overloaded or out of order ({code or status}); go on later with "
            "--resume",
            passing=True,
        )
    return Trouble(f"the store refuses it ({code or status}); check the URL and your rights")


def _unanswered(error: Exception) -> Trouble | None:
    """What went wrong on the way to the store, or before."""
    from aiohttp import ClientError as WebError
    from botocore import exceptions

    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return Trouble(NO_KEYS)
    if isinstance(error, exceptions.ProfileNotFound):
        return Trouble("no such profile of credentials; check AWS_PROFILE")
    if isinstance(error, exceptions.ParamValidationError):
        return Trouble("is no name that S3 takes; check the bucket")
    if isinstance(
        error,
        (
            exceptions.EndpointConnectionError,
            exceptions.ConnectTimeoutError,
            exceptions.ProxyConnectionError,
            exceptions.SSLError,
        ),
    ):
        return Trouble(
            "the store cannot be reached; check AWS_ENDPOINT_URL and the network", passing=True
        )
    if isinstance(
        error,
        (
            exceptions.HTTPClientError,
            exceptions.IncompleteReadError,
            WebError,
            ShortError,
            TimeoutError,
            ConnectionError,
        ),
    ):
        return Trouble(
            "the connection to the store broke off, again and again; go on later with --resume",
            passing=True,
        )
    if isinstance(error, OSError) and error.filename:
        return None  # of a file of this machine
    if isinstance(error, (exceptions.BotoCoreError, ValueError, OSError)):
        return Trouble(
            f"the store cannot be asked ({type(error).__name__}); check the variables AWS_*"
        )
    return None
