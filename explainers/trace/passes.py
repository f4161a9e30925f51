"""Passes: the bill that every run of a network stands on, and what was run for one picture and is remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, TypedDict, TypeVar, Unpack, cast, runtime_checkable

import torch
from torch import Tensor

from ..errors import DoesNotApply
from ..network import taps as _taps
from ..network.anatomy import DEPTHS, ClassMaps
from ..network.classifier import Classifier
from ..network.rules.attended import Attending
from ..network.sites import Outputs, Site
from ..network.taps import Pass, Point
from ..pictures import Picture
from ..shapes import Batch, MapsBatch, Pixels, full
from .target import Target

T = TypeVar("T")
K = TypeVar("K")

PIXELS = "pixels"
"""Where a graph starts that is to reach the picture itself."""

PICTURE = Point("")
"""The picture's own place among points: in front of all that the network puts out."""

PIXELS_AT_ONCE = {"cpu": 8 * 224 * 224, "cuda": 64 * 224 * 224}
"""Pixels of the pictures that run as one batch; more of them gain no speed, and only memory and waiting."""

MOST_AT_ONCE = {"cpu": 64, "cuda": 512}

HEADS_AT_ONCE = 8
"""So many times more pictures fit one batch that begins at the last maps; each batch costs the walk to them once."""

KEPT_SLOPES = 8
"""Slopes that a released trace still has: enough for a few classes and methods in turn."""


@dataclass
class Spent:
    """The bill: passes through the network, and seconds.

    A pass is one picture on its way through the network, or one version of its maps from where they are on; backward,
    the way back of one score. Seconds are wall clock, of all that was done on this bill: of an answer, the whole of
    finding it, whatever part of that ran the network; of a trace that is asked by itself, its passes. What is done
    within something else counts once, and nothing counts while the one who asked is having what there is so far.
    """

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    _running: int = field(default=0, init=False, repr=False, compare=False)
    _since: float = field(default=0.0, init=False, repr=False, compare=False)

    def __add__(self, other: Spent) -> Spent:
        """What both took."""
        return Spent(self.forwards + other.forwards, self.backwards + other.backwards, self.seconds + other.seconds)

    @contextmanager
    def passing(self, *, forwards: int = 0, backwards: int = 0) -> Iterator[None]:
        """Counts these passes when they are through, and the seconds until then; without any, the seconds alone."""
        with _counting:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            yield
        finally:
            with _counting:
                self._running -= 1
                if not self._running:
                    self.seconds += time.perf_counter() - self._since
        with _counting:
            self.forwards += forwards
            self.backwards += backwards


def answering(results: Iterator[T], spent: Spent) -> Iterator[T]:
    """Results as they come, with all the time of finding them on the bill.

    Whatever mode the caller is in, each is found with gradients on.
    """
    end = object()
    while True:
        with spent.passing(), torch.inference_mode(False), torch.enable_grad():
            result = next(results, end)
        if result is end:
            return
        yield cast(T, result)


class Wanted(TypedDict, total=False):
    """What is asked of a pass beside its outputs."""

    taps: Sequence[Point]
    """What comes out there is kept."""
    start: Sequence[Point]
    """The graph begins there: these outputs become leaves."""
    cut: Sequence[Point]
    """The graph ends before each of them."""
    fed: Sequence[Point]
    """What goes in there is kept."""
    graph: bool
    """Whether there is one; by default, there is."""


