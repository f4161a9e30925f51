"""Types and shapes hold at every call: methods of each kind of result, with every function of the package checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

RUN = """
from jaxtyping import TypeCheckError, install_import_hook

install_import_hook("explainers", "checking.typed")

import numpy as np
import torch

import explainers as ex
from explainers import registry
from explainers.ingredients.attending import together

EACH = 2
try:
    together([torch.zeros(2, 3, 4)], [1.0])
except TypeCheckError:
    print("checked")

noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
traces = [ex.look(ex.load(name), noise) for name in ("pond:cnn", "pond:vit")]
quick = sorted(registry.all_methods(), key=lambda method: sum(method.passes))
for kind in sorted({method.gives.kind for method in quick}):
    for method in [each for each in quick if each.gives.kind == kind][:EACH]:
        trace = next(each for each in traces if not method.why_not(each.classifier))
        second = {"second": noise[::-1].copy()} if registry.Second in method.given else {}
        about = {} if method.class_specific is False else {"target": 1}
        answer = ex.explain(trace, method.id, **about, **second)
        answer.picture(), answer.payload()
        print(kind, method.id)
print(ex.judge(traces[0], ex.explain(traces[0], registry.usual(traces[0].classifier))).says)
"""


@pytest.mark.timeout(900)  # about a minute of one core, nearly all of it checks
def test_shapes_and_types_hold_at_every_call():
    paths = os.pathsep.join(map(str, (HERE, HERE.parent)))
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, *lines, _ = done.stdout.splitlines()
    assert first == "checked"  # a wrong shape is refused, so what follows was looked at
    assert {line.split()[0] for line in lines} >= {"heat", "tiles", "bars", "curves", "scatter", "neighbors"}
