"""Who may know whom: imports point downward, and importing the package loads neither the app nor a model."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "explainers"

LEVELS = [
    {"errors", "shapes", "earlier"},
    {"pictures", "results", "worlds"},
    {"network", "baselines"},
    {"trace"},
    {"scores", "ingredients", "galleries"},
    {"registry", "imagining", "showing"},
    {"augmenting", "explanation"},
    {"methods"},
    {"engine"},
    {"__init__"},
    {"ui", "commands"},
    {"__main__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
INSIDE_A_LEVEL = {("commands", "ui")}
"""The command line starts the app."""


def files():
    return sorted(PACKAGE.rglob("*.py"))


def unit(path):
    """The part of the package that a file belongs to: a file at the top, or a folder."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """The dotted name of everything that a file imports, inside functions too."""
    here = ("explainers", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            source = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def parts_of_ours(path):
    """The parts of the package that a file imports; `__init__` is the public surface."""
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "explainers":
            part = rest.split(".")[0]
            yield part if part in LEVEL else "__init__"


def test_every_part_has_its_level():
    assert {unit(path) for path in files()} <= set(LEVEL)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    own = unit(path)
    for other in parts_of_ours(path):
        same_folder = other == own and path.parent != PACKAGE
        assert same_folder or LEVEL[other] < LEVEL[own] or (own, other) in INSIDE_A_LEVEL, f"{own} imports {other}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "methods").glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_a_method_knows_no_picture_library_and_no_other_method(path):
    for name in imported(path):
        assert name.partition(".")[0] not in {"PIL", "matplotlib", "gradio", "cv2", "torchvision", "timm"}
        assert not name.startswith("explainers.methods.")
    assert set(parts_of_ours(path)) <= {name for names in LEVELS[: LEVEL["methods"]] for name in names}


def test_only_the_screen_knows_gradio():
    for path in files():
        if unit(path) != "ui":
            assert not any(name.partition(".")[0] == "gradio" for name in imported(path)), path.name


def test_the_scan_sees_imports():
    assert "explainers.registry.Need" in set(imported(PACKAGE / "methods" / "cam.py"))
    assert {"trace", "network", "registry", "results"} <= set(parts_of_ours(PACKAGE / "methods" / "cam.py"))
    assert "network" in set(parts_of_ours(PACKAGE / "engine.py"))


def test_importing_the_package_is_light():
    report = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sys, explainers; print(*sorted(sys.modules))"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(report.stdout.split())
    assert "explainers.engine" in loaded
    assert not loaded & {"gradio", "transformers", "timm", "torchvision", "matplotlib", "sklearn", "huggingface_hub"}
    assert not {name for name in loaded if name.startswith(("explainers.ui", "explainers.worlds.pond.train"))}


def test_the_public_surface_is_what_it_is():
    import explainers as ex

    verbs = {"load", "wrap", "look", "explain", "compare", "judge", "methods", "models"}
    values = {"Classifier", "Trace", "Prediction", "Explanation", "Scorecard", "Method"}
    assert set(ex.__all__) == verbs | values
    assert all(callable(getattr(ex, verb)) for verb in verbs)
