"""What CONTRIBUTING, CITATION and the version say is true."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import explainers as ex
from explainers import registry, version
from explainers.worlds import pond

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_method_of_the_guide_works_once_it_is_dropped_in(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.S)
    name = re.search(r"Save it as `(\w+)\.py`", GUIDE)[1]
    (tmp_path / f"{name}.py").write_text(code, "utf-8")
    package = sys.modules["explainers.methods"]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    registry._discover.cache_clear()
    try:
        method = registry.find(name)
        assert len(code.split("def ", 1)[1].splitlines()) <= 20
        model = ex.load("pond:cnn")
        trace = ex.look(model, pond.render(pond.scene("test", 6)).pixels)
        answer = ex.explain(trace, method.id)
        slopes = trace.ask(trace.target).slopes("last")
        np.testing.assert_allclose(answer.native, slopes.norm(dim=0), rtol=1e-5)
        assert name in {fit.method.id for fit in ex.methods(model) if fit.applies}
    finally:
        registry._methods.pop(name, None)
        sys.modules.pop(f"explainers.methods.{name}", None)
        monkeypatch.undo()
        registry._discover.cache_clear()


def test_commands_of_the_guide_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make (\w+)`", GUIDE):
        assert re.search(rf"^{target}:", makefile, re.M), target
    plan = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for path in re.findall(r"`((?:network|tests|explainers|ui)/[\w/.]+)`", GUIDE + plan):
        assert (ROOT / path).exists() or (ROOT / "explainers" / path).exists(), path


def test_the_version_is_that_of_the_project():
    written = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert ex.__version__ == written


def test_an_installed_package_asks_for_its_metadata(tmp_path, monkeypatch):
    """Without a pyproject of its own beside it; of another project's, nothing is believed."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9.9"\n', "utf-8")
    for checkout in (tmp_path, tmp_path / "nowhere"):
        monkeypatch.setattr(metadata, "version", {"sightglass": "1.2.3"}.__getitem__)
        assert version.release(checkout) == "1.2.3"


def test_without_either_the_version_is_unknown(tmp_path, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert version.release(tmp_path) == "unknown"


def test_the_version_is_told_by_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "explainers", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"sightglass {ex.__version__}"


def test_the_citation_and_the_hooks_are_whole():
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "title", "message", "authors"} <= set(cited)
    assert cited["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["license"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for hook in hooks:  # what a commit is held to, `make check` holds the whole to
        command = re.sub(r" --force-exclude", "", hook["entry"].removeprefix(".venv/bin/"))
        assert f"$(BIN)/{command}" in makefile, command
