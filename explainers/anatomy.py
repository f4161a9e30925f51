"""What the structure of a network tells, read once from recorded passes; never from a table of names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .rules.attended import Attending, AttentionLayer, Seen, layer_of
from .rules.guided import rectifies
from .rules.opened import opened
from .rules.places import FUSED, SOFTMAX, Places
from .shapes import Maps
from .taps import Call, Point, first_tensor, run, watch

DepthName = Literal["early", "middle", "late", "last"]
DEPTHS: tuple[DepthName, ...] = ("early", "middle", "late", "last")

FEWEST_CELLS = 4
"""A grid with fewer cells than this places nothing."""

MOST_PREFIX_TOKENS = 64
"""Class, distillation and register tokens before the patches; real networks have up to 16 or so."""


NO_ATTENTION = "has no attention of one patch to another"

FEW_PREFIX_TOKENS = 8
"""Up to here, as many channels as cells is the likelier accident than as many channels as cells and prefix tokens."""


@dataclass(frozen=True)
class Layout:
    """How a module's output holds channels over a grid: which axis is which, and how many tokens come before it."""

    form: Literal["NCHW", "NHWC", "tokens", "channels-first tokens"]
    channels: int
    grid: tuple[int, int]
    prefix: int = 0

    def maps(self, output: Tensor) -> Maps:
        """The output (1, …) of that module as maps (K, h, w); prefix tokens dropped."""
        match self.form:
            case "NCHW":
                return output[0]
            case "NHWC":
                return output[0].permute(2, 0, 1)
            case "tokens":
                return output[0, self.prefix :].T.reshape(-1, *self.grid)
            case _:
                return output[0, :, self.prefix :].reshape(-1, *self.grid)

    def put(self, output: Tensor, maps: Tensor) -> Tensor:
        """N outputs like `output` (1, …) with these maps (N, K, h, w) in them; prefix tokens as they were."""
        match self.form:
            case "NCHW":
                return maps
            case "NHWC":
                return maps.permute(0, 2, 3, 1)
            case "tokens":
                tokens, axis = maps.flatten(2).mT, 1
            case _:
                tokens, axis = maps.flatten(2), 2
        prefix = output.narrow(axis, 0, self.prefix)
        return torch.cat([prefix.expand(len(maps), *prefix.shape[1:]), tokens], axis)


@dataclass(frozen=True)
class Site:
    """A point whose output is maps over a grid, and how to read them."""

    point: Point
    layout: Layout


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
    loose: dict[str, Layout] = field(default_factory=dict)
    """Every other point with maps, for module paths given from Python."""

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
            path, _, call = depth.partition("#")
            return Site(Point(path, int(call or 0)), self.loose[depth])
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
    with seen:
        output, _ = watch(module, inputs, calls)
    if not isinstance(output, Tensor):
        raise LookupError(f"the forward pass returned {type(output).__name__} rather than a tensor")
    found = _sites(calls, (inputs.shape[-2], inputs.shape[-1]), seen.attention)
    dominators = _dominators(output, inputs)
    trunk = _outermost(call for call in found if call.node in dominators)
    head_call = _head_call(calls, output)
    class_maps = _class_maps(trunk, output)
    if class_maps is not None:
        # Grad-CAM and its kin read features; the class maps themselves are read by CAM.
        before = [f for f in trunk if f.order < class_maps.order and f.layout.channels != class_maps.layout.channels]
        trunk = before or trunk

    blocks_of = [f for f in trunk if f.layout.form == "tokens"]
    attention, pooled, without_attention = _attention(module, inputs.detach(), seen, objective)
    last, read_from = _last(module, inputs.detach(), trunk, found, objective)
    if last is None or last.order < len(calls) / 2:  # the picture goes on in branches that meet in no maps
        branch = _branch(module, inputs.detach(), found, objective)
        if branch is not None and (last is None or branch.order > last.order):
            last, read_from, trunk = branch, branch.site, [*trunk, branch]
    if last is None:
        why = "It keeps no maps over a grid that the score depends on, so there is nothing to lay over the picture."
        return Anatomy(
            sites={},
            trunk=(),
            head=None,
            without_maps=why,
            without_head=why,
            rectifiers=seen.rectifiers,
            attention=attention,
            pooled=pooled,
            without_attention=without_attention,
            embedding=head_call.point if head_call else None,
        )  # fmt: skip
    trunk = [f for f in trunk if f.order <= last.order]
    head, why = _head(calls, last, head_call, class_maps)
    return Anatomy(
        sites=_by_depth(trunk, read_from),
        trunk=tuple(f.site for f in trunk),
        head=head,
        without_head=why,
        rectifiers=seen.rectifiers,
        attention=attention,
        blocks=_blocks(attention, seen.softmax, blocks_of),
        pooled=pooled,
        without_attention=without_attention,
        embedding=head_call.point if head_call else None,
        loose={str(f.site.point): f.layout for f in found},
    )


# --- private: which outputs are maps ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Found:
    order: int
    site: Site
    module: nn.Module
    tensor: Tensor
    node: Any

    @property
    def layout(self) -> Layout:
        return self.site.layout


def _sites(calls: list[Call], size: tuple[int, int], attention: list[tuple[int, int, int]]) -> list[_Found]:
    found: list[_Found] = []
    grids: list[tuple[int, int]] = []
    squares = {(heads, queries, keys) for heads, queries, keys in attention}
    for order, call in enumerate(calls):
        tensor = first_tensor(call.output)
        if tensor is None or tensor.grad_fn is None or tensor.ndim not in (3, 4) or tensor.shape[0] != 1:
            continue
        if tuple(tensor.shape[1:]) in squares:
            continue  # an attention matrix, which is square too
        layout = _layout(tensor, size, grids, call.module)
        if layout is not None:
            if layout.grid not in grids[-1:]:
                grids.append(layout.grid)
            found.append(_Found(order, Site(call.point, layout), call.module, tensor, _origin(tensor.grad_fn)))
    return found


