"""The registry: a method is one function in one file, and this reads everything else off it."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from .errors import DoesNotApply, QuestionError, calls
from .errors.spelling import did_you_mean, either, nearest
from .galleries.gallery import Gallery
from .network.classifier import Classifier
from .network.opening import ATTENDING, RECTIFYING
from .options import ASKED, Cell, Depth, Form, Option, Seed
from .results import Heatmap, Result
from .trace import PIXELS, Asked, Second, Trace

__all__ = [
    "ASKED",
    "ENTRY_POINTS",
    "FOLLOWING_SLOPES",
    "GIVEN",
    "Cell",
    "Depth",
    "Family",
    "Method",
    "Need",
    "Option",
    "Seed",
    "all_methods",
    "explainer",
    "filling",
    "find",
    "heat_method",
    "heat_of",
    "laying_heat",
    "suitable",
    "usual",
]

ENTRY_POINTS = "explainers.methods"
"""Other people's packages add methods under this entry-point group."""

GIVEN: dict[type, str] = {
    Trace: "a picture: ask about ex.look(model, picture)",
    Classifier: "a network",
    Asked: "a question",
    Second: "a second picture: give second=",
    Gallery: "a gallery of pictures: add gallery=Gallery.open(…), from explainers.galleries.gallery",
}
"""What a method may be given, by type, and the way to it in words. Whatever is not asked for is not there."""


class Family(StrEnum):
    """What a method is made of, as the field groups them."""

    CLASS_ACTIVATION = "Class activation"
    GRADIENTS = "Gradients and paths"
    DIFFERENCES = "Differences from a reference"
    PERTURBATION = "Perturbation"
    ATTENTION = "Attention"
    INSIDE = "Inside the network"
    GALLERY = "Among other pictures"
    AUGMENTATION = "Under augmentation"


class Need(StrEnum):
    """What a method asks of a network."""

    CLASSES = "classes"
    MAPS = "maps over a grid"
    LINEAR_HEAD = "a linear head over pooled maps"
    PIXEL_SLOPES = "slopes at the pixels"
    SLOPES = "slopes at other pixels"
    MAP_SLOPES = "slopes at the last maps"
    IN_SIGHT = "functions that rules can be laid on"
    RECTIFIERS = "rectified units"
    ATTENTION = "attention of one patch to another"
    ONE_GRID = "attention over one grid in all layers"
    BLOCKS = "tokens after each block that the head can read"
    COLORS = "pictures of three colors"
    NO_BANDS = "pictures of colors or gray"

    def lacking(self, model: Classifier) -> str:
        """Why this network does not have it, as the end of a sentence; empty where it does."""
        match self:
            case Need.CLASSES:
                return "" if model.has_classes else "is a backbone without classes"
            case Need.MAPS:
                none = (
                    model.manner.hidden
                    or model.manner.without_slopes
                    or "keeps no maps over a grid that its scores depend on"
                )
                return "" if model.anatomy.sites else none
            case Need.LINEAR_HEAD:
                why = model.anatomy.without_head
                without_maps = Need.MAPS.lacking(model)
                return without_maps or ("" if model.anatomy.head else f"has no linear head over pooled maps: {why}")
            case Need.ATTENTION:
                anatomy = model.anatomy
                none = anatomy.without_attention or f"cannot be read: {anatomy.without_maps}"
                return model.manner.hides(ATTENDING) or ("" if anatomy.attention else none)
            case Need.ONE_GRID:
                several = "attends in windows or on several grids, so that no token can be followed through its layers"
                return Need.ATTENTION.lacking(model) or ("" if model.anatomy.one_grid else several)
            case Need.BLOCKS:
                none = "has no tokens after each of its blocks that its head could read"
                return Need.ONE_GRID.lacking(model) or ("" if model.anatomy.blocks else none)
            case Need.COLORS | Need.NO_BANDS:
                return _without_colors(model.framing.channels, gray=self is Need.NO_BANDS)
            case Need.RECTIFIERS:
                none = "" if model.anatomy.rectifiers else "has no rectified units (ReLU)"
                return model.manner.hides(RECTIFYING) or none or model.manner.without_slopes
            case Need.PIXEL_SLOPES | Need.SLOPES:
                return model.manner.without_slopes
            case Need.MAP_SLOPES:
                return model.manner.without_map_slopes
            case Need.IN_SIGHT:
                return model.manner.hidden


