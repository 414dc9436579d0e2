"""Files from the web: verified, cached, and continued where the connection broke.

`keras.utils.get_file` verifies and caches too, but it removes what came half way, waits for ever on
a silent server, and lets two processes write the same file; so this is the standard library's
`urllib.request`, with the same cache.
"""

import base64
import hashlib
import ipaddress
import os
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any, NamedTuple

from keras_bottleneck import checks
from keras_bottleneck.console import track_bytes
from keras_bottleneck.files import alone
from keras_bottleneck.keras_here import home
from keras_bottleneck.version import __version__

CHUNK = 1 << 18
HEADERS = {"User-Agent": f"keras-bottleneck/{__version__}"}


class DownloadError(RuntimeError):
    """A file could not be downloaded, or is not the file that was expected."""


class Hash(NamedTuple):
    """The hash that a file must have, or its first digits."""

    algorithm: str
    digits: str

    @classmethod
    def parse(cls, text: Any) -> "Hash":
        """The hash that `text` states, such as `"sha256:0676ba61"`.

        Raises:
            ValueError: If it is neither 8 to 64 digits of a sha256 nor the 32 of an md5.
        """
        pattern = r"(sha256):([0-9a-f]{8,64})|(md5):([0-9a-f]{32})"
        found = re.fullmatch(pattern, text.lower()) if isinstance(text, str) else None
        if found is None:
            accepted = "'sha256:' and 8 to 64 hexadecimal digits, or 'md5:' and 32"
            raise checks.reject("hash", text, accepted)
        return cls(*filter(None, found.groups()))

    def of(self, path: Path) -> "Hash":
        """The whole hash of the file `path`, by the same algorithm."""
        # Some builds of Python refuse md5 unless they are told that no secret depends on it.
        with path.open("rb") as file:
            found = hashlib.file_digest(
                file, lambda: hashlib.new(self.algorithm, usedforsecurity=False)
            )
        return Hash(self.algorithm, found.hexdigest())

    def matches(self, found: "Hash") -> bool:
        """Whether `found`, a whole hash, starts with these digits."""
        return found.digits.startswith(self.digits)

    def fits(self, path: Path) -> bool:
        """Whether `path` is a file with this hash."""
        return path.is_file() and self.matches(self.of(path))

    @classmethod
    def stated(cls, headers: Message) -> "Hash | None":
        """The hash that a server states of the file which it sends; None if it states none.

        The Hugging Face Hub states the sha256 of a large file as `X-Linked-Etag`, Google's storage
        an md5 as one of `x-goog-hash`.
        """
        sha256 = headers.get("X-Linked-Etag", "").strip('"').lower()
        if re.fullmatch("[0-9a-f]{64}", sha256):
            return cls("sha256", sha256)
        listed = ",".join(headers.get_all("x-goog-hash", []))
        md5 = re.search("md5=([0-9A-Za-z+/]{22}==)", listed)
        return cls("md5", base64.b64decode(md5[1]).hex()) if md5 else None

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digits}"


def cache_folder() -> Path:
    """Where downloaded weights are kept: `models` in `$KERAS_HOME`, or in `~/.keras`.

    Source: `keras.utils.get_file` with `cache_subdir="models"`, so that files which
    `keras.applications` has downloaded are found.
    """
    return home() / "models"


