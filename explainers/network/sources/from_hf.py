"""Networks of the model hub, by owner and name."""

from __future__ import annotations

from . import from_folder
from .hub import Repository
from .identifiers import Identifier
from .origin import Source


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:
    """The network in a repository of the hub, in timm's layout or in that of transformers.

    The token of the person who runs the program is used for that person only, never for a visitor.
    """
    repository = Repository(identifier.title, identifier.name, identifier.revision, None if local else False)
    return from_folder.open_folder(identifier.title, repository.folder(limit), limit)
