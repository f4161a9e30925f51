"""Outputs: where, in whatever a network puts out, the numbers are that stand for its classes or for an own target."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, QuestionError

Wanted = str | int | Callable[[Any], Tensor]
"""Which output: a key, an attribute or a position, several of them joined by dots, or a function of the outputs."""

NO_HEAD = "none"
"""The head of a network that has no classes: it is asked about with target functions only."""


@dataclass(frozen=True)
class OwnTarget:
    """A score of one's own: a function of what the module puts out for N pictures, which gives (N,), one for each.

    `name` stands where a class would ("How much of … is cat?"), `unit` is what it counts. By default the name is the
    first line of the function's docstring, or its own name.
    """

    function: Callable[[Any], Tensor]
    name: str = ""
    unit: str = field(default="", kw_only=True)

    @classmethod
    def of(cls, target: Callable[[Any], Tensor] | OwnTarget) -> OwnTarget:
        """The target with its name; one function is one target, however often it is asked about."""
        own = target if isinstance(target, OwnTarget) else cls(target)
        return own if own.name else dataclasses.replace(own, name=_named(own.function))


@dataclass(frozen=True)
class Extra:
    """What a module takes beside the pictures, the same for all of them: by position, then by name."""

    positions: tuple[Any, ...] = ()
    names: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any, device: torch.device) -> Extra:
        """From a mapping by name, a tuple or list by position, or the one further input."""
        if isinstance(given, Mapping):
            return cls(names={str(name): _placed(value, device) for name, value in given.items()})
        return cls(tuple(_placed(value, device) for value in (given if isinstance(given, tuple | list) else (given,))))

    def beside(self, count: int) -> tuple[list[Any], dict[str, Any]]:
        """The inputs beside `count` pictures: tensors whose first axis has one row are repeated along it."""
        names = {name: _repeated(value, count) for name, value in self.names.items()}
        return [_repeated(value, count) for value in self.positions], names


class Adapted(nn.Module):
    """A module read as one row of numbers for each picture (N, C). Its parts keep the names that they have in it.

    The visitor's module is inside, untouched; `raw` is what it puts out.
    """

    def __init__(self, inside: nn.Module, read: Callable[[Any, int], Tensor], extra: Extra | None = None) -> None:
        super().__init__()
        self.inside, self._read, self.extra = inside, read, extra
        self.training = False

    def raw(self, pixels: Tensor) -> Any:
        """What the module puts out for what it is fed (N, C, H, W): networks of transformers name their input."""
        named = getattr(self.inside, "main_input_name", None)
        positions, names = ((), {}) if self.extra is None else self.extra.beside(len(pixels))
        if isinstance(named, str):
            return self.inside(*positions, **{named: pixels}, **names)
        return self.inside(pixels, *positions, **names)

    def forward(self, pixels: Tensor) -> Tensor:
        """The numbers (N, C)."""
        return self._read(self.raw(pixels), len(pixels))

    def over(self, inside: nn.Module) -> Adapted:
        """The same reading of another module of the same kind."""
        return Adapted(inside, self._read, self.extra)

    def named_modules(self, *given: Any, **more: Any) -> Iterator[tuple[str, nn.Module]]:
        """The parts of the module inside, by their own names."""
        yield from self.inside.named_modules(*given, **more)

    def state_dict(self, *given: Any, **more: Any) -> Any:
        """The weights of the module inside, by their own names."""
        return self.inside.state_dict(*given, **more)


def accompanied(module: nn.Module, extra: Any) -> nn.Module:
    """The module as one of pictures alone, with its further inputs fixed; what it puts out is not read yet."""
    tensor = next(module.parameters(), None)
    return Adapted(module, _as_it_is, Extra.of(extra, torch.device("cpu") if tensor is None else tensor.device))


def adapted(module: nn.Module, probe: Tensor, wanted: Wanted | None, classes: int | None) -> tuple[nn.Module, Tensor]:
    """The module, or one around it, that answers pictures (N, 3, H, W) with (N, C), and its answer to `probe` (1, …).

    `wanted` says which output is meant where there are several; `classes` how many numbers it has, where that is known.
    Raises `ModelError` in words, and whatever the module raises.
    """
    bare = module if isinstance(module, Adapted) and module.extra else Adapted(module, _as_it_is)
    named = isinstance(getattr(module, "main_input_name", None), str)
    raw = bare.raw(probe.clone())  # which a network may normalize in place
    if isinstance(raw, Tensor) and raw.is_floating_point() and _is_row(raw) and wanted is None:
        return (bare if named else module), raw
    read = _Numbers(_chosen(raw, wanted, classes, type(module).__name__))
    first = read(raw, 1)
    around = _around(bare, read)
    several = 2 if first.shape[1] != 2 else 3  # so that the axes cannot be mistaken
    read(bare.raw(torch.cat([probe, probe.flip(-1), -probe][:several])), several, first.shape[1])
    return around, first


def headless(module: nn.Module) -> nn.Module:
    """A module without classes, whatever it puts out, as one that answers (N, 0)."""
    return _around(module, _nothing)


def owned(module: nn.Module, own: OwnTarget) -> nn.Module:
    """The module as one whose only output (N, 1) is a target function's.

    The function is given what the visitor's own module puts out. The module raises `QuestionError` where it does not
    give one number for each picture.
    """
    return _around(module, _Own(own))


# --- private ---------------------------------------------------------------------------------------------------------

Step = str | int
Path = tuple[Step, ...]

_LOGITS = "logits"
_MOST_LISTED = 6


def _around(module: nn.Module, read: Callable[[Any, int], Tensor]) -> Adapted:
    """Another reading of what a module puts out, beside the same further inputs."""
    return Adapted(module.inside, read, module.extra) if isinstance(module, Adapted) else Adapted(module, read)


def _as_it_is(raw: Any, _count: int) -> Any:
    return raw


def _placed(value: Any, device: torch.device) -> Any:
    return value.detach().to(device) if isinstance(value, Tensor) else value


def _repeated(value: Any, count: int) -> Any:
    if isinstance(value, Tensor) and value.ndim and value.shape[0] == 1:
        return value.expand(count, *value.shape[1:])
    return value


def _is_row(tensor: Tensor) -> bool:
    return tensor.ndim == 2 and tensor.shape[0] == 1


@dataclass(frozen=True)
class _Numbers:
    """Takes the chosen output out of the structure, and gives it the axes (N, C) that a network may have dropped."""

    chosen: Path | Callable[[Any], Tensor]

    def __call__(self, raw: Any, count: int, classes: int | None = None) -> Tensor:
        tensor = self.chosen(raw) if callable(self.chosen) else _at(raw, self.chosen)
        fits = isinstance(tensor, Tensor) and (count == 1 or (tensor.ndim > 0 and tensor.shape[0] == count))
        if not fits or (classes is not None and tensor.numel() != count * classes):
            raise ModelError(
                f"The output{self._where} is {_shape(tensor)} for {count} pictures; a classifier returns one row of "
                f"numbers for each, with the batch's axis first{'' if classes is None else f': ({count}, {classes})'}."
            )
        return tensor.reshape(count, -1)

    @property
    def _where(self) -> str:
        return "" if callable(self.chosen) or not self.chosen else f" “{_spelled(self.chosen)}”"


@dataclass(frozen=True)
class _Own:
    own: OwnTarget

    def __call__(self, raw: Any, count: int) -> Tensor:
        try:
            score = self.own.function(raw)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if _is_meta(raw):  # asked for shapes alone, which a function need not know of
                raise LookupError(str(error)) from error
            told = str(error).strip().splitlines()
            raise QuestionError(
                f"The target function “{self.own.name}” fails on what the network puts out "
                f"({type(error).__name__}{f': {told[0][:120]}' if told else ''})."
            ) from error
        if isinstance(score, Tensor) and not score.is_floating_point():
            raise QuestionError(
                f"The target function “{self.own.name}” gives {str(score.dtype).removeprefix('torch.')}; a score is a "
                "floating number, such as a mean."
            )
        if not isinstance(score, Tensor) or score.shape not in ((count,), (count, 1)):
            raise QuestionError(
                f"The target function “{self.own.name}” gives {_shape(score)} for {count} "
                f"picture{'' if count == 1 else 's'}; it has to give one number for each, ({count},). Reduce over all "
                "axes but the first."
            )
        return score.reshape(count, 1)


def _nothing(raw: Any, count: int) -> Tensor:
    like = next((tensor for _, tensor in _leaves(raw)), None)
    return torch.zeros(count, 0) if like is None else like.new_zeros(count, 0)


def _chosen(raw: Any, wanted: Wanted | None, classes: int | None, title: str) -> Path | Callable[[Any], Tensor]:
    """Where the numbers of the classes are for one picture: what was asked for, or the one place where they can be."""
    if wanted is not None and not isinstance(wanted, str | int):
        given = wanted(raw)
        if not isinstance(given, Tensor):
            raise ModelError(f"`output=` gave {_shape(given)}; it has to give the tensor of numbers, (N, classes).")
        return wanted
    leaves = list(_leaves(raw))
    if wanted is not None:
        path = _path(raw, wanted)
        if path is None:
            raise ModelError(f"{title} has no output “{wanted}”; it returned {_listed(leaves)}.")
        return path
    numbers = [(path, tensor) for path, tensor in leaves if tensor.is_floating_point()]
    kinds = (_is_row, _is_column, _is_squeezed)
    by_name = [(p, t) for p, t in numbers if p and p[-1] == _LOGITS and any(kind(t) for kind in kinds)]
    for kind in kinds:
        found = [(path, tensor) for path, tensor in numbers if kind(tensor)]
        by_count = [(path, tensor) for path, tensor in found if tensor.numel() == classes]
        sure = next((each for each in (by_name, found, by_count) if len(each) == 1), None)
        if sure:
            return sure[0][0]
        if found:
            example = _spelled(found[0][0])
            raise ModelError(
                f"{title} returned {_listed(found)} for one picture. Say which is meant: "
                f"ex.wrap(…, output={example!r}), or a function of what it returns."
            )
    raise ModelError(
        f"{title} returned {_listed(leaves) if leaves else type(raw).__name__} for one picture; a classifier returns "
        "one number for each class. Say ex.wrap(…, output=…), a key, a position or a function, where they are in "
        f'there; or head="{NO_HEAD}" where there are no classes, and ask with target=a function of what it returns.'
    )


def _is_column(tensor: Tensor) -> bool:
    """(1, C, 1, 1) and the like."""
    return tensor.ndim > 2 and tensor.shape[0] == 1 and tensor.numel() == tensor.shape[1]


def _is_squeezed(tensor: Tensor) -> bool:
    """(C,) or ()."""
    return tensor.ndim < 2


def _leaves(raw: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor in a structure, and the way to it."""
    if isinstance(raw, Tensor):
        yield path, raw
        return
    for step, part in _parts(raw):
        yield from _leaves(part, (*path, step))