FOLLOWING_SLOPES = frozenset({Need.PIXEL_SLOPES, Need.SLOPES, Need.RECTIFIERS})
"""What methods need that follow slopes all the way to the pixels."""


@dataclass(frozen=True, eq=False)
class Method:
    """A registry entry: the function, its words, what it needs and what can be chosen."""

    id: str
    title: str
    family: Family
    question: str
    how: str
    read_it_as: str
    beware: str
    paper: str
    needs: frozenset[Need]
    class_specific: bool
    passes: tuple[int, int]
    sums: bool
    form: Form
    function: Callable[..., Any]
    given: tuple[type, ...]
    gives: type[Result]
    streams: bool
    classic: bool = False
    fills: str = ""
    """A part of a tab that it fills, by the tab's own word, such as "inside.filters"; empty for most."""

    @property
    def options(self) -> tuple[Option, ...]:
        """What can be chosen, in the order of the signature."""
        return self.form.options

    @property
    def lays_heat(self) -> bool:
        """Whether it lays a heat over the picture, and so can stand beside any other that does."""
        return self.gives is Heatmap and Trace in self.given

    @property
    def demands(self) -> int:
        """How much it asks of a network, beside slopes, which nearly every network has."""
        return len(self.needs - {Need.MAP_SLOPES})

    def why_not(self, model: Classifier) -> str:
        """Why it does not apply to a network, as a sentence without a way out; empty where it does."""
        if model.headless:
            return f"{model.name} {model.no_classes}."
        reasons = [why for need in Need if need in self.needs and (why := need.lacking(model))]
        return f"{model.name} {reasons[0]}, so {self.title} does not apply." if reasons else ""

    def leaves_out(self, model: Classifier) -> tuple[str, ...]:
        """What has to be said of its slopes in this network: which way from picture to score they do not see."""
        said = (
            model.manner.detached if FOLLOWING_SLOPES & self.needs else "",
            model.manner.detached_maps if Need.MAP_SLOPES in self.needs else "",
        )
        return tuple(dict.fromkeys(filter(None, said)))

    def check(self, options: dict[str, Any], *, named_depths_only: bool = False) -> dict[str, Any]:
        """The options, complete and within bounds. Raises `QuestionError` that names option, limit and way out."""
        return self.form.check(self.title, options, named_depths_only=named_depths_only)

    def start(self, options: dict[str, Any]) -> str:
        """Where the graph has to begin for these options: a depth, or the pixels."""
        return PIXELS if Need.PIXEL_SLOPES in self.needs else str(options.get("depth", "last"))

    def run(self, values: Mapping[type, Any], options: dict[str, Any]) -> Iterator[Result]:
        """The results as they come: one, or, for a method that streams, better and better ones.

        Raises `QuestionError` where something that it works on is not among `values`.
        """
        for kind in self.given:
            if values.get(kind) is None:
                raise QuestionError(f"{self.title} needs {GIVEN[kind]}.")
        answer = self.function(*(values[kind] for kind in self.given), **options)
        if isinstance(answer, Iterator):
            yield from answer
        else:
            yield answer


