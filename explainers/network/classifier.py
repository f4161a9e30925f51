"""Classifier: a network, its labels, its framing and its anatomy, frozen; `load` and `wrap` make one."""

from __future__ import annotations

import os
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import ModelError, QuestionError, SightglassError, calls
from ..pictures import Framing
from ..worlds import World
from . import anatomy as _anatomy
from . import configured, heads, outputs
from . import labels as _labels
from .anatomy import Anatomy
from .heads import Head
from .labels import Labels
from .opening import Manner, Tried, first, tried
from .outputs import NO_HEAD, Adapted, OwnTarget, Wanted
from .sources import fetch
from .taps import run
from .wrappers import in_training, unwrapped


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
    head: Head = field(default_factory=Head)
    """How its outputs become the numbers that people read."""
    headless: bool = False
    """Whether it has neither classes nor an embedding: only target functions can be asked about."""
    manner: Manner = field(default_factory=Manner)
    """How it computes, as seen when it was opened."""
    world: World | None = field(default=None, init=False)
    """The built-in world that it was loaded from; a copy that was made in any other way belongs to none."""

    @property
    def no_classes(self) -> str:
        """Why there are none, as the end of a sentence, where there are no labels."""
        if self.headless:
            return f"has no classes (head=“{NO_HEAD}”): ask about it with target=a function of what it puts out"
        return "is a backbone: it has features, but no classes to ask about"

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
        """The index of a class given by label or by number, in one reading for all. Raises `QuestionError` in words."""
        if not self.has_classes:
            raise QuestionError(f"{self.name} {self.no_classes}.")
        if self.head.no and label == self.head.no:
            raise QuestionError(
                f"“{label}” is what a low output says: ask about “{self.labels[0]}”, whose map tells of both."
            )
        return _labels.find(label, self.labels, self.name)


def load(
    identifier: str | os.PathLike[str], *, device: str | torch.device | None = None, local: bool = True
) -> Classifier:
    """The classifier that an identifier names, ready to be asked.

    `timm:resnet50`, `torchvision:resnet50`, `hf:google/vit-base-patch16-224`, a network that is here (`imagenet:lite0`,
    and those of the built-in worlds, which `ex.models` lists first), or a folder. `device` defaults to a GPU where
    there is one. `local=False` refuses paths of this machine, for identifiers from outside.
    Raises `ModelError` with a sentence that says whether it is absent, gated, out of reach or too large.
    """
    place = calls.device(device)  # before anything is fetched for it
    calls.switch("local", local)
    name = str(Path(identifier).absolute()) if isinstance(identifier, os.PathLike) else identifier
    source = fetch(name, local=local)
    module = source.module.to(place)
    made = wrap(
        module,
        labels=() if source.labels is None else source.labels,
        framing=source.framing,
        name=source.name,
        random_weights=source.random_weights,
        notes=source.notes,
    )
    object.__setattr__(made, "world", source.world)
    return made


def wrap(
    module: nn.Module,
    *,
    labels: Labels | None = None,
    framing: Framing | None = None,
    name: str | None = None,
    head: str | Head | None = None,
    output: Wanted | None = None,
    extra: Any = None,
    random_weights: bool = False,
    notes: Sequence[str] = (),
) -> Classifier:
    """A classifier around one's own module, which takes (N, C, H, W) and returns (N, classes); it is not changed.

    `labels` are in the order of the outputs, or a mapping that says which is which (`id2label`, `class_to_idx`); an
    empty sequence says that the output is an embedding; a single sigmoid may have two, of no and of yes. `labels` and
    `framing` that are not given are read from the configuration of a module of timm or transformers, or of the part of
    it that is one. Without one, labels are "class 0", "class 1", …, and 224 × 224 pixels with ImageNet's statistics are
    assumed, which a note says.

    `head` says what the outputs mean: "softmax", "sigmoid", "regression", "probabilities", "sigmoid probabilities",
    "log probabilities", a `Head` with a unit, or "none" for a network without classes, which is asked about with target
    functions; by default it is read from the module's configuration, or noticed from its outputs. `output` says which
    of several outputs is meant, by key, attribute, position or a function; it is needed only where more than one could
    be. `extra` is what the module takes beside the pictures, the same for all: by name in a mapping, by position in a
    tuple, or the one further input; a tensor whose first axis has one row is repeated for each picture. Raises
    `ModelError` where the module is in training mode or does not do what a classifier does.
    """
    with torch.inference_mode(False):  # whatever mode the caller is in, since gradients will be asked for
        if isinstance(module, Classifier):
            raise ModelError("This is a classifier already; ask it, or wrap the module in it: ex.wrap(model.module).")
        module = unwrapped(module)
        calls.network(module)
        if framing is not None:
            way_out = "such as Framing(size=(224, 224)), from explainers.pictures"
            calls.expect(framing, Framing, "`framing` is a Framing", way_out, ModelError)
        if name is not None:
            calls.expect(name, str, "`name` is a text", "it stands in sentences", ModelError)
        calls.switch("random_weights", random_weights)
        calls.expect(notes, (list, tuple), "`notes` are sentences in a list", "put it in one", ModelError)
        return _wrap(
            module, labels, framing, name or type(module).__name__, head, output, extra, random_weights, tuple(notes)
        )  # fmt: skip


