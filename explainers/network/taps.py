"""Recording what a module puts out: the only file that touches a module's forward.

Nothing is written on the model. One process-wide forward hook is installed while at least one recording is under
way; it looks up the recorder of its own thread in a `ContextVar`, so a model that other people run at the same moment
is not affected, and neither is any other model.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from ..errors import Stopped
from .outputs import Adapted


@dataclass(frozen=True)
class Point:
    """A place in a network: the output of the module at `path`, the `call`-th time that it runs in one pass."""

    path: str
    call: int = 0

    def __str__(self) -> str:
        return self.path if self.call == 0 else f"{self.path}#{self.call}"


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward pass: what came out, and the tensors that were asked for on the way, attached to its graph."""

    output: Tensor
    taps: dict[Point, Tensor]
    start: tuple[Point, ...] = ()
    """Where the graph begins; nowhere when it begins at the pixels, or when there is no graph."""
    fed: dict[Point, Tensor] = field(default_factory=dict)
    """What went into modules, where that was asked for."""


@dataclass(frozen=True, eq=False)
class Call:
    """One module call as seen by `watch`, in order of completion."""

    point: Point
    module: nn.Module
    inputs: tuple[Any, ...]
    output: Any


@dataclass(frozen=True)
class Conduct:
    """What every pass through a network needs, so that all of them compute the same; `opening` finds it out."""

    alone: bool = False
    """Pictures run one by one: what comes out for one depends on the others, or no others are taken."""
    graph: bool | None = None
    """Whether every pass records a graph, since its own forward asks for slopes or switches gradients on and off, or
    none does, since it stands none; None for as is asked."""
    whole: bool = False
    """No pass may begin in the middle: what the network draws at random depends on all that it drew before."""
    fresh: Callable[[], nn.Module] | None = None
    """A copy for one pass, sharing the parameters: of a network that writes into itself."""
    within: tuple[Callable[[], AbstractContextManager[Any]], ...] = ()
    """What each pass runs in, from the outside in."""


def conduct(module: nn.Module) -> Conduct:
    """How passes through this module are run; as it is called, where nothing else is known."""
    return _conducts.get(_inside(module), _PLAIN)


def keep_to(module: nn.Module, how: Conduct) -> None:
    """From now on, every pass through this module is run so. It is remembered beside the module, not on it."""
    _conducts[_inside(module)] = how


def passing() -> bool:
    """Whether a pass is under way in this thread."""
    return _recorder.get() is not None


def call(module: nn.Module, inputs: Tensor, how: Conduct) -> Any:
    """What comes out of the module for `inputs`, run as `how` says, a batch as it is; with a graph where there is one.

    For finding out how a network is to be run; whatever the module raises is raised.
    """
    recorder = _Everything({}, [], apart=True)
    graph = torch.is_grad_enabled() and inputs.requires_grad
    graph = graph if how.graph is None else how.graph
    if graph and not inputs.requires_grad:
        inputs = _linked(inputs)
    with torch.set_grad_enabled(graph), _recording(recorder), _called(module, how, recorder) as body:
        return body(inputs.clone())


