"""What a few trial passes tell when a network is opened: company, chance, what it writes, and where slopes are cut."""

from __future__ import annotations

import random
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..errors import ModelError, QuestionError
from .outputs import Adapted
from .taps import Conduct, Point, call, keep_to, run
from .ways import Mended, Ways
from .wrappers import AsWritten, Compiled, copied, eagerly, in_script, shared

T = TypeVar("T")

ALONE = "The scores of a picture depend on the others in its batch, so every picture is run alone."

SEEDED = (
    "The network draws random numbers in evaluation mode, too. Here they come from a fixed seed, so the same question "
    "gets the same answer; another seed would give another."
)

UNSTEADY = "The network gives another answer each time it is asked, and no seed holds it still, so no map repeats."

UNHIDE = "what it was made from, wrapped in its place, shows them"


@dataclass(frozen=True)
class Manner:
    """How a network computes, as seen when it was opened: what may be asked of it, and what has to be said."""

    alone: bool = False
    """Whether pictures run one by one."""
    hidden: str = ""
    """What keeps functions out of sight of rules laid on them, as the end of a sentence; empty where nothing does."""
    unseen: frozenset[str] = frozenset()
    """The operations that run out of sight."""
    without_slopes: str = ""
    """Why no slope arrives at the pixels, as the end of a sentence; empty where slopes do."""
    without_map_slopes: str = ""
    """The same of the last maps."""
    detached: str = ""
    """What slopes at the pixels leave out, a sentence; empty where they are complete."""
    detached_maps: str = ""
    """The same of slopes at the last maps."""
    notes: tuple[str, ...] = ()

    @property
    def cut(self) -> bool:
        """Whether slopes are cut anywhere on the way from the pixels to the scores."""
        return bool(self.without_slopes or self.without_map_slopes or self.detached or self.detached_maps)

    def hides(self, operations: frozenset[str]) -> str:
        """What hides some of these operations, as the end of a sentence; empty where all of them are in sight."""
        return self.hidden if self.unseen & operations else ""


RECTIFYING = frozenset({"relu", "relu_", "relu6", "relu6_", "threshold", "threshold_", "hardtanh", "hardtanh_"})
RECTIFYING |= {"clamp", "clamp_", "clamp_min", "clamp_min_"}

