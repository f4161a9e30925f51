"""What the README says is true: its table, and its code."""

import re
from pathlib import Path

from explainers.commands import docs

ROOT = Path(__file__).parents[1]


def test_the_tables_are_what_registry_and_imports_say():
    assert docs.main(["--check"]) == 0


def test_the_check_fails_on_a_stale_table(tmp_path, monkeypatch, capsys):
    stale = tmp_path / "README.md"
    stale.write_text(f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n")
    monkeypatch.setattr(docs, "README", stale)
    other = tmp_path / "ARCHITECTURE.md"
    plan = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    other.write_text(plan.replace("| 0 | `shapes` |", "| 7 | `shapes` |"), "utf-8")
    monkeypatch.setattr(docs, "ARCHITECTURE", other)
    assert docs.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "README.md: " in said
    assert "ARCHITECTURE.md: " in said
    assert said.count("make format") == 2
    assert docs.main([]) == 0
    assert stale.read_text() == f"before\n{docs.BEGIN}\n{docs.table()}\n{docs.END}\nafter\n"
    assert other.read_text("utf-8") == plan
    assert docs.main(["--check"]) == 0


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        if "ex.load" in block
    )
    monkeypatch.chdir(ROOT)
    out = tmp_path / "why.png"
    exec(compile(code.replace('"why.png"', repr(str(out))), "README.md", "exec"), {})
    assert out.stat().st_size > 1000
