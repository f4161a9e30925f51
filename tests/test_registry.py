"""A method is one file: it appears when it is dropped in, and is refused when it does not say what it must."""

import ast
import importlib
import importlib.metadata
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import explainers as ex
from explainers import registry
from explainers.errors import DoesNotApply, QuestionError
from explainers.pictures import Framing
from explainers.registry import Depth, Family, explainer
from explainers.results import Heatmap
from explainers.trace import Trace

GOOD = '''
    """A method of somebody else's."""

    from collections.abc import Iterator
    from typing import Annotated

    import torch
    from pydantic import Field

    from explainers.network.classifier import Classifier
    from explainers.registry import Depth, Family, Need, explainer
    from explainers.results import Heatmap
    from explainers.trace import Trace


    @explainer(
        title="Strength",
        family=Family.CLASS_ACTIVATION,
        needs={Need.MAPS},
        paper="https://example.org/strength",
        class_specific=False,
        passes=(1, 0),
    )
    def strength(
        trace: Trace,
        model: Classifier,
        *,
        depth: Depth = "last",
        power: Annotated[float, Field(ge=0.5, le=4, description="How much the strong ones count.")] = 2.0,
        rounds: Annotated[int, Field(ge=1, le=3, description="How many answers on the way.")] = 3,
    ) -> Iterator[Heatmap]:
        """Where do the maps say anything at all?

        Add up the sizes of all channels.
        Read it as: the network does something here.
        Beware: it is not about any class.
        """
        assert model is trace.classifier
        for i in range(rounds):
            yield Heatmap(trace.maps(depth).abs().pow(power).sum(0) * (i + 1), unit="activation")
'''


@pytest.fixture
def registered(monkeypatch):
    """The registry as it is, and as it was before afterwards."""
    ex.methods()
    monkeypatch.setattr(registry, "_methods", dict(registry._methods))
    registry._discover.cache_clear()
    yield registry._methods
    registry._discover.cache_clear()


def dropped(path, name, source=GOOD):
    path.mkdir(exist_ok=True)
    (path / f"{name}.py").write_text(textwrap.dedent(source), "utf-8")


def trace():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 4, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    framing = Framing(size=(32, 32), mode="squash")
    return ex.look(ex.wrap(module.eval(), framing=framing), np.full((32, 32, 3), 128, np.uint8))


# Discovery -----------------------------------------------------------------------------------------------------------


def test_a_file_dropped_among_the_methods_is_a_method(registered, tmp_path, monkeypatch):
    dropped(tmp_path, "strength")
    package = importlib.import_module("explainers.methods")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "explainers.methods.strength", raising=False)
    ids = [m.id for m in ex.methods()]
    assert "strength" in ids
    assert {"cam", "grad_cam", "gradient"} <= set(ids)
    sys.modules.pop("explainers.methods.strength", None)


def test_the_entry_point_of_somebody_elses_package_is_a_method(registered, tmp_path, monkeypatch):
    dropped(tmp_path / "elsewhere", "strength")
    entry = importlib.metadata.EntryPoint("strength", "elsewhere.strength", registry.ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    known = importlib.metadata.entry_points  # torch's own libraries look theirs up, too

    def with_ours(**group):
        return [entry] if group == {"group": "explainers.methods"} else known(**group)

    monkeypatch.setattr(importlib.metadata, "entry_points", with_ours)
    method = registry.find("strength")
    assert method.streams
    assert method.function.__module__ == "elsewhere.strength"
    assert [o.kind for o in method.options] == ["choice", "number", "integer"]
    assert method.options[1].minimum == 0.5
    assert method.options[1].maximum == 4
    assert method.beware == "It is not about any class."

    one = trace()
    streamed = list(ex.engine.stream(one, "strength", power=1.0))
    assert len(streamed) == 3
    last = ex.explain(one, "strength", power=1.0)
    assert np.array_equal(last.native, streamed[-1].native)
    assert np.allclose(last.native, 3 * streamed[0].native)
    assert np.allclose(streamed[0].native, one.maps("last").abs().sum(0))
    assert "This map does not depend on the class." in last.notes
    with pytest.raises(QuestionError, match=r"power.*from 0\.5 to 4, not 5"):
        ex.explain(one, "strength", power=5.0)
    backbone = ex.wrap(one.classifier.module, labels=(), framing=one.classifier.framing)
    assert ex.explain(ex.look(backbone, one.picture), "strength").prediction is None


def test_two_methods_of_one_name_are_refused(registered, tmp_path, monkeypatch):
    for package in ("first_of_two", "second_of_two"):
        dropped(tmp_path / package, "strength")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("first_of_two.strength")
    with pytest.raises(TypeError, match="two methods are called strength"):
        importlib.import_module("second_of_two.strength")


def test_a_part_of_a_tab_is_filled_by_whichever_method_says_so(registered, tmp_path, monkeypatch):
    own = GOOD.replace("class_specific=False,", 'class_specific=False, fills="test.part",')
    dropped(tmp_path / "fills_a_part", "strength", own)
    dropped(tmp_path / "fills_a_part", "vigor", own.replace("def strength", "def vigor"))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DoesNotApply, match=r"fills “test\.part”"):
        registry.filling("test.part")
    importlib.import_module("fills_a_part.strength")
    assert registry.filling("test.part") == "strength"
    with pytest.raises(TypeError, match=r"vigor: another method fills test\.part already"):
        importlib.import_module("fills_a_part.vigor")