ATTENDING = frozenset({
    "softmax", "_softmax", "scaled_dot_product_attention", "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_attention_math", "_native_multi_head_attention",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tried:
    """What came out of the trial passes of a network, which from now on is run as they showed that it has to be."""

    output: Tensor
    module: nn.Module
    inputs: Tensor
    how: Conduct
    ways: Ways | None
    """What was seen of a pass with its graph; None where the network takes no picture under gradients."""
    refusal: str
    notes: tuple[str, ...]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While it lasts, cuts are mended in this thread, so that what lies behind one is found as well."""
        with nullcontext() if self._linked else Mended(), warnings.catch_warnings():
            if self.ways is not None and self.ways.stops:  # it is said in words, in `without_slopes`
                warnings.filterwarnings("ignore", ".*an autograd kernel was not registered")
            yield

    def manner(self, last: Point | None, objective: Callable[[Tensor], Tensor]) -> Manner:
        """What the network's slopes reach, at the pixels and at the last maps, whose point is `last`."""
        if self.ways is None:
            why = f"takes no picture while gradients are recorded ({self.refusal})"
            return Manner(self.how.alone, without_slopes=why, without_map_slopes=why, notes=self.notes)
        hidden = f"hides layers in {'TorchScript' if in_script(self.module) else 'compiled code'} ({UNHIDE})"
        unseen = frozenset(self.ways.unseen)
        found = Manner(self.how.alone, hidden if unseen else "", unseen, notes=self.notes)
        if self._linked and not self.ways.cut:
            return found
        # Where gradients are switched off on the way, they have to be on before, so that they are afterwards.
        keep_to(self.module, replace(self.how, graph=True))
        why = "lets no gradient through" + (f": it {self.ways.cut}" if self.ways.cut else "")
        if not self._linked:
            found = replace(found, without_slopes=why)
        else:
            found = replace(found, detached=self._detached(None, objective))
        if last is not None:
            if _slopes(self.module, self.inputs, last, objective)[0] is None:
                found = replace(found, without_map_slopes=why)
            else:
                found = replace(found, detached_maps=self._detached(last, objective))
        if not (found.without_slopes or found.detached or found.detached_maps):
            keep_to(self.module, self.how)
        return found

    @property
    def _linked(self) -> bool:
        return self.ways is not None and self.ways.linked

    def _detached(self, point: Point | None, objective: Callable[[Tensor], Tensor]) -> str:
        """A sentence where slopes at a point, or at the pixels, would be others if nothing were cut; else empty."""
        assert self.ways is not None
        seen, _ = _slopes(self.module, self.inputs, point, objective)
        lost, whole = self.ways.lost and point is None, None
        with suppress(RuntimeError), Mended() as mended:
            whole, output = _slopes(self.module, self.inputs, point, objective)
            lost = lost or mended.lost(output)
        if not lost and (seen is None or whole is None or not _beyond_rounding(seen, whole)):
            return ""
        return f"Part of the way from picture to score is cut, and slopes do not see it: the network {self.ways.cut}."


def tried(module: nn.Module, inputs: Tensor, title: str) -> Tried:
    """Run the network a few times on `inputs` (1, 3, H, W) and, with another, as a batch; settle how it is run.

    Nothing stays written on it: where passes write into it, each gets a copy of its own from here on. What it raises
    for a single picture is raised. `ModelError` where it writes into itself and cannot be copied.
    """
    before, draws, writes = _Held(module), _Draws(inputs.device), _Writes(module)
    notes: list[str] = []
    with torch.inference_mode(mode=False):
        try:
            trial = _once(module, inputs, writes)
            if _is_row(trial.output):
                pair = _pair(module, inputs, trial, writes)
                written = tuple(dict.fromkeys([*writes.names(), *before.reassigned(), *pair.changed]))
                if written:
                    before.restore(writes)
                    notes.append(_on_copies(module, inputs, trial, writes, ", ".join(written[:3]), title))
                    pair = _pair(module, inputs, trial, writes)
                notes += _settled(module, inputs, trial, pair, drawn=draws.drawn)
        except BaseException:
            before.restore(writes)
            raise
        finally:
            if draws.drawn:
                draws.restore()
    keep_to(module, trial.how)
    return Tried(trial.output, module, inputs, trial.how, trial.ways, trial.refusal, tuple(notes))


def first(module: nn.Module, inputs: Tensor, ask: Callable[[Tensor], T]) -> T:
    """What `ask` makes of a network that nothing is known of yet, given `inputs`; nothing is left written on it.

    With gradients where the network does not run without them. Raises what `ask` raises without.
    """
    before, writes, draws = _Held(module), _Writes(module), _Draws(inputs.device)
    try:
        with _eager(), writes.watched(None):
            try:
                with torch.no_grad():
                    return ask(inputs)
            except RuntimeError:
                with suppress(RuntimeError), torch.enable_grad():
                    return ask(inputs.detach().requires_grad_())
                raise
    finally:
        before.restore(writes)
        if draws.drawn:
            draws.restore()


# --- private: the trial ----------------------------------------------------------------------------------------------


@dataclass
class _Trial:
    output: Tensor
    how: Conduct
    ways: Ways | None
    refusal: str = ""


@dataclass
class _Pair:
    """What comes out for the same picture twice, and for that and another; one by one where no two are taken."""

    same: Tensor
    mixed: Tensor
    changed: tuple[str, ...]
    """What the second of these passes left changed in the network."""

    def steady(self, alone: Tensor) -> bool:
        """Whether the picture comes out alike every time, by itself and beside whatever other."""
        rows = len(self.same) == 1 or not _beyond_rounding(self.same[0], self.same[1])
        return rows and _alike(self.same[0], self.mixed[0]) and not _beyond_rounding(self.same[0], alone[0])


def _is_row(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim == 2 and len(output) == 1 and output.shape[1] > 0


def _settled(module: nn.Module, inputs: Tensor, trial: _Trial, pair: _Pair, *, drawn: bool) -> list[str]:
    """What has to be said of chance and company; and from here on the network is run as these ask for."""
    steady = pair.steady(trial.output)
    if steady and not drawn:
        return []
    seeded = replace(trial.how, alone=True, whole=True, within=(*trial.how.within, partial(_seeded, 0, inputs.device)))
    if drawn and _draws_itself(module, inputs, trial.how):
        told = [SEEDED] if not steady or _depends_on_seed(module, inputs, trial.how) else []
        trial.how, unsteady = seeded, not _alike(call(module, inputs, seeded), call(module, inputs, seeded))
        if unsteady:
            return [UNSTEADY]
        pair = _pair(module, inputs, trial, _Writes(module))
        trial.output = call(module, inputs, seeded).detach()
        return [*told, *([] if _alike(pair.same[0], pair.mixed[0]) else [ALONE])]
    if steady:
        return []
    again = _pair(module, inputs, trial, _Writes(module))
    unsteady = not (_alike(again.same, pair.same) and _alike(again.mixed, pair.mixed))
    if not unsteady and _alike(pair.same[0], pair.mixed[0]) and _rounds_so(module, inputs, trial, pair):
        return []
    trial.how = replace(trial.how, alone=True)
    return [UNSTEADY] if unsteady else [ALONE]


def _rounds_so(module: nn.Module, inputs: Tensor, trial: _Trial, pair: _Pair) -> bool:
    """Whether what comes out alone and in a batch differs as it does when the picture is moved by a rounding."""
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0)).to(inputs)
    moved = call(module, inputs * (1 + torch.finfo(inputs.dtype).eps * noise), trial.how).detach()
    rounding = (moved - trial.output).double().abs().max()
    return bool((pair.same - trial.output).double().abs().max() <= _ROUNDINGS * rounding)


def _draws_itself(module: nn.Module, inputs: Tensor, how: Conduct) -> bool:
    """Whether it is the network that draws, and nobody else in this process: as much each time."""
    ends = []
    for _ in range(2):
        with _seeded(0, inputs.device):
            start = _Draws(inputs.device)
            call(module, inputs, how)
            ends.append(_Draws(inputs.device))
    return start.drawn_until(ends[1]) and not ends[0].drawn_until(ends[1])


def _depends_on_seed(module: nn.Module, inputs: Tensor, how: Conduct) -> bool:
    answers = []
    for seed in range(_SEEDS):
        with _seeded(seed, inputs.device):
            answers.append(call(module, inputs, how))
    return not all(_alike(answers[0], answer) for answer in answers)


_ROUNDINGS = 32
"""A network rounds at each of its layers, and a picture that is moved once shows one of these."""

_SEEDS = 8
"""So many draws show whether what is drawn counts; of a layer that is skipped one time in two, all but 1 in 128."""


def _once(module: nn.Module, inputs: Tensor, writes: _Writes) -> _Trial:
    """One picture, with a graph and everything watched; without a graph where the network does not stand one."""
    leaf = inputs.detach().clone().requires_grad_()
    ways = Ways(leaf)
    how = Conduct()
    try:
        with torch.enable_grad(), writes.watched(ways), Compiled() as compiled, ways, _eager():
            output = call(module, leaf, how)
    except Exception as error:  # noqa: BLE001 - it may take the picture without a graph; else that is raised below
        with torch.no_grad(), writes.watched(None), Compiled() as compiled, _eager():
            output = call(module, inputs, how)
        return _Trial(output, Conduct(graph=False, within=(eagerly,) * compiled.called), None, _first_line(error))
    ways.end(output)
    within: list[Callable[[], AbstractContextManager[Any]]] = [eagerly] if compiled.called else []
    within += [AsWritten] if ways.exported else []
    how = Conduct(within=tuple(within))
    return _Trial(output.detach() if isinstance(output, Tensor) else output, how, ways)


def _eager() -> Any:
    return eagerly() if "torch._dynamo" in sys.modules else nullcontext()


def _pair(module: nn.Module, inputs: Tensor, trial: _Trial, writes: _Writes) -> _Pair:
    other = 0.5 - 3 * inputs.flip(-1)  # of another range, too, since some networks scale a whole batch by its largest
    try:
        return _both(module, [torch.cat([inputs, inputs]), torch.cat([inputs, other])], trial, writes)
    except QuestionError:  # of a target function that is off
        raise
    except Exception:  # noqa: BLE001 - whatever it has against two pictures, it takes one
        trial.how = replace(trial.how, alone=True)
        return _both(module, [inputs, inputs], trial, writes)


def _both(module: nn.Module, asked: list[Tensor], trial: _Trial, writes: _Writes) -> _Pair:
    outputs, held = [], _Held(module)
    for pictures in asked:
        held = _Held(module)
        try:
            with torch.no_grad(), writes.watched(None):
                output = call(module, pictures, trial.how)
        except RuntimeError:
            if trial.how.graph is not None:
                raise
            # Its own forward may ask for slopes, which takes a picture only wherever gradients are on.
            linked = replace(trial.how, graph=True)
            with writes.watched(None):
                output = call(module, pictures, linked)
            trial.how = linked
        if not isinstance(output, Tensor) or output.shape != (len(pictures), trial.output.shape[1]):
            raise RuntimeError("the batch comes out in another shape than it went in")
        outputs.append(output.detach())
    return _Pair(outputs[0], outputs[1], held.changed())


def _on_copies(module: nn.Module, inputs: Tensor, trial: _Trial, writes: _Writes, names: str, title: str) -> str:
    """Each pass on a copy in the state before the trial, to which the network itself is put back; what to say of it."""
    try:
        inside = module.inside if isinstance(module, Adapted) else module
        common = shared(inside)
        for tensor in writes.saved_tensors():
            common.pop(id(tensor), None)
        start = copied(inside, common)
        trial.how = replace(trial.how, fresh=partial(copied, start, common))
        trial.output = call(module, inputs, trial.how).detach()
    except Exception as error:
        raise ModelError(
            f"{title} writes into itself whenever it runs ({names}), and cannot be copied to keep it as it is "
            f"({_first_line(error)})."
        ) from error
    return f"The network writes into itself in every pass ({names}), so each pass runs on a copy that is let go."


# --- private: what is compared ---------------------------------------------------------------------------------------


def _alike(a: Tensor, b: Tensor) -> bool:
    """Whether two results of the same arithmetic in the same order are the same, up to what a device may reorder."""
    return not _apart(a, b, 32 * torch.finfo(a.dtype).eps)


def _beyond_rounding(a: Tensor, b: Tensor) -> bool:
    """Whether two results differ in the first half of their digits, where no order of the same sums could tell."""
    return _apart(a, b, torch.finfo(a.dtype).eps ** 0.5)


def _apart(a: Tensor, b: Tensor, share: float) -> bool:
    least = torch.finfo(a.dtype).tiny  # below which a type has fewer digits
    a, b = a.detach().double(), b.detach().double()
    if not (a.isfinite().all() and b.isfinite().all()):
        return False  # nothing can be told, and answers that are not finite are refused anyway
    size = torch.maximum(a.abs().max(), b.abs().max())
    return bool((a - b).abs().max() > share * size + least)


def _slopes(
    module: nn.Module, inputs: Tensor, point: Point | None, objective: Callable[[Tensor], Tensor]
) -> tuple[Tensor | None, Tensor]:
    """The slope of the objective at a point, or at the pixels, None where no graph leads there; and the output."""
    leaf = inputs.detach().clone().requires_grad_()
    passed = run(module, leaf, taps=[point] if point else [], start=point)
    score = objective(passed.output)
    if not score.requires_grad:
        return None, passed.output
    at = passed.taps[point] if point else leaf
    return torch.autograd.grad(score, at, allow_unused=True)[0], passed.output


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]


