"""The model hub: which files a repository has, fetching them, and what went wrong in words."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import TypeVar

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ...errors import ModelError
from .identifiers import HERE
from .weights import check_size

PATIENCE = 8.0  # seconds for a server to take a call, and between two pieces of its answer
DEADLINE = 12.0  # seconds for a first answer in all: a name or each of eight addresses may take its own time to fail

T = TypeVar("T")

CONFIGURATION = ("config.json", "preprocessor_config.json")
_SAFE = re.compile(r"model(?:-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
_NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_FAILURES = (HTTPError, OSError, HFValidationError)  # the hub's client, the network and the disk


@dataclass(frozen=True)
class Repository:
    """A repository on the hub, at a revision; `token` False means: only what anybody may read."""

    name: str
    repo: str
    revision: str | None
    token: bool | None

    def folder(self, limit: int, *, others: tuple[str, ...] = ()) -> Path:
        """Its configuration and weights on this disk, fetched where they are not there yet.

        Weights are safetensors; `others` names files that do as well where there are none. The sizes are looked up
        and compared with `limit` bytes before anything is fetched. Without network, what was fetched before is used.
        """
        try:
            sizes = in_time(self._listing)
        except _FAILURES as error:
            known = self._known(others) if _no_answer(error) else None
            if known is None:
                raise self._in_words(error) from error
            return known
        weights = [file for file in sizes if _SAFE.fullmatch(file)] or [file for file in others if file in sizes][:1]
        if "model.safetensors" in weights:
            weights = ["model.safetensors"]  # some repositories carry the same weights in shards as well
        if not weights:
            raise ModelError(f"“{self.name}” has no weights as safetensors, and others are not opened here.")
        check_size(self.name, sum(sizes[file] for file in weights), limit)
        try:
            return self._download([file for file in CONFIGURATION if file in sizes] + weights)
        except _FAILURES as error:
            raise self._in_words(error) from error

    def _listing(self) -> dict[str, int]:
        """The files at the top of the repository with their sizes in bytes."""
        info = HfApi(token=self.token).model_info(
            self.repo, revision=self.revision, files_metadata=True, timeout=PATIENCE
        )
        return {file.rfilename: file.size or 0 for file in info.siblings or () if "/" not in file.rfilename}

    def _download(self, files: Sequence[str]) -> Path:
        """The folder with the files, all of one commit.

        The first is asked for by revision, so that the cache remembers which commit that was; the others by commit.
        """
        revision, folder = self.revision, Path()
        for file in files:
            place = hf_hub_download(self.repo, file, revision=revision, token=self.token, etag_timeout=PATIENCE)
            folder = Path(place).parent
            revision = folder.name
        return folder

    def _known(self, others: tuple[str, ...]) -> Path | None:
        """The folder in the cache, where an earlier visit fetched weights."""
        for file in ("model.safetensors", "model.safetensors.index.json", *others):
            with suppress(LocalEntryNotFoundError):
                return Path(hf_hub_download(self.repo, file, revision=self.revision, local_files_only=True)).parent
        return None

    def _in_words(self, error: Exception) -> ModelError:
        if isinstance(error, OfflineModeIsEnabled):
            return ModelError(
                f"“{self.name}” was never fetched before, and HF_HUB_OFFLINE forbids fetching it now; "
                f"unset it, or choose a network that is here, such as {HERE}."
            )
        if isinstance(error, GatedRepoError):
            return self._gated()
        if isinstance(error, RevisionNotFoundError):
            return ModelError(f"“{self.repo}” is on the hub, but it has no revision “{self.revision}”.")
        if isinstance(error, RepositoryNotFoundError):
            return ModelError(
                f"There is no network “{self.repo}” on the hub, or it is private; check the spelling of owner and name."
            )
        if isinstance(error, HfHubHTTPError) and error.response.status_code in _NO_ACCESS:
            return self._gated()
        if isinstance(error, HFValidationError):
            return ModelError(f"“{self.repo}” cannot be the name of a network on the hub.")
        if isinstance(error, HfHubHTTPError):
            return ModelError(
                f"The hub answered “{self.name}” with error {error.response.status_code}; try again later."
            )
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return ModelError(f"There is no room on this disk for “{self.name}”; choose a smaller network.")
        return ModelError(
            f"“{self.name}” could not be fetched, because the hub cannot be reached from here; "
            f"check the network, or choose a network that is here, such as {HERE}."
        )

    def _gated(self) -> ModelError:
        return ModelError(
            f"“{self.repo}” is gated: accept its terms on its page on the hub, "
            "and load it from Python with your own token."
        )


def in_time(ask: Callable[[], T]) -> T:
    """What `ask` answers, or TimeoutError after DEADLINE seconds; the call itself is then left to die on its own.

    Looking up a name cannot be interrupted, and timeouts of sockets count for each address anew.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - carried over to the thread that asked
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result(DEADLINE)


def _no_answer(error: Exception) -> bool:
    """Whether the hub said nothing of use, as opposed to a refusal."""
    return not isinstance(error, HfHubHTTPError) or error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
