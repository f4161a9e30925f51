"""timm's policies: drawn as timm draws them, from generators of one's own, and told operation by operation."""

from __future__ import annotations

import importlib
import importlib.util
import random
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

POLICIES = ("rand-m9-n2-mstd0.5-inc1", "rand-m9-n3", "original", "v0")
"""Configurations that timm reads: RandAugment as it trains with it, a stronger one, AutoAugment's and TensorFlow's."""

_MODULE = "timm.data.auto_augment"
_BILINEAR = int(Image.Resampling.BILINEAR)


class Policy:
    """A policy of timm's for pictures of a size (H, W), drawing what it draws after `random.seed` and `np.random.seed`.

    timm draws from the process's own generators. Here a copy of its module is loaded that has its own ones, so that
    nobody else's draws are moved. `record` is told each operation, with its arguments.
    """

    def __init__(self, config: str, size: tuple[int, int], seed: int, record: Any) -> None:
        module = _copy(seed)
        self._transform = _made(module, config, size)
        rounds = [[op] for op in self._transform.ops] if hasattr(self._transform, "ops") else self._transform.policy
        for op in {id(op): op for each in rounds for op in each}.values():
            op.aug_fn = _recorded(op.aug_fn, record)

    def __call__(self, picture: Tensor) -> Tensor:
        """The picture (3, H, W), uint8, after the policy."""
        return _tensor(self._transform(_image(picture)), len(picture))


def applied(picture: Tensor, values: Any) -> Tensor:
    """The picture (3, H, W), uint8, after one operation with its arguments."""
    function = getattr(importlib.import_module(_MODULE), values["op"])
    keywords = {name: tuple(each) if isinstance(each, list) else each for name, each in values["keywords"].items()}
    return _tensor(function(_image(picture), *values["arguments"], **keywords), len(picture))


def code(config: str, size: tuple[int, int]) -> list[str]:
    """The lines of a `Compose` that have timm do it."""
    kind = "rand_augment_transform" if config.startswith("rand") else "auto_augment_transform"
    return ["v2.ToPILImage()", f"auto_augment.{kind}({config!r}, {_settings(size)!r})", "v2.ToImage()"]


# --- private ---------------------------------------------------------------------------------------------------------


def _copy(seed: int) -> ModuleType:
    spec = importlib.util.find_spec(_MODULE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(random=random.Random(seed), np=_Numpy(seed))  # noqa: S311 - pictures, no secrets
    return module


class _Numpy:
    """NumPy, but for what is drawn at random."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed % 2**32)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def _made(module: Any, config: str, size: tuple[int, int]) -> Any:
    if config.startswith("rand"):
        return module.rand_augment_transform(config, _settings(size))
    return module.auto_augment_transform(config, _settings(size))


def _settings(size: tuple[int, int]) -> dict[str, Any]:
    """As timm's own training has them: how far is moved, and gray for what comes in from outside."""
    return {"translate_const": int(min(size) * 0.45), "img_mean": (124, 116, 104), "interpolation": _BILINEAR}


def _recorded(function: Any, record: Any) -> Any:
    def call(image: Image.Image, *arguments: Any, **keywords: Any) -> Any:
        plain = {name: list(each) if isinstance(each, tuple) else each for name, each in keywords.items()}
        record({"op": function.__name__, "arguments": list(arguments), "keywords": plain})
        return function(image, *arguments, **keywords)

    return call


def _image(picture: Tensor) -> Image.Image:
    """In colors, which the policies' grounds have, where the picture (C, H, W) is gray, too."""
    return Image.fromarray(picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())


def _tensor(image: Image.Image, channels: int) -> Tensor:
    array = np.array(image.convert("L"))[..., None] if channels == 1 else np.array(image)
    return torch.from_numpy(array).permute(2, 0, 1)
