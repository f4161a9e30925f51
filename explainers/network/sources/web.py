"""Weights that lie at a plain address: fetched into torch's own cache, with a bound on time and size."""

from __future__ import annotations

import hashlib
import re
import ssl
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch

from ...errors import ModelError
from .hub import PATIENCE, in_time
from .identifiers import HERE
from .weights import check_size

_CHUNK = 1 << 20
_HASH = re.compile(r"-([0-9a-f]{8,})\.")  # torch's convention: the file's name ends with the start of its SHA-256


def download(name: str, address: str, limit: int) -> Path:
    """The file at the address, from torch's cache where it is there.

    `torch.hub.load_state_dict_from_url` keeps its files in the same place under the same names; it has no bound on
    time, so a dead network would hold the visitor for minutes.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(address).path).name
    if file.is_file():
        check_size(name, file.stat().st_size, limit)
        return file
    try:
        _fetch(name, address, file, limit)
    except HTTPError as error:
        raise ModelError(f"The weights of “{name}” are not at their address any more (error {error.code}).") from error
    except (OSError, HTTPException) as error:
        raise ModelError(
            f"The weights of “{name}” could not be fetched, because their server cannot be reached from here; "
            f"check the network, or choose a network that is here, such as {HERE}."
        ) from error
    return file


def _fetch(name: str, address: str, file: Path, limit: int) -> None:
    """Into a temporary file beside it, which takes the name only when it is whole and has the right hash."""
    if not address.startswith("https://"):
        raise ModelError(f"The weights of “{name}” have no secure address, so they are not fetched.")
    file.parent.mkdir(parents=True, exist_ok=True)
    request = Request(address, headers={"User-Agent": "sightglass"})  # noqa: S310 - https, checked above
    with (
        in_time(lambda: urlopen(request, timeout=PATIENCE, context=ssl.create_default_context())) as answer,  # noqa: S310
        NamedTemporaryFile(dir=file.parent, suffix=".partial", delete=False) as part,
    ):
        try:
            check_size(name, int(answer.headers.get("Content-Length") or 0), limit)
            digest, size = hashlib.sha256(), 0
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                check_size(name, size, limit)
                digest.update(chunk)
                part.write(chunk)
            part.close()
            promised = _HASH.search(file.name)
            if promised and not digest.hexdigest().startswith(promised[1]):
                raise ModelError(f"The weights of “{name}” arrived damaged; try again.")
            Path(part.name).replace(file)
        finally:
            with suppress(FileNotFoundError):
                Path(part.name).unlink()
