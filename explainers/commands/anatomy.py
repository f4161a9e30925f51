"""Why maps are read where they are: every candidate of a network, what was chosen, and why the others were not."""

from __future__ import annotations

from collections.abc import Iterator

from ..network.anatomy import Anatomy, Candidate
from ..network.classifier import Classifier
from ..network.layouts import Layout


def lines(model: Classifier) -> Iterator[str]:
    """The report, line by line; it takes no pass, since all of it was kept when the network was opened."""
    anatomy = model.anatomy
    height, width = model.framing.size
    yield f"{model.name}: {model.parameters / 1e6:.3g} M parameters, {height} × {width} pixels"
    yield ""
    yield from _chosen(anatomy)
    yield ""
    yield "Outputs of a pass, in order; ✓ is read:"
    width_of = max((len(_where(each)) for each in anatomy.candidates), default=0)
    for each in anatomy.candidates:
        yield _line(each, min(width_of, 60))
    if anatomy.lost:
        yield ""
        yield "Functions behind which places are not known any more:"
        yield from (f"  {name}: {why}" for name, why in anatomy.lost)


# --- private ---------------------------------------------------------------------------------------------------------


def _chosen(anatomy: Anatomy) -> Iterator[str]:
    for depth, site in anatomy.sites.items():
        yield f"{depth:7} {site}: {site.channels} channels over {site.grid[0]} × {site.grid[1]} cells"
    if not anatomy.sites:
        yield f"No maps. {anatomy.without_maps}"
    if anatomy.partial:
        yield anatomy.partial
    if anatomy.agreement is None:
        yield "Agreement of the last maps with the pixels that move them: not measured."
    else:
        yield f"Agreement of the last maps with the pixels that move them: {anatomy.agreement:.2f} of 1."
    yield "Linear head over pooled maps: " + (f"no, {anatomy.without_head}" if anatomy.head is None else "yes")
    count = len(anatomy.attention)
    yield "Attention: " + (f"{count} layers" if count else f"none; it {anatomy.without_attention}")


def _where(each: Candidate) -> str:
    return f"{each.point} ({each.module})"


def _line(each: Candidate, column: int) -> str:
    mark = "✓" if each.depths else " "
    shape = " × ".join(map(str, each.shape)) or "–"
    told = [*([_laid(each.layout)] if each.layout else []), *([", ".join(each.depths)] if each.depths else [])]
    told += [each.why_not] if each.why_not else []
    told += [f"agreement {each.agreement:.2f}"] if each.agreement is not None else []
    return f"{mark} {_where(each):{column}}  {shape:20} {'; '.join(told)}"


def _laid(layout: Layout) -> str:
    beside = f" and {layout.extra} beside" if layout.extra else ""
    return f"{layout.form} over {layout.grid[0]} × {layout.grid[1]}{beside}"