def explainer(
    *,
    title: str,
    family: Family,
    paper: str,
    needs: Set[Need] = frozenset(),
    class_specific: bool = True,
    passes: tuple[int, int] = (1, 1),
    sums: bool = False,
    classic: bool = False,
    fills: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the function below as a method. What is positional is given, what is keyword-only is chosen.

    `passes` are the forward and backward passes that it takes at most on a fresh trace, with its default options. A
    method that `sums` promises that its map adds up to something, and every result says how well it does. A `classic`
    is one that papers hold new methods against. `fills` names a part of a tab that this method is there for; a tab
    asks by that word, never by a method's name. A method about a class needs `Need.CLASSES` by itself. Raises
    `TypeError` at import where the function does not say what the screen has to say.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        all_needs = frozenset(needs) | ({Need.CLASSES} if class_specific else frozenset())
        method = _read(function, title, family, paper, all_needs, class_specific, passes, sums)
        method = replace(method, classic=classic, fills=fills)
        if method.id in _methods and _methods[method.id].function.__module__ != function.__module__:
            raise TypeError(f"two methods are called {method.id}")
        if fills and any(other.fills == fills and other.id != method.id for other in _methods.values()):
            raise TypeError(f"{method.id}: another method fills {fills} already")
        _methods[method.id] = method
        return function

    return register


def all_methods() -> tuple[Method, ...]:
    """Every method there is, by family and title."""
    _discover()
    order = list(Family)
    return tuple(sorted(_methods.values(), key=lambda m: (order.index(m.family), m.title)))


def laying_heat() -> tuple[Method, ...]:
    """The methods that lay a heat over the picture: those that can stand beside each other."""
    return tuple(method for method in all_methods() if method.lays_heat)


def find(name: str | Method) -> Method:
    """The method of that name, or itself. Raises `QuestionError` that names the nearest, or all."""
    _discover()
    if isinstance(name, Method):
        return name
    if not isinstance(name, str):
        raise QuestionError(
            f"A method is named by a text, not by {calls.kind(name)}; there are {', '.join(sorted(_methods))}."
        )
    if name not in _methods:
        meant = did_you_mean(nearest(name, sorted(_methods), spelled=_ways))
        hint = f".{meant} The list of methods has all." if meant else f"; there are {', '.join(sorted(_methods))}."
        raise QuestionError(f"There is no method “{name[:40]}”{hint}")
    return _methods[name]


def filling(part: str) -> str:
    """The name of the method that fills a part of a tab. Raises `DoesNotApply` where none is installed."""
    found = next((method.id for method in all_methods() if method.fills == part), None)
    if found is None:
        raise DoesNotApply(f"No method that is installed here fills “{part}”.")
    return found


def heat_method(name: str, model: Classifier) -> Method:
    """The method of that name, which lays a heat over the picture; for no name, a quick classic that reads maps.

    Raises `QuestionError` for a method that gives something else, and `DoesNotApply`.
    """
    if name:
        method = suitable(find(name), model)
        if not method.lays_heat:
            raise QuestionError(
                f"{method.title} lays no heat over the picture; take one that does, such as {laying_heat()[0].id}."
            )
        return method
    found = usual(model)
    if found is None or not found.class_specific:
        raise DoesNotApply(f"No method that lays heat for a class applies to {model.name}.")
    return found


def usual(model: Classifier) -> Method | None:
    """What is asked where no method is named: a quick classic that lays heat for the class and reads maps, if any."""
    fit = [method for method in laying_heat() if not method.why_not(model)]
    return min(
        fit,
        key=lambda m: (
            not m.class_specific, Need.MAPS not in m.needs, not m.classic, m.demands, sum(m.passes), m.id,
        ),
        default=None,
    )  # fmt: skip


def heat_of(trace: Trace, method: Method) -> Heatmap:
    """The map that a method gives for a trace with its default options: how one method asks for another's."""
    *_, last = method.run({Trace: trace, Classifier: trace.classifier}, method.check({}))
    assert isinstance(last, Heatmap)
    return last


def suitable(method: Method, model: Classifier) -> Method:
    """The method, if it applies to the network. Raises `DoesNotApply` that says why not, and what does."""
    if why := method.why_not(model):
        # First what gives the same kind of answer, the classics before the rest.
        near = sorted(all_methods(), key=lambda m: (m.gives is not method.gives, not m.classic))
        others = [m.id for m in near if not m.why_not(model)]
        way_out = f" Try {either(others[:3])}." if others else " No method here applies to it yet."
        raise DoesNotApply(why + way_out)
    return method


# --- private ---------------------------------------------------------------------------------------------------------

_methods: dict[str, Method] = {}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _without_colors(channels: str | int, *, gray: bool) -> str:
    """Why a network of these channels takes no pictures of colors, or of gray where that would do."""
    if isinstance(channels, int):
        return f"takes {channels} bands, not pictures of colors"
    return "" if gray or channels != "gray" else "takes gray pictures, not pictures of three colors"


def _ways(name: str) -> tuple[str, ...]:
    """What people call a method: its name, its title, and the first letters of its words."""
    return name, _methods[name].title, "".join(word[:1] for word in name.split("_"))


@cache
def _discover() -> None:
    package = importlib.import_module(".methods", __package__)
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:  # noqa: BLE001 - a stranger's package must not take the others' methods away
            warnings.warn(f"the method {entry.name} of {entry.value} is left out: {error}", stacklevel=2)


def _read(
    function: Callable[..., Any],
    title: str,
    family: Family,
    paper: str,
    needs: frozenset[Need],
    class_specific: bool,
    passes: tuple[int, int],
    sums: bool,
) -> Method:
    name = function.__name__
    if function.__module__.rpartition(".")[2] != name:
        raise TypeError(f"{name}: file, function and method bear one name, but the file is {function.__module__}")
    if not paper.startswith("https://"):
        raise TypeError(f"{name}: `paper` is the https address of the source")
    hints = get_type_hints(function, include_extras=True)
    given: list[type] = []
    chosen: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise TypeError(f"{name}: {parameter.name} has no annotation")
        if parameter.kind is parameter.KEYWORD_ONLY:
            chosen.append(parameter.replace(annotation=hints[parameter.name]))
        elif parameter.kind in _POSITIONAL and hints[parameter.name] in GIVEN:
            given.append(hints[parameter.name])
        else:
            raise TypeError(f"{name}: {parameter.name} is positional, and nothing of its type can be given")
    question, how, read_it_as, beware = _words(name, inspect.getdoc(function) or "")
    gives, streams = _gives(name, hints.get("return"))
    return Method(
        id=name,
        title=title,
        family=family,
        question=question,
        how=how,
        read_it_as=read_it_as,
        beware=beware,
        paper=paper,
        needs=needs,
        class_specific=class_specific,
        passes=passes,
        sums=sums,
        form=Form.of(name, chosen),
        function=function,
        given=tuple(given),
        gives=gives,
        streams=streams,
    )


def _words(name: str, doc: str) -> tuple[str, str, str, str]:
    question, _, rest = doc.partition("\n")
    parts: dict[str, list[str]] = {"how": [], "Read it as:": [], "Beware:": []}
    current = "how"
    for line in rest.splitlines():
        for label in ("Read it as:", "Beware:"):
            if line.strip().startswith(label):
                current, line = label, line.strip().removeprefix(label)  # noqa: PLW2901 - the label is taken off
        parts[current].append(line.strip())
    how, read_it_as, beware = (" ".join(" ".join(lines).split()) for lines in parts.values())
    if not question.endswith("?") or not (how and read_it_as and beware):
        raise TypeError(f"{name}: the docstring is a question, how it works, “Read it as: …” and “Beware: …”")
    return question, how, _capital(read_it_as), _capital(beware)


def _gives(name: str, returned: Any) -> tuple[type[Result], bool]:
    """What a method returns, and whether it streams."""
    if _is_kind(returned):
        return returned, False
    if get_origin(returned) in (Iterator, Generator) and _is_kind(get_args(returned)[0]):
        return get_args(returned)[0], True
    kinds = " or ".join(kind.__name__ for kind in Result.__subclasses__())
    raise TypeError(f"{name}: returns {returned}; a method returns {kinds}, or an iterator of them")


def _is_kind(returned: Any) -> bool:
    return isinstance(returned, type) and issubclass(returned, Result) and returned is not Result


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
