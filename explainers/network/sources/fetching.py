"""The way from an identifier to a Source: who may ask for what, and which file loads which kind."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from ... import worlds
from ...errors import ModelError
from .identifiers import HOW_TO_NAME, Identifier, parse
from .origin import Source
from .weights import default_limit


def fetch(identifier: str, *, local: bool = True, max_bytes: int | None = None) -> Source:
    """The network that the identifier names, in eval mode and float32 on the CPU, with labels and framing.

    `local` False is for visitors: files and folders of this machine are refused, and the hub is asked without the
    token of the person who runs the program. `max_bytes` bounds the weights, by default half of the free memory.
    Weights come from safetensors, or through torch's unpickler that admits tensors only; code of a repository is
    never run. ModelError, with one sentence, says what is in the way.
    """
    asked = parse(identifier)
    if not local:
        _refuse_local(asked)
    limit = default_limit() if max_bytes is None else max_bytes
    # The file of a kind is imported when that kind is asked for: timm and transformers take seconds.
    kind = "world" if worlds.named(asked.kind) else asked.kind
    source = import_module(f".from_{kind}", __package__).load(asked, limit, local=local)
    assert isinstance(source, Source)
    return replace(source, name=identifier)


def _refuse_local(asked: Identifier) -> None:
    if asked.kind == "folder":
        raise ModelError(f"Only networks with a public name are opened here; {HOW_TO_NAME}.")
    if "weights" in asked.options:
        raise ModelError("Files of weights are not opened from here; put the network on the hub and name it.")