# --- private: what a module holds ------------------------------------------------------------------------------------

_PLAIN = set(vars(nn.Module())) - {"training"}


class _Held:
    """What a module holds beside the values of its tensors: attributes, lists and mappings, generators."""

    def __init__(self, module: nn.Module) -> None:
        self._kept: list[tuple[str, Any, Any]] = []
        self._tensors: list[tuple[str, Any, Any]] = []
        self._draws: list[tuple[str, torch.Generator, Tensor]] = []
        for path, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue
            held = vars(part)
            self._tensors += [(path, each, dict(each)) for each in (part._buffers, part._parameters)]
            self._kept.append((path, held, dict(held)))
            for name, value in held.items():
                if name in _PLAIN:
                    continue
                if type(value) in (list, dict, set, deque):
                    self._kept.append((f"{path}.{name}".strip("."), value, value.copy()))
                elif isinstance(value, torch.Generator):
                    self._draws.append((f"{path}.{name}".strip("."), value, value.get_state()))

    def changed(self) -> tuple[str, ...]:
        """The names of what is no longer the same."""
        names = [name for path, now, then in self._kept for name in _differing(path, now, then)]
        return (*names, *(name for name, draw, state in self._draws if not torch.equal(draw.get_state(), state)))

    def reassigned(self) -> tuple[str, ...]:
        """The names of buffers and parameters that are other tensors by now."""
        return tuple(name for path, now, then in self._tensors for name in _differing(path, now, then))

    def restore(self, writes: _Writes) -> None:
        """Put back everything, and the values of every tensor that was written into."""
        for _, now, then in [*self._kept, *self._tensors]:
            if isinstance(now, dict):
                if now.keys() != then.keys() or any(now[key] is not value for key, value in then.items()):
                    now.clear()
                    now.update(then)
            elif list(now) != list(then) if isinstance(now, set) else [*map(id, now)] != [*map(id, then)]:
                now.clear()
                (now.update if isinstance(now, set) else now.extend)(then)
        for _, draw, state in self._draws:
            draw.set_state(state)
        writes.restore()


