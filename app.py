"""Builds the demo and launches it; the one place where device and networks are chosen."""

import contextlib
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
with contextlib.suppress(ImportError):  # a Space that lends GPUs wants this before torch
    import spaces  # noqa: F401

from explainers.ui import build, launch_options

DEVICE = os.environ.get("DEVICE") or None  # the best there is
MODELS = [name.strip() for name in os.environ.get("MODELS", "").split(",") if name.strip()]
PORT = int(os.environ["PORT"]) if os.environ.get("PORT") else None  # the next free one from 7860

demo = build(MODELS, DEVICE, warm=__name__ == "__main__")

if __name__ == "__main__":
    demo.launch(server_port=PORT, **launch_options())
