"""Pipeline: transforms in a chosen order, as text and as JSON; Recipe: what was really done to one picture."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from ..errors import QuestionError
from . import timms
from .actions import Action
from .recording import recording
from .seeded import Seeded
from .steps import Size, Transform, find_transform

MOST_STEPS = 12
"""More in a row leave nothing of the picture, and keep the next visitor waiting."""

PRESETS = {
    "classic": (
        "horizontal_flip(p=0.5), rotation(degrees=15), color_jitter(brightness=0.2, contrast=0.2, saturation=0.2, "
        "hue=0.1), resized_crop(scale_from=0.8, scale_to=1)"
    ),
    "rand_augment": "rand_augment(num_ops=2, magnitude=9)",
    "auto_augment": "auto_augment(policy=imagenet)",
    "trivial_augment": "trivial_augment",
    "aug_mix": "aug_mix(severity=3)",
}
"""Pipelines worth starting with; the first is what tutorials train with."""


@dataclass(frozen=True)
class Step:
    """One transform of a pipeline, with its settings: complete and within bounds."""

    transform: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self.kind.check(self.values))

    def __str__(self) -> str:
        chosen = ", ".join(f"{name}={_short(value)}" for name, value in self.values.items())
        return f"{self.transform}({chosen})" if chosen else self.transform

    @property
    def kind(self) -> Transform:
        """The transform itself."""
        return find_transform(self.transform)


@dataclass(frozen=True)
class Recipe:
    """What was really done to a picture: every action with its numbers, in order."""

    actions: tuple[Action, ...] = ()

    def __str__(self) -> str:
        said = [str(action) for action in self.actions]
        return ", then ".join(said) if said else "left as it was"

    def replay(self, picture: Tensor) -> Tensor:
        """The picture (3, H, W), uint8, after all of it; bit for bit what came out the first time."""
        picture = _laid_out(picture)
        for action in self.actions:
            picture = action.apply(picture)
        return picture

    def as_json(self) -> str:
        """The recipe as text that `from_json` reads."""
        return json.dumps([action.as_data() for action in self.actions])

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Invert `as_json`."""
        return cls(tuple(Action.from_data(data) for data in json.loads(text)))


@dataclass(frozen=True)
class Pipeline:
    """Steps in the order in which they are done. Raises `QuestionError` for none, or too many."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise QuestionError(f"The pipeline is empty; name a transform, or a preset: {', '.join(PRESETS)}.")
        if len(self.steps) > MOST_STEPS:
            raise QuestionError(
                f"A pipeline has at most {MOST_STEPS} steps, this has {len(self.steps)}; take some out."
            )

    def __str__(self) -> str:
        return ", ".join(map(str, self.steps))

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Read `rotation(degrees=15), posterize(bits=5)`, or the name of a preset. Raises `QuestionError` in words."""
        text = PRESETS.get(text.strip(), text)
        way_out = "write it like rotation(degrees=15), posterize(bits=5)"
        if len(text) > _LONGEST:
            raise QuestionError(f"This pipeline has {len(text)} letters, and at most {_LONGEST} are read; {way_out}.")
        try:
            tree = ast.parse(f"[{text}]", mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise QuestionError(f"“{text[:60]}” cannot be read as a pipeline; {way_out}.") from None
        assert isinstance(tree, ast.List | ast.BinOp | ast.expr)
        if not isinstance(tree, ast.List):
            raise QuestionError(f"“{text[:60]}” cannot be read as a pipeline; {way_out}.")
        return cls(tuple(_step(node, way_out) for node in tree.elts))

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, Any]]) -> Pipeline:
        """Invert `as_data`; raises `QuestionError` in words."""
        steps = []
        for each in data:
            values = dict(each)
            steps.append(Step(str(values.pop("transform", "")), values))
        return cls(tuple(steps))

    def as_data(self) -> list[dict[str, Any]]:
        """The steps as JSON has them."""
        return [{"transform": step.transform, **step.values} for step in self.steps]

    def sample(self, picture: Tensor, seed: int) -> tuple[Tensor, Recipe]:
        """One treated picture for a picture (3, H, W), uint8, and what was done; the same for the same seed."""
        return self.at(picture.shape[-2:]).sample(picture, seed)

    def at(self, size: Sequence[int]) -> Ready:
        """The pipeline made ready for pictures of a size (H, W)."""
        height, width = size
        return Ready(self, (height, width))


@dataclass(frozen=True, eq=False)
class Ready:
    """A pipeline with torchvision's transforms built, for pictures of one size."""

    pipeline: Pipeline
    size: Size

    def sample(self, picture: Tensor, seed: int) -> tuple[Tensor, Recipe]:
        """As `Pipeline.sample`. What is drawn is what torchvision draws after `torch.manual_seed(seed)`."""
        actions: list[Action] = []
        picture = _laid_out(picture)
        with Seeded(seed) as seeded:
            for transform in self._transforms:
                if isinstance(transform, str):
                    picture = self._by_timm(transform, picture, actions, seed)
                else:
                    picture = recording(transform, actions, seeded)(picture)
        return picture, Recipe(tuple(actions))

    def _by_timm(self, config: str, picture: Tensor, actions: list[Action], seed: int) -> Tensor:
        policy = timms.Policy(config, self.size, seed, lambda values: actions.append(Action("timm", values)))
        return policy(picture)

    @cached_property
    def _transforms(self) -> list[Any]:
        """Torchvision's transforms, and the configurations of timm's."""
        return [build(s, self.size) if s.kind.cls else s.values["policy"] for s in self.pipeline.steps]


def build(step: Step, size: Size) -> Any:
    """Torchvision's transform for a step, for pictures of a size (H, W)."""
    from torchvision.transforms import v2

    arguments = step.kind.arguments(dict(step.values), size)
    if "interpolation" in arguments:
        arguments["interpolation"] = v2.InterpolationMode(arguments["interpolation"])
    if "policy" in arguments:
        arguments["policy"] = v2.AutoAugmentPolicy(arguments["policy"])
    return getattr(v2, step.kind.cls)(**arguments)


# --- private ---------------------------------------------------------------------------------------------------------

_LONGEST = 2000


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isidentifier() else repr(value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _laid_out(picture: Tensor) -> Tensor:
    """The same picture with its colors side by side in memory, as decoded files are: noise is drawn in that order."""
    return picture.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def _step(node: ast.expr, way_out: str) -> Step:
    if isinstance(node, ast.Name):
        return Step(node.id)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise QuestionError(f"“{ast.unparse(node)[:60]}” is no step of a pipeline; {way_out}.")
    values: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise QuestionError(f"“{ast.unparse(node)[:60]}” is no step of a pipeline; {way_out}.")
        if isinstance(keyword.value, ast.Name):  # a word stands for itself
            values[keyword.arg] = keyword.value.id
            continue
        try:
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise QuestionError(f"“{keyword.arg}” of {node.func.id} is a number or a word; {way_out}.") from None
    return Step(node.func.id, values)