class _Writes:
    """Which tensors of a module are written into, and what was in them before."""

    def __init__(self, module: nn.Module) -> None:
        self._known: dict[int, list[tuple[str, Tensor]]] = {}
        self._saved: dict[int, tuple[str, Tensor, Tensor]] = {}
        for name, tensor in _tensors(module):
            if (where := _storage(tensor)) is not None:
                self._known.setdefault(where, []).append((name, tensor))

    @contextmanager
    def watched(self, ways: Ways | None) -> Iterator[None]:
        """While it lasts, in this thread, keeps what is about to be written over."""
        with _Dispatched(self, ways):
            yield

    def before(self, tensor: Tensor) -> None:
        """Keep what a tensor, or another over the same memory, holds now."""
        for name, own in self._known.get(_storage(tensor) or 0, ()):
            if id(own) not in self._saved:
                self._saved[id(own)] = (name, own, own.detach().clone())

    def names(self) -> tuple[str, ...]:
        """The names of tensors that were written into with something else than they held."""
        return tuple(name for name, own, then in self._saved.values() if not _identical(own, then))

    def saved_tensors(self) -> list[Tensor]:
        """The tensors that were written into."""
        return [own for _, own, _ in self._saved.values()]

    def restore(self) -> None:
        """Write back what the tensors held, bit for bit."""
        with torch.no_grad():
            for _, own, then in self._saved.values():
                own.detach().copy_(then)


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells of operations that write, and of those that no function of torch was under way for."""

    def __init__(self, writes: _Writes, ways: Ways | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._writes, self._ways = writes, ways

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._ways is not None and not self._ways.inside and func.__name__ not in _ASIDE:
            self._ways.unseen.add(func.overloadpacket.__name__)
        if func._schema.is_mutable:
            for argument, given in zip(func._schema.arguments, args, strict=False):
                if argument.is_write:
                    self._note(given)
            for argument in func._schema.arguments:
                if argument.is_write and argument.name in kwargs:
                    self._note(kwargs[argument.name])
        return func(*args, **kwargs)

    def _note(self, given: Any) -> None:
        for tensor in tree_leaves(given):
            if isinstance(tensor, Tensor):
                self._writes.before(tensor)


_ASIDE = {"detach.default", "alias.default", "lift_fresh.default"}
"""Operations that autograd runs on its own account."""


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name not in _PLAIN:
                for tensor in tree_leaves(value):
                    if isinstance(tensor, Tensor):
                        yield f"{path}.{name}".strip("."), tensor


def _storage(tensor: Tensor) -> int | None:
    try:
        return tensor.untyped_storage().data_ptr() or None
    except RuntimeError:  # packed, hollow or sparse: it has no memory of its own
        return None


def _identical(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())


def _differing(path: str, now: Any, then: Any) -> list[str]:
    if isinstance(now, dict):
        prefix = f"{path}." if path else ""
        gone = [key for key in then if key not in now]
        return [
            f"{prefix}{key}"
            for key in [*gone, *now]
            if key not in _PLAIN and (key not in now or key not in then or not _same(now[key], then[key]))
        ]
    if isinstance(now, set):
        return [] if now == then else [path]
    return [] if len(now) == len(then) and all(map(_same, now, then)) else [path]


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, Tensor) and isinstance(b, Tensor):  # made again from the same, as pruned weights are
        return a.shape == b.shape and a.dtype == b.dtype and _identical(a, b)
    return type(a) is type(b) and isinstance(a, bool | int | float | str | tuple | torch.Size) and _equal(a, b)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


class _Draws:
    """The state of every generator of random numbers that a network may draw from without holding it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._state = _generators(device)

    @property
    def drawn(self) -> bool:
        """Whether anybody has drawn since."""
        return self.drawn_until(_Draws(self._device))

    def drawn_until(self, later: _Draws) -> bool:
        """Whether anybody had drawn by then."""
        return any(not _same_state(a, b) for a, b in zip(self._state, later._state, strict=True))

    def restore(self) -> None:
        """Put all of them back."""
        _set(self._device, self._state)


def _generators(device: torch.device) -> tuple[Any, ...]:
    numpy = sys.modules.get("numpy")
    return (
        torch.get_rng_state(),
        torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        random.getstate(),
        None if numpy is None else numpy.random.get_state(legacy=False),
    )


def _set(device: torch.device, state: tuple[Any, ...]) -> None:
    own, cuda, python, numpy = state
    torch.set_rng_state(own)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)
    random.setstate(python)
    if numpy is not None:
        sys.modules["numpy"].random.set_state(numpy)


def _same_state(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return all(_same_state(value, b[key]) for key, value in a.items())
    return bool((a == b).all()) if hasattr(a, "all") else bool(a == b)


_turn = threading.RLock()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """All draws of a pass from one seed, and the generators as they were afterwards; such passes take turns.

    torch's own draws come from one generator for the whole process, and most of its functions take no other.
    """
    with _turn:
        before = _generators(device)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        if before[3] is not None:
            sys.modules["numpy"].random.seed(seed)
        try:
            yield
        finally:
            _set(device, before)