def same_network(model: Classifier, **changes: Any) -> Classifier:
    """A classifier of the same weights with other fields; unlike one of `dataclasses.replace`, it keeps its world."""
    made = replace(model, **changes)
    object.__setattr__(made, "world", model.world)
    return made


def owned(model: Classifier, own: OwnTarget, pixels: Tensor | None = None) -> Classifier:
    """The network as one that puts out a target function's number alone; read once for each function.

    `pixels` (3, H, W) in [0, 1] are a picture on which the function can be tried. Raises `QuestionError` in words.
    """
    with _lock:
        known = _owned.setdefault(model, {})
        if own in known:
            return known[own]
    shown = _probe(model.framing).to(model.device) if pixels is None else pixels
    probe = model.framing.normalize(shown).to(model.dtype)[None]
    with torch.inference_mode(False):
        trial = tried(outputs.owned(model.module, own), probe, model.name)
        structure, manner = _structure(trial, probe)
        head = Head("regression", own.unit).fitted(trial.output)
        made = same_network(
            model, module=trial.module, labels=(own.name,), head=head, anatomy=structure, manner=manner,
            headless=False,
        )  # fmt: skip
    with _lock:
        while len(known) >= _MOST_OWNED:
            del known[next(iter(known))]
        return known.setdefault(own, made)


# --- private ---------------------------------------------------------------------------------------------------------


def _wrap(
    module: nn.Module,
    labels: Labels | None,
    framing: Framing | None,
    title: str,
    head: str | Head | None,
    output: Wanted | None,
    extra: Any,
    random_weights: bool,
    notes: tuple[str, ...],
) -> Classifier:
    if any(tensor.is_inference() for tensor in [*module.parameters(), *module.buffers()]):
        raise ModelError(
            f"{title} was built under torch.inference_mode(), whose tensors take no part in gradients; build it "
            "outside, or under torch.no_grad()."
        )
    if in_training(module):
        raise ModelError(f"{title} is in training mode; call .eval() on it first, since Sightglass changes no mode.")
    own = configured.read(module) if framing is None else configured.Configured(framing)
    framing, notes = own.framing, (*notes, *own.notes)
    tensor = next(module.parameters(), None)
    device = torch.device("cpu") if tensor is None else tensor.device
    probe = framing.normalize(_probe(framing)).to(device, _dtype(module))[None]
    module = module if extra is None else outputs.accompanied(module, extra)
    if head == NO_HEAD:
        if labels is not None or output is not None:
            raise ModelError(f'head="{NO_HEAD}" is for a network without classes; leave `labels` and `output` out.')
        structure, module = Anatomy({}, (), None), outputs.headless(module)
        return Classifier(
            title, module, (), framing, device, structure, random_weights, notes, headless=True
        )  # fmt: skip
    inside = module.inside if isinstance(module, Adapted) else module
    try:
        known = len(labels) if isinstance(labels, Sized) else None
        module, _ = first(module, probe, lambda pictures: outputs.adapted(module, pictures, output, known))
        trial = tried(module, probe, title)
    except SightglassError:
        raise
    except Exception as error:
        raise ModelError(
            f"{title} does not take a picture of {framing.size[0]} × {framing.size[1]} pixels"
            f"{_CHANNELS.get(str(framing.channels), f' and {framing.channels} channels')} ({_first_line(error)})."
            f"{_TWO_INPUTS if isinstance(error, TypeError) and 'missing' in str(error) else ''}"
        ) from error
    answer = trial.output
    count, read, told = answer.shape[1], Head(), ""
    pair = count == 1 and isinstance(labels, Sized) and len(labels) == _NO_AND_YES
    named, said = _named(labels, own.labels, _NO_AND_YES if pair else count, title)
    if labels is None or named:
        read, told = _head(head, inside, module, probe, answer)
        if pair and not read.probable:
            raise ModelError(f"{title} puts out one number, which has one name, but 2 labels were given.")
        if pair:
            read, named = replace(read, no=named[0]), named[1:]
        named = read.names(count) if not named or named == _labels.numbers(count) else named
    structure, manner = _structure(trial, probe)
    said = (*notes, *said, *filter(None, [told]), *manner.notes)
    return Classifier(title, module, named, framing, device, structure, random_weights, said, read, manner=manner)


