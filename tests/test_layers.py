"""Who may know whom: imports point downward, and importing the package loads neither the app nor a model."""

import subprocess
import sys

import pytest

from explainers.commands import rooms
from explainers.commands.rooms import LEVEL, LEVELS, PACKAGE, files, imported, rooms_of


def test_every_file_has_its_room():
    assert {rooms.room(path) for path in files()} == set(LEVEL)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    own = rooms.room(path)
    for other in rooms_of(path):
        same_folder = other == own and path.parent != PACKAGE
        assert same_folder or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_the_house_stays_small():
    """A bound on rooms and on arrows, so that it can be held in one head."""
    graph = rooms.arrows()
    assert len(graph) <= rooms.MOST_ROOMS
    assert sum(map(len, graph.values())) <= rooms.MOST_ARROWS


def test_there_is_no_circle_between_rooms_nor_between_files():
    assert rooms.circles(rooms.arrows()) == []
    assert rooms.circles(rooms.between_files()) == []


def test_circles_are_found():
    assert rooms.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert rooms.circles({"a": {"a"}, "b": set()}) == [["a"]]
    assert rooms.circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "methods").glob("[a-z]*.py")), ids=lambda p: p.stem)
def test_a_method_knows_no_picture_library_and_no_other_method(path):
    for name in imported(path):
        assert name.partition(".")[0] not in {"PIL", "matplotlib", "gradio", "cv2", "torchvision", "timm"}
        assert not name.startswith("explainers.methods.")
    assert set(rooms_of(path)) <= {name for names in LEVELS[: LEVEL["methods"]] for name in names}


def test_only_the_screen_knows_gradio():
    for path in files():
        if rooms.room(path) != "ui":
            assert not any(name.partition(".")[0] == "gradio" for name in imported(path)), path.name


def test_the_scan_sees_imports():
    assert "explainers.registry.Need" in set(imported(PACKAGE / "methods" / "cam.py"))
    assert {"trace", "network", "registry", "results"} <= set(rooms_of(PACKAGE / "methods" / "cam.py"))
    assert "network" in set(rooms_of(PACKAGE / "engine.py"))


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


def test_what_is_asked_of_a_protocol_can_be_asked_at_run_time():
    """Or SHAPES=1, which checks what every call takes and gives, cannot even import the package."""
    for path in files():
        text = path.read_text("utf-8")
        assert text.count("(Protocol):") == text.count("@runtime_checkable\nclass "), path
