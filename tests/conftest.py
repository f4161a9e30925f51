"""How the suite runs: torch on one thread, and a line in the end for each reason that tests were skipped for.

With SHAPES=1, every function of the package checks the types and shapes of what it takes and gives.
"""

import os
from collections import Counter

import torch

# On few cores torch's own threads wait for each other more than they work.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

if os.environ.get("SHAPES"):
    from jaxtyping import install_import_hook

    install_import_hook("explainers", "checking.typed")  # before anything of the package is imported


def pytest_terminal_summary(terminalreporter):
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")
