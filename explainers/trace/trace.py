"""Trace: one picture through one classifier; every pass is run once, remembered and counted."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from ..baselines import BaselineName, baseline
from ..errors import DoesNotApply, PictureError, QuestionError, Stopped, calls
from ..network.anatomy import DEPTHS, ClassMaps
from ..network.classifier import Classifier, owned, same_network
from ..network.heads import Head, Prediction, ScoreName
from ..network.outputs import OwnTarget
from ..network.rules.attended import Attending, AttentionLayer, Row, Seen
from ..network.rules.attention import Spelled
from ..network.sites import Outputs, Site
from ..network.taps import Pass, Point, resume, run
from ..pictures import Picture
from ..results import Heatmap, Step
from ..shapes import Batch, Heat, Logits, Maps, MapsBatch, Pixels, Scores, Slopes

T = TypeVar("T")

PIXELS = "pixels"
"""Where a graph starts that is to reach the picture itself."""


Query = tuple[int, int] | Literal["read", "patches"]
"""Whose attention: a cell (row, column), the tokens that the scores are read from, or the mean over all patches."""

PIXELS_AT_ONCE = {"cpu": 8 * 224 * 224, "cuda": 64 * 224 * 224}
"""Pixels of the pictures that run as one batch; more of them gain no speed, and only memory and waiting."""

MOST_AT_ONCE = {"cpu": 64, "cuda": 512}

HEADS_AT_ONCE = 8
"""So many times more pictures fit one batch that begins at the last maps; each batch costs the walk to them once."""

BEYOND = (
    "With its normalization undone, this tensor reaches from {:.2f} to {:.2f}, and pictures from 0 to 1: it was "
    "normalized in another way, or not at all. The network is fed it as it is; on the screen, the rest is clipped."
)
_SLACK = 0.02  # rounding of half precision and of filters that overshoot

KEPT_ROWS = 2048
"""Rows of attention that are remembered, one for each layer and query; each takes heads × tokens numbers."""

KEPT_SLOPES = 8
"""Slopes that a released trace still has: enough for a few classes and methods in turn."""


@dataclass(frozen=True)
class Target:
    """The score that is being explained: the class in question (None: the winning one), and against what.

    The default score is the head's. Of exclusive classes it is the centered logit, z_c − mean(z): a bare logit can be
    moved by any constant without changing a single prediction, and its map with it (Gairola et al., ICLR 2025). With
    `versus` it is the difference of the two classes' logits; under `log_prob` and `probability`, of those.
    """

    index: int | None = None
    versus: int | None = None
    score: ScoreName | None = None
    """None for the head's default, which also stands in for a score that the head does not have."""
    head: Head = field(default_factory=Head)

    @property
    def explained(self) -> ScoreName:
        """The score that is explained, by name."""
        return self.score if self.score in self.head.scores else self.head.default

    @property
    def points(self) -> str:
        """What the score is counted in."""
        return self.head.points(self.explained)

    def of(self, logits: Tensor) -> Tensor:
        """The score (…) of the network's outputs (…, C). The class must be known by now."""
        assert self.index is not None
        return self.head.score(_full(logits), self.index, self.versus, self.explained)


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
class Asked:
    """A question about the network itself rather than about a picture: which class, and when to stop."""

    target: Target = field(default_factory=Target)
    spent: Spent = field(default_factory=Spent)
    """What the answer takes; a method that runs the network by itself counts here."""
    stop: Callable[[], bool] | None = None

    def check(self) -> None:
        """Raises `Stopped` where somebody asked for it."""
        if self.stop is not None and self.stop():
            raise Stopped("Stopped, as asked.")


