"""What the structure of a network tells, read once from recorded passes; never from a table of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..shapes import Maps
from .agreement import AGREES, DISAGREES, agreements
from .layouts import FEWEST_CELLS, Layout, in_order, lying
from .rules.attended import Attending, AttentionLayer, Grid, Seen, layer_of
from .rules.guided import rectifies
from .rules.opened import opened
from .rules.places import FUSED, SOFTMAX, Places
from .sites import Part, Site
from .taps import Call, Point, first_tensor, run, watch

DepthName = Literal["early", "middle", "late", "last"]
DEPTHS: tuple[DepthName, ...] = ("early", "middle", "late", "last")

MOST_PREFIX_TOKENS = 64
"""Class, distillation and register tokens before the patches; real networks have up to 16 or so."""

NO_ATTENTION = "has no attention of one patch to another"

FEW_PREFIX_TOKENS = 8
"""Up to here, as many channels as cells is the likelier accident than as many channels as cells and prefix tokens."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """The scores are linear in the plain average of the last maps: logits = weight @ mean(maps) + bias."""

    weight: Tensor
    """(classes, channels)"""
    bias: Tensor
    """(classes,)"""
    site: Site


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """The network puts out one map for each class, and the scores are their plain averages."""

    site: Site


@dataclass(frozen=True)
class Candidate:
    """An output that might be maps over a grid, and what became of it."""

    point: Point
    module: str
    """The kind of module that put it out."""
    shape: tuple[int, ...]
    layout: Layout | None
    depths: tuple[DepthName, ...]
    """At which it is read; then `why_not` is empty, unless it stands in for a later one."""
    why_not: str
    agreement: float | None
    """How far its places agree with the pixels that move them; None where that was not measured."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Where the maps are, what the head reads, and whether there is attention, for one network at one input size."""

    sites: dict[DepthName, Site]
    """Depth to site; empty where no maps over a grid were found, and then `without_maps` says why."""
    trunk: tuple[Site, ...]
    """Every site that all of the picture's influence passes through, in order."""
    head: LinearHead | ClassMaps | None
    without_maps: str = ""
    without_head: str = ""
    rectifiers: int = 0
    """How often a pass rectifies: calls of ReLU by whatever name."""
    attention: tuple[AttentionLayer, ...] = ()
    """Each attention of tokens to tokens with places on the picture, in the order of the calls."""
    blocks: tuple[Site, ...] = ()
    """Where the tokens are put out that each attention has changed: after its block. Empty where that is not so."""
    pooled: tuple[int, ...] = ()
    """Which of the last attention's tokens without a place the scores read: the class token; none for the patches."""
    without_attention: str = ""
    """Why there is no attention, as the end of a sentence."""
    embedding: Point | None = None
    """The module whose input is the pooled embedding: the last one with weights before the scores."""
    loose: dict[str, Site] = field(default_factory=dict)
    """Every other point with maps, for module paths given from Python."""
    partial: str = ""
    """Which part of the network the last maps show, and how much of the score that is; empty where it is all."""
    agreement: float | None = None
    """How far the places of the last maps agree with the pixels that move them; None where there are none to hold."""
    candidates: tuple[Candidate, ...] = ()
    """Every output of a pass, in order, with what speaks for or against reading maps there."""
    lost: tuple[tuple[str, str], ...] = ()
    """Functions behind which the places of numbers are not known any more, with the reason."""

    @property
    def one_grid(self) -> bool:
        """Whether all attention goes over one grid, with no windows, so that tokens can be followed through layers."""
        grids = {grid for layer in self.attention for grid in (layer.grid, layer.key_grid) if grid}
        return len(grids) == 1 and all(layer.windows == 1 for layer in self.attention)

    def site(self, depth: str) -> Site:
        """The site at a named depth or, from Python, at a module path. Raises `LookupError` with a sentence."""
        if depth in self.sites:
            return self.sites[depth]
        if not self.sites:
            raise LookupError(self.without_maps)
        if depth in self.loose:
            return self.loose[depth]
        raise LookupError(
            f"There are no maps over a grid at depth “{depth}”; try {', '.join(DEPTHS)} or a module path."
        )


