"""What a method may return: frozen values, NumPy on the CPU; each kind in a file of its own."""

from .bars import Bars
from .curves import Curve, Curves, Mark
from .heat import Heatmap, Step, Sum
from .neighbors import Neighbor, Neighbors
from .result import Result
from .scatter import Scatter
from .tiles import Tile, Tiles

__all__ = [
    "Bars",
    "Curve",
    "Curves",
    "Heatmap",
    "Mark",
    "Neighbor",
    "Neighbors",
    "Result",
    "Scatter",
    "Step",
    "Sum",
    "Tile",
    "Tiles",
]
