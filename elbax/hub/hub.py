"""A repository on the Hugging Face Hub: its name, what it holds, its files, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbax.util import files, words
from elbax.util.extras import need

SCHEME = "hf://"
MAIN = "main"
"""The revision where none is named."""

_TIMEOUT = 20.0  # seconds for the first answer
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_PLACE = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9_.][A-Za-z0-9_./-]*))?")


class HubError(ValueError):
    """What the hub or a repository of it refuses: one line with the mend."""


class MissingError(HubError):
    """There is no such repository or revision, as far as this user can see."""


class UnreachableError(HubError):
    """The hub does not answer."""


@dataclass(frozen=True)
class Place:
    """A repository, and a revision of it.

    Attributes:
        repository: ``org/name``.
        revision: A branch, a tag or a commit.
    """

    repository: str
    revision: str = MAIN

    def __str__(self) -> str:
        at = "" if self.revision == MAIN else f"@{self.revision}"
        return f"{self.repository}{at}"

    @property
    def name(self) -> str:
        """The repository's own name."""
        return self.repository.partition("/")[2]


@dataclass(frozen=True)
class Held:
    """What the hub says of a file; None of what it does not say.

    Attributes:
        size: Its bytes.
        sha256: Its digest: of files that are large or binary.
    """

    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Snapshot:
    """What a repository holds at a revision.

    Attributes:
        commit: The commit that the revision is.
        private: Whether only its owners see it.
        held: Its files by name.
    """

    commit: str
    private: bool
    held: dict[str, Held]


def place(said: str) -> Place:
    """``org/name``, ``org/name@revision``, either after ``hf://``.

    Raises:
        HubError: It is none of these.
    """
    found = _PLACE.fullmatch(said.removeprefix(SCHEME))
    if found is None or re.search(r"--|\.\.|\.git(@|$)", said) or len(found[1]) > 96:
        raise HubError(
            f"'{words.shown(said)}' names no repository of the hub: write org/name, or "
            "org/name@revision"
        )
    return Place(found[1], found[2] or MAIN)


def endpoint() -> str:
    """Where the hub is: HF_ENDPOINT, or https://huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def package() -> Any:
    """The hub's own library.

    Raises:
        ValueError: It is not installed; in one line, with the command that mends it.
    """
    return need("huggingface_hub", "hub", "the Hugging Face Hub")


def api() -> Any:
    """What asks the hub.

    Raises:
        ValueError: Its library is not installed.
    """
    return package().HfApi(endpoint=endpoint(), library_name="elbax")


def look(at: Place) -> Snapshot:
    """What a repository holds.

    Raises:
        HubError: There is no such repository or revision, it isn't open to this user's token, or
            the hub does not answer.
    """
    with asking(at):
        info = api().model_info(
            at.repository, revision=at.revision, files_metadata=True, timeout=_TIMEOUT
        )
    held = {
        one.rfilename: Held(one.size, None if one.lfs is None else one.lfs.sha256)
        for one in info.siblings or ()
    }
    return Snapshot(info.sha, bool(info.private), held)


def fetched(at: Place, name: str, *, again: bool = False) -> Path:
    """A file of a repository, from the hub into its library's cache.

    Args:
        at: The repository.
        name: The file.
        again: Whether to fetch it although the cache has it.

    Raises:
        HubError: The hub refuses it, or does not answer.
    """
    with asking(at):
        path = package().hf_hub_download(
            at.repository, name, revision=at.revision, endpoint=endpoint(),
            library_name="elbax", force_download=again,
        )  # fmt: skip
    return Path(path)


def cached(at: Place, name: str) -> Path | None:
    """A file of a repository that was fetched before; None where it was not."""
    path = package().try_to_load_from_cache(at.repository, name, revision=at.revision)
    return Path(path) if isinstance(path, str) else None


@contextlib.contextmanager
def asking(at: Place) -> Iterator[None]:
    """Says in one line what goes wrong while the hub is asked.

    Raises:
        HubError: With the mend.
        WriteError: The disk of the cache is full.
    """
    errors = need("huggingface_hub.errors", "hub", "the Hugging Face Hub")
    try:
        yield
    except errors.LocalEntryNotFoundError as error:  # its cause is what the hub said
        raise _said(at, error.__cause__ or error, errors) from None
    except (errors.HTTPError, OSError, RuntimeError, ValueError, LookupError) as error:
        if isinstance(error, OSError) and files.is_full(error):
            raise files.write_error(Path(error.filename or "the hub's cache"), error) from error
        raise _said(at, error, errors) from None


def _said(at: Place, error: BaseException, errors: Any) -> HubError:
    """What the hub said, for people."""
    hub = endpoint()
    if isinstance(error, errors.OfflineModeIsEnabled):
        return UnreachableError(f"{at} is to be asked of {hub}, and HF_HUB_OFFLINE forbids it")
    if isinstance(error, errors.HfHubHTTPError):
        gone = isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError)
        kind = MissingError if gone and not isinstance(error, errors.GatedRepoError) else HubError
        return kind(_refusal(at, error, errors))
    if isinstance(error, errors.HTTPError):
        if "Timeout" in type(error).__name__:
            return UnreachableError(f"{hub} did not answer in time: try again later")
        return UnreachableError(
            f"{hub} can't be reached ({words.reason(error)}): is there a network?"
        )
    cause = error.__cause__ or error
    return HubError(f"{hub} did not do what was asked of {at}: {words.reason(cause)}")


def _refusal(at: Place, error: Any, errors: Any) -> str:
    """A refusal of the hub's by its kind."""
    hub, status = endpoint(), error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return f"{at} is open to who accepts its conditions: see {hub}/{at.repository}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no repository {at.repository} at {hub}, or it is private and not open to "
            "you: check its name, and log in with `hf auth login` or HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{at.repository} has no revision '{at.revision}': see {hub}/{at.repository}/commits"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{at} lacks a file: {words.reason(error.__cause__ or error)}"
    if status in (401, 403):
        return (
            f"{hub} refuses {at.repository} to your token ({status}): log in with `hf auth login` "
            "or HF_TOKEN, with a token that may write there"
        )
    said = words.shown(error.server_message or "").strip()
    more = f": {said}" if said else ""
    return f"{hub} answered {status} when asked for {at}{more}"