def run(
    module: nn.Module,
    inputs: Tensor,
    *,
    taps: Sequence[Point] = (),
    start: Point | Sequence[Point] | None = None,
    cut: Sequence[Point] = (),
    fed: Sequence[Point] = (),
    graph: bool = True,
    stop: Callable[[], bool] | None = None,
) -> Pass:
    """One forward pass of `module` on `inputs` (N, 3, H, W), with the outputs at `taps` kept.

    With `start`, no graph is recorded before that point: its output becomes a leaf, and the graph runs from there to
    the end, so that a gradient at the last maps costs about nothing beside the pass. Of several, each becomes a leaf,
    and what flows from one through another counts for the latter alone. Without it the graph begins at `inputs`, which
    should then require a gradient. `cut` detaches points, for asking what flows around them; of those
    in `fed`, what the module is given is kept as well.

    A tap keeps the module's output itself and hands a copy downstream, because the next operation may be in place.
    Where the network has PyTorch's own attention or encoder layers, the whole pass records a graph: without one they
    take fused kernels, whose last bits differ and inside which nothing would be seen.

    Raises `LookupError` when a tapped module did not run, or put out no tensor, and whatever the module raises.
    """
    starts = () if start is None else (start,) if isinstance(start, Point) else tuple(start)
    how = conduct(module)
    if how.alone and len(inputs) > 1:
        parts = [
            run(module, one, taps=taps, start=starts, cut=cut, fed=fed, graph=graph, stop=stop)
            for one in torch.split(inputs, 1)
        ]
        taken, given = (
            {point: torch.cat([each[point] for each in kept]) for point in kept[0]}
            for kept in ([part.taps for part in parts], [part.fed for part in parts])
        )
        return Pass(torch.cat([part.output for part in parts]), taken, starts, given)
    wanted = frozenset(taps) | frozenset(starts)
    graph, always = graph and how.graph is not False, bool(how.graph)
    leaves = frozenset(starts) if graph else frozenset()
    recorder = _Taps({}, wanted, leaves, frozenset(cut), stop, frozenset(fed), linked=always)
    late = bool(starts) and not always
    if (
        graph
        and late
        and any(isinstance(m, nn.TransformerEncoderLayer | nn.MultiheadAttention) for m in module.modules())
    ):
        inputs, late = _leaf(inputs), False
    if always and not inputs.requires_grad:
        inputs = _linked(inputs)
    with (
        torch.set_grad_enabled(always or (graph and not late)),
        _recording(recorder),
        _called(module, how, recorder) as body,
    ):
        output = body(inputs.clone())  # which a network may normalize in place
    if not isinstance(output, Tensor):
        raise LookupError(f"the forward pass returned {type(output).__name__} rather than a tensor")
    missing = [str(p) for p in recorder.wanted if p not in recorder.kept]
    missing += [str(p) for p in recorder.feeding if p not in recorder.given]
    if missing:
        raise LookupError(f"no tensor came out of {', '.join(missing)} in this pass")
    if always and not graph and not torch.is_grad_enabled():
        output = output.detach()
        recorder.kept = {point: tensor.detach() for point, tensor in recorder.kept.items()}
    _mend(output, _layout(inputs))
    return Pass(output, recorder.kept, starts, recorder.given)


def pass_by(run: Callable[..., Pass], inputs: Tensor, taps: Sequence[Point], *, fed: Sequence[Point] = ()) -> Pass:
    """What comes by in one pass, without a graph where that shows it; `run` is the one here, for some module.

    Fused layers hide what is inside them, unless a graph is recorded; then it begins at the first of the taps.
    """
    try:
        return run(inputs, taps=taps, fed=fed, graph=False)
    except LookupError:
        return run(inputs, taps=taps, fed=fed, start=tuple(taps[:1]))


def resume(
    module: nn.Module,
    like: Tensor,
    given: Mapping[Point, Tensor],
    *,
    skip: bool = True,
    graph: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Tensor:
    """The output of `module` when each of `given` puts out that tensor (N, …), whatever the pictures.

    There is a graph from those tensors on where `graph` asks for it.

    `like` (1, 3, H, W) says what the network is fed. With `skip`, nothing before the first of them is computed: tensors
    that depend on the pictures have a shape there and no values. Where that cannot work, because something beside the
    points depends on the pictures, too, `LookupError` is raised; without `skip` the pictures run all the way.
    """
    how, count = conduct(module), len(next(iter(given.values())))
    if how.alone and count > 1:
        rows = [{point: tensor[i : i + 1] for point, tensor in given.items()} for i in range(count)]
        return torch.cat([resume(module, like, row, skip=skip, graph=graph, stop=stop) for row in rows])
    if skip and how.whole:
        raise LookupError(f"the pass cannot begin at {', '.join(map(str, given))}: it has to draw what comes before")
    graph, always = graph and how.graph is not False, bool(how.graph)
    recorder = _Resumed({}, given, stop, graph, linked=always)
    inputs = like.expand(count, *like.shape[1:])
    if not skip:
        with torch.set_grad_enabled(always), _recording(recorder), _called(module, how, recorder) as body:
            output = _whole(body((_linked(inputs) if always else inputs).clone()), recorder)
            return output if graph else output.detach()
    shapes, hollow = _ShapesOnly(like.device), torch.empty_like(inputs, device="meta", requires_grad=always)
    recorder.reached = shapes.end
    try:
        with (
            torch.set_grad_enabled(always),
            _recording(recorder),
            _called(module, how, recorder) as body,
            shapes,
        ):
            output = _whole(body(hollow), recorder)
            return output if graph else output.detach()
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, Stopped):
            raise
        raise LookupError(f"the pass cannot begin at {', '.join(map(str, given))}: {error}") from error


