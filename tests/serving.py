"""A running server for the tests that need one."""

import gc
import shutil
import socket
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


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@contextmanager
def served(**choices):
    """The address of the app, built and launched as app.py does it, and closed afterwards."""
    demo = build(**choices)
    # Not the first free one from gradio's own on, since two processes may find the same one free.
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_port=free_port(), **launch_options())
    try:
        yield url
    finally:
        demo.close()
        del demo
        gc.collect()