@dataclass(frozen=True, eq=False)
class Second:
    """Another picture beside the one in question, for methods that mix two; None where nobody gave one."""

    picture: Picture | None = None


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
    working: list[Step] | None = None
    """The steps that a method told on the way, where they were asked for."""
    _memory: _Memory = field(default_factory=lambda: _Memory())  # noqa: PLW0108 - defined below

    def __post_init__(self) -> None:
        """What a target means is the head's to say."""
        self.target = replace(self.target, head=self.classifier.head)

    @classmethod
    def fed(cls, model: Classifier, tensor: object) -> Trace:
        """A trace of what the network is fed (C, h, w), resized and normalized already; it gets that, bit for bit.

        The picture is the tensor with the normalization undone, in 8 bits. Raises `PictureError`.
        """
        framing = model.framing
        shape = (framing.channel_count, *framing.size)
        right = isinstance(tensor, Tensor) and tensor.is_floating_point() and tuple(tensor.shape) == shape
        if not isinstance(tensor, Tensor) or not right or not bool(torch.isfinite(tensor).all()):
            given = f"{tuple(tensor.shape)}, {tensor.dtype}" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise PictureError(
                f"What {model.name} is fed is a tensor {shape} of finite floats, resized and normalized; this is "
                f"{given}. Without framed=True, Sightglass resizes and normalizes by itself."
            )
        whole = replace(framing, mode="squash", resize=None)  # nothing is cut or scaled any more
        model = model if whole == framing else same_network(model, framing=whole)
        fed = tensor.detach().to(model.device, torch.promote_types(torch.float32, model.dtype), copy=True)
        pixels = whole.denormalize(fed)
        low, high = float(pixels.min()), float(pixels.max())
        read = Picture.read(pixels.clamp(0, 1), show=whole.bands)
        beyond = (BEYOND.format(low, high),) if low < -_SLACK or high > 1 + _SLACK else ()
        digest = hashlib.sha256(fed.cpu().numpy().tobytes()).hexdigest()  # two may differ where 8 bits do not
        trace = cls(model, replace(read, digest=digest, notes=(*read.notes, *beyond)))
        trace._memory.pixels, trace._memory.fed = pixels, fed
        return trace

    def ask(self, target: Target, *, stop: Callable[[], bool] | None = None, working: bool = False) -> Trace:
        """A view of the same passes that asks about `target`, with its own count of what it spends."""
        return replace(self, target=target, spent=Spent(), stop=stop, working=[] if working else None)

    def owned(self, own: OwnTarget) -> Trace:
        """The same picture, asked about a target function of what the network puts out; its passes are kept here."""
        with self._turn():
            if own not in self._memory.owned:
                about = Trace(owned(self.classifier, own, self._pixels()), self.picture)
                about._memory.pixels, about._memory.fed = self._memory.pixels, self._memory.fed
                self._memory.owned[own] = about
            return self._memory.owned[own]

    def elsewhere(self, pixels: Pixels) -> Trace:
        """The same question about other pixels (3, H, W) in [0, 1], on the same bill; nothing of it is kept here."""
        memory = _Memory()
        memory.pixels = pixels.detach()
        if self._memory.fed is not None and pixels.shape == self._memory.fed.shape:
            memory.fed = self._framed(memory.pixels)[0].to(self._memory.fed)
        return replace(self, target=self._target(), working=None, _memory=memory)

    def all_elsewhere(self, pixels: Batch, start: str = "last") -> Iterator[Trace]:
        """The same question about each of other pictures (N, 3, H, W) in [0, 1], answered by batched passes.

        Logits, and maps and slopes at `start` (a depth, or `PIXELS`), are there already; a method that wants more of
        one picture runs it again.
        """
        target = self._target()
        apart = start != PIXELS and start not in self.classifier.anatomy.sites
        for part in torch.split(pixels, self.at_once):
            traces = [self.elsewhere(each) for each in part]
            if not apart:
                with self._turn():
                    where, maps, slopes, logits = self._pass_at(part, start, target)
                for place, trace in enumerate(traces):
                    one = slice(place, place + 1)
                    trace._memory.logits = logits[place]
                    trace._memory.slopes[where, target] = [slope[one] for slope in slopes]
                    trace._memory.maps |= {point: tensor[one] for point, tensor in maps.items()}
            yield from traces

    @property
    def pixels(self) -> Pixels:
        """The picture as framed for the network (C, H, W) in [0, 1], colors as RGB, on its device."""
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
            raise DoesNotApply(f"{self.classifier.name} {self.classifier.no_classes}.")
        head = self.classifier.head
        return int(head.winner(self.logits)) if self.target.index is None else self.target.index

    def top(self, count: int = 5) -> list[Prediction]:
        """The most probable classes, first the winning one. Raises `DoesNotApply` for a backbone."""
        count = calls.count("count", count)
        if not self.classifier.has_classes:
            raise DoesNotApply(f"{self.classifier.name} {self.classifier.no_classes}.")
        head, outputs = self.classifier.head, self.logits
        count = min(count, outputs.numel())
        best = outputs.topk(count).indices.tolist() if head.probable else range(count)
        return [head.prediction(self.classifier.labels[i], i, outputs) for i in best]

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
            return _full(site.maps(self._outputs(site)))

    def slopes(self, depth: str | Site = "last") -> Slopes:
        """The gradient of the score with respect to `maps(depth)`; zero where the score does not depend on them."""
        site = self.site(depth)
        with self._turn():
            slopes = self._gradient(site.points, lambda: self._at(site))
            return _full(site.slopes(dict(zip(site.points, slopes, strict=True)))[0])

    def logit_slopes(self) -> Logits:
        """The gradient of the score with respect to the logits: what each logit counts for. Takes no pass."""
        with self._turn():
            logits = self.logits.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self._target().of(logits), logits)
            return slope

    def pixel_slopes(self) -> Pixels:
        """The gradient of the score with respect to the pixels in [0, 1]; the network's normalization is inside."""
        with self._turn():
            (slope,) = self._gradient((), self._at_pixels)
            return slope[0]

    def logits_at(self, pixels: Batch) -> Tensor:
        """The network's logits (N, C) for other pictures (N, 3, H, W) in [0, 1], without a graph."""
        with self._turn(), torch.no_grad():
            return torch.cat([_full(self._batch(part)) for part in torch.split(pixels, self.at_once)])

    def score(self, pixels: Batch) -> Scores:
        """The score for each of other pictures (N, 3, H, W) in [0, 1], without a graph; in batches that fit."""
        target = self._target()
        return target.of(self.logits_at(pixels))

    def slopes_at(self, pixels: Batch, *, rule: AbstractContextManager[Any] | None = None) -> tuple[Batch, Scores]:
        """The gradient of the score at other pictures (N, 3, H, W) in [0, 1], and their scores (N,).

        Under `rule`, one of those in `rules`, the gradient flows through some functions in another way.
        """
        target, slopes, scores = self._target(), [], []
        with self._turn():
            for part in torch.split(pixels, self.at_once):
                leaf = part.detach().clone().requires_grad_()
                with rule or nullcontext():
                    logits = self._batch(leaf)
                    score = target.of(logits)
                if self._memory.logits is None and len(part) == 1 and torch.equal(part[0], self._pixels()):
                    self._memory.logits = logits[0].detach()  # under any rule, what comes out is what always does
                began = time.perf_counter()
                slopes += self._backward(score.sum(), [leaf])
                self.spent.backwards += len(part)
                self.spent.seconds += time.perf_counter() - began
                scores.append(score.detach())
        return torch.cat(slopes), torch.cat(scores)

    def score_from(self, maps: MapsBatch, depth: str | Site = "last") -> Scores:
        """The score for each of other maps (N, K, h, w) at a depth, the rest of the network running on from there.

        What comes before that depth is not computed again, where the network allows it.
        """
        site, target, scores = self.site(depth), self._target(), []
        with self._turn():
            like = self._framed(self._pixels())
            own = self._outputs(site)
            for part in torch.split(maps, self.at_once_from(site)):
                began = time.perf_counter()
                output = self._resume(site, like, site.put(own, part), len(part))
                scores.append(target.of(_full(output)))
                self.spent.forwards += len(part)
                self.spent.seconds += time.perf_counter() - began
        return torch.cat(scores)

    def slopes_of(self, weights: Logits, depth: str | Site = "last") -> Slopes:
        """The gradient of any weighted sum of the logits, `weights` (C,), with respect to `maps(depth)`."""
        site = self.site(depth)
        with self._turn():
            passed, tensors = self._at(site)
            began = time.perf_counter()
            slopes = self._backward((_full(passed.output[0]) * weights.clone()).sum(), tensors, keep=True)
            self.spent.backwards += 1
            self.spent.seconds += time.perf_counter() - began
            return _full(site.slopes(dict(zip(site.points, slopes, strict=True)))[0])

    def slope_changes(self, along: Maps, depth: str | Site = "last") -> Slopes:
        """How the slopes at a depth change along a direction (K, h, w): the Hessian of the score times `along`."""
        site, target = self.site(depth), self._target()
        with self._turn():
            began = time.perf_counter()
            with Spelled():  # fused attention has no second derivative
                passed = run(self.classifier.module, self._framed(self._pixels()), start=site.points, stop=self.stop)
                tensors = [passed.taps[point] for point in site.points]
                score = target.of(passed.output[0])
                slopes = self._backward(score, tensors, create_graph=True)
                inner = (site.slopes(dict(zip(site.points, slopes, strict=True)))[0] * along.to(slopes[0])).sum()
                changes = self._backward(inner, tensors) if inner.requires_grad else [each * 0 for each in tensors]
            self.spent.forwards += 1
            self.spent.backwards += 2
            self.spent.seconds += time.perf_counter() - began
            return _full(site.slopes(dict(zip(site.points, (c.detach() for c in changes), strict=True)))[0])

    def attention(
        self, layers: Iterable[int] | None = None, *, query: Query | Mapping[int, Query] = "read"
    ) -> tuple[Row, ...]:
        """What a query's attention goes to, in some layers or all, for each head; only that is kept, of one pass.

        A cell (row, column) is one of the layer's own grid; each layer may have a query of its own. "read" is the class
        token, or what else the scores are read from; for a network that averages its patches, the mean over them.
        Raises `QuestionError` or `DoesNotApply`.
        """
        chosen = self._attentions(layers)
        asked = {index: query[index] if isinstance(query, Mapping) else query for index in chosen}
        with self._turn():
            rows = self._memory.rows
            while len(rows) > KEPT_ROWS:
                del rows[next(iter(rows))]
            for index, layer in chosen.items():
                if isinstance(cell := asked[index], tuple):
                    _check_cell(layer, index, cell)
            missing = {index: layer for index, layer in chosen.items() if (index, asked[index]) not in rows}

            def see(index: int, seen: Seen) -> None:
                rows[index, asked[index]] = self._row(seen, asked[index])

            self._attend(missing, see)
            return tuple(rows[index, asked[index]] for index in chosen)

    def attention_over(self, read: Callable[[Seen], T], layers: Iterable[int] | None = None) -> list[T]:
        """What `read` makes of each layer's attention while one pass goes by; nothing else is kept."""
        found: dict[int, T] = {}
        chosen = self._attentions(layers)
        with self._turn():
            self._attend(chosen, lambda index, seen: found.__setitem__(index, read(seen)))
            return [found[index] for index in chosen]

    def hold_attention(self) -> None:
        """Keep what every attention is made from, so that any row can be asked for without another pass."""
        chosen = self._attentions(None)
        with self._turn():
            if not self._memory.held:
                held: dict[int, Seen] = {}
                self._attend(chosen, lambda index, seen: held.__setitem__(index, seen.kept()))
                self._memory.held = held

    def drop_attention(self) -> None:
        """Let go of what `hold_attention` keeps; rows that were asked for stay."""
        with self._memory.lock:
            self._memory.held = {}

    def shares(self, other: Trace) -> bool:
        """Whether both are views of the same passes."""
        return self._memory is other._memory

    def attention_slopes(self, layers: Iterable[int] | None = None) -> Iterator[tuple[AttentionLayer, Tensor, Tensor]]:
        """Each layer's matrix (windows, heads, queries, keys) and the gradient of the score with respect to it.

        One pass whose graph begins at the first of the layers, and one way back, for all of them.
        """
        chosen = self._attentions(layers)
        with self._turn():
            if not self._memory.passes and self._memory.logits is None:
                self._linked(chosen)  # first, so that finding the winning class takes no pass of its own
            target = self._target()
            slopes = self._memory.attention_slopes
            if any((index, target) not in slopes for index in chosen):
                passed, linked = self._linked(chosen)
                began = time.perf_counter()
                score = target.of(passed.output[0])
                outs = [seen.out for seen in linked.values() if seen.out is not None]
                for index, slope in zip(linked, self._backward(score, outs, keep=True), strict=True):
                    slopes[index, target] = slope
                self.spent.backwards += 1
                self.spent.seconds += time.perf_counter() - began
            seen_by = self._memory.linked[1] if self._memory.linked else {}
            known = [(layer, seen_by[index], slopes[index, target]) for index, layer in chosen.items()]
        for layer, seen, slope in known:
            with torch.no_grad():
                yield layer, seen.matrix().detach(), seen.slopes(slope)

    def block_tokens(self) -> list[tuple[Tensor, Tensor]]:
        """What each block of attention puts out, as maps (K, h, w) of its patches, and the score's slopes there."""
        sites = self.classifier.anatomy.blocks
        if not sites:
            raise DoesNotApply(
                f"{self.classifier.name} has no tokens after each of its blocks that its head could read."
            )
        if not self._memory.passes and self._memory.logits is None:
            self.attention()  # first, so that the rows come with the pass that finds the winning class
        target = self._target()
        with self._turn():
            began = time.perf_counter()
            points = [site.point for site in sites]
            framed = self._framed(self._pixels())
            passed = run(self.classifier.module, framed, taps=points, start=points[0], stop=self.stop)
            tensors = [passed.taps[point] for point in points]
            score = target.of(passed.output[0])
            slopes = self._backward(score, tensors)
            self.spent.forwards += 1
            self.spent.backwards += 1
            self.spent.seconds += time.perf_counter() - began
            return [
                (_full(site.maps({site.point: tensor.detach()})), _full(site.maps({site.point: slope})))
                for site, tensor, slope in zip(sites, tensors, slopes, strict=True)
            ]

    def layer_slopes(self) -> Iterator[tuple[AttentionLayer, Tensor]]:
        """For each layer, the gradient with respect to its matrix of the score that is read right behind its block.

        The head of the network, with all that stands before it after the last block, reads each block's tokens as if
        they were the last. One pass and one way back for all of them: each block's graph ends where the block begins.
        """
        sites = self.classifier.anatomy.blocks
        if not sites:
            raise DoesNotApply(
                f"{self.classifier.name} has no tokens after each of its blocks that its head could read."
            )
        chosen = self._attentions(None)
        with self._turn():
            began = time.perf_counter()
            points, linked = [site.point for site in sites], dict[int, Seen]()
            module, like = self.classifier.module, self._framed(self._pixels())
            with Attending(chosen, linked.__setitem__, graph=True):
                passed = run(module, like, taps=points, cut=points, graph=False, stop=self.stop)
            if self._memory.logits is None:  # where graphs are cut, values are what they always are
                self._memory.logits = _full(passed.output[0].detach())
            target = self._target()
            tokens = torch.cat([passed.taps[point] for point in points])
            logits = resume(module, like, {points[-1]: tokens}, graph=True, stop=self.stop)
            outs = [seen.out for seen in linked.values() if seen.out is not None]
            found = self._backward(target.of(_full(logits)).sum(), outs)
            self.spent.forwards += 2
            self.spent.backwards += 1
            self.spent.seconds += time.perf_counter() - began
        for (index, layer), slope in zip(chosen.items(), found, strict=True):
            with torch.no_grad():
                yield layer, linked[index].slopes(slope)

    def without_head(self, layer: int, head: int) -> float:
        """The score when one head of one attention puts out nothing."""
        chosen = self._attentions([layer])
        ((index, known),) = chosen.items()
        if not 0 <= head < known.heads:
            raise QuestionError(f"Layer {index} has heads 0 to {known.heads - 1}; {head} is not one of them.")
        target = self._target()
        with self._turn(), torch.no_grad(), Attending(chosen, lambda *_: None, silent=(index, head)):
            return float(target.of(self._batch(self._pixels()[None]))[0])

    def baseline(self, name: BaselineName, *, seed: int = 0) -> Pixels:
        """The picture with nothing in it that is called so: what `pixels` are held against, or covered with."""
        return baseline(name, self.pixels, self.classifier.framing, seed=seed)

    @property
    def at_once(self) -> int:
        """How many pictures run as one batch: a fixed number for a device and a size, so that sums round alike."""
        if self.classifier.manner.alone:
            return 1
        height, width = self.classifier.framing.size
        kind = self.classifier.device.type
        most = MOST_AT_ONCE.get(kind, MOST_AT_ONCE["cpu"])
        return max(2, min(most, PIXELS_AT_ONCE.get(kind, PIXELS_AT_ONCE["cpu"]) // (height * width)))

    def at_once_from(self, depth: str | Site) -> int:
        """How many versions of the maps at a depth run as one batch: more where only the head comes after them."""
        points, trunk = self.site(depth).points, self.classifier.anatomy.trunk
        whole = self.classifier.manner.alone or not self._memory.resumes.get((points, None), True)
        return self.at_once * (1 if whole or not trunk or trunk[-1].points != points else HEADS_AT_ONCE)

    def step(
        self,
        sentence: str,
        heat: Heat,
        *,
        signed: bool = True,
        weight: float | None = None,
        total: float | None = None,
    ) -> None:
        """Tell a stage of the working: what came out, and what it counts for. Kept only where somebody asked for it."""
        if self.working is not None:
            kept = Heatmap(heat, unit="").heat
            self.working.append(Step(sentence, kept, signed, weight, total))

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
            short = sites["last"].points if sites else None
            self._memory.passes = [p for p in self._memory.passes if p.start and p.start == short]
            for key in list(self._memory.slopes)[:-KEPT_SLOPES]:
                del self._memory.slopes[key]
            self._memory.leaf = None
            self._memory.linked = None
            self._memory.attention_slopes.clear()
            for trace in self._memory.owned.values():
                trace.release()

    # --- private -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # A caller's no_grad or inference_mode must not reach into the graph that is kept here.
        with self._memory.lock, torch.inference_mode(False), torch.enable_grad():
            yield

    @property
    def _no_gradient(self) -> str:
        manner = self.classifier.manner
        why = manner.without_slopes or manner.without_map_slopes or "lets no gradient through"
        return f"{self.classifier.name} {why}, so its slopes cannot be read."

    def _target(self) -> Target:
        return replace(self.target, index=self.class_index)

    def _sites(self) -> list[Site]:
        """Every site that is worth keeping in any pass that comes by it, in order."""
        anatomy = self.classifier.anatomy
        named = [anatomy.sites[depth] for depth in DEPTHS if depth in anatomy.sites]
        return [*named, anatomy.head.site] if isinstance(anatomy.head, ClassMaps) else named

    def _pixels(self) -> Tensor:
        if self._memory.pixels is None:
            # In double precision for a network that is; never in half, which cannot tell neighboring brightnesses.
            dtype = torch.promote_types(torch.float32, self.classifier.dtype)
            self._memory.pixels = self.classifier.framing.frame(self.picture, dtype).to(self.classifier.device)
        return self._memory.pixels

    def _any_pass(self) -> Pass:
        if self._memory.passes:
            return self._memory.passes[0]
        sites = self.classifier.anatomy.sites
        return self._pass_through(sites["last"]) if sites else self._pass_from_pixels()

    def _pass_through(self, site: Site) -> Pass:
        """A pass in whose graph the site's points stand; where they are several, each for itself, as leaves."""
        for passed in self._memory.passes:
            if all(point in passed.taps and passed.taps[point].requires_grad for point in site.points) and (
                passed.start == site.points or len(site.points) == 1
            ):
                return passed
        named = self._sites()
        after = named[named.index(site) :] if site in named else [site]
        return self._run([point for each in after for point in each.points], site.points, self._pixels())

    def _outputs(self, site: Site) -> Outputs:
        """What came out of a site's points, of whatever pass came by them."""
        known = dict(self._memory.maps)
        for passed in self._memory.passes:
            known |= {point: tensor.detach() for point, tensor in passed.taps.items()}
        if any(point not in known for point in site.points):
            known = {point: tensor.detach() for point, tensor in self._pass_through(site).taps.items()}
        return {point: known[point] for point in site.points}

    def _pass_from_pixels(self) -> Pass:
        for passed in self._memory.passes:
            if not passed.start:
                return passed
        leaf = self._pixels().clone().requires_grad_()
        passed = self._run([point for each in self._sites() for point in each.points], (), leaf)
        self._memory.leaf = leaf
        return passed

    def _framed(self, pixels: Tensor) -> Tensor:
        """What the network is fed (N, C, H, W) for pixels (C, H, W) or (N, C, H, W)."""
        framing, fed = self.classifier.framing, self._memory.fed
        framed = framing.normalize(pixels)
        if fed is not None and pixels.shape[-3:] == fed.shape:
            # Where the pixels are the picture's own, what came in: other bits, but the same function of the pixels,
            # so that neither a graph nor a rule is to see it.
            with torch._C.DisableTorchFunction(), torch.no_grad():
                own = pixels == self._pixels()
                own = own.flip(-3) if framing.channels == "bgr" else own
                framed.data.copy_(torch.where(own, fed, framed))
        framed = framed.to(self.classifier.dtype)
        return framed if framed.ndim == 4 else framed[None]

    def _batch(self, pixels: Tensor) -> Tensor:
        """Logits (N, C) of one batch, with a graph where the pixels have one."""
        began = time.perf_counter()
        passed = run(self.classifier.module, self._framed(pixels), graph=torch.is_grad_enabled(), stop=self.stop)
        self.spent.forwards += len(pixels)
        self.spent.seconds += time.perf_counter() - began
        return _full(passed.output)

    def _pass_at(
        self, pixels: Tensor, start: str, target: Target
    ) -> tuple[tuple[Point, ...], Outputs, list[Tensor], Tensor]:
        """One batch: the points where the graph began, what came out there, the slopes there, and the logits."""
        began = time.perf_counter()
        leaf = pixels.detach().clone().requires_grad_(start == PIXELS)
        points = () if start == PIXELS else self.site(start).points
        passed = run(self.classifier.module, self._framed(leaf), start=points, stop=self.stop)
        maps = {point: passed.taps[point] for point in points}
        slopes = self._backward(target.of(passed.output).sum(), [*maps.values()] or [leaf])
        self.spent.forwards += len(pixels)
        self.spent.backwards += len(pixels)
        self.spent.seconds += time.perf_counter() - began
        kept = {point: tensor.detach() for point, tensor in maps.items()}
        return points, kept, slopes, _full(passed.output.detach())

    def _resume(self, site: Site, like: Tensor, given: dict[Point, Tensor], count: int) -> Tensor:
        """The output for `count` versions of maps at a site: from there on, or from the last site before, or all."""
        module = self.classifier.module
        for start in self._starts(site):
            if not self._memory.resumes.get((site.points, start), True):
                continue
            before = {} if start is None else {start: self._known(start, like)}
            before = {point: own.expand(count, *own.shape[1:]) for point, own in before.items()}
            try:
                return resume(module, like, before | given, stop=self.stop)
            except LookupError:
                self._memory.resumes[site.points, start] = False
        return resume(module, like, given, skip=False, stop=self.stop)

    def _starts(self, site: Site) -> list[Point | None]:
        """Where a pass may begin for other maps at a site: there, or, where a class token goes around it, before it."""
        trunk = [each.points for each in self.classifier.anatomy.trunk]
        return [None] if site.points in trunk or not trunk or len(trunk[-1]) > 1 else [None, trunk[-1][0]]

    def _known(self, point: Point, like: Tensor) -> Tensor:
        """What came out of a point for this picture (1, …)."""
        for passed in self._memory.passes:
            if point in passed.taps:
                return passed.taps[point].detach()
        if point not in self._memory.maps:
            passed = run(self.classifier.module, like, taps=[point], graph=False, stop=self.stop)
            self._memory.maps[point] = passed.taps[point]
            self.spent.forwards += 1
        return self._memory.maps[point]

    def _attentions(self, layers: Iterable[int] | None) -> dict[int, AttentionLayer]:
        """The layers asked for, by number; negative ones count from the end."""
        anatomy = self.classifier.anatomy
        if not anatomy.attention:
            why = anatomy.without_attention or anatomy.without_maps
            raise DoesNotApply(f"{self.classifier.name} {why}.")
        count = len(anatomy.attention)
        chosen = range(count) if layers is None else [int(index) for index in layers]
        for index in chosen:
            if not -count <= index < count:
                raise QuestionError(f"{self.classifier.name} has attention in layers 0 to {count - 1}; not in {index}.")
        return {index % count: anatomy.attention[index] for index in chosen}

    def _attend(self, layers: dict[int, AttentionLayer], see: Callable[[int, Seen], None]) -> None:
        """Show each layer's attention: what is held, or what a pass brings by."""
        held = self._memory.held | (self._memory.linked[1] if self._memory.linked else {})
        with torch.no_grad():
            for index in layers.keys() & held.keys():
                see(index, held[index])
        missing = {index: layer for index, layer in layers.items() if index not in held}
        if not missing:
            return
        with Attending(missing, see):
            if not self._memory.passes and self._memory.logits is None:
                self._any_pass()
                return
            began = time.perf_counter()
            run(self.classifier.module, self._framed(self._pixels()), graph=False, stop=self.stop)
            self.spent.forwards += 1
            self.spent.seconds += time.perf_counter() - began

    def _row(self, seen: Seen, query: Query) -> Row:
        layer, pooled = seen.layer, self.classifier.anatomy.pooled
        if isinstance(query, tuple):
            rows = layer.of_cell(*query)
        elif query == "read" and layer.prefix and (layer.grid is None or (pooled and max(pooled) < layer.prefix)):
            rows = layer.of_prefix(pooled if pooled and max(pooled) < layer.prefix else range(layer.prefix))
        elif layer.grid is None:
            rows = layer.of_prefix(range(layer.prefix))
        else:
            values, shares = seen.mean()
            return layer.placed(values, torch.arange(layer.windows, device=values.device), shares)
        return layer.placed(seen.rows(rows), rows[:, 0])

    def _linked(self, layers: dict[int, AttentionLayer]) -> tuple[Pass, dict[int, Seen]]:
        """A pass whose graph begins at the first of these attentions, and what went into each of them."""
        known = self._memory.linked
        if known is None or not layers.keys() <= known[1].keys():
            linked: dict[int, Seen] = {}
            began = time.perf_counter()
            with Attending(layers, linked.__setitem__, graph=True):
                passed = run(self.classifier.module, self._framed(self._pixels()), graph=False, stop=self.stop)
            self.spent.forwards += 1
            self.spent.seconds += time.perf_counter() - began
            if self._memory.logits is None:
                self._memory.logits = _full(passed.output[0].detach())
            known = self._memory.linked = passed, linked
            self._memory.attention_slopes.clear()
        return known

    def _backward(
        self, score: Tensor, tensors: Sequence[Tensor], *, keep: bool = False, create_graph: bool = False
    ) -> list[Tensor]:
        """The gradients of a number with respect to tensors; zeros for those that it does not depend on.

        Raises `DoesNotApply` where it may depend on one by a way that is cut: a missing slope is no zero.
        """
        if not score.requires_grad or not all(tensor.requires_grad for tensor in tensors):
            raise DoesNotApply(self._no_gradient)
        found = torch.autograd.grad(
            score, tensors, retain_graph=keep or create_graph, create_graph=create_graph, allow_unused=True
        )
        if self.classifier.manner.cut and any(slope is None for slope in found):
            raise DoesNotApply(self._no_gradient)
        return [torch.zeros_like(t) if slope is None else slope for t, slope in zip(tensors, found, strict=True)]

    def _run(self, taps: list[Point], start: tuple[Point, ...], pixels: Tensor) -> Pass:
        began = time.perf_counter()
        framed = self._framed(pixels)
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

    def _at(self, site: Site) -> tuple[Pass, list[Tensor]]:
        passed = self._pass_through(site)
        return passed, [passed.taps[point] for point in site.points]

    def _at_pixels(self) -> tuple[Pass, list[Tensor]]:
        passed = self._pass_from_pixels()
        assert self._memory.leaf is not None
        return passed, [self._memory.leaf]

    def _gradient(self, where: tuple[Point, ...], at: Callable[[], tuple[Pass, list[Tensor]]]) -> list[Tensor]:
        """The slopes at points, or at the pixels (1, 3, H, W) for none; `at` gives the pass and the tensors there."""
        if not self._memory.passes and self._memory.logits is None:
            at()  # first, so that finding the winning class takes no pass of its own
        target = self._target()
        key = (where, target)
        if key not in self._memory.slopes:
            passed, tensors = at()
            began = time.perf_counter()
            score = target.of(passed.output[0])
            slopes = self._backward(score, tensors, keep=True)
            self._memory.slopes[key] = slopes if where else [slope[None] for slope in slopes]
            self.spent.backwards += 1
            self.spent.seconds += time.perf_counter() - began
        return self._memory.slopes[key]


def _check_cell(layer: AttentionLayer, index: int, cell: Sequence[int]) -> None:
    if layer.grid is None:
        raise QuestionError(f"In layer {index} no patch asks, only the class token; leave `query` out.")
    rows, columns = layer.grid
    if not (0 <= cell[0] < rows and 0 <= cell[1] < columns):
        raise QuestionError(f"Layer {index} has {rows} × {columns} patches from (0, 0) on, and none at {tuple(cell)}.")


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


@dataclass(eq=False)
class _Memory:
    pixels: Tensor | None = None
    fed: Tensor | None = None
    """What the network is fed for those pixels, where somebody gave that instead of a picture."""
    leaf: Tensor | None = None
    logits: Tensor | None = None
    passes: list[Pass] = field(default_factory=list)
    maps: dict[Point, Tensor] = field(default_factory=dict)
    """What passes had kept that have been released."""
    slopes: dict[tuple[tuple[Point, ...], Target], list[Tensor]] = field(default_factory=dict)
    """At the points of a site, or, for no point, at the pixels (1, 3, H, W)."""
    resumes: dict[tuple[tuple[Point, ...], Point | None], bool] = field(default_factory=dict)
    """Where the network was seen to run on, or not, from maps alone."""
    rows: dict[tuple[int, Query], Row] = field(default_factory=dict)
    held: dict[int, Seen] = field(default_factory=dict)
    linked: tuple[Pass, dict[int, Seen]] | None = None
    attention_slopes: dict[tuple[int, Target], Tensor] = field(default_factory=dict)
    """At what comes out of each attention; the matrices' own are made from them as they are asked for."""
    owned: dict[OwnTarget, Trace] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