def download(
    url: str,
    hash: str | None,
    file_name: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    timeout: float = 30.0,
) -> Path:
    """The path of the file at `url`, which is fetched unless `folder` has it already.

    The file appears under its name only when it is whole and its hash is right. Until then it is
    `FILE_NAME.HASH.part`, which the next call continues if the connection breaks or the process is
    killed. Several processes may ask for the same file: one fetches it, the others wait.

    Args:
        url: An https address; http is for a server on this machine. Redirects are followed to https
            only, and from such a server to itself.
        hash: `"sha256:"` and at least the first 8 digits, or `"md5:"` and all 32. Eight digits tell
            a damaged file from a whole one; they are no proof against a forger. None takes a file
            that is in `folder` as it is, and compares one that is fetched with what its server
            states of it: the sha256 of the Hugging Face Hub, or the md5 of Google's storage; where
            it states nothing, its length.
        file_name: Name of the file in `folder`; by default the last part of the address.
        folder: Where to keep the file, made if need be; by default that of `cache_folder()`.
        timeout: Seconds to wait for a connection, and for data on it.

    Raises:
        ValueError: If an argument is not what is described above.
        DownloadError: If the file cannot be reached, fetched whole or written, or has another hash;
            the message says which, and what to do.

    Example:
        >>> url = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
        >>> download(url, "sha256:f37072fd")  # doctest: +SKIP
        PosixPath('/home/me/.keras/models/resnet18-f37072fd.pth')
    """
    url = _checked_url(url)
    expected = None if hash is None else Hash.parse(hash)
    target = checked_folder(folder) / _checked_name(url, file_name)
    timeout = checks.number("timeout", timeout, above=True)
    try:
        if not _is_there(target, expected):
            target.parent.mkdir(parents=True, exist_ok=True)
            with alone(target.with_name(f"{target.name}.lock")):
                # Another process may have fetched it while this one waited.
                if not _is_there(target, expected):
                    _fetch(url, expected or _stated(url, target, timeout), target, timeout)
    except OSError as error:
        raise not_writable(target, error) from None
    return target


def checked_folder(folder: Any) -> Path:
    """`folder` as a Path, or the default where it is None."""
    if folder is None:
        return cache_folder()
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise checks.reject("folder", folder, "the path of a folder, or None")
    return Path(folder).expanduser()


def not_writable(path: Path, error: OSError) -> DownloadError:
    """The error for a disk that is full, read-only or somebody else's."""
    return DownloadError(
        f"{path} cannot be written ({error.strerror or checks.first_line(error)}): free some disk "
        "space, or pass a `folder` that you may write to."
    )


def wrong_hash(url: str, expected: Hash, found: Hash) -> DownloadError:
    """The error for a file that arrived whole but is not the one expected."""
    return DownloadError(
        f"What {url} sent has the wrong hash and was removed (expected {expected}, received "
        f"{found}): run it again, and if that gives the same hash, the file there is not the one "
        "that was published."
    )


def _checked_url(url: Any) -> str:
    if isinstance(url, str) and _is_private(url):
        return url
    accepted = "an address that starts with https:// (http:// of 127.0.0.1 only)"
    raise checks.reject("url", url, accepted)


def _is_private(url: str) -> bool:
    """Whether nobody between here and the server can read or change what it sends."""
    try:
        host = urllib.parse.urlsplit(url).hostname
        if not host or not re.fullmatch(r"https?://[!-~]+", url):
            return False
        return url.startswith("https:") or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a port or an address that is none; or a name, which may lead anywhere
        return False


def _checked_name(url: str, file_name: Any) -> str:
    path = urllib.parse.urlsplit(url).path
    name = urllib.parse.unquote(path.rpartition("/")[2]) if file_name is None else file_name
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0"):
        accepted = "a file name without a folder, needed where the address ends with none"
        raise checks.reject("file_name", name, accepted)
    return name


def _is_there(target: Path, expected: Hash | None) -> bool:
    return target.is_file() if expected is None else expected.fits(target)


def _stated(url: str, target: Path, timeout: float) -> Hash | None:
    """The hash that the server of `url` states, or one on the way to it that redirects.

    Raises:
        DownloadError: If there is no file at `url`, or it cannot be reached.
    """
    request = urllib.request.Request(url, headers=HEADERS, method="HEAD")
    try:
        with urllib.request.build_opener(_Statements).open(request, timeout=timeout) as response:
            return Hash.stated(response.headers)
    except urllib.error.HTTPError as error:
        error.close()
        if found := Hash.stated(error.headers):
            return found
        raise _refused(url, error) from None
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error, target) from None


def _fetch(url: str, expected: Hash | None, target: Path, timeout: float) -> None:
    """Puts the file at `url` into `target`, continuing what an earlier call left."""
    part = target.with_name(f"{target.name}.{expected.digits[:8] if expected else 'whole'}.part")
    while True:
        had = part.stat().st_size if part.exists() else 0
        problem = _receive(url, part, had, target, timeout)
        if expected is None:
            if problem is not None:
                raise problem
            os.replace(part, target)
            return
        # The hash decides, whatever the server said of the length.
        found = expected.of(part)
        if expected.matches(found):
            os.replace(part, target)
            return
        if problem is not None:
            raise problem
        part.unlink()
        # What was there before may be to blame: only what was fetched whole is judged.
        if not had:
            raise wrong_hash(url, expected, found)


