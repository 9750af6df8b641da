"""Files fetched from the hub, only those needed, and what an operator can do where it refuses."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from huggingface_hub import constants, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from local_engine.csm.loading.bar import bar_class
from local_engine.csm.loading.entries import Progress
from local_engine.csm.loading.errors import HubError

_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_UNAUTHORIZED = 401
_INSTEAD = "Or put its files into a folder and name the folder as the source."


def is_hub_id(source: str) -> bool:
    return _ID.fullmatch(source) is not None


def fetch(repository: str, revision: str | None, files: Sequence[str], progress: Progress) -> Path:
    """Give the folder that holds these files (names or patterns) of a repository.

    What is in the cache already is not fetched again. HF_ENDPOINT, HF_HUB_CACHE, HF_HUB_OFFLINE
    and HF_TOKEN are honoured as they are when this is called. Raises HubError.
    """
    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(files),
            cache_dir=os.environ.get("HF_HUB_CACHE") or None,
            endpoint=_endpoint(),
            local_files_only=_is_offline(os.environ),
            tqdm_class=bar_class(progress, Lock()),
        )
    # Any library error: the hub's client raises its own, its HTTP client's and the system's.
    except Exception as error:
        raise HubError(_explain(error, repository, revision)) from error
    return Path(folder)


def _explain(error: Exception, repository: str, revision: str | None) -> str:
    """Say what is wrong and what to do; no part of the request is repeated, so no token is."""
    return f"{_reason(error, repository, revision)} {_INSTEAD}"


def _reason(error: Exception, repository: str, revision: str | None) -> str:  # noqa: PLR0911
    page = f"{_endpoint()}/{repository}"
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, HfHubHTTPError):
        error = error.__cause__  # nothing was in the cache, and this is why it was looked for
    if isinstance(error, GatedRepoError):
        return f"{repository} is gated. {_gated(page)}"
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} has no revision {revision!r}."
    if isinstance(error, RepositoryNotFoundError):
        return f"There is no repository at {page}, or it is private: {_who()} may not."
    if isinstance(error, HfHubHTTPError):
        return _refused(error.response.status_code, page)
    if isinstance(error, LocalEntryNotFoundError) and _is_offline(os.environ):
        return f"{repository} is not in the cache as a whole, and HF_HUB_OFFLINE forbids to ask."
    if isinstance(error, HFValidationError):
        return f"{repository!r} is not the name of a repository."
    if isinstance(error, OSError) and error.strerror:
        return f"{repository} could not be written to the cache: {error.strerror}."
    return f"{_endpoint()} could not be reached for {repository}, which is not in the cache."


def _gated(page: str) -> str:
    if get_token():
        return (
            f"The account of HF_TOKEN has not been let in: accept the terms on {page} with it, and "
            "see that the token may read gated repositories."
        )
    return f"Accept its terms on {page}, make a token that may read, and set HF_TOKEN to it."


def _refused(status: int, page: str) -> str:
    if status == _UNAUTHORIZED and get_token():
        return f"The hub does not know the token in HF_TOKEN (401 for {page})."
    return f"The hub answered {status} for {page}."


def _who() -> str:
    return "the account of HF_TOKEN" if get_token() else "who has no HF_TOKEN"


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _is_offline(environment: Mapping[str, str]) -> bool:
    return environment.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