def test_nothing_but_a_methods_own_file_asks_for_it_by_name():
    names = {method.id for method in ex.methods()}
    asking = {"explain", "stream", "find", "heat_method", "compare"}
    found = []
    for path in Path(ex.__file__).parent.rglob("*.py"):
        if path.parent.name == "methods":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in asking:
                named = [a.value for a in node.args if isinstance(a, ast.Constant) and a.value in names]
                found += [f"{path.name}:{node.lineno} asks for {name}" for name in named]
    assert not found


def test_methods_come_by_family_and_title():
    found = ex.methods()
    order = [(list(Family).index(m.family), m.title) for m in found]
    assert order == sorted(order)


def test_an_unknown_method_is_told_which_there_are():
    for name in ("astrology", "", None, 7, "__dict__", "a" * 500):
        with pytest.raises(QuestionError, match="cam, grad_cam") as caught:
            ex.explain(trace(), name)
        assert len(str(caught.value)) < 1000


# Declarations that are refused ---------------------------------------------------------------------------------------

WORDS = """Which regions raise the chosen class?

Look closely.
Read it as: it is warm here.
Beware: it is a test.
"""
Choice = Annotated[Literal["a", "b"], Field(description="One of two.")]


def declare(function, doc=WORDS, name="method", **changes):
    """Register a function as if it stood in a file of its name."""
    function.__doc__, function.__name__ = doc, name
    function.__module__ = f"somewhere.{changes.pop('file', name)}"
    declared = {"title": "A method", "family": Family.GRADIENTS, "paper": "https://example.org"} | changes
    return explainer(**declared)(function)


def test_a_right_declaration_is_taken(registered):
    def method(trace: Trace, *, choice: Choice = "a") -> Heatmap: ...

    assert declare(method) is method
    assert registered["method"].question == "Which regions raise the chosen class?"
    assert registered["method"].how == "Look closely."
    assert registered["method"].read_it_as == "It is warm here."
    assert registry.Need.CLASSES in registered["method"].needs