def read(module: nn.Module, inputs: Tensor, objective: Callable[[Tensor], Tensor]) -> Anatomy:
    """The anatomy of `module`, from passes on `inputs` (1, 3, H, W) as the module itself takes them.

    `objective` turns the output (1, C) into one number; it must depend on all that the network computes.
    Nothing is written on the module. Raises what the module raises.
    """
    with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
        return _read(module, inputs.detach().clone().requires_grad_(), objective)


# --- private: the order of reading -----------------------------------------------------------------------------------


def _read(module: nn.Module, inputs: Tensor, objective: Callable[[Tensor], Tensor]) -> Anatomy:
    calls: list[Call] = []
    seen = _Functions(calls)
    with seen, Places(inputs) as places:
        output, _ = watch(module, inputs, calls)
    if not isinstance(output, Tensor):
        raise LookupError(f"the forward pass returned {type(output).__name__} rather than a tensor")
    head_call = _head_call(calls, output)
    attention, pooled, without_attention = _attention(module, inputs.detach(), seen, places, objective)
    notes = _Notes(calls)
    found = _found(module, inputs.detach(), calls, places, seen.attention, notes)
    lost, every = tuple(sorted(places.lost.items())), list(found)
    del places
    rest: dict[str, Any] = {
        "rectifiers": seen.rectifiers,
        "attention": attention,
        "pooled": pooled,
        "without_attention": without_attention,
        "embedding": head_call.point if head_call else None,
        "lost": lost,
    }
    why, mixed = (
        "It keeps no maps over a grid that the score depends on, so there is nothing to lay over the picture.",
        "",
    )
    agreement, mixed, slopes = None, "", _slopes(output, found, objective)
    pick = partial(_picked, module, inputs, output, slopes=slopes, calls=len(calls), objective=objective)
    while (picked := pick(found=found, trunk_only=bool(mixed))) is not None:
        sites = _by_depth(picked)
        distinct = list(dict.fromkeys(sites.values()))
        agree = dict(zip(distinct, agreements(module, inputs.detach(), distinct), strict=True))
        agreement = agree[picked.site]
        notes.measured((f, agree[f.site]) for f in found if f.site in agree)
        if _agrees(agreement):
            good = [depth for depth in DEPTHS if _agrees(agree[sites[depth]])]
            sites = {d: sites[next(g for g in good if DEPTHS.index(g) >= DEPTHS.index(d))] for d in DEPTHS}
            head, without_head = _head(calls, picked, head_call)
            blocks_of = [f for f in picked.through if f.layout.form == "tokens"]
            return Anatomy(
                sites=sites,
                trunk=picked.trunk_sites,
                head=head,
                without_head=without_head,
                blocks=_blocks(attention, seen.softmax, blocks_of),
                loose={str(f.site): f.site for f in found},
                partial=mixed or picked.partial,
                agreement=agreement,
                candidates=notes.candidates(every, picked, sites),
                **rest,
            )
        why = (
            f"Its maps at {picked.site} do not lie where their cells should: changing a part of the picture moves "
            "other cells than those over it, so there is nothing to lay over it."
        )
        mixed = mixed or (
            f"Maps are read before {picked.site}, where a cell no longer tells of the pixels under it: changing a part "
            "of the picture moves other cells as much."
        )
        tried = agreements(module, inputs.detach(), [f.site for f in picked.through])
        notes.measured(zip(picked.through, tried, strict=True))
        wrong = {f.node for f, a in zip(picked.through, tried, strict=True) if not _agrees(a)}
        wrong |= {f.node for f in found if f.site.point in picked.site.points}
        notes.ruled_out(f for f in found if f.node in wrong)
        found = [f for f in found if f.node not in wrong]
    rest["candidates"] = notes.candidates(every, None, {})
    return Anatomy(sites={}, trunk=(), head=None, without_maps=why, without_head=why, agreement=agreement, **rest)


def _agrees(agreement: float | None) -> bool:
    return agreement is None or agreement >= DISAGREES


