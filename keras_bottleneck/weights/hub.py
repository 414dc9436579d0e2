"""Files from the Hugging Face Hub, which `huggingface_hub` caches and resumes by itself."""

import os
import re
from pathlib import Path
from typing import Any

from keras_bottleneck import checks
from keras_bottleneck.weights.download import (
    DownloadError,
    Hash,
    checked_folder,
    not_writable,
    wrong_hash,
)

ADDRESS = r"hf://([\w.-]+/[\w.-]+)@([\w.-]+)/([^/].*)"
ACCEPTED = "an address like 'hf://OWNER/REPOSITORY@REVISION/FILE'"


def download_from_hub(
    url: str, hash: str | None, folder: str | os.PathLike[str] | None = None
) -> Path:
    """The path of a file on the Hugging Face Hub, which is fetched unless it is cached already.

    Args:
        url: `"hf://OWNER/REPOSITORY@REVISION/FILE"`. The revision is a commit, a tag or a branch;
            a cached file of a commit is found without a connection being tried.
        hash: As in `download`, but never None.
        folder: Where to keep the files; by default the Hub's own cache.

    Raises:
        ValueError: If an argument is not what is described above.
        ImportError: If huggingface_hub is not installed.
        DownloadError: If the file cannot be had, or has another hash.

    Example:
        >>> url = "hf://me/flowers@v1/resnet18.safetensors"
        >>> path = download_from_hub(url, hash)  # doctest: +SKIP
    """
    repository, revision, file_name = _checked_address(url)
    expected = Hash.parse(hash)
    cache = None if folder is None else checked_folder(folder)
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "Downloading from the Hugging Face Hub needs `huggingface_hub`: pip install "
            f"huggingface_hub ({error})."
        ) from None
    try:
        found_at = huggingface_hub.hf_hub_download(
            repository, file_name, revision=revision, cache_dir=cache
        )
    except Exception as error:  # of several bases, and others in each release of huggingface_hub
        raise _failed(url, error) from None
    path = Path(found_at)
    found = expected.of(path)
    if not expected.matches(found):
        # The path may be a link to the content: what remains of either would be taken next time.
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise wrong_hash(url, expected, found)
    return path


def _checked_address(url: Any) -> tuple[str, ...]:
    found = re.fullmatch(ADDRESS, url) if isinstance(url, str) else None
    if found is None:
        raise checks.reject("url", url, ACCEPTED)
    return tuple(found.groups())


def _failed(url: str, error: Exception) -> DownloadError | ValueError:
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return checks.reject("url", url, f"{ACCEPTED} ({checks.first_line(error)})")
    if isinstance(error, errors.GatedRepoError):
        return DownloadError(
            f"{url} is given to those only who have accepted its terms: accept them on the Hub's "
            "page, then log in with `hf auth login`."
        )
    # A kind of EntryNotFoundError, for what is neither cached nor to be had.
    if isinstance(error, errors.LocalEntryNotFoundError):
        return DownloadError(
            f"{url} cannot be reached and is not cached: check that you are online, and run it "
            "again."
        )
    missing = (
        errors.EntryNotFoundError,
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
    )
    if isinstance(error, missing):
        return DownloadError(
            f"There is no file at {url}: check owner, repository, revision and file name, or log "
            "in with `hf auth login` if the repository is private."
        )
    if isinstance(error, OSError) and error.errno is not None:
        return not_writable(Path(error.filename or "The Hub's cache"), error)
    return DownloadError(
        f"{url} could not be downloaded ({checks.first_line(error)}): run it again to continue."
    )