def no_annotation(trace, *, choice: Choice = "a") -> Heatmap: ...
def unknown_positional(trace: Trace, picture: bytes) -> Heatmap: ...
def any_number_of_traces(*traces: Trace) -> Heatmap: ...
def any_options(trace: Trace, **options: Trace) -> Heatmap: ...
def no_default(trace: Trace, *, choice: Choice) -> Heatmap: ...
def reserved(trace: Trace, *, target: Choice = "a") -> Heatmap: ...
def bare_option(trace: Trace, *, choice: Literal["a", "b"] = "a") -> Heatmap: ...
def no_words(trace: Trace, *, n: Annotated[int, Field(ge=0, le=9)] = 1) -> Heatmap: ...
def odd_type(trace: Trace, *, n: Annotated[bytes, Field(description="Bytes.")] = b"") -> Heatmap: ...
def no_bounds(trace: Trace, *, n: Annotated[int, Field(description="How many.")] = 1) -> Heatmap: ...
def half_bounded(trace: Trace, *, n: Annotated[int, Field(ge=0, description="How many.")] = 1) -> Heatmap: ...
def open_bound(trace: Trace, *, n: Annotated[float, Field(gt=0, le=9, description="How much.")] = 1.0) -> Heatmap: ...
def both_bounds(
    trace: Trace, *, n: Annotated[int, Field(ge=0, gt=0, le=9, description="How many.")] = 1
) -> Heatmap: ...
def default_beyond(trace: Trace, *, n: Annotated[int, Field(ge=0, le=9, description="How many.")] = 10) -> Heatmap: ...
def default_of_another_type(
    trace: Trace, *, n: Annotated[int, Field(ge=0, le=9, description="How many.")] = 1.5
) -> Heatmap: ...
def default_no_choice(trace: Trace, *, choice: Choice = "c") -> Heatmap: ...
def default_no_depth(trace: Trace, *, depth: Depth = "bottom") -> Heatmap: ...
def choices_of_numbers(
    trace: Trace, *, n: Annotated[Literal[1, 2], Field(description="One of two.")] = 1
) -> Heatmap: ...
def switch_without_switch(trace: Trace, *, on: Annotated[bool, Field(description="On.")] = "yes") -> Heatmap: ...
def returns_nothing(trace: Trace): ...
def returns_anything(trace: Trace) -> Any: ...
def returns_a_list(trace: Trace) -> list[Heatmap]: ...


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (no_annotation, "trace has no annotation"),
        (unknown_positional, "picture is positional"),
        (any_number_of_traces, "traces is positional"),
        (any_options, "options is positional"),
        (no_default, "choice has no default"),
        (reserved, "target bears a name"),
        (bare_option, "choice has no description"),
        (no_words, "n has no description"),
        (odd_type, "n is <class 'bytes'>"),
        (no_bounds, "n has no bounds"),
        (half_bounded, "n has no bounds"),
        (open_bound, "n has no bounds that can be reached"),
        (both_bounds, "n has no bounds that can be reached"),
        (default_beyond, "default of n"),
        (default_of_another_type, "default of n"),
        (default_no_choice, "choice is a choice among words"),
        (default_no_depth, "depth is a choice among words"),
        (choices_of_numbers, "n is a choice among words"),
        (switch_without_switch, "default of on"),
        (returns_nothing, "returns None"),
        (returns_anything, "returns typing.Any"),
        (returns_a_list, "returns list"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_signature_is_refused_in_words(registered, function, says):
    before = dict(registered)
    with pytest.raises(TypeError, match=says):
        declare(function, name=function.__name__)
    assert registered == before


@pytest.mark.parametrize(
    "doc",
    [
        None,
        "",
        "A statement.\n\nHow.\nRead it as: so.\nBeware: of it.",
        "Which regions?\n\nHow.\nRead it as: so.",
        "Which regions?\n\nHow.\nBeware: of it.",
        "Which regions?\n\nRead it as: so.\nBeware: of it.",
        "Which regions?\n\nHow.\nRead it as:\nBeware: of it.",
    ],
)
def test_a_docstring_that_leaves_the_screen_without_words_is_refused(registered, doc):
    def method(trace: Trace) -> Heatmap: ...

    with pytest.raises(TypeError, match="the docstring is a question"):
        declare(method, doc)


def test_another_file_name_and_a_paper_without_address_are_refused(registered):
    def method(trace: Trace) -> Heatmap: ...

    with pytest.raises(TypeError, match="bear one name"):
        declare(method, file="other")
    with pytest.raises(TypeError, match="https"):
        declare(method, paper="http://example.org")


# A method that gives nothing -----------------------------------------------------------------------------------------


def test_answers_that_are_no_numbers_or_none_at_all_are_told_in_words(registered):
    from collections.abc import Iterator

    def method(trace: Trace, *, gives: Choice = "a") -> Iterator[Heatmap]:
        if gives == "b":
            yield Heatmap(torch.full((2, 2), torch.nan), unit="none")

    method.__annotations__["return"] = Iterator[Heatmap]
    declare(method, title="Nothing")
    with pytest.raises(ex.engine.SightglassError, match="Nothing ended without an answer"):
        ex.explain(trace(), "method")
    with pytest.raises(ex.engine.SightglassError, match="not finite"):
        ex.explain(trace(), "method", gives="b")


# What a network lacks ------------------------------------------------------------------------------------------------


def test_each_method_says_whether_it_suits_a_network():
    flat = ex.wrap(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).eval(), framing=Framing(size=(8, 8)), name="flat"
    )
    fits = {fit.method.id: fit for fit in ex.methods(flat)}
    assert fits["gradient"].applies
    assert repr(fits["gradient"]) == "gradient: applies"
    assert not fits["grad_cam"].applies
    assert fits["grad_cam"].why_not.startswith("flat keeps no maps over a grid")
    with pytest.raises(DoesNotApply, match="Try gradient"):
        ex.explain(ex.look(flat, np.zeros((8, 8, 3), np.uint8)), "grad_cam")


def test_a_depth_may_be_a_module_path_from_python_but_not_from_a_form():
    one = trace()
    assert np.array_equal(ex.explain(one, "grad_cam", depth="1").native, ex.explain(one, "grad_cam").native)
    before = ex.explain(one, "grad_cam", depth="0", signed=True)
    assert before.options == {"depth": "0", "signed": True, "counterfactual": False}
    with pytest.raises(QuestionError, match="no maps over a grid at depth “attic”"):
        ex.explain(one, "grad_cam", depth="attic")
    with pytest.raises(QuestionError, match="one of early, middle, late or last"):
        registry.find("grad_cam").check({"depth": "0"}, named_depths_only=True)
