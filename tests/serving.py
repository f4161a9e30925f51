"""A running server for the tests that need one."""

import gc
import shutil
from contextlib import contextmanager

import pytest

from explainers.ui import build, launch_options

# Gradio leaves event loops and sockets to the garbage collector, which says so whenever it comes by.
QUIET = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),  # gradio's own use of pandas, twice
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_BROWSER = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on this machine")]


@contextmanager
def served(**choices):
    """The address of the app, built and launched as app.py does it, and closed afterwards."""
    demo = build(**choices)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        yield url
    finally:
        demo.close()
        del demo
        gc.collect()