def _receive(url: str, part: Path, had: int, target: Path, timeout: float) -> DownloadError | None:
    """Adds to `part`, of `had` bytes, what is missing; returns how the connection was lost, if so.

    Raises:
        DownloadError: If nothing can be had from `url`.
        OSError: If `part` cannot be written.
    """
    try:
        response = _open(url, had, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if had and error.code == 416:  # the server has no more than what is there
            return None
        raise _refused(url, error) from None
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error, target) from None
    with response, part.open("r+b" if had else "wb") as file:
        start, total = _extent(response)
        file.seek(start)
        file.truncate()
        chunks = _chunks(response, None if total is None else total - start)
        try:
            for chunk in track_bytes(chunks, total, target.name, start):
                file.write(chunk)
        except _LostError as lost:
            of = "" if total is None else f" of {total:,}"
            return DownloadError(
                f"The connection to {url} {lost} after {file.tell():,}{of} bytes: run it again to "
                "continue from there."
            )
    return None


class _LostError(Exception):
    """What became of the connection; an OSError would be taken for one of the disk."""


def _chunks(response: HTTPResponse, missing: int | None) -> Iterator[bytes]:
    """What comes, until `missing` bytes are there or, where that is None, the server is done.

    Raises:
        _LostError: If the connection ends before that.
    """
    while missing is None or missing > 0:
        try:
            chunk = response.read1(CHUNK if missing is None else min(CHUNK, missing))
        except (OSError, HTTPException) as error:
            silent = isinstance(error, TimeoutError)
            raise _LostError("fell silent" if silent else "broke") from None
        if missing is not None:
            missing -= len(chunk)
            if not chunk:
                raise _LostError("broke")
        elif not chunk:
            return
        yield chunk


def _extent(response: HTTPResponse) -> tuple[int, int | None]:
    """Where in the file the response starts, and the size of the file as far as known."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206 and found:
        return int(found[1]), int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _open(url: str, start: int, timeout: float) -> HTTPResponse:
    headers = {**HEADERS, "Range": f"bytes={start}-"} if start else HEADERS
    opener = urllib.request.build_opener(_Redirects)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and on this machine; the others stay what they are."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        leaves_tls = req.type == "https" and not newurl.startswith("https:")
        if leaves_tls or not _is_private(newurl):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Statements(_Redirects):
    """Follows redirects up to the first server that states a hash."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if Hash.stated(headers):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refused(url: str, error: urllib.error.HTTPError) -> DownloadError:
    answer = f"HTTP {error.code} {error.reason}".strip().splitlines()[0]
    if error.code in (404, 410):
        return DownloadError(
            f"There is no file at {url} ({answer}): check the address, or look where its publisher "
            "has moved it."
        )
    if 300 <= error.code < 400:
        where = error.headers.get("Location", "nowhere")
        return DownloadError(
            f"{url} redirects to {where!r}, which is not followed (HTTP {error.code}): only https "
            "is; check the address."
        )
    if error.code >= 500 or error.code == 429:
        return DownloadError(f"The server of {url} is in trouble ({answer}): run it again later.")
    return DownloadError(
        f"The server refuses {url} ({answer}): check the address and whether you may read it."
    )


def _unreachable(url: str, error: Exception, target: Path) -> DownloadError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        what = "it does not answer"
    elif isinstance(reason, socket.gaierror):
        what = "its host name cannot be looked up"
    elif isinstance(reason, OSError) and reason.strerror:
        what = reason.strerror
    else:
        what = checks.first_line(Exception(reason))
    is_named_so = urllib.parse.unquote(url).endswith(f"/{target.name}")
    named = "" if is_named_so else f" as {target.name}"
    return DownloadError(
        f"{url} cannot be reached ({what}): check that you are online, or copy the file into "
        f"{target.parent} by hand{named}."
    )