def watch(module: nn.Module, inputs: Tensor, calls: list[Call] | None = None) -> tuple[Any, list[Call]]:
    """One forward pass with its graph, and every module call in it, in order of completion; into `calls`, if given.

    As in `run`, what a module put out is kept and a copy goes downstream, so nothing in place changes it afterwards.
    """
    recorder = _Everything({}, [] if calls is None else calls)
    how = conduct(module)
    with torch.set_grad_enabled(how.graph is not False), _recording(recorder), _called(module, how, recorder) as body:
        output = body(inputs.clone())
    if isinstance(output, Tensor):
        _mend(output, _layout(inputs))
    return output, recorder.calls


def first_tensor(output: Any) -> Tensor | None:
    """The tensor in a module's output: the output itself, or the first member of a tuple or list."""
    if isinstance(output, Tensor):
        return output
    if type(output) in (tuple, list) and output and isinstance(output[0], Tensor):
        return output[0]
    return None


# --- private ---------------------------------------------------------------------------------------------------------


def _mend(output: Tensor, layout: torch.memory_format) -> None:
    """Lay out the slopes that arrive at a batch norm as torch's kernel for the CPU takes them to be.

    For one picture in eval mode, slopes that come with the channels last (from tokens, say) are read as if they came
    with the channels first, and the gradient is silently wrong (seen in torch 2.14). Only this pass's graph is touched.
    """

    def laid_out(slopes: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return tuple(
            slope.contiguous(memory_format=layout if slope.ndim == 4 else torch.contiguous_format)
            if slope is not None and len(slope) == 1
            else slope
            for slope in slopes
        )

    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "NativeBatchNormBackward0":
            node.register_prehook(laid_out)
        waiting.extend(before for before, _ in node.next_functions)


def _layout(inputs: Tensor) -> torch.memory_format:
    last = not inputs.is_contiguous() and inputs.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


@dataclass(eq=False)
class _Taps:
    names: dict[int, str]
    wanted: frozenset[Point]
    start: frozenset[Point]
    cut: frozenset[Point]
    stop: Callable[[], bool] | None
    feeding: frozenset[Point] = frozenset()
    linked: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    kept: dict[Point, Tensor] = field(default_factory=dict)
    given: dict[Point, Tensor] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.paths = frozenset(p.path for p in self.wanted | self.cut | self.feeding)

    def see(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if self.stop is not None and self.stop():
            raise Stopped("Stopped, as asked.")
        path = self.names.get(id(module))
        if path is None or path not in self.paths:
            return None
        point = Point(path, self.calls[path])
        self.calls[path] += 1
        if point in self.feeding and inputs and isinstance(inputs[0], Tensor):
            self.given[point] = inputs[0]
        tensor = first_tensor(output)
        if tensor is None or point not in self.wanted | self.cut:
            return None
        if point in self.cut:
            if point in self.wanted:  # kept with its graph, which ends here
                self.kept[point] = tensor
            return _replaced(output, _leaf(tensor, linked=self.linked).clone())
        if point in self.start:
            # The surrounding pass runs without a graph; from here on it is wanted, until `run` restores the mode.
            torch.set_grad_enabled(True)
            tensor = _leaf(tensor)
        self.kept[point] = tensor
        return _replaced(output, tensor.clone())


@dataclass(eq=False)
class _Resumed:
    """Puts tensors in the place of what came out of some points."""

    names: dict[int, str]
    given: Mapping[Point, Tensor]
    stop: Callable[[], bool] | None
    graph: bool = False
    linked: bool = False
    reached: Callable[[], None] | None = None
    calls: Counter[str] = field(default_factory=Counter)
    waiting: set[Point] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.waiting = set(self.given)

    def see(self, module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
        if self.stop is not None and self.stop():
            raise Stopped("Stopped, as asked.")
        path = self.names.get(id(module))
        if path is None:
            return None
        point = Point(path, self.calls[path])
        self.calls[path] += 1
        if point not in self.given:
            return None
        self.waiting.discard(point)
        if self.reached is not None and not self.waiting:
            self.reached()
        if self.graph:  # from here on, until `resume` restores the mode
            torch.set_grad_enabled(True)
        tensor = self.given[point]
        if self.linked and not tensor.requires_grad:
            tensor = _leaf(tensor)
        return _replaced(output, tensor.clone())


class _ShapesOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Until its end, an operation on something that depends on the pictures gives a shape only."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device, self._ended = device, False

    def end(self) -> None:
        self._ended = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        hollow = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.is_meta]
        if not hollow:
            if str(kwargs.get("device", "")) == "meta":  # made beside the pictures, but not of them
                kwargs = {**kwargs, "device": self._device}
            return func(*args, **kwargs)
        if self._ended:
            raise LookupError("something beside the point depends on the pictures")
        changed = [
            a for a, given in zip(func._schema.arguments, args, strict=False) if a.is_write and not given.is_meta
        ]
        if changed:
            raise LookupError("something that is known is written into on the way")
        if "device" in kwargs:
            kwargs = {**kwargs, "device": torch.device("meta")}
        args, kwargs = tree_map_only(Tensor, lambda t: t.to("meta"), (args, kwargs))
        return func(*args, **kwargs)


def _whole(output: Any, recorder: _Resumed) -> Tensor:
    if recorder.waiting:
        raise LookupError(f"{', '.join(map(str, recorder.waiting))} did not run in this pass")
    if not isinstance(output, Tensor) or output.is_meta:
        raise LookupError("no tensor came out at the end")
    return output


@dataclass(eq=False)
class _Everything:
    names: dict[int, str]
    calls: list[Call] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    apart: bool = False
    """Whether nothing is kept, so that what comes out is handed on as it is."""

    def see(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        path = self.names.get(id(module))
        if path is None or self.apart:
            return None
        self.calls.append(Call(Point(path, self.counts[path]), module, inputs, output))
        self.counts[path] += 1
        tensor = first_tensor(output)
        return None if tensor is None else _replaced(output, tensor.clone())


def _linked(inputs: Tensor) -> Tensor:
    """A copy, made so that a mode sees where it came from, at which a graph begins."""
    copy = inputs.clone()
    with torch._C.DisableTorchFunction():
        return copy.requires_grad_()


def _leaf(tensor: Tensor, *, linked: bool = True) -> Tensor:
    """The same numbers without their graph, where a new one may begin, whatever mode is active."""
    with torch._C.DisableTorchFunction():
        return tensor.detach().requires_grad_(linked)


def _replaced(output: Any, tensor: Tensor) -> Any:
    return tensor if isinstance(output, Tensor) else type(output)([tensor, *output[1:]])


def _names(module: nn.Module) -> dict[int, str]:
    return {id(child): path for path, child in module.named_modules() if path}


def _inside(module: nn.Module) -> nn.Module:
    """The visitor's own module: what is read of its outputs changes nothing of how it is run."""
    return module.inside if isinstance(module, Adapted) else module


_PLAIN = Conduct()
_conducts: MutableMapping[nn.Module, Conduct] = WeakIdKeyDictionary()


@contextmanager
def _called(
    module: nn.Module, how: Conduct, recorder: _Taps | _Resumed | _Everything
) -> Iterator[Callable[[Tensor], Any]]:
    """What is called in the place of the module, with the recorder told the names in it."""
    with ExitStack() as around:
        for each in how.within:
            around.enter_context(each())
        body = how.fresh() if how.fresh else module
        if how.fresh and isinstance(module, Adapted):
            body = module.over(body)
        recorder.names = _names(body)
        yield body


_recorder: ContextVar[_Taps | _Resumed | _Everything | None] = ContextVar("recorder", default=None)
_lock = threading.Lock()
_users = 0
_handle: Any = None


def _hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    recorder = _recorder.get()
    return None if recorder is None else recorder.see(module, inputs, output)


@contextmanager
def _recording(recorder: _Taps | _Resumed | _Everything) -> Iterator[None]:
    global _users, _handle  # noqa: PLW0603 - torch's hook is process-wide, and so is the count of its users
    with _lock:
        _users += 1
        if _users == 1:
            _handle = register_module_forward_hook(_hook)
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)
        with _lock:
            _users -= 1
            if _users == 0:
                _handle.remove()
                _handle = None