# --- private: which outputs are maps ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Found:
    order: int
    site: Site
    module: nn.Module
    tensor: Tensor
    node: Any
    size: Grid

    @property
    def layout(self) -> Layout:
        return self.site.layout

    @property
    def maps(self) -> Maps:
        return self.layout.cells(self.tensor.detach())[0]


class _Notes:
    """What speaks against each output, as it is read; by the number of its call."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._why: dict[int, str] = {}
        self._agreement: dict[int, float | None] = {}

    def against(self, order: int, why: str) -> None:
        self._why[order] = why

    def measured(self, tried: Iterable[tuple[_Found, float | None]]) -> None:
        self._agreement |= {f.order: agreement for f, agreement in tried}

    def ruled_out(self, found: Iterable[_Found]) -> None:
        for f in found:
            self._why[f.order] = "changing a part of the picture moves other cells than those over it"

    def candidates(
        self, found: list[_Found], picked: _Picked | None, sites: dict[DepthName, Site]
    ) -> tuple[Candidate, ...]:
        """All of them, with the depths that are read there, or why they are not."""
        known = {f.order: f for f in found}
        told = []
        for order, call in enumerate(self._calls):
            tensor, f = first_tensor(call.output), known.get(order)
            depths = tuple(d for d, site in sites.items() if f and call.point in site.points)
            why = "" if depths else self._why.get(order) or (_passed_over(f, picked) if f else "")
            told.append(
                Candidate(
                    call.point,
                    type(call.module).__name__,
                    () if tensor is None else tuple(tensor.shape),
                    f.layout if f else None,
                    depths,
                    why,
                    self._agreement.get(order),
                )
            )
        return tuple(told)


def _passed_over(f: _Found, picked: _Picked | None) -> str:
    """Why maps that lie where they should are read at no depth."""
    if picked is None:
        return "no slope of the scores reaches its cells"
    same = next((g for g in picked.through if g.node is f.node and g is not f), None)
    if same is not None:
        return f"the same tensor as that of {same.site}"
    if f not in picked.through:
        return "not everything that the scores depend on flows through it"
    if f.order > picked.last.order:
        return "the scores depend on none of its cells"
    return "the depths are read elsewhere on the same way"


def _found(
    module: nn.Module,
    inputs: Tensor,
    calls: list[Call],
    places: Places,
    attention: list[tuple[int, int, int]],
    notes: _Notes,
) -> list[_Found]:
    """Every output that is maps over a grid: by where its numbers came from, or by its shape where that is not known.

    What only has the shape is tried: its cells have to be moved by the pixels that they would lie over.
    """
    found: list[_Found] = []
    guessed: list[_Found] = []
    grids: list[Grid] = []
    squares, size = set(attention), (inputs.shape[-2], inputs.shape[-1])
    for order, call in enumerate(calls):
        tensor = first_tensor(call.output)
        if tensor is None or tensor.grad_fn is None or tensor.ndim not in (3, 4) or tensor.shape[0] != 1:
            notes.against(order, _no_maps(tensor))
            continue
        if tuple(tensor.shape[1:]) in squares:
            notes.against(order, "an attention matrix, which is square too")
            continue
        at = places.at(tensor)
        layout = _layout(tensor, size, grids, call.module) if at is None else lying(at, size)
        if layout is not None:
            if layout.grid not in grids[-1:]:
                grids.append(layout.grid)
            site = Site.of(Part(call.point, layout), size=size)
            found.append(_Found(order, site, call.module, tensor, _origin(tensor.grad_fn), size))
            guessed += found[-1:] if at is None else []
        else:
            notes.against(order, _NO_GRID if at is None else _NO_PLACES)
    tried = agreements(module, inputs, [f.site for f in guessed], AGREES)
    notes.measured(zip(guessed, tried, strict=True))
    wrong = {f.node for f, agreement in zip(guessed, tried, strict=True) if agreement is None or agreement < AGREES}
    for f in (f for f in found if f.node in wrong):
        notes.against(f.order, "its cells were guessed from its shape, and are not moved by the pixels under them")
    return [f for f in found if f.node not in wrong]


_NO_GRID = "its shape is no grid in the picture's proportion"
_NO_PLACES = "its numbers do not lie in rows and columns of the picture"


def _no_maps(tensor: Tensor | None) -> str:
    if tensor is None:
        return "it is no tensor"
    if tensor.grad_fn is None:
        return "it does not depend on the picture by a graph"
    return "its shape has no rows and columns" if tensor.ndim not in (3, 4) else "it holds several pictures"


def _origin(node: Any) -> Any:
    """The node whose output this is, past the copies that `watch` hands downstream."""
    while node.name() == "CloneBackward0":
        node = node.next_functions[0][0]
    return node


def _layout(tensor: Tensor, size: Grid, grids: list[Grid], module: nn.Module) -> Layout | None:
    if tensor.ndim == 4:
        _, a, b, c = tensor.shape
        first, last = _is_grid((b, c), size), _is_grid((a, b), size)
        if first and last:  # both would do: the grid seen before, or else the kind of arithmetic the module does
            seen = next((grid for grid in reversed(grids) if grid in ((a, b), (b, c))), None) if a != c else None
            last = seen == (a, b) if seen else _channels_last(module)
            first = not last
        if first:
            return Layout("NCHW", a, (b, c))
        return Layout("NHWC", c, (a, b)) if last else None
    _, a, b = tensor.shape
    split = _token_grid(a, size, grids) if b > 1 else None
    whole = next((grid for grid in reversed(grids) if grid[0] * grid[1] == b), None) if a > 1 else None
    if whole and (split is None or split[1] > FEW_PREFIX_TOKENS):
        return in_order("channels-first tokens", a, whole, 0)
    return in_order("tokens", b, *split) if split else None


def _is_grid(grid: Grid, size: Grid) -> bool:
    """Whether rows and columns stand in the picture's proportion, to within the rounding of strided layers."""
    (h, w), (height, width) = grid, size
    if h * w < FEWEST_CELLS or h > height or w > width:
        return False
    stride = (height / h + width / w) / 2
    return abs(h - height / stride) <= 1 and abs(w - width / stride) <= 1 and (height != width or h == w)