@dataclass(eq=False)
class Billed:
    """A network as it is run for somebody: every pass stands on their bill, and ends where they say stop."""

    classifier: Classifier
    spent: Spent = field(default_factory=Spent)
    stop: Callable[[], bool] | None = None

    @property
    def at_once(self) -> int:
        """How many pictures run as one batch: a fixed number for a device and a size, so that sums round alike."""
        if self.classifier.manner.alone:
            return 1
        height, width = self.classifier.framing.size
        kind = self.classifier.device.type
        most = MOST_AT_ONCE.get(kind, MOST_AT_ONCE["cpu"])
        return max(2, min(most, PIXELS_AT_ONCE.get(kind, PIXELS_AT_ONCE["cpu"]) // (height * width)))

    def framed(self, pixels: Batch) -> Tensor:
        """What the network is fed for pictures (N, C, H, W) in [0, 1]."""
        model = self.classifier
        return model.framing.normalize(pixels.to(model.device)).to(model.dtype)

    def run(
        self, inputs: Tensor, *, under: AbstractContextManager[object] | None = None, **wanted: Unpack[Wanted]
    ) -> Pass:
        """One forward pass of what the network is fed (N, C, H, W), as `taps.run` has it; the rules of `under` hold."""
        with self.spent.passing(forwards=len(inputs)), under or nullcontext():
            try:
                return _taps.run(self.classifier.module, inputs, stop=self.stop, **wanted)
            except LookupError as error:  # the network ran, and something that was asked for did not come by
                unseen = error
        raise unseen

    def pass_by(self, inputs: Tensor, taps: Sequence[Point], *, fed: Sequence[Point] = ()) -> Pass:
        """What comes by in one pass, as `taps.pass_by` has it."""
        return _taps.pass_by(self.run, inputs, taps, fed=fed)

    def resume(
        self, like: Tensor, given: Mapping[Point, Tensor], *, skip: bool = True, graph: bool = False, passes: int = 1
    ) -> Tensor:
        """What comes out when points put out these tensors, as `taps.resume` has it. Raises `LookupError`."""
        with self.spent.passing(forwards=passes):
            return _taps.resume(self.classifier.module, like, given, skip=skip, graph=graph, stop=self.stop)

    def backward(
        self, scores: Tensor, at: Mapping[K, Tensor], *, keep: bool = False, create_graph: bool = False
    ) -> dict[K, Tensor]:
        """The gradients of a number, or of those of a batch (N,), with respect to tensors.

        In single precision at least; zeros for those that it does not depend on. Raises `DoesNotApply` where it may
        depend on one by a way that is cut: a missing slope is no zero.
        """
        if not scores.requires_grad or not all(tensor.requires_grad for tensor in at.values()):
            raise DoesNotApply(self._no_gradient)
        with self.spent.passing(backwards=scores.numel()):
            found = torch.autograd.grad(
                scores.sum(),
                [*at.values()],
                retain_graph=keep or create_graph,
                create_graph=create_graph,
                allow_unused=True,
            )
        if self.classifier.manner.cut and any(slope is None for slope in found):
            raise DoesNotApply(self._no_gradient)
        return {
            key: torch.zeros_like(full(tensor)) if slope is None else full(slope)
            for (key, tensor), slope in zip(at.items(), found, strict=True)
        }

    def peek(self, pictures: Batch, site: Site | None = None) -> tuple[Tensor, MapsBatch | None]:
        """Logits (N, C), and the maps (N, K, h, w) at a site, of pictures (N, C, H, W) in [0, 1], without a graph."""
        with torch.inference_mode(False), torch.no_grad():
            passed = self.run(self.framed(pictures), taps=site.points if site else (), graph=False)
            return full(passed.output), site.batch(passed.taps) if site else None

    @property
    def _no_gradient(self) -> str:
        manner = self.classifier.manner
        why = manner.without_slopes or manner.without_map_slopes or "lets no gradient through"
        return f"{self.classifier.name} {why}, so its slopes cannot be read."


@runtime_checkable
class Kept(Protocol):
    """What is remembered of a picture by who asks about it, beside its passes."""

    def release(self) -> None:
        """Forget the large graphs."""


R = TypeVar("R", bound=Kept)


@dataclass(eq=False)
class Memory:
    """What is known of one picture in one network."""

    pixels: Tensor | None = None
    fed: Tensor | None = None
    """What the network is fed for those pixels, where somebody gave that instead of a picture."""
    leaf: Tensor | None = None
    logits: Tensor | None = None
    passes: list[Pass] = field(default_factory=list)
    maps: dict[Point, Tensor] = field(default_factory=dict)
    """What passes had kept that have been released."""
    slopes: dict[tuple[tuple[Point, ...], Target], dict[Point, Tensor]] = field(default_factory=dict)
    """At the points of a site, or, for no point, at the pixels (1, 3, H, W); for each target."""
    resumes: dict[tuple[tuple[Point, ...], Point | None], bool] = field(default_factory=dict)
    """Where the network was seen to run on, or not, from maps alone."""
    kept: dict[Hashable, Kept] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(eq=False, kw_only=True)
class Passes(Billed):
    """The passes of one picture: each is run once, on the bill of who asked first, and remembered for all."""

    picture: Picture
    memory: Memory

    @contextmanager
    def turn(self) -> Iterator[Memory]:
        """The memory, for one at a time; a caller's no_grad or inference_mode does not reach into what is kept."""
        with self.memory.lock, torch.inference_mode(False), torch.enable_grad():
            yield self.memory

    def kept(self, kind: type[R]) -> R:
        """What somebody remembers of this picture, by its type; made where there is none."""
        return cast(R, self.memory.kept.setdefault(kind, kind()))

    @property
    def fresh(self) -> bool:
        """Whether nothing has run yet."""
        return not self.memory.passes and self.memory.logits is None

    @property
    def pixels(self) -> Pixels:
        """The picture as framed for the network, on its device."""
        if self.memory.pixels is None:
            # In double precision for a network that is; never in half, which cannot tell neighboring brightnesses.
            dtype = torch.promote_types(torch.float32, self.classifier.dtype)
            self.memory.pixels = self.classifier.framing.frame(self.picture, dtype).to(self.classifier.device)
        return self.memory.pixels

    @property
    def logits(self) -> Tensor:
        """The network's outputs (C,) for the picture."""
        if self.memory.logits is None:
            self.memory.logits = full(self.any().output[0].detach())
        return self.memory.logits

    def framed(self, pixels: Tensor) -> Tensor:
        """What the network is fed (N, C, H, W) for pixels (N, C, H, W) or (C, H, W)."""
        framing, fed = self.classifier.framing, self.memory.fed
        framed = framing.normalize(pixels)
        if fed is not None and pixels.shape[-3:] == fed.shape:
            # Where the pixels are the picture's own, what came in: other bits, but the same function of the pixels,
            # so that neither a graph nor a rule is to see it.
            with torch._C.DisableTorchFunction(), torch.no_grad():
                own = pixels == self.pixels
                own = own.flip(-3) if framing.channels == "bgr" else own
                framed.data.copy_(torch.where(own, fed, framed))
        framed = framed.to(self.classifier.dtype)
        return framed if framed.ndim == 4 else framed[None]

    def any(self) -> Pass:
        """A pass of the picture: the first one, or the one that most will want."""
        if self.memory.passes:
            return self.memory.passes[0]
        sites = self.classifier.anatomy.sites
        return self.through(sites["last"] if sites else None)

    def through(self, site: Site | None) -> Pass:
        """A pass in whose graph the site's points stand, or, for none, the pixels.

        Where the points are several, each stands there for itself, as a leaf.
        """
        if site is None:
            return self._from_pixels()
        for passed in self.memory.passes:
            if all(point in passed.taps and passed.taps[point].requires_grad for point in site.points) and (
                passed.start == site.points or len(site.points) == 1
            ):
                return passed
        named = self._sites()
        after = named[named.index(site) :] if site in named else [site]
        return self._kept_pass(after, site.points, self.pixels)

    def leaves(self, site: Site | None) -> tuple[Pass, Outputs]:
        """Such a pass, and what came out at the points in its graph, or the pixels (1, C, H, W)."""
        passed = self.through(site)
        if site is not None:
            return passed, {point: passed.taps[point] for point in site.points}
        assert self.memory.leaf is not None
        return passed, {PICTURE: self.memory.leaf}

    def outputs(self, site: Site) -> Outputs:
        """What came out of a site's points, of whatever pass came by them."""
        known = dict(self.memory.maps)
        for passed in self.memory.passes:
            known |= {point: tensor.detach() for point, tensor in passed.taps.items()}
        if any(point not in known for point in site.points):
            known = {point: tensor.detach() for point, tensor in self.through(site).taps.items()}
        return {point: known[point] for point in site.points}

    def once(self, *, under: AbstractContextManager[object] | None = None, **wanted: Unpack[Wanted]) -> Pass:
        """A pass of the picture of which only the logits are remembered.

        Under any rule they are what they always are, but not where a head of attention is silenced.
        """
        passed = self.run(self.framed(self.pixels), under=under, **wanted)
        silenced = isinstance(under, Attending) and under.silences
        if self.memory.logits is None and not silenced:
            self.memory.logits = full(passed.output[0].detach())
        return passed

    def batch(self, pixels: Batch) -> Tensor:
        """Logits (N, C) of one batch, with a graph where the pixels have one."""
        return full(self.run(self.framed(pixels), graph=torch.is_grad_enabled()).output)

    def batch_at(
        self, pixels: Batch, site: Site | None, score: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[Point, Tensor], dict[Point, Tensor]]:
        """One batch: the logits (N, C), what came out where the graph began, at a site or the pixels; slopes there."""
        leaf = pixels.detach().clone().requires_grad_(site is None)
        points = () if site is None else site.points
        passed = self.run(self.framed(leaf), start=points)
        at: dict[Point, Tensor] = {point: passed.taps[point] for point in points} or {PICTURE: leaf}
        slopes = self.backward(score(passed.output), at)
        return full(passed.output.detach()), {point: tensor.detach() for point, tensor in at.items()}, slopes

    def from_maps(self, site: Site, maps: MapsBatch) -> Tensor:
        """The output (N, C) for versions of the maps at a site: from there on, or from the last site before, or all."""
        like, given, count = self.framed(self.pixels), site.put(self.outputs(site), maps), len(maps)
        for start in self._starts(site):
            if not self.memory.resumes.get((site.points, start), True):
                continue
            before = {} if start is None else {start: self._known(start, like)}
            before = {point: own.expand(count, *own.shape[1:]) for point, own in before.items()}
            try:
                return full(self.resume(like, before | given, passes=count))
            except LookupError:
                self.memory.resumes[site.points, start] = False
        return full(self.resume(like, given, skip=False, passes=count))

    def at_once_from(self, site: Site) -> int:
        """How many versions of the maps at a site run as one batch: more where only the head comes after them."""
        points, trunk = site.points, self.classifier.anatomy.trunk
        whole = self.classifier.manner.alone or not self.memory.resumes.get((points, None), True)
        return self.at_once * (1 if whole or not trunk or trunk[-1].points != points else HEADS_AT_ONCE)

    def release(self) -> None:
        """Forget the large graphs; maps, logits and the latest slopes stay, and the short graph at the last maps."""
        sites, memory = self.classifier.anatomy.sites, self.memory
        with memory.lock:
            for passed in memory.passes:
                for point, tensor in passed.taps.items():
                    memory.maps.setdefault(point, tensor.detach())
                if memory.logits is None:
                    memory.logits = full(passed.output[0].detach())
            short = sites["last"].points if sites else None
            memory.passes = [p for p in memory.passes if p.start and p.start == short]
            for key in list(memory.slopes)[:-KEPT_SLOPES]:
                del memory.slopes[key]
            memory.leaf = None
            for each in memory.kept.values():
                each.release()

    # --- private -----------------------------------------------------------------------------------------------------

    def _sites(self) -> list[Site]:
        """Every site that is worth keeping in any pass that comes by it, in order."""
        anatomy = self.classifier.anatomy
        named = [anatomy.sites[depth] for depth in DEPTHS if depth in anatomy.sites]
        return [*named, anatomy.head.site] if isinstance(anatomy.head, ClassMaps) else named

    def _from_pixels(self) -> Pass:
        for passed in self.memory.passes:
            if not passed.start:
                return passed
        leaf = self.pixels[None].clone().requires_grad_()
        passed = self._kept_pass(self._sites(), (), leaf)
        self.memory.leaf = leaf
        return passed

    def _kept_pass(self, sites: Iterable[Site], start: tuple[Point, ...], pixels: Tensor) -> Pass:
        module = self.classifier.module
        if any(tensor.is_inference() for tensor in [*module.parameters(), *module.buffers()]):
            raise DoesNotApply(
                f"{self.classifier.name} was built under torch.inference_mode(), whose tensors take no part in "
                "gradients; build it outside, or under torch.no_grad()."
            )
        points = dict.fromkeys(point for site in sites for point in site.points)
        passed = self.run(self.framed(pixels), taps=[*points], start=start)
        self.memory.passes.append(passed)
        return passed

    def _starts(self, site: Site) -> list[Point | None]:
        """Where a pass may begin for other maps at a site: there, or, where a class token goes around it, before it."""
        trunk = [each.points for each in self.classifier.anatomy.trunk]
        return [None] if site.points in trunk or not trunk or len(trunk[-1]) > 1 else [None, trunk[-1][0]]

    def _known(self, point: Point, like: Tensor) -> Tensor:
        """What came out of a point for this picture (1, …)."""
        for passed in self.memory.passes:
            if point in passed.taps:
                return passed.taps[point].detach()
        if point not in self.memory.maps:
            self.memory.maps[point] = self.run(like, taps=[point], graph=False).taps[point]
        return self.memory.maps[point]


# --- private ---------------------------------------------------------------------------------------------------------

_counting = threading.Lock()
"""Held while a bill is written: views of one trace may be asked from several threads, on one bill."""
