"""Builds the demo and launches it; the one place where device and networks are chosen."""

import contextlib
import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
with contextlib.suppress(ImportError):  # a Space that lends GPUs wants this before torch
    import spaces  # noqa: F401

from explainers.galleries.gallery import Gallery, offer
from explainers.ui import build, launch_options

DEVICE = os.environ.get("DEVICE") or None  # the best there is
MODELS = [name.strip() for name in os.environ.get("MODELS", "").split(",") if name.strip()]
GALLERIES = [name.strip() for name in os.environ.get("GALLERIES", "").split(",") if name.strip()]  # folders
PORT = int(os.environ["PORT"]) if os.environ.get("PORT") else None  # the next free one from 7860

WELCOME = "chelsea.jpg"  # between two classes, so that it raises a question
PHOTOGRAPHS = sorted(Path(__file__).with_name("examples").glob("*.jpg"), key=lambda file: (file.name != WELCOME, file))

for folder in GALLERIES:
    offer(Gallery.open(folder))
demo = build(MODELS, DEVICE, photographs=PHOTOGRAPHS, warm=__name__ == "__main__")

if __name__ == "__main__":
    demo.launch(server_port=PORT, **launch_options())
