"""A folder in the layout of transformers: a classifier answers logits, a backbone its embedding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

from ...errors import ModelError
from .. import configured
from .origin import NO_HEAD, Source, assemble
from .weights import LOADING_ERRORS, check_size, do_not_fit, seeded, weigh

_UNTRAINED_POOLER = "The embedding is taken before the pooler, because the checkpoint has no weights for it."

_ERRORS = (*LOADING_ERRORS, StrictDataclassError)  # transformers checks a configuration with the hub's dataclasses
# Keys of a config.json that may name a repository with compiled code for attention.
_ATTENTION_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_HEAD = "ForImageClassification"
_PICTURES = ("pixel_values", "inputs")  # what pictures are called among the inputs; the second is Perceiver's word
_ONE_VECTOR, _GRID = 2, 4  # axes of (N, D) and (N, D, h, w)


class Embedding(nn.Module):
    """A transformers backbone as a plain module: pixels (N, C, H, W) to embeddings (N, D)."""

    def __init__(self, model: nn.Module, *, pooler: bool) -> None:
        super().__init__()
        self.model = model
        self.pooler = pooler
        self.class_token = any(name.endswith("cls_token") for name, _ in model.named_parameters())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the pooler answers; without one the class token, or the mean over tokens or places."""
        answer = self.model(**{_input(self.model): pixels}, return_dict=True)
        pooled: torch.Tensor | None = getattr(answer, "pooler_output", None) if self.pooler else None
        if pooled is not None:
            return pooled.flatten(1)  # (N, D), or (N, D, 1, 1) from convolutional networks
        state: torch.Tensor = answer.last_hidden_state
        if state.ndim == _ONE_VECTOR:
            return state
        if state.ndim == _GRID:
            return state.mean((2, 3))  # (N, D, h, w)
        return state[:, 0] if self.class_token else state.mean(1)  # (N, tokens, D)


def open_folder(name: str, folder: Path, raw: Mapping[str, Any], limit: int) -> Source:
    """The network in the folder whose config.json reads `raw`; sizes are compared with `limit` bytes first."""
    _check_weights(name, folder, limit)
    config = _configuration(name, folder, raw)
    has_head = _has_head(name, raw)
    maker = AutoModelForImageClassification if has_head else AutoModel
    check_size(name, weigh(lambda: _sketch(name, maker, config)), limit)
    model, missing = _filled(name, maker, folder, config)
    notes = []
    if has_head:
        module: nn.Module = model
    else:
        untrained = bool(missing)
        module = Embedding(model, pooler=not untrained)
        notes += [NO_HEAD, _UNTRAINED_POOLER] if untrained else [NO_HEAD]
    said = configured.of_transformers(model, folder)
    return assemble(name, module, said.framing, labels=said.labels, backbone=not has_head, notes=[*notes, *said.notes])


def _input(model: Any) -> str:
    """What a model of transformers calls its pictures."""
    return str(model.main_input_name)


def _check_weights(name: str, folder: Path, limit: int) -> None:
    whole = folder / "model.safetensors"
    files = [whole] if whole.is_file() else list(folder.glob("model-*-of-*.safetensors"))
    if not files:
        raise ModelError(f"“{name}” has no weights as safetensors, and others are not opened here.")
    check_size(name, sum(file.stat().st_size for file in files), limit)


def _configuration(name: str, folder: Path, raw: Mapping[str, Any]) -> Any:
    if any(key in _ATTENTION_KEYS and "/" in str(value) for key, value in _entries(raw)):
        raise ModelError(f"“{name}” wants code from another repository, and foreign code is never run here.")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except _ERRORS as error:
        if "auto_map" in raw:
            raise ModelError(f"“{name}” needs code of its own, and foreign code is never run here.") from error
        kind = str(raw["model_type"])[:60]
        raise ModelError(
            f"“{name}” is a network of the kind “{kind}”, which transformers cannot build here."
        ) from error


def _entries(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All keys and values, those of nested mappings as well."""
    for key, value in raw.items():
        yield key, value
        if isinstance(value, Mapping):
            yield from _entries(value)


def _has_head(name: str, raw: Mapping[str, Any]) -> bool:
    """Whether the configuration speaks of a classifier; ModelError where it speaks of another use.

    A configuration that names no class counts as a classifier where it has labels.
    """
    listed = raw.get("architectures") or ()
    if not listed:
        return "id2label" in raw or "num_labels" in raw
    if any(_HEAD in str(one) for one in listed):
        return True
    if not any(str(one).endswith(("Model", "Backbone")) for one in listed):
        raise ModelError(f"“{name}” is not an image classifier: its config.json says {str(listed[0])[:60]}.")
    return False


def _sketch(name: str, maker: Any, config: Any) -> nn.Module:
    """The network without weights; ModelError where it does not take pictures."""
    try:
        model = maker.from_config(config, trust_remote_code=False)
    except _ERRORS as error:
        raise _not_for_pictures(name, config) from error
    if _input(model) not in _PICTURES:
        raise _not_for_pictures(name, config)
    assert isinstance(model, nn.Module)
    return model


def _not_for_pictures(name: str, config: Any) -> ModelError:
    return ModelError(f"“{name}” is not an image classifier: it is a network of the kind “{config.model_type}”.")


def _filled(name: str, maker: Any, folder: Path, config: Any) -> tuple[nn.Module, set[str]]:
    """The network with its weights, and the keys of a pooler that has none; nothing else may be missing."""
    try:
        with seeded():
            model, told = maker.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # so that all of them are counted, not only the first
                output_loading_info=True,
            )
    except _ERRORS as error:
        raise do_not_fit(name, "model.safetensors", error) from error
    missing, mismatched = set(told["missing_keys"]), told["mismatched_keys"]
    only_pooler = maker is AutoModel and not mismatched and all(key.startswith("pooler.") for key in missing)
    if (missing or mismatched) and not only_pooler:
        raise ModelError(
            f"The weights “model.safetensors” are not those of “{name}”: "
            f"{len(missing) + len(mismatched)} of its keys are missing, unknown or of another size."
        )
    return model, missing