def _token_grid(tokens: int, size: Grid, grids: list[Grid]) -> tuple[Grid, int] | None:
    """Grid and number of prefix tokens of a sequence: the latest grid seen, or the fewest tokens over a full grid."""
    for grid in reversed(grids):
        prefix = tokens - grid[0] * grid[1]
        if 0 <= prefix <= min(MOST_PREFIX_TOKENS, grid[0] * grid[1] - 1):
            return grid, prefix
        if prefix > 0:
            break
    for prefix in (0, 1):  # more of them only beside a grid that was seen before they were added
        if found := _factor(tokens - prefix, size):
            return found, prefix
    return None


def _factor(cells: int, size: Grid) -> Grid | None:
    height, width = size
    rows = round((cells * height / width) ** 0.5)
    for h in (rows, rows - 1, rows + 1):
        if h > 0 and cells % h == 0 and _is_grid((h, cells // h), size):
            return h, cells // h
    return None


def _channels_last(module: nn.Module) -> bool:
    for child in reversed(list(module.modules())):
        if isinstance(child, nn.Linear | nn.LayerNorm):
            return True
        if isinstance(child, nn.Conv2d | nn.modules.batchnorm._BatchNorm):
            return False
    return False


# --- private: which maps carry everything ----------------------------------------------------------------------------


def _dominators(output: Tensor, inputs: Tensor) -> set[Any]:
    """The nodes of the graph that every path from the inputs to the output passes through.

    A node carries everything when, walking down from the output in topological order, it is the only node that has
    been reached and not yet been visited.
    """
    if output.grad_fn is None:
        return set()
    edges: dict[Any, list[Any]] = {}
    order: list[Any] = []
    stack: list[tuple[Any, bool]] = [(output.grad_fn, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in edges:
            edges[node] = [n for n, _ in node.next_functions if n is not None]
            stack.append((node, True))
            stack.extend((n, False) for n in edges[node] if n not in edges)
    alive: set[Any] = set()
    for node in order:  # from the inputs upward
        if getattr(node, "variable", None) is inputs or any(n in alive for n in edges[node]):
            alive.add(node)
    result: set[Any] = set()
    reached = {output.grad_fn}
    for node in reversed(order):
        if node not in alive:
            continue
        if reached == {node}:
            result.add(node)
        reached.discard(node)
        reached.update(n for n in edges[node] if n in alive)
    return result


def _outermost(found: Iterator[_Found]) -> list[_Found]:
    """One site for each tensor: of a module and the containers that pass its output on, the outermost."""
    best: dict[Any, _Found] = {}
    for f in found:
        old = best.get(f.node)
        if old is None or f.site.point.path.count(".") <= old.site.point.path.count("."):
            best[f.node] = f
    return sorted(best.values(), key=lambda f: f.order)


def _slopes(output: Tensor, found: list[_Found], objective: Callable[[Tensor], Tensor]) -> dict[Any, Tensor]:
    """The slope of the objective at every output that it depends on, by node."""
    score, outer = objective(output), _outermost(iter(found))
    if not score.requires_grad or not outer:
        return {}
    slopes = torch.autograd.grad(score, [f.tensor for f in outer], retain_graph=True, allow_unused=True)
    return {f.node: slope for f, slope in zip(outer, slopes, strict=True) if slope is not None}


@dataclass(frozen=True, eq=False)
class _Picked:
    """Where the last maps are read, and what leads to them."""

    site: Site
    last: _Found
    """The last of its points, or, where it is read behind that, the point before."""
    trunk: list[_Found]
    """Through which everything flows, up to there; without the parts of several branches."""
    through: list[_Found]
    """The same to the end of the network."""
    class_maps: _Found | None = None
    partial: str = ""

    @property
    def trunk_sites(self) -> tuple[Site, ...]:
        sites = [f.site for f in self.trunk]
        return tuple(sites if len(self.site.parts) == 1 else [*sites, self.site])


def _picked(
    module: nn.Module,
    inputs: Tensor,
    output: Tensor,
    found: list[_Found],
    slopes: dict[Any, Tensor],
    calls: int,
    objective: Callable[[Tensor], Tensor],
    *,
    trunk_only: bool,
) -> _Picked | None:
    """The last maps: where all flows through one place, in the second half of the network; else in each branch.

    With `trunk_only`, one place in the first half is better than several branches.
    """
    dominators = _dominators(output, inputs)
    through = _outermost(f for f in found if f.node in dominators)
    trunk, class_maps = through, _class_maps(through, output)
    if class_maps is not None:
        # Grad-CAM and its kin read features; the class maps themselves are read by CAM.
        before = [f for f in trunk if f.order < class_maps.order and f.layout.channels != class_maps.layout.channels]
        trunk = before or trunk
    still = inputs.detach()
    last, read_from = _last(module, still, trunk, found, slopes, objective)
    early = last is not None and last.order < calls / 2 and read_from is last.site and not trunk_only
    if last is None or early:  # the picture goes on in branches that meet in no maps
        late = {f.node: f for f in _outermost(iter(found)) if f.order >= calls / 2}
        branches, share = _branches(module, inputs, output, found, late, slopes, objective)
        if branches and (last is None or branches[-1].order > last.order):
            site = Site.of(*(f.site.parts[0] for f in branches), size=branches[0].size)
            trunk = [f for f in trunk if f.order < branches[0].order]
            trunk += branches if len(branches) == 1 else []
            return _Picked(site, branches[-1], trunk, through, None, _told(site, share))
    if last is None:
        return None
    assert read_from is not None
    return _Picked(read_from, last, [f for f in trunk if f.order <= last.order], through, class_maps)


ALL = 0.99
"""Maps through which so much of the score's slope flows show all of it, as far as a picture can."""


def _told(site: Site, share: float) -> str:
    if share > ALL:
        return ""
    carried = f"which carries {100 * share:.0f} % of what moves the scores; the rest goes around it"
    return f"This shows the way through {site}, {carried}."


def _branches(
    module: nn.Module,
    inputs: Tensor,
    output: Tensor,
    found: list[_Found],
    late: dict[Any, _Found],
    slopes: dict[Any, Tensor],
    objective: Callable[[Tensor], Tensor],
) -> tuple[list[_Found], float]:
    """The last maps of each branch and call that the scores depend on, and which share of their slope flows through.

    From the scores down, each way is followed up to the first maps whose cells count; where some of these come from one
    place, in the second half of the network, it is read in their stead. The share is of the slope at the
    pixels: what is left of it along the whole slope when all these maps are held still, taken from one.
    """
    outer = [f for f in _outermost(iter(found)) if f.node in slopes]
    counting = {f.node: f for f in outer if f.layout.cells(slopes[f.node]).any()}
    ends: list[_Found] = []
    waiting, visited = [output.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if node in counting:
            ends.append(counting[node])
        else:
            waiting.extend(before for before, _ in node.next_functions)
    if not ends:
        return [], 0.0
    ends, inputs = _gathered(ends, [f for f in counting.values() if f.node in late], inputs), inputs.detach()
    leaves = run(module, inputs, start=[f.site.point for f in ends])
    direct = torch.autograd.grad(objective(leaves.output), [leaves.taps[f.site.point] for f in ends], allow_unused=True)
    ends = [f for f, s in zip(ends, direct, strict=True) if s is not None and f.layout.cells(s).any()]
    whole = _at_pixels(module, inputs, (), objective)
    around = _at_pixels(module, inputs, [f.site.point for f in ends], objective)
    if whole is None or not whole.any():
        return ends, 1.0
    rest = 0.0 if around is None else float((around * whole).sum() / whole.square().sum())
    return ends, min(1.0, max(0.0, 1 - rest))


def _gathered(ends: list[_Found], sources: list[_Found], pixels: Tensor) -> list[_Found]:
    """The ends, with one source in the place of all those that get everything from it; the latest such source."""
    left, taken = list(ends), list[_Found]()
    for source in sorted(sources, key=lambda f: -f.order):
        after = [f for f in left if f.order > source.order and f.node is not source.node]
        fed = [f for f in after if _fed_by(f.node, source.node, pixels)]
        if len(fed) > 1:
            left = [f for f in left if f not in fed and f is not source]
            taken.append(source)
    return sorted(left + taken, key=lambda f: f.order)


def _fed_by(node: Any, source: Any, pixels: Tensor) -> bool:
    """Whether every way from a node of the graph down to the pixels passes through another one."""
    waiting, visited, met = [node], set[Any](), False
    while waiting:
        each = waiting.pop()
        if each is source:
            met = True
        elif each not in visited:
            visited.add(each)
            if getattr(each, "variable", None) is pixels:
                return False
            waiting.extend(before for before, _ in each.next_functions if before is not None)
    return met


def _at_pixels(
    module: nn.Module, inputs: Tensor, cut: Sequence[Point], objective: Callable[[Tensor], Tensor]
) -> Tensor | None:
    """The slope of the objective at the pixels, with nothing flowing through some points."""
    leaf = inputs.clone().requires_grad_()
    score = objective(run(module, leaf, cut=cut).output)
    return torch.autograd.grad(score, leaf, allow_unused=True)[0] if score.requires_grad else None


def _last(
    module: nn.Module,
    inputs: Tensor,
    trunk: list[_Found],
    found: list[_Found],
    slopes: dict[Any, Tensor],
    objective: Callable[[Tensor], Tensor],
) -> tuple[_Found | None, Site | None]:
    """The last site whose cells the score depends on, and where best to read it.

    Where a class token is read after the last block, the patches of that block's output have no slope at all, so the
    last site is the block's input; and there the normalized tokens are read if all that the patches have to say passes
    through them.
    """
    for position in range(len(trunk) - 1, -1, -1):
        f = trunk[position]
        raw = slopes.get(f.node)
        if raw is None:
            continue
        if not raw.any():  # a head of zeros: no site can be told from another by its slopes
            return trunk[-1], trunk[-1].site
        if not f.layout.cells(raw).any():  # only tokens beside the patches are read from here on
            continue
        if position == len(trunk) - 1:
            return f, f.site
        return f, _normalized(module, inputs, f, found, objective) or f.site
    return None, None


def _normalized(
    module: nn.Module, inputs: Tensor, f: _Found, found: list[_Found], objective: Callable[[Tensor], Tensor]
) -> Site | None:
    for g in found:
        if g.order > f.order and g.layout == f.layout and g.node is not f.node:
            around = _slope(module, inputs, f.site, objective, cut=g.site.point)
            through = _slope(module, inputs, g.site, objective)
            if around is None or through is None or f.layout.cells(around).any() or not g.layout.cells(through).any():
                return None
            return g.site
    return None


def _slope(
    module: nn.Module, inputs: Tensor, site: Site, objective: Callable[[Tensor], Tensor], cut: Point | None = None
) -> Tensor | None:
    """The slope of the objective at a site, shaped as the module's output; None where no gradient arrives."""
    done = run(module, inputs, taps=(site.point,), start=site.point, cut=(cut,) if cut else ())
    score = objective(done.output)
    if not score.requires_grad:
        return None
    (slope,) = torch.autograd.grad(score, done.taps[site.point], allow_unused=True)
    return slope


def _by_depth(picked: _Picked) -> dict[DepthName, Site]:
    """Named depths: the last site of each of the last grids; where they are fewer, with points halfway between."""
    trunk, stages = picked.trunk, list[_Found]()
    for f, after in zip(trunk, [*trunk[1:], None][: len(trunk)], strict=True):
        if after is None or after.layout.grid != f.layout.grid:
            stages.append(f)
    alike = {stage: [f for f in trunk if f.layout == stage.layout] for stage in stages}
    halfway = {stage: points[(len(points) - 1) // 2] for stage, points in alike.items()}
    match stages[-len(DEPTHS) :]:
        case []:  # branches from the pixels on
            return dict.fromkeys(DEPTHS, picked.site)
        case [only]:
            n = len(alike[only])
            chosen = [alike[only][max(0, round(n * share) - 1)] for share in (0.25, 0.5, 0.75, 1.0)]
        case [first, second]:
            chosen = [halfway[first], first, halfway[second], second]
        case [first, second, third]:
            chosen = [first, second, halfway[third], third]
        case four:
            chosen = four
    return {name: f.site for name, f in zip(DEPTHS, chosen, strict=True)} | {"last": picked.site}


# --- private: attention ----------------------------------------------------------------------------------------------


def _attention(
    module: nn.Module, inputs: Tensor, seen: _Functions, places: Places, objective: Callable[[Tensor], Tensor]
) -> tuple[tuple[AttentionLayer, ...], tuple[int, ...], str]:
    """The attentions and how they lie over the picture; which tokens without a place the scores read; or why not."""
    if not seen.attention and not seen.products:
        return (), (), NO_ATTENTION
    layers = tuple(layer for found in places.found if (layer := layer_of(found)))
    if layers:
        return layers, _pooled(module, inputs, layers[-1], objective), ""
    if places.without:
        return (), (), "mixes its tokens without a matrix of tokens (linear attention, or between channels)"
    return (), (), NO_ATTENTION


def _blocks(layers: tuple[AttentionLayer, ...], softmax: list[int], trunk: list[_Found]) -> tuple[Site, ...]:
    """The first tokens after each attention through which everything flows; none where two layers share them."""
    found: list[_Found] = []
    for layer in layers:
        after = next((f for f in trunk if f.order >= softmax[layer.call]), None)
        if after is None or after in found or after.layout.grid != layer.grid:
            return ()
        found.append(after)
    return tuple(f.site for f in found)


def _pooled(
    module: nn.Module, inputs: Tensor, layer: AttentionLayer, objective: Callable[[Tensor], Tensor]
) -> tuple[int, ...]:
    if not layer.prefix:
        return ()
    caught: list[Seen] = []
    with Attending({0: layer}, lambda _, seen: caught.append(seen), graph=True):
        output = run(module, inputs, graph=False).output
    score, out = objective(output), caught[0].out
    assert out is not None
    slope = torch.autograd.grad(score, out, allow_unused=True)[0] if score.requires_grad else None
    if slope is None or not slope.any():  # a head of zeros
        return (0,)
    read = layer.arranged(slope)[0].abs().sum((0, 2)) > 0  # (queries,)
    nowhere = layer.queries[0] < 0
    return () if read[~nowhere].any() else tuple(read[nowhere].nonzero()[:, 0].tolist())


# --- private: the head -----------------------------------------------------------------------------------------------


def _same(a: Tensor, b: Tensor) -> bool:
    if a.numel() != b.numel():
        return False
    a, b = a.detach().flatten().float(), b.detach().flatten().float()
    return bool((a - b).abs().max() <= 1e-4 * b.abs().max().clamp(min=1e-12))


def _matrix(module: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Weight (out, in) and bias (out,) of a linear layer or a 1 × 1 convolution; None for anything else."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return None
    if isinstance(module, nn.Conv2d):
        if module.kernel_size != (1, 1) or module.groups != 1 or module.stride != (1, 1):
            return None
        weight = weight.flatten(1)
    elif not isinstance(module, nn.Linear):
        return None
    bias = module.bias if module.bias is not None else weight.new_zeros(weight.shape[0])
    return weight.detach(), bias.detach()


def _head_call(calls: list[Call], output: Tensor) -> Call | None:
    """The linear layer, fed with one vector, whose output is the scores."""
    for call in reversed(calls):
        matrix = _matrix(call.module)
        if matrix is None or not call.inputs or not isinstance(call.inputs[0], Tensor):
            continue
        weight, _ = matrix
        result = first_tensor(call.output)
        if result is not None and call.inputs[0].numel() == weight.shape[1] and _same(result, output):
            return call
    return None


def _class_maps(trunk: list[_Found], output: Tensor) -> _Found | None:
    for f in reversed(trunk):
        if f.layout.channels == output.numel() and f.site.plain and _same(f.maps.mean((1, 2)), output):
            return f
    return None


def _head(calls: list[Call], picked: _Picked, head: Call | None) -> tuple[LinearHead | ClassMaps | None, str]:
    if picked.class_maps is not None:
        return ClassMaps(picked.class_maps.site), ""
    if len(picked.site.parts) > 1:
        return None, f"its scores come from several branches or calls ({picked.site})"
    last = picked.last
    between = _between(calls, last, head)
    if head is None:
        return None, f"its scores do not come from one linear layer ({between})"
    matrix = _matrix(head.module)
    assert matrix is not None
    weight, bias = matrix
    if not last.site.plain or not _same(last.maps.mean((1, 2)), head.inputs[0]):
        return None, f"its head does not read the plain average of the last maps ({between})"
    return LinearHead(weight, bias, last.site), ""


def _between(calls: list[Call], last: _Found, head: Call | None) -> str:
    names: list[str] = []
    for call in calls[last.order + 1 :]:
        if call is head:
            break
        name = type(call.module).__name__
        if not any(call.module.children()) and not isinstance(call.module, nn.Identity | nn.Dropout):
            names += [name] if name not in names else []
    return "between them stand " + ", ".join(names[:5]) if names else "functions without a module stand between them"


class _Functions(TorchFunctionMode):
    """Counts by function: rectifiers, products of tensors, and softmax over a matrix, of tokens or of what else."""

    def __init__(self, modules: list[Call] | None = None) -> None:
        super().__init__()
        self._modules = [] if modules is None else modules
        self.softmax: list[int] = []
        """How many modules had run at each softmax or fused call."""
        self.rectifiers = 0
        self.attention: list[tuple[int, int, int]] = []
        self.products = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.multi_head_attention_forward and (body := opened(func)):
            self.products += 1
            with self:
                return body(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        if func is FUSED or func in SOFTMAX:
            self.softmax.append(len(self._modules))
        if func is FUSED:
            q, k = args[0], args[1]
            self.attention.append((q.shape[-3] if q.ndim > 3 else 1, q.shape[-2], k.shape[-2]))
        elif func in SOFTMAX and isinstance(result, Tensor) and result.ndim >= 3 and min(result.shape[-2:]) > 1:
            self.attention.append((result.shape[-3], result.shape[-2], result.shape[-1]))
        elif getattr(func, "__name__", "") in _PRODUCTS:
            self.products += 1
        elif rectifies(func, args, kwargs or {}):
            self.rectifiers += 1
        return result


_PRODUCTS = ("matmul", "bmm", "__matmul__", "einsum")
"""Where attention may be, however it is written."""