def _parts(raw: Any) -> Iterator[tuple[Step, Any]]:
    if isinstance(raw, Mapping):
        yield from ((key, part) for key, part in raw.items() if isinstance(key, str | int))
    elif isinstance(raw, tuple) and hasattr(raw, "_fields"):
        yield from zip(raw._fields, raw, strict=True)
    elif isinstance(raw, tuple | list):
        yield from enumerate(raw)
    elif dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        yield from ((each.name, getattr(raw, each.name)) for each in dataclasses.fields(raw))
    elif hasattr(raw, "__dict__"):
        yield from ((name, part) for name, part in vars(raw).items() if isinstance(part, Tensor))


def _at(raw: Any, path: Path) -> Any:
    for step in path:
        if (isinstance(raw, Mapping) and step in raw) or (isinstance(step, int) and isinstance(raw, tuple | list)):
            raw = operator.getitem(raw, step)  # type: ignore[misc]
        else:
            raw = getattr(raw, str(step))
    return raw


def _path(raw: Any, wanted: str | int) -> Path | None:
    """The way that was asked for, if it leads to a tensor."""
    for path in ((wanted,), tuple(int(step) if step.isdigit() else step for step in str(wanted).split("."))):
        try:
            if isinstance(_at(raw, path), Tensor):
                return path
        except (AttributeError, LookupError):
            continue
    return None


def _spelled(path: Path) -> str | int:
    return path[0] if len(path) == 1 else ".".join(map(str, path))


def _listed(leaves: list[tuple[Path, Tensor]]) -> str:
    told = [f"{_spelled(path)}: {_shape(tensor)}" if path else _shape(tensor) for path, tensor in leaves]
    return "; ".join(told[:_MOST_LISTED]) + ("; …" if len(told) > _MOST_LISTED else "")


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _is_meta(raw: Any) -> bool:
    return any(tensor.is_meta for _, tensor in _leaves(raw))


def _named(function: Callable[..., Any]) -> str:
    """What a function says about itself: its docstring's first line without the full stop, or its name."""
    first = (getattr(function, "__doc__", None) or "").strip().partition("\n")[0].rstrip(".")
    name = getattr(function, "__name__", "")
    if first and name:
        return first[:1].lower() + first[1:120] if first[1:2].islower() else first[:120]  # it stands within sentences
    return "the target" if name in ("", "<lambda>") else name.replace("_", " ")
