"""Which release this is: as its pyproject says, beside it in a checkout, or in the metadata of what is installed."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

NAME = "sightglass"


def release(checkout: Path = Path(__file__).parents[1]) -> str:
    """The version; “unknown” where neither the checkout nor an installation tells."""
    try:
        project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
        if project["name"] == NAME:
            return str(project["version"])
    except (OSError, KeyError, ValueError):
        pass  # installed: there is no such file, or another project's
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "unknown"
