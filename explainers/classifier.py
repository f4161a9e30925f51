"""Classifier: a network, its labels, its framing and its anatomy, frozen; `load` and `wrap` make one."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import anatomy as _anatomy
from .anatomy import Anatomy
from .errors import ModelError, QuestionError
from .images import Framing
from .sources import fetch


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network that can be asked why. Nothing here ever changes it, so any number of people can ask at once."""

    name: str
    module: nn.Module
    labels: tuple[str, ...]
    """One for each class; empty for a backbone, which has features but no classes."""
    framing: Framing
    device: torch.device
    anatomy: Anatomy
    random_weights: bool = False
    notes: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether there is anything to ask "why" about; a backbone has features only."""
        return bool(self.labels)

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(p.numel() for p in self.module.parameters())

    @property
    def bytes(self) -> int:
        """How much memory its parameters and buffers take."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors)

    @property
    def dtype(self) -> torch.dtype:
        """The floating type that the network computes in."""
        return _dtype(self.module)

    def index(self, label: str | int) -> int:
        """The index of a class given by label or by number. Raises `QuestionError` in words."""
        if not self.has_classes:
            raise QuestionError(f"{self.name} is a backbone: it has features, but no classes to ask about.")
        if not isinstance(label, str):
            label = _number(label)
            if not 0 <= label < len(self.labels):
                raise QuestionError(f"{self.name} has classes 0 to {len(self.labels) - 1}; {label} is not one of them.")
            return label
        same = [i for i, known in enumerate(self.labels) if known == label]
        if len(same) == 1:
            return same[0]
        if same:
            numbers = " and ".join(map(str, same))
            raise QuestionError(f"{self.name} has several classes “{label[:80]}”: {numbers}. Give the number.")
        wanted = _plain(label)
        near = [
            i for i, known in enumerate(self.labels) if wanted in {_plain(part) for part in [known, *known.split(",")]}
        ]
        if len(near) == 1:
            return near[0]
        close = [self.labels[i] for i in near] or [known for known in self.labels if wanted and wanted in _plain(known)]
        hint = f" Near it: {'; '.join(close[:5])}." if close else " Search the class list, or give its number."
        raise QuestionError(f"{self.name} has no single class “{label[:80]}”.{hint}")


def load(identifier: str, *, device: str | torch.device | None = None, local: bool = True) -> Classifier:
    """The classifier that an identifier names, ready to be asked.

    `timm:resnet50`, `torchvision:resnet50`, `hf:google/vit-base-patch16-224`, `pond:cnn`, or a folder. `device`
    defaults to a GPU where there is one. `local=False` refuses paths of this machine, for identifiers from outside.
    Raises `ModelError` with a sentence that says whether it is absent, gated, out of reach or too large.
    """
    source = fetch(identifier, local=local)
    module = source.module.to(_device(device))
    return wrap(
        module,
        labels=() if source.labels is None else source.labels,
        framing=source.framing,
        name=source.name,
        random_weights=source.random_weights,
        notes=source.notes,
    )


def wrap(
    module: nn.Module,
    *,
    labels: Sequence[str] | None = None,
    framing: Framing | None = None,
    name: str | None = None,
    random_weights: bool = False,
    notes: Sequence[str] = (),
) -> Classifier:
    """A classifier around one's own module, which takes (N, 3, H, W) and returns (N, classes); it is not changed.

    `labels` default to "class 0", "class 1", …; an empty sequence says that the output is an embedding. `framing`
    defaults to 224 × 224 with ImageNet's statistics. Raises `ModelError` where the module is in training mode or
    does not do what a classifier does.
    """
    with torch.inference_mode(False):  # whatever mode the caller is in, since gradients will be asked for
        return _wrap(module, labels, framing, name or type(module).__name__, random_weights, tuple(notes))


# --- private ---------------------------------------------------------------------------------------------------------


def _wrap(
    module: nn.Module,
    labels: Sequence[str] | None,
    framing: Framing | None,
    title: str,
    random_weights: bool,
    notes: tuple[str, ...],
) -> Classifier:
    if any(tensor.is_inference() for tensor in [*module.parameters(), *module.buffers()]):
        raise ModelError(
            f"{title} was built under torch.inference_mode(), whose tensors take no part in gradients; build it "
            "outside, or under torch.no_grad()."
        )
    if any(m.training for m in module.modules()):
        raise ModelError(f"{title} is in training mode; call .eval() on it first, since Sightglass changes no mode.")
    framing = framing or Framing(size=(224, 224))  # ImageNet's mean and deviation are its defaults
    tensor = next(module.parameters(), None)
    device = torch.device("cpu") if tensor is None else tensor.device
    probe = framing.normalize(_probe(framing.size)).to(device, _dtype(module))[None]
    try:
        with torch.no_grad():
            output = module(probe.clone())  # which a network may normalize in place
    except Exception as error:
        raise ModelError(
            f"{title} does not take a picture of {framing.size[0]} × {framing.size[1]} pixels ({_first_line(error)})."
        ) from error
    if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[0] != 1:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(f"{title} returned {shape} for one picture; a classifier returns one number for each class.")
    if labels is None:
        labels = [f"class {i}" for i in range(output.shape[1])]
    if labels and len(labels) != output.shape[1]:
        raise ModelError(f"{title} has {output.shape[1]} outputs, but {len(labels)} labels were given.")
    try:
        structure = _anatomy.read(module, probe, _objective(output))
    except (LookupError, RuntimeError) as error:
        why = f"Its structure cannot be read ({_first_line(error)})."
        structure = Anatomy({}, (), None, why, why)
    return Classifier(title, module, tuple(labels), framing, device, structure, random_weights, notes)


def _dtype(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def _number(label: object) -> int:
    if not isinstance(label, bool) and hasattr(label, "__index__"):
        return operator.index(label)
    raise QuestionError(f"A class is a label or a number, not {type(label).__name__}.")


def _device(device: str | torch.device | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _probe(size: tuple[int, int]) -> Tensor:
    """A picture (3, h, w) with structure at several scales, so that no unit of a trained network sees its dead zone."""
    noise = torch.Generator().manual_seed(0)
    height, width = size
    layers = [torch.rand(1, 3, cells, cells, generator=noise) for cells in (2, 5, 16, 48)]
    resized = [nn.functional.interpolate(layer, (height, width), mode="bilinear") for layer in layers]
    return torch.stack(resized).mean(0)[0]


def _objective(output: Tensor) -> Any:
    """One number from the output (1, C): the sum weighted by fixed random signs, so that no class is left out."""
    signs = torch.randn(output.shape[1], generator=torch.Generator().manual_seed(1)).to(output)

    def objective(out: Tensor) -> Tensor:
        return (out[0] * signs).sum()

    return objective


def _plain(label: str) -> str:
    return " ".join(label.lower().replace("_", " ").split())


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]
