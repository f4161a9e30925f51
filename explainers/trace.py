"""Trace: one picture through one classifier; every pass is run once, remembered and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from .anatomy import DEPTHS, ClassMaps, Site
from .classifier import Classifier
from .errors import DoesNotApply, QuestionError
from .images import Picture
from .shapes import Logits, Maps, Pixels, Slopes
from .taps import Pass, Point, run

ScoreName = Literal["centered_logit", "logit", "log_prob", "probability"]
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)
DEFAULT_SCORE: ScoreName = "centered_logit"

PIXELS = "pixels"
"""Where a graph starts that is to reach the picture itself."""


KEPT_SLOPES = 8
"""Slopes that a released trace still has: enough for a few classes and methods in turn."""


@dataclass(frozen=True)
class Prediction:
    """A class and how probable the network calls it, by the softmax of its logits."""

    label: str
    probability: float
    index: int
    logit: float


@dataclass(frozen=True)
class Target:
    """The score that is being explained: the class in question (None: the winning one), and against what.

    The default score is the centered logit, z_c − mean(z): a bare logit can be moved by any constant without changing
    a single prediction, and its map with it (Gairola et al., ICLR 2025). With `versus` it is the difference of the two
    classes' logits; under `log_prob` and `probability`, the difference of those.
    """

    index: int | None = None
    versus: int | None = None
    score: ScoreName = DEFAULT_SCORE

    def of(self, logits: Tensor) -> Tensor:
        """The score (…) of logits (…, C). The class must be known by now; a single logit has no others to center on."""
        assert self.index is not None
        values = _full(logits)
        match self.score:
            case "log_prob":
                values = values.log_softmax(-1)
            case "probability":
                values = values.softmax(-1)
        chosen = values[..., self.index]
        if self.versus is not None:
            return chosen - values[..., self.versus]
        centered = self.score == "centered_logit" and values.shape[-1] > 1
        return chosen - values.mean(-1) if centered else chosen


@dataclass
class Spent:
    """What an answer took: passes through the network, and seconds."""

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        """What both took."""
        return Spent(self.forwards + other.forwards, self.backwards + other.backwards, self.seconds + other.seconds)


@dataclass(eq=False)
class Trace:
    """One picture through one classifier. Nothing runs before it is asked for, and nothing runs twice.

    A trace is asked about one target at a time: `ask` gives a view for another target that shares all passes. A
    method sees such a view. It is safe to ask from several threads; they take turns.
    """

    classifier: Classifier
    picture: Picture
    target: Target = field(default_factory=Target)
    spent: Spent = field(default_factory=Spent)
    """What this view has caused so far; a pass that was there already costs nothing."""
    stop: Callable[[], bool] | None = None
    """Looked at in the middle of passes; when it says so, `Stopped` is raised."""
    _memory: _Memory = field(default_factory=lambda: _Memory())  # noqa: PLW0108 - defined below

    def ask(self, target: Target, *, stop: Callable[[], bool] | None = None) -> Trace:
        """A view of the same passes that asks about `target`, with its own count of what it spends."""
        return replace(self, target=target, spent=Spent(), stop=stop)

    @property
    def pixels(self) -> Pixels:
        """The picture as framed for the network, RGB in [0, 1], on its device."""
        with self._turn():
            return self._pixels()

    @property
    def logits(self) -> Logits:
        """The network's scores, one for each class; in single precision at least, as maps and slopes are."""
        with self._turn():
            if self._memory.logits is None:
                self._memory.logits = _full(self._any_pass().output[0].detach())
            return self._memory.logits

    @property
    def class_index(self) -> int:
        """The class in question: the one asked about, or the winning one."""
        if not self.classifier.has_classes:
            raise DoesNotApply(f"{self.classifier.name} is a backbone: it has features, but no classes to ask about.")
        return int(self.logits.argmax()) if self.target.index is None else self.target.index

    def top(self, count: int = 5) -> list[Prediction]:
        """The most probable classes, first the winning one. Raises `DoesNotApply` for a backbone."""
        if not self.classifier.has_classes:
            raise DoesNotApply(f"{self.classifier.name} is a backbone: it has features, but no classes to rank.")
        logits = self.logits.float()
        probabilities = logits.softmax(0)
        best = logits.topk(min(count, logits.numel())).indices.tolist()
        labels = self.classifier.labels
        return [Prediction(labels[i], float(probabilities[i]), i, float(logits[i])) for i in best]

    def site(self, depth: str | Site) -> Site:
        """Where the maps at a depth are read. Raises `DoesNotApply` in words where there are none."""
        if isinstance(depth, Site):
            return depth
        try:
            return self.classifier.anatomy.site(depth)
        except LookupError as error:
            if self.classifier.anatomy.sites:
                raise QuestionError(str(error)) from error
            raise DoesNotApply(f"{self.classifier.name}: {error}") from error

    def maps(self, depth: str | Site = "last") -> Maps:
        """What the network put out at a depth, as channels over its grid; prefix tokens dropped."""
        site = self.site(depth)
        with self._turn():
            kept = self._memory.maps.get(site.point)
            tensor = self._pass_through(site).taps[site.point].detach() if kept is None else kept
            return _full(site.layout.maps(tensor))

    def slopes(self, depth: str | Site = "last") -> Slopes:
        """The gradient of the score with respect to `maps(depth)`; zero where the score does not depend on them."""
        site = self.site(depth)
        with self._turn():
            return _full(site.layout.maps(self._gradient(site.point, lambda: self._at(site))))

    def logit_slopes(self) -> Logits:
        """The gradient of the score with respect to the logits: what each logit counts for. Takes no pass."""
        with self._turn():
            logits = self.logits.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self._target().of(logits), logits)
            return slope

    def pixel_slopes(self) -> Pixels:
        """The gradient of the score with respect to the pixels in [0, 1]; the network's normalization is inside."""
        with self._turn():
            return self._gradient(PIXELS, self._at_pixels)

    def prepare(self, starts: Iterable[str]) -> None:
        """Run the one pass that serves all of `starts` (depths, or `PIXELS`), so that none runs a second one."""
        wanted = set(starts)
        with self._turn():
            if PIXELS in wanted:
                self._pass_from_pixels()
            elif named := [depth for depth in DEPTHS if depth in wanted & self.classifier.anatomy.sites.keys()]:
                self._pass_through(self.site(named[0]))

    def release(self) -> None:
        """Forget the large graphs; maps, logits and the latest slopes stay, and the short graph at the last maps."""
        sites = self.classifier.anatomy.sites
        with self._memory.lock:
            for passed in self._memory.passes:
                for point, tensor in passed.taps.items():
                    self._memory.maps.setdefault(point, tensor.detach())
                if self._memory.logits is None:
                    self._memory.logits = _full(passed.output[0].detach())
            short = sites["last"].point if sites else None
            self._memory.passes = [p for p in self._memory.passes if p.start is not None and p.start == short]
            for key in list(self._memory.slopes)[:-KEPT_SLOPES]:
                del self._memory.slopes[key]
            self._memory.leaf = None

    # --- private -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # A caller's no_grad or inference_mode must not reach into the graph that is kept here.
        with self._memory.lock, torch.inference_mode(False), torch.enable_grad():
            yield

    def _target(self) -> Target:
        return replace(self.target, index=self.class_index)

    def _sites(self) -> list[Point]:
        """Every point that is worth keeping in any pass that comes by it, in order."""
        anatomy = self.classifier.anatomy
        named = [anatomy.sites[depth].point for depth in DEPTHS if depth in anatomy.sites]
        return [*named, anatomy.head.site.point] if isinstance(anatomy.head, ClassMaps) else named

    def _pixels(self) -> Tensor:
        if self._memory.pixels is None:
            # In double precision for a network that is; never in half, which cannot tell neighboring brightnesses.
            dtype = torch.promote_types(torch.float32, self.classifier.dtype)
            self._memory.pixels = self.classifier.framing.frame(self.picture).to(self.classifier.device, dtype)
        return self._memory.pixels

    def _any_pass(self) -> Pass:
        if self._memory.passes:
            return self._memory.passes[0]
        sites = self.classifier.anatomy.sites
        return self._pass_through(sites["last"]) if sites else self._pass_from_pixels()

    def _pass_through(self, site: Site) -> Pass:
        for passed in self._memory.passes:
            if site.point in passed.taps:
                return passed
        named = self._sites()
        taps = named[named.index(site.point) :] if site.point in named else [site.point]
        return self._run(taps, site.point, self._pixels())

    def _pass_from_pixels(self) -> Pass:
        for passed in self._memory.passes:
            if passed.start is None:
                return passed
        leaf = self._pixels().clone().requires_grad_()
        passed = self._run(self._sites(), None, leaf)
        self._memory.leaf = leaf
        return passed

    def _run(self, taps: list[Point], start: Point | None, pixels: Tensor) -> Pass:
        began = time.perf_counter()
        framed = self.classifier.framing.normalize(pixels).to(self.classifier.dtype)[None]
        module = self.classifier.module
        if any(tensor.is_inference() for tensor in [*module.parameters(), *module.buffers()]):
            raise DoesNotApply(
                f"{self.classifier.name} was built under torch.inference_mode(), whose tensors take no part in "
                "gradients; build it outside, or under torch.no_grad()."
            )
        passed = run(module, framed, taps=list(dict.fromkeys(taps)), start=start, stop=self.stop)
        self.spent.forwards += 1
        self.spent.seconds += time.perf_counter() - began
        self._memory.passes.append(passed)
        return passed

    def _at(self, site: Site) -> tuple[Pass, Tensor]:
        passed = self._pass_through(site)
        return passed, passed.taps[site.point]

    def _at_pixels(self) -> tuple[Pass, Tensor]:
        passed = self._pass_from_pixels()
        assert self._memory.leaf is not None
        return passed, self._memory.leaf

    def _gradient(self, where: Point | str, at: Callable[[], tuple[Pass, Tensor]]) -> Tensor:
        """The slope at a place, shaped as the tensor there; `at` gives the pass and that tensor where needed."""
        if not self._memory.passes and self._memory.logits is None:
            at()  # first, so that finding the winning class takes no pass of its own
        target = self._target()
        key = (where, target)
        if key not in self._memory.slopes:
            passed, tensor = at()
            began = time.perf_counter()
            score = target.of(passed.output[0])
            slope = None
            if score.requires_grad:
                (slope,) = torch.autograd.grad(score, tensor, retain_graph=True, allow_unused=True)
            if slope is None and (where == PIXELS or not score.requires_grad):
                raise DoesNotApply(f"{self.classifier.name} lets no gradient through, so its slopes cannot be read.")
            self._memory.slopes[key] = torch.zeros_like(tensor) if slope is None else slope
            self.spent.backwards += 1
            self.spent.seconds += time.perf_counter() - began
        return self._memory.slopes[key]


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


@dataclass(eq=False)
class _Memory:
    pixels: Tensor | None = None
    leaf: Tensor | None = None
    logits: Tensor | None = None
    passes: list[Pass] = field(default_factory=list)
    maps: dict[Point, Tensor] = field(default_factory=dict)
    """What passes had kept that have been released."""
    slopes: dict[tuple[Point | str, Target], Tensor] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
