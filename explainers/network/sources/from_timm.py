"""Networks that timm builds: by their registered name, or from a folder in timm's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
from torch import nn

from ...errors import ModelError
from .. import configured
from .hub import Repository
from .identifiers import Identifier
from .origin import NO_HEAD, Source, assemble
from .web import download
from .weights import LOADING_ERRORS, check_size, do_not_fit, seeded, weigh, weights_file

# What timm itself looks for in a repository; the last two are opened by torch's unpickler for tensors only.
_OTHER_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
# Widths of the space that pictures and texts share in CLIP and its kin. timm 1.0.31 registers the projection into it
# as if it were a head of so many classes; no classifier that it registers has one of these numbers of classes.
_PROJECTIONS = (384, 512, 640, 768, 1024, 1152, 1280)

_PROJECTS = "A backbone: its last layer leads to a space shared with texts, not to classes."


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:
    """A registered network: `name` for the default weights, `name.tag` for others."""
    name, tag = timm.models.split_model_name_tag(identifier.name)
    _check_known(name, tag)
    count, side = identifier.number("num_classes"), identifier.number("img_size")
    settings: dict[str, Any] = {} if count is None else {"num_classes": count}
    registered = timm.get_pretrained_cfg(identifier.name)
    if side is not None and registered is not None and registered.fixed_input_size:
        settings["img_size"] = side  # the others take pictures of any size, so it concerns their framing only
    asked = identifier.title
    if identifier.random:
        check_size(asked, _weight(identifier.name, settings), limit)
        module = _build(asked, "", identifier.name, **settings)
        return _source(asked, module, registered=count is None, random_weights=True, side=side)
    if "weights" in identifier.options:
        file = weights_file(identifier.options["weights"])
        check_size(asked, file.stat().st_size, limit)
    else:
        file = _fetched(identifier, limit, token=None if local else False)
    check_size(asked, _weight(identifier.name, settings), limit)
    overlay: dict[str, Any] = {"file": str(file)}
    if count:  # otherwise timm drops a head of another size, and leaves a random one
        overlay["num_classes"] = count
    module = _build(asked, file.name, identifier.name, pretrained=True, pretrained_cfg_overlay=overlay, **settings)
    return _source(asked, module, registered=count is None, assumed="weights" in identifier.options)


def open_folder(name: str, folder: Path, config: Mapping[str, Any], limit: int) -> Source:
    """A folder in the layout that timm saves and its hub repositories have: config.json and model.safetensors."""
    _check_known(str(config["architecture"]), "")
    file = folder / "model.safetensors"
    if not file.is_file():
        raise ModelError(f"“{name}” has no model.safetensors, and other files of weights are not opened here.")
    check_size(name, file.stat().st_size, limit)
    place = f"local-dir:{folder}"
    check_size(name, _weight(place, {}), limit)
    return _source(name, _build(name, file.name, place, pretrained=True), registered=False, assumed=True)


def _check_known(name: str, tag: str) -> None:
    if not timm.is_model(name):
        raise ModelError(f"timm knows no network “{name[:80]}”{_near(name, timm.list_models())}.")
    full = f"{name}.{tag}"
    if tag and full not in (known := timm.list_pretrained(f"{name}.*")):
        raise ModelError(f"timm has no weights “{full}”{_near(full, known)}.")


def _near(name: str, known: Sequence[str]) -> str:
    begun = [one for one in known if one.startswith(name)]  # resnet50.a1 is the start of resnet50.a1_in1k
    found = [*begun, *(one for one in get_close_matches(name, known, n=3, cutoff=0.4) if one not in begun)][:3]
    return f"; nearest are {', '.join(found)}" if found else ""


def _weight(architecture: str, settings: Mapping[str, Any]) -> int:
    """Bytes of the network before it is built."""
    return weigh(lambda: timm.create_model(architecture, **settings))


def _build(name: str, where: str, architecture: str, **settings: Any) -> nn.Module:
    """The module; with `pretrained`, its weights are those of the file named `where`."""
    try:
        with seeded():
            module = timm.create_model(architecture, **settings)
    except LOADING_ERRORS as error:
        if where:
            raise do_not_fit(name, where, error) from error
        raise ModelError(f"timm cannot build “{name}” with these options.") from error
    assert isinstance(module, nn.Module)
    return module


def _fetched(identifier: Identifier, limit: int, *, token: bool | None) -> Path:
    """The file of the network's registered weights, on this disk."""
    registered = timm.get_pretrained_cfg(identifier.name)
    if registered is not None and registered.hf_hub_id:
        named = (registered.hf_hub_filename,) if registered.hf_hub_filename else ()
        others = (*named, *_OTHER_WEIGHTS)
        folder = Repository(identifier.title, registered.hf_hub_id, None, token).folder(limit, others=others)
        for file in ("model.safetensors", *others):
            if (found := folder / str(file)).is_file():
                return found
        raise ModelError(f"“{identifier.title}” has its weights in pieces, which timm does not read.")
    if registered is not None and registered.url and not registered.custom_load:
        return download(identifier.title, registered.url, limit)
    raise ModelError(
        f"timm has no trained weights for “{identifier.name}”; "
        f"ask for random ones with timm:{identifier.name}?pretrained=false."
    )


def _source(
    name: str,
    module: nn.Module,
    *,
    registered: bool,
    assumed: bool = False,
    random_weights: bool = False,
    side: int | None = None,
) -> Source:
    """The module with framing and labels.

    `registered` says that its last layer is the one in timm's list, `assumed` that nobody says which classes it has.
    """
    described: Any = module  # timm's own attributes, which nn.Module does not promise
    count = int(described.num_classes)
    said = configured.of_timm(module, side=side, sure=not assumed)
    notes = list(said.notes)
    if count == 0:
        notes.append(NO_HEAD)
    elif said.labels is None and registered and count in _PROJECTIONS:
        notes.append(_PROJECTS)
    return assemble(
        name,
        module,
        said.framing,
        labels=said.labels,
        backbone=NO_HEAD in notes or _PROJECTS in notes,
        random_weights=random_weights,
        notes=notes,
    )