def _origin(node: Any) -> Any:
    """The node whose output this is, past the copies that `watch` hands downstream."""
    while node.name() == "CloneBackward0":
        node = node.next_functions[0][0]
    return node


def _layout(tensor: Tensor, size: tuple[int, int], grids: list[tuple[int, int]], module: nn.Module) -> Layout | None:
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
        return Layout("channels-first tokens", a, whole)
    return Layout("tokens", b, *split) if split else None


def _is_grid(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether rows and columns stand in the picture's proportion, to within the rounding of strided layers."""
    (h, w), (height, width) = grid, size
    if h * w < FEWEST_CELLS or h > height or w > width:
        return False
    stride = (height / h + width / w) / 2
    return abs(h - height / stride) <= 1 and abs(w - width / stride) <= 1 and (height != width or h == w)


def _token_grid(tokens: int, size: tuple[int, int], grids: list[tuple[int, int]]) -> tuple[tuple[int, int], int] | None:
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


def _factor(cells: int, size: tuple[int, int]) -> tuple[int, int] | None:
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


def _last(
    module: nn.Module,
    inputs: Tensor,
    trunk: list[_Found],
    found: list[_Found],
    objective: Callable[[Tensor], Tensor],
) -> tuple[_Found | None, Site | None]:
    """The last site whose cells the score depends on, and where best to read it.

    Where a class token is read after the last block, the patches of that block's output have no slope at all, so the
    last site is the block's input; and there the normalized tokens are read if all that the patches have to say passes
    through them.
    """
    for position in range(len(trunk) - 1, -1, -1):
        f = trunk[position]
        raw = _slope(module, inputs, f.site, objective)
        if raw is None:
            continue
        if not raw.any():  # a head of zeros: no site can be told from another by its slopes
            return trunk[-1], trunk[-1].site
        if not f.layout.maps(raw).any():  # only the prefix tokens are read from here on
            continue
        if position == len(trunk) - 1:
            return f, f.site
        return f, _normalized(module, inputs, f, found, objective) or f.site
    return None, None


def _branch(
    module: nn.Module, inputs: Tensor, found: list[_Found], objective: Callable[[Tensor], Tensor]
) -> _Found | None:
    """Where the picture flows in several branches to the end: the last normalized maps in any of them that count."""
    normalized = [f for f in found if "Norm" in type(f.module).__name__]
    for f in reversed(normalized):
        slope = _slope(module, inputs, f.site, objective)
        if slope is not None and f.layout.maps(slope).any():
            return f
    return None


def _normalized(
    module: nn.Module, inputs: Tensor, f: _Found, found: list[_Found], objective: Callable[[Tensor], Tensor]
) -> Site | None:
    for g in found:
        if g.order > f.order and g.layout == f.layout and g.node is not f.node:
            around = _slope(module, inputs, f.site, objective, cut=g.site.point)
            through = _slope(module, inputs, g.site, objective)
            if around is None or through is None or f.layout.maps(around).any() or not g.layout.maps(through).any():
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


def _by_depth(trunk: list[_Found], last: Site | None) -> dict[DepthName, Site]:
    """Named depths: the last site of each of the last grids; where they are fewer, with points halfway between."""
    stages: list[_Found] = []
    for f, after in zip(trunk, [*trunk[1:], None], strict=True):
        if after is None or after.layout.grid != f.layout.grid:
            stages.append(f)
    alike = {stage: [f for f in trunk if f.layout == stage.layout] for stage in stages}
    halfway = {stage: points[(len(points) - 1) // 2] for stage, points in alike.items()}
    match stages[-len(DEPTHS) :]:
        case [only]:
            n = len(alike[only])
            chosen = [alike[only][max(0, round(n * share) - 1)] for share in (0.25, 0.5, 0.75, 1.0)]
        case [first, second]:
            chosen = [halfway[first], first, halfway[second], second]
        case [first, second, third]:
            chosen = [first, second, halfway[third], third]
        case four:
            chosen = four
    sites = {name: f.site for name, f in zip(DEPTHS, chosen, strict=True)}
    if last is not None:
        sites["last"] = last
    return sites


# --- private: attention ----------------------------------------------------------------------------------------------


def _attention(
    module: nn.Module, inputs: Tensor, seen: _Functions, objective: Callable[[Tensor], Tensor]
) -> tuple[tuple[AttentionLayer, ...], tuple[int, ...], str]:
    """The attentions and how they lie over the picture; which tokens without a place the scores read; or why not."""
    if not seen.attention and not seen.products:
        return (), (), NO_ATTENTION
    pixels = inputs.detach()
    with torch.no_grad(), Places(pixels) as places:
        run(module, pixels, graph=False)
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
        if f.layout.channels == output.numel() and _same(f.layout.maps(f.tensor).mean((1, 2)), output):
            return f
    return None


def _head(
    calls: list[Call], last: _Found, head: Call | None, class_maps: _Found | None
) -> tuple[LinearHead | ClassMaps | None, str]:
    if class_maps is not None:
        return ClassMaps(class_maps.site), ""
    between = _between(calls, last, head)
    if head is None:
        return None, f"its scores do not come from one linear layer ({between})"
    matrix = _matrix(head.module)
    assert matrix is not None
    weight, bias = matrix
    pooled = last.layout.maps(last.tensor).mean((1, 2))
    if not _same(pooled, head.inputs[0]):
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
