"""Trace: one picture through one classifier, and what may be asked of it; every pass is run once and remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar, Unpack, cast

import torch
from torch import Tensor

from ..baselines import BaselineName, baseline
from ..errors import DoesNotApply, PictureError, QuestionError, Stopped, calls
from ..network.anatomy import DEPTHS
from ..network.classifier import Classifier, owned, same_network
from ..network.heads import Prediction
from ..network.outputs import OwnTarget
from ..network.rules.attended import Row
from ..network.sites import Outputs, Site
from ..network.taps import Pass
from ..pictures import Picture
from ..results import Heatmap, Step
from ..shapes import Batch, Heat, Logits, Maps, MapsBatch, Pixels, Scores, Slopes, full
from .attention import Query, attention_rows, hold
from .passes import PICTURE, PIXELS, Memory, Passes, Spent, Wanted
from .target import Target

K = TypeVar("K")

BEYOND = (
    "With its normalization undone, this tensor reaches from {:.2f} to {:.2f}, and pictures from 0 to 1: it was "
    "normalized in another way, or not at all. The network is fed it as it is; on the screen, the rest is clipped."
)
_SLACK = 0.02  # rounding of half precision and of filters that overshoot


@dataclass(eq=False)
class Asked:
    """A question about the network itself rather than about a picture: which class, and when to stop."""

    target: Target = field(default_factory=Target)
    spent: Spent = field(default_factory=Spent)
    """What the answer takes; a method that runs the network by itself does it on this bill."""
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
    memory: Memory = field(default_factory=Memory, repr=False)
    passes: Passes = field(init=False, repr=False)
    """What has run, and is remembered for all views; what this one causes stands on its bill."""

    def __post_init__(self) -> None:
        """What a target means is the head's to say."""
        self.target = replace(self.target, head=self.classifier.head)
        self.passes = Passes(self.classifier, self.spent, self.stop, picture=self.picture, memory=self.memory)

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
        trace.passes.memory.pixels, trace.passes.memory.fed = pixels, fed
        return trace

    def ask(self, target: Target, *, stop: Callable[[], bool] | None = None, working: bool = False) -> Trace:
        """A view of the same passes that asks about `target`, with its own count of what it spends."""
        return replace(self, target=target, spent=Spent(), stop=stop, working=[] if working else None)

    def owned(self, own: OwnTarget) -> Trace:
        """The same picture, asked about a target function of what the network puts out; its passes are kept here."""
        with self.passes.turn() as memory:
            if own not in memory.kept:
                apart = Memory(pixels=self.passes.pixels, fed=memory.fed)
                memory.kept[own] = Trace(owned(self.classifier, own, apart.pixels), self.picture, memory=apart)
            return cast(Trace, memory.kept[own])

    def elsewhere(self, pixels: Pixels) -> Trace:
        """The same question about other pixels (3, H, W) in [0, 1], on the same bill; nothing of it is kept here."""
        memory, fed = Memory(pixels=pixels.detach()), self.memory.fed
        if fed is not None and pixels.shape == fed.shape:
            memory.fed = self.passes.framed(pixels.detach())[0].to(fed)
        return replace(self, target=self.asked, working=None, memory=memory)

    def all_elsewhere(self, pixels: Batch, start: str = "last") -> Iterator[Trace]:
        """The same question about each of other pictures (N, 3, H, W) in [0, 1], answered by batched passes.

        Logits, and maps and slopes at `start` (a depth, or `PIXELS`), are there already; a method that wants more of
        one picture runs it again.
        """
        target = self.asked
        apart = start != PIXELS and start not in self.classifier.anatomy.sites
        for part in torch.split(pixels, self.at_once):
            traces = [self.elsewhere(each) for each in part]
            if not apart:
                site = None if start == PIXELS else self.site(start)
                points = site.points if site else ()
                with self.passes.turn():
                    logits, maps, slopes = self.passes.batch_at(part, site, target.of)
                for place, trace in enumerate(traces):
                    one, memory = slice(place, place + 1), trace.memory
                    memory.logits = logits[place]
                    memory.slopes[points, target] = {point: slope[one] for point, slope in slopes.items()}
                    memory.maps |= {point: maps[point][one] for point in points}
            yield from traces

    @property
    def pixels(self) -> Pixels:
        """The picture as framed for the network (C, H, W) in [0, 1], colors as RGB, on its device."""
        with self.passes.turn():
            return self.passes.pixels

    @property
    def logits(self) -> Logits:
        """The network's scores, one for each class; in single precision at least, as maps and slopes are."""
        with self.passes.turn():
            return self.passes.logits

    @property
    def class_index(self) -> int:
        """The class in question: the one asked about, or the winning one."""
        if not self.classifier.has_classes:
            raise DoesNotApply(f"{self.classifier.name} {self.classifier.no_classes}.")
        head = self.classifier.head
        return int(head.winner(self.logits)) if self.target.index is None else self.target.index

    @property
    def asked(self) -> Target:
        """The target with its class: the winning one where none is named."""
        return replace(self.target, index=self.class_index)

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
        with self.passes.turn():
            return site.maps(self.passes.outputs(site))

    def slopes(self, depth: str | Site = "last", *, of: Callable[[Logits], Tensor] | None = None) -> Slopes:
        """The gradient of the score with respect to `maps(depth)`; zero where the score does not depend on them.

        Or that of another number, which `of` makes of the logits (C,); it is not remembered.
        """
        site = self.site(depth)
        with self.passes.turn():
            if of is None:
                return site.slopes(self._slopes(site))[0]
            passed, leaves = self.passes.leaves(site)
            return site.slopes(self.passes.backward(of(full(passed.output[0])), leaves, keep=True))[0]

    def pixel_slopes(self) -> Pixels:
        """The gradient of the score with respect to the pixels in [0, 1]; the network's normalization is inside."""
        with self.passes.turn():
            return self._slopes(None)[PICTURE][0]

    def logits_at(self, pixels: Batch) -> Tensor:
        """The network's logits (N, C) for other pictures (N, 3, H, W) in [0, 1], without a graph."""
        with self.passes.turn(), torch.no_grad():
            return torch.cat([self.passes.batch(part) for part in torch.split(pixels, self.at_once)])

    def score(self, pixels: Batch) -> Scores:
        """The score for each of other pictures (N, 3, H, W) in [0, 1], without a graph; in batches that fit."""
        target = self.asked
        return target.of(self.logits_at(pixels))

    def slopes_at(self, pixels: Batch, *, rule: AbstractContextManager[object] | None = None) -> tuple[Batch, Scores]:
        """The gradient of the score at other pictures (N, 3, H, W) in [0, 1], and their scores (N,).

        Under `rule`, one of those in `rules`, the gradient flows through some functions in another way.
        """
        target, slopes, scores = self.asked, [], []
        with self.passes.turn() as memory:
            for part in torch.split(pixels, self.at_once):
                leaf = part.detach().clone().requires_grad_()
                with rule or nullcontext():
                    logits = self.passes.batch(leaf)
                    score = target.of(logits)
                if memory.logits is None and len(part) == 1 and torch.equal(part[0], self.passes.pixels):
                    memory.logits = logits[0].detach()  # under any rule, what comes out is what always does
                slopes.append(self.passes.backward(score, {PICTURE: leaf})[PICTURE])
                scores.append(score.detach())
        return torch.cat(slopes), torch.cat(scores)

    def score_from(self, maps: MapsBatch, depth: str | Site = "last") -> Scores:
        """The score for each of other maps (N, K, h, w) at a depth, the rest of the network running on from there.

        What comes before that depth is not computed again, where the network allows it.
        """
        site, target = self.site(depth), self.asked
        with self.passes.turn():
            parts = torch.split(maps, self.passes.at_once_from(site))
            return torch.cat([target.of(self.passes.from_maps(site, part)) for part in parts])

    def attention(
        self, layers: Iterable[int] | None = None, *, query: Query | Mapping[int, Query] = "read"
    ) -> tuple[Row, ...]:
        """What a query's attention goes to, in some layers or all, for each head; see `attention_rows`."""
        return attention_rows(self, layers, query=query)

    def hold_attention(self) -> None:
        """Keep what every attention is made from, so that any row can be asked for without another pass."""
        hold(self)

    def run(self, *, under: AbstractContextManager[object] | None = None, **wanted: Unpack[Wanted]) -> Pass:
        """A pass of the picture for a method's own mathematics: what came out, and the tensors asked for on the way.

        Kept are what comes out at `taps` and what goes in at `fed`. The graph begins at `start`, whose outputs become
        leaves, and ends before each of `cut`; without `graph` there is none. Under `under`, one of the rules, or an
        attention that is watched or silenced, functions do something more, or another thing. See `network.taps.run`.
        """
        with self.passes.turn():
            return self.passes.once(under=under, **wanted)

    def run_on(self, given: Outputs) -> Tensor:
        """The outputs (N, C), with their graph, when points put out these tensors (N, …): one pass, of this picture.

        It begins there where it can, and else at the picture.
        """
        with self.passes.turn():
            like = self.passes.framed(self.passes.pixels)
            try:
                return full(self.passes.resume(like, given, graph=True))
            except LookupError:
                return full(self.passes.resume(like, given, graph=True, skip=False))

    def backward(self, number: Tensor, at: Mapping[K, Tensor], *, create_graph: bool = False) -> dict[K, Tensor]:
        """The gradient of a number of such a pass with respect to tensors in its graph, by the same keys.

        Zeros for those that it does not depend on; where that cannot be known, since the way is cut, `DoesNotApply`.
        """
        with self.passes.turn():
            return self.passes.backward(number, at, create_graph=create_graph)

    def baseline(self, name: BaselineName, *, seed: int = 0) -> Pixels:
        """The picture with nothing in it that is called so: what `pixels` are held against, or covered with."""
        return baseline(name, self.pixels, self.classifier.framing, seed=seed)

    @property
    def at_once(self) -> int:
        """How many pictures run as one batch."""
        return self.passes.at_once

    def at_once_from(self, depth: str | Site) -> int:
        """How many versions of the maps at a depth run as one batch: more where only the head comes after them."""
        return self.passes.at_once_from(self.site(depth))

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
        with self.passes.turn():
            if PIXELS in wanted:
                self.passes.through(None)
            elif named := [depth for depth in DEPTHS if depth in wanted & self.classifier.anatomy.sites.keys()]:
                self.passes.through(self.site(named[0]))

    def release(self) -> None:
        """Forget the large graphs; maps, logits and the latest slopes stay, and the short graph at the last maps."""
        self.passes.release()

    # --- private -----------------------------------------------------------------------------------------------------

    def _slopes(self, site: Site | None) -> Outputs:
        """The slopes of the score at a site's points, or, for none, at the pixels (1, 3, H, W)."""
        if self.passes.fresh:
            self.passes.through(site)  # first, so that finding the winning class takes no pass of its own
        target, slopes = self.asked, self.memory.slopes
        key = (site.points if site else (), target)
        if key not in slopes:
            passed, leaves = self.passes.leaves(site)
            slopes[key] = self.passes.backward(target.of(passed.output[0]), leaves, keep=True)
        return slopes[key]
