"""Options: what can be chosen of a method, read off its signature: as a form for people, and a schema that checks."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from .errors import QuestionError
from .errors.spelling import did_you_mean, either, nearest
from .network.anatomy import DEPTHS

ASKED = ("target", "versus", "score", "gallery", "second", "stop", "working")
"""What every question says beside the options of its method."""
RESERVED = {"about", "trace", "picture", "model", "method", "methods", *ASKED}
"""Names that belong to every question, so that no option may take them."""

Cell = Annotated[
    tuple[int, int] | None,
    Field(description="A cell of the grid, as row and column from the upper left; none by default."),
]
"""A place that the visitor clicks: (row, column)."""

LARGEST_CELL = 4095
"""No grid has more rows or columns; a network's own bound is the method's to check."""

Depth = Annotated[
    str, Field(description="How deep in the network the maps are read.", json_schema_extra={"choices": list(DEPTHS)})
]
"""A named depth, resolved by the anatomy; from Python also the path of a module."""


Seed = Annotated[int, Field(ge=0, le=99_999, description="Where chance begins: another number draws anew.")]
"""What is drawn at random is the same for the same number."""


@dataclass(frozen=True)
class Option:
    """One thing to choose: a keyword-only parameter, with its bounds and words."""

    name: str
    kind: Literal["choice", "switch", "integer", "number", "cell", "text", "numbers"]
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    longest: int | None = None
    """The most letters of a text, or the most of several numbers."""


@dataclass(frozen=True, eq=False)
class Form:
    """All that can be chosen of one method."""

    options: tuple[Option, ...]
    schema: type[BaseModel]

    @classmethod
    def of(cls, method: str, chosen: Sequence[inspect.Parameter]) -> Form:
        """The form of these parameters. Raises `TypeError` that names the one that does not say what it must."""
        options = tuple(_option(method, parameter) for parameter in chosen)
        fields: dict[str, Any] = {each.name: (each.annotation, each.default) for each in chosen}
        strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, validate_default=True)
        schema: type[BaseModel] = create_model(method, __config__=strict, **fields)
        try:
            schema()
        except ValidationError as error:
            wrong = error.errors()[0]["loc"][0]
            raise TypeError(f"{method}: the default of {wrong} is not what its option allows") from error
        return cls(options, schema)

    def check(self, title: str, options: dict[str, Any], *, named_depths_only: bool = False) -> dict[str, Any]:
        """The options, complete and within bounds. Raises `QuestionError` that names option, limit and way out."""
        known = {option.name: option for option in self.options}
        for name in options:
            if name not in known:
                meant = did_you_mean(nearest(str(name), [*known, *ASKED]))
                offer = f"its options are {', '.join(known)}" if known else "it has no options"
                offer = f".{meant} {offer.capitalize()}" if meant else f"; {offer}"
                raise QuestionError(f"{title} has no option “{str(name)[:40]}”{offer}.")
        # What comes as JSON has lists, where Python has tuples.
        options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        if named_depths_only:
            for name, value in options.items():
                if known[name].choices and value not in known[name].choices:
                    raise QuestionError(_sentence(title, known[name], value))
        try:
            checked = self.schema(**options).model_dump()
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise QuestionError(_sentence(title, known[name], options.get(name))) from error
        for name, value in checked.items():
            if known[name].kind in ("cell", "numbers") and not _within(known[name], value):
                raise QuestionError(_sentence(title, known[name], value))
        return checked


# --- private ---------------------------------------------------------------------------------------------------------


def _option(method: str, parameter: inspect.Parameter) -> Option:
    hint = parameter.annotation
    where = f"{method}: option {parameter.name}"
    if parameter.name in RESERVED:
        raise TypeError(f"{where} bears a name that belongs to every question")
    if parameter.default is parameter.empty:
        raise TypeError(f"{where} has no default")
    base, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    info = next((extra for extra in extras if isinstance(extra, FieldInfo)), None)
    if info is None or not info.description:
        raise TypeError(f"{where} has no description; write Annotated[…, Field(description=…)]")
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if get_origin(base) is Literal or "choices" in extra:
        listed: tuple[Any, ...] = tuple(get_args(base) or extra["choices"])  # type: ignore[arg-type]
        if not all(isinstance(choice, str) for choice in listed) or parameter.default not in listed:
            raise TypeError(f"{where} is a choice among words, and its default is one of them")
        return Option(parameter.name, "choice", parameter.default, info.description, listed)
    if base in (str, tuple[float, ...]):
        return _long(where, parameter, base, info, extra)
    if base == tuple[int, int] | None:
        return Option(parameter.name, "cell", parameter.default, info.description, minimum=0, maximum=LARGEST_CELL)
    if base is bool:
        return Option(parameter.name, "switch", parameter.default, info.description)
    if base not in (int, float):
        raise TypeError(f"{where} is {base}; options are Literal, Depth, Cell, bool, int, float, str or several floats")
    low = next((m.ge for m in info.metadata if isinstance(m, Ge)), None)
    high = next((m.le for m in info.metadata if isinstance(m, Le)), None)
    if low is None or high is None or any(isinstance(m, Gt | Lt) for m in info.metadata):
        raise TypeError(f"{where} has no bounds that can be reached; write Field(ge=…, le=…)")
    kind: Literal["integer", "number"] = "integer" if base is int else "number"
    bounds = (float(low), float(high))  # type: ignore[arg-type]
    return Option(parameter.name, kind, parameter.default, info.description, (), *bounds)


def _long(where: str, parameter: inspect.Parameter, base: Any, info: FieldInfo, extra: Mapping[str, Any]) -> Option:
    """A text, or several numbers: bounded in length, and the numbers in size."""
    longest = next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None)
    assert info.description
    if longest is None:
        raise TypeError(f"{where} has no bound on its length; write Field(max_length=…)")
    if base is str:
        return Option(parameter.name, "text", parameter.default, info.description, longest=longest)
    if not {"minimum", "maximum"} <= extra.keys():
        raise TypeError(f'{where} has no bounds; write json_schema_extra={{"minimum": …, "maximum": …}}')
    ends = (float(extra["minimum"]), float(extra["maximum"]))
    return Option(parameter.name, "numbers", parameter.default, info.description, (), *ends, longest)


def _sentence(title: str, option: Option, value: Any) -> str:
    got = f"“{value[:40]}”" if isinstance(value, str) else _number(value)
    low, high = _number(option.minimum), _number(option.maximum)
    match option.kind:
        case "choice":
            wanted = f"one of {either(option.choices)}"
        case "switch":
            wanted = "true or false"
        case "integer":
            wanted = f"a whole number from {low} to {high}"
        case "cell":
            wanted = f"a row and a column, two whole numbers from {low} to {high}, or nothing"
        case "text":
            wanted = f"a text of at most {option.longest} letters"
        case "numbers":
            wanted = f"at most {option.longest} numbers from {low} to {high}"
        case _:
            wanted = f"a number from {low} to {high}"
    return f"“{option.name}” of {title} is {wanted}, not {got}."


def _within(option: Option, value: tuple[float, ...] | None) -> bool:
    assert option.minimum is not None
    assert option.maximum is not None
    return value is None or all(option.minimum <= each <= option.maximum for each in value)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {None: "nothing", True: "true", False: "false"}.get(value, "that") if _hashable(value) else "that"
    if isinstance(value, int) and abs(value) >= _SPELLED:
        return "that"  # beyond what a float holds, and nothing to read aloud
    return f"{value:g}" if math.isfinite(value) else str(value)


_SPELLED = 10**15


def _hashable(value: Any) -> bool:
    return isinstance(value, bool | types.NoneType)
