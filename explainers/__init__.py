"""Why an image classifier decided what it decided: any network, one forward pass, nothing written on the model."""

from . import earlier as _earlier  # noqa: F401 - makes earlier paths known
from . import methods as _package  # noqa: F401 - bound first, so that the verb `methods` below has the name
from .engine import compare, explain, judge, look, methods, models
from .explanation import Explanation
from .network.classifier import Classifier, load, wrap
from .network.heads import Prediction
from .registry import Method
from .scores import Scorecard
from .trace import Trace
from .version import release as _release

__version__ = _release()

__all__ = [
    "Classifier",
    "Explanation",
    "Method",
    "Prediction",
    "Scorecard",
    "Trace",
    "compare",
    "explain",
    "judge",
    "load",
    "look",
    "methods",
    "models",
    "wrap",
]