def _head(
    given: str | Head | None, inside: nn.Module, module: nn.Module, probe: Tensor, answer: Tensor
) -> tuple[Head, str]:
    """What is said, else what the module's configuration tells, else what its outputs tell; and what to say of it."""
    found, told = (None, "") if given is None else (heads.as_head(given), "")
    if found is None:
        found, told = heads.configured(inside, answer.shape[1])
    if found is None:
        found, told = heads.noticed(partial(_answers, module), probe, answer)
    return found.fitted(answer), told


def _answers(module: nn.Module, pictures: Tensor) -> Tensor:
    """What the module answers, run as it has to be; with a graph where gradients are on."""
    return run(module, pictures, graph=torch.is_grad_enabled()).output


def _structure(trial: Tried, probe: Tensor) -> tuple[Anatomy, Manner]:
    objective = _objective(trial.output)
    try:
        with trial.reading():
            structure = _anatomy.read(trial.module, probe, objective)
    except (LookupError, RuntimeError) as error:
        why = f"Its structure cannot be read ({_first_line(error)})."
        structure = Anatomy({}, (), None, why, why)
    last = structure.sites.get("last")
    return structure, trial.manner(last.point if last else None, objective)


_MOST_OWNED = 8
_lock = Lock()
_owned: WeakKeyDictionary[Classifier, dict[OwnTarget, Classifier]] = WeakKeyDictionary()
"""For each network, what it is under target functions of one's own."""


def _dtype(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def _named(
    given: Labels | None, configured: Labels | None, count: int, title: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels that are given, or those of the configuration where they fit, and what is to be said of them."""
    if given is not None:
        return _labels.read(given, count, title)
    try:
        return _labels.read(configured or (), count, title)
    except ModelError:
        return (), ()  # a head was put on after the configuration was written


_NO_AND_YES = 2
"""Labels that a single sigmoid may have: what a low output says, and what a high one."""

_TWO_INPUTS = " What it takes beside the pictures is fixed by ex.wrap(module, extra=…)."
_CHANNELS = {"rgb": "", "bgr": "", "gray": " in gray"}


def _probe(framing: Framing) -> Tensor:
    """A picture (C, h, w) with structure at several scales, so that no unit of a trained network sees its dead zone."""
    noise = torch.Generator().manual_seed(0)
    layers = [torch.rand(1, framing.channel_count, cells, cells, generator=noise) for cells in (2, 5, 16, 48)]
    resized = [nn.functional.interpolate(layer, framing.size, mode="bilinear") for layer in layers]
    return torch.stack(resized).mean(0)[0]


def _objective(output: Tensor) -> Any:
    """One number from the output (1, C): the sum weighted by fixed random signs, so that no class is left out."""
    signs = torch.randn(output.shape[1], generator=torch.Generator().manual_seed(1)).to(output)

    def objective(out: Tensor) -> Tensor:
        return (out[0] * signs).sum()

    return objective


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]
