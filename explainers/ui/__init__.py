"""The page and the endpoints: the only place that imports gradio, built from the registry."""

from .page import build, launch_options

__all__ = ["build", "launch_options"]
