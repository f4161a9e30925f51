"""Networks whose weights come as a package: the file is checked, and its entries named as timm's module has them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from ... import worlds
from ...errors import ModelError
from ...errors.spelling import either
from .. import configured
from .identifiers import Identifier
from .origin import Source, assemble
from .packaged import PACKAGED, Packaged
from .weights import LOADING_ERRORS, check_size, do_not_fit


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:  # noqa: ARG001 - every kind takes the same
    """A network of a package, framed and labeled as timm does it for the same architecture."""
    asked = identifier.title
    found = next((each for each in PACKAGED if each.name == identifier.name), None)
    if found is None:
        raise ModelError(f"There is no “{asked}”; of this kind is {either([each.identifier for each in PACKAGED])}.")
    file = found.located()
    if file is None:
        raise ModelError(
            f"The weights of “{asked}” are a package of their own, which is not installed here: {found.install}; "
            f"or choose a network that is here, such as {worlds.home().first}."
        )
    check_size(asked, file.stat().st_size, limit)
    module = timm.create_model(found.architecture)
    weights = _checked(found, file)
    try:
        module.load_state_dict(renamed(weights, module))
    except LOADING_ERRORS as error:
        raise do_not_fit(asked, file.name, error) from error
    said = configured.of_timm(module, sure=True)
    return assemble(asked, module, said.framing, labels=said.labels, notes=said.notes)


def renamed(weights: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The weights of an EfficientNet by timm's names, from the names that EfficientNet-PyTorch gave its entries.

    There, blocks are counted through all stages, and each has up to three convolutions named by what they do, with
    `_bn0`, `_bn1` and `_bn2` behind them: expand, depthwise, project. In timm, blocks are counted within their stage,
    and the normalizations of a block from 1 on; a block without expansion calls its projection `conv_pw`. Each entry
    gets a name of its own; whether all names and shapes are the module's is for `load_state_dict` to say. LookupError
    for an entry that has no place.
    """
    stages = enumerate(module.get_submodule("blocks").children())
    places = [(stage, place) for stage, blocks in stages for place, _ in enumerate(blocks.children())]
    expanded = {int(found[1]) for key in weights if (found := re.match(r"_blocks\.(\d+)\._expand_conv\.", key))}

    def named(key: str) -> str:
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if block is None:
            part, _, what = key.partition(".")
            return f"{_AROUND[part]}.{what}"
        number = int(block[1])
        stage, place = places[number]
        role = (_EXPANDING if number in expanded else _SEPARABLE)[block[2]]
        return f"blocks.{stage}.{place}.{role}.{block[3]}"

    placed = {named(key): tensor for key, tensor in weights.items()}
    if len(placed) != len(weights):
        raise KeyError("two entries of the weights have one place")
    return placed


# --- private ---------------------------------------------------------------------------------------------------------

_AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def _checked(network: Packaged, file: Path) -> dict[str, Tensor]:
    """The tensors of the file, where it is the very one that was published; nothing but tensors is unpickled."""
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != network.sha256:
        raise ModelError(
            f"The weights of “{network.identifier}” are not the ones that were published (their SHA-256 differs); "
            f"install them anew: {network.install} --force-reinstall --no-deps."
        )
    weights: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return weights
