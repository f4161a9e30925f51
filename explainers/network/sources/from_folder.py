"""A folder with config.json and safetensors, in timm's layout or in that of transformers."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import ModelError
from . import from_timm, transformers_folder
from .identifiers import HOW_TO_NAME, Identifier
from .origin import Source
from .weights import no_network

_LONGEST_CONFIG = 10_000_000  # bytes; the 21,843 labels of ImageNet-21k take one or two


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:
    """The network in a folder of this machine."""
    assert local
    folder = Path(identifier.name).expanduser()
    if folder.is_file():
        raise no_network(folder)
    if not folder.is_dir():
        raise ModelError(f"“{identifier.title}” is no folder here and names no other place; {HOW_TO_NAME}.")
    return open_folder(identifier.title, folder, limit)


def open_folder(name: str, folder: Path, limit: int) -> Source:
    """The network in a folder, named `name` in sentences; the layout is told by its config.json."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"“{name}” has no config.json, so nothing says which network it is.")
    try:
        if file.stat().st_size > _LONGEST_CONFIG:
            raise ModelError(f"The config.json of “{name}” is too long to be a configuration.")
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The config.json of “{name}” cannot be read.") from error
    if isinstance(config, dict) and "model_type" in config:
        return transformers_folder.open_folder(name, folder, config, limit)
    if isinstance(config, dict) and "architecture" in config:
        return from_timm.open_folder(name, folder, config, limit)
    raise ModelError(f"The config.json of “{name}” is neither timm's nor that of transformers.")
