"""The engine: look, explain, compare, judge. Validate, inject, run, and give back an `Explanation`."""

from __future__ import annotations

import inspect
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar, cast, overload

import numpy as np
from torch import Tensor

from . import registry
from .errors import DoesNotApply, QuestionError, SightglassError, calls
from .explanation import COUNTERFACTUAL, Explanation
from .galleries.gallery import Gallery, fitting
from .network.anatomy import DEPTHS
from .network.classifier import Classifier, owned
from .network.heads import SCORES, Prediction, ScoreName
from .network.outputs import OwnTarget
from .network.sources import Suggestion, suggested
from .pictures import Picture, PictureSource
from .registry import Method, Need
from .scores import Scorecard
from .scores import judge as _judge
from .trace import PIXELS, Asked, Second, Spent, Target, Trace, answering

P = ParamSpec("P")
T = TypeVar("T")

Asking = str | int | Callable[[Any], Tensor] | OwnTarget
"""What can be asked about: a class by label or number, or a function of what the network puts out."""

RIVAL_PASSES = 24
"""A method that may take more passes than this is not run a second time, for another class, to judge one map."""


@dataclass(frozen=True)
class Fit:
    """Whether a method applies to a network, and if not, why not."""

    method: Method
    why_not: str

    @property
    def applies(self) -> bool:
        """Whether the method can be asked about this network."""
        return not self.why_not

    def __repr__(self) -> str:
        return f"{self.method.id}: {self.why_not or 'applies'}"


@overload
def look(model: Classifier, picture: list[Any] | tuple[Any, ...], *, framed: bool = False) -> list[Trace]: ...
@overload
def look(model: Classifier, picture: Tensor, *, framed: bool = False) -> Any: ...
@overload
def look(model: Classifier, picture: PictureSource, *, framed: bool = False) -> Trace: ...
def look(
    model: Classifier, picture: PictureSource | list[Any] | tuple[Any, ...], *, framed: bool = False
) -> Trace | list[Trace]:
    """A trace of one picture through one network; every pass that answers need is run once and kept in it.

    `picture` is a path, the bytes of a JPEG, PNG or WebP, an array (H, W, C), a PIL image, or a tensor (C, H, W),
    uint8 or in [0, 1]. With `framed`, a tensor is what the network is fed, resized and normalized already: it is fed
    as it is, and the picture is that tensor with the normalization undone. Several pictures, in a list, an array
    (N, H, W, C) or a tensor (N, C, H, W), give a list of traces; a batch of one picture gives its trace. Raises
    `PictureError`.
    """
    calls.expect(model, Classifier, "ex.look(model, picture) asks a classifier", calls.A_CLASSIFIER)
    calls.switch("framed", framed)
    if isinstance(picture, list | tuple):
        return [_look(model, each, framed) for each in picture]
    if isinstance(picture, Tensor | np.ndarray) and picture.ndim == _BATCH:
        traces = [_look(model, each, framed) for each in picture]
        return traces[0] if len(traces) == 1 else traces
    return _look(model, picture, framed)


def stream(
    about: Trace | Classifier,
    method: str | Method,
    *,
    target: Asking | None = None,
    versus: str | int | None = None,
    score: ScoreName | None = None,
    gallery: Gallery | str | os.PathLike[str] | None = None,
    second: PictureSource | None = None,
    stop: Callable[[], bool] | None = None,
    working: bool = False,
    **options: Any,
) -> Iterator[Explanation]:
    """Every answer on the way to that of `explain`: a method that streams sharpens its map until it is stopped."""
    calls.expect(about, (Trace, Classifier), "ex.explain asks about a trace, or a classifier", calls.ASKS)
    calls.stopping(stop)
    calls.switch("working", working)
    if gallery is not None:
        way_out = "Gallery.open(…), from explainers.galleries.gallery, opens one"
        calls.expect(gallery, (Gallery, str, os.PathLike), "`gallery` is a gallery, its name or folder", way_out)
    about, label, own = _about(about, target)
    trace, model = (about, about.classifier) if isinstance(about, Trace) else (None, about)
    chosen = registry.suitable(registry.find(method), model)
    checked = chosen.check(options)
    wanted = _target(model, label, versus, score)
    view = None if trace is None else trace.ask(wanted, stop=stop, working=working)
    if view is not None and label is None and versus is not None and view.class_index == view.target.versus:
        winning = model.labels[view.class_index]
        raise QuestionError(f"“{winning}” is the winning class itself; choose another one to hold against it.")
    if Gallery in chosen.given:
        gallery = (
            gallery if isinstance(gallery, Gallery) else fitting(model) if gallery is None else Gallery.open(gallery)
        )
    asked = _asked(chosen, model, view, wanted, stop)
    other = Second(None if second is None else Picture.read(second, show=model.framing.bands))
    values: dict[type, Any] = {Trace: view, Classifier: model, Asked: asked, Second: other, type(gallery): gallery}
    result = None
    for result in answering(chosen.run(values, checked), asked.spent):
        if not result.finite:
            where = "" if view is None else " on this picture"
            raise SightglassError(f"{chosen.title} gave numbers that are not finite: {model.name} overflows{where}.")
        yield Explanation(
            result=result,
            source=None if trace is None else trace.picture,
            framing=model.framing,
            model=model.name,
            prediction=_prediction(model, view, asked.target.index),
            versus=None if asked.target.versus is None else _prediction(model, view, asked.target.versus),
            score=asked.target.explained,
            head=model.head,
            own=own,
            said=_said(chosen, model, asked.target, view),
            method=chosen,
            options=checked,
            spent=replace(asked.spent),
            working=tuple(view.working or ()) if view is not None else (),
            random_weights=model.random_weights,
            caveats=chosen.leaves_out(model),
            second=other.picture if Second in chosen.given else None,
            gallery=gallery.where if isinstance(gallery, Gallery) else "",
        )
    if result is None:
        raise SightglassError(f"{chosen.title} ended without an answer.")


def _asked_like(stream: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Gives a function the parameters of `stream`, to which it hands them: one signature for one question."""

    def give(function: Callable[..., T]) -> Callable[P, T]:
        kept = inspect.signature(function).return_annotation
        vars(function)["__signature__"] = inspect.signature(stream).replace(return_annotation=kept)
        return cast(Callable[P, T], function)

    return give


@_asked_like(stream)
def explain(*about: Any, **question: Any) -> Explanation:
    """Why this class? The last answer of the method; the winning class by default.

    `about` is a trace, or, for methods about the network itself, a classifier. `target` may also be a function of what
    the network puts out for N pictures, which gives one number for each, (N,): a segmentation's class over a mask, a
    detector's box score, a similarity; or an `OwnTarget` of explainers.network.outputs, with a name and a unit.
    `versus` asks "rather than what?", `score` which number is explained (by default, what the network's head says; see
    explainers.network.heads), `gallery` among which pictures (one, or its name or folder; by default one on offer),
    `second` with which other picture, `options` are the method's own. `stop` is looked at often, and ends the work with
    `Stopped` when it says so. With `working`, the answer also holds the steps from the network's numbers to the map,
    where the method tells them. Raises `QuestionError` or `DoesNotApply`.
    """
    return deque(stream(*about, **question), maxlen=1).pop()


def compare(
    trace: Trace,
    methods: Iterable[str | Method],
    *,
    target: Asking | None = None,
    versus: str | int | None = None,
    score: ScoreName | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Explanation]:
    """The same question put to several methods, with one forward pass shared among them.

    The pass starts where the most demanding of them needs it. Raises as `explain` does.
    """
    calls.expect(trace, Trace, "ex.compare asks about a trace", calls.ASKS)
    if isinstance(methods, str) or not isinstance(methods, Iterable):
        raise QuestionError(f"ex.compare takes several methods in a list, such as ['cam'], not {calls.kind(methods)}.")
    calls.stopping(stop)
    asked, _, _ = _about(trace, target)
    assert isinstance(asked, Trace)
    chosen = [registry.suitable(registry.find(name), asked.classifier) for name in methods]
    starts = {method.start(method.check({})) for method in chosen}
    shared = asked.ask(asked.target, stop=stop)
    if len(chosen) > 1:
        shared.prepare(sorted(starts, key=[PIXELS, *DEPTHS].index))
    answers = [explain(trace, m.id, target=target, versus=versus, score=score, stop=stop) for m in chosen]
    # The shared pass stands on the bill of the first, so that the bills add up to what was spent.
    return [replace(answers[0], spent=answers[0].spent + shared.spent), *answers[1:]] if answers else []


def judge(trace: Trace, answer: Explanation, *, stop: Callable[[], bool] | None = None) -> Scorecard:
    """How far an answer about the picture of `trace` can be trusted: its cells covered coldest and warmest first.

    Where the method takes few passes, it is asked about the strongest rival, too (the class of `versus`, if there is
    one), to tell whether the map depends on the class. Raises `QuestionError` for an answer about something else.
    """
    calls.expect(trace, Trace, "ex.judge(trace, answer) takes a trace first", calls.ASKS)
    calls.expect(answer, Explanation, "ex.judge(trace, answer) takes an answer", "ex.explain(trace, method) gives one")
    calls.stopping(stop)
    if answer.model != trace.classifier.name or answer.picture_asked.digest != trace.picture.digest:
        raise QuestionError(f"This answer is about another picture or network than the trace of {answer.model}.")
    if answer.prediction is None:
        raise DoesNotApply(f"{answer.model} is a backbone: it has no score that a map could be judged by.")
    if answer.own is not None:
        trace = trace.owned(answer.own)
    index = answer.prediction.index
    versus = answer.versus.index if answer.versus else None
    view = trace.ask(Target(index, versus, answer.score), stop=stop)
    against = answer.options.get(COUNTERFACTUAL) is True
    if not answer.method.class_specific:
        return _judge(view, answer.heatmap, rival=answer.heatmap, rival_label="any other", against=against, stop=stop)
    rival = versus if versus is not None else next((p.index for p in trace.top(2) if p.index != index), None)
    if rival is None or sum(answer.method.passes) > RIVAL_PASSES:
        return _judge(view, answer.heatmap, against=against, stop=stop)
    swapped = index if versus is not None else None
    other = explain(
        trace, answer.method.id, target=rival, versus=swapped, score=answer.score, stop=stop, **answer.options
    )
    label = trace.classifier.labels[rival]
    card = _judge(view, answer.heatmap, rival=other.heatmap, rival_label=label, against=against, stop=stop)
    return replace(card, spent=card.spent + other.spent)


@overload
def methods(model: None = None) -> list[Method]: ...
@overload
def methods(model: Classifier) -> list[Fit]: ...
def methods(model: Classifier | None = None) -> list[Method] | list[Fit]:
    """Every method; for a network, with whether it applies and why the rest does not."""
    if model is None:
        return list(registry.all_methods())
    calls.expect(model, Classifier, "ex.methods(model) asks about a classifier", calls.A_CLASSIFIER)
    return [Fit(method, method.why_not(model)) for method in registry.all_methods()]


def models() -> list[Suggestion]:
    """Networks worth starting with; any other identifier of `load` does as well."""
    return suggested()


# --- private ---------------------------------------------------------------------------------------------------------

_BATCH = 4  # axes of (N, C, H, W)


def _look(model: Classifier, picture: Any, framed: bool) -> Trace:
    if framed:
        return Trace.fed(model, picture)
    read = Picture.read(picture, show=model.framing.bands)
    model.framing.check(read)
    return Trace(model, read)


def _about(
    about: Trace | Classifier, target: Asking | None
) -> tuple[Trace | Classifier, str | int | None, OwnTarget | None]:
    """What is asked about, and which class of it: under a target function, the network that gives its number alone."""
    if not callable(target) and not isinstance(target, OwnTarget):
        model = about.classifier if isinstance(about, Trace) else about
        if model.headless:
            raise DoesNotApply(f"{model.name} {model.no_classes}.")
        return about, target, None
    own = OwnTarget.of(target)
    return about.owned(own) if isinstance(about, Trace) else owned(about, own), 0, own


def _target(model: Classifier, target: str | int | None, versus: str | int | None, score: str | None) -> Target:
    if score is not None and score not in SCORES:
        raise QuestionError(f"The score is one of {', '.join(SCORES)}, not “{str(score)[:40]}”.")
    index = None if target is None else model.index(target)
    if versus is not None and model.has_classes and (why := model.head.no_rival()):
        raise QuestionError(f"{why}; leave `versus` out.")
    against = None if versus is None else model.index(versus)
    if index is not None and index == against:
        raise QuestionError(f"“{model.labels[index]}” rather than itself is no question; choose two classes.")
    return Target(index, against, score, model.head)


def _said(method: Method, model: Classifier, target: Target, view: Trace | None) -> tuple[str, ...]:
    """What has to be said of the score that is explained, and of the part of the network that its maps show."""
    said = [model.anatomy.partial] if Need.MAPS in method.needs else []
    if not method.class_specific:
        return tuple(filter(None, said))
    if target.score not in (None, target.explained):
        what = "the number itself" if target.head.kind == "regression" else f"“{target.explained}”"
        said.append(f"The network's head ({target.head.kind}) has no score “{target.score}”: {what} is explained.")
    if view is not None:
        said.append(target.head.caveat(view.logits, view.class_index, target.versus, target.explained))
    return tuple(filter(None, said))


def _asked(
    method: Method, model: Classifier, view: Trace | None, target: Target, stop: Callable[[], bool] | None
) -> Asked:
    """The question with its class: with a picture, the winning one where none is named; on the picture's bill."""
    if view is not None:
        index = target.index
        if index is None and method.class_specific and Asked in method.given:
            index = view.class_index
        return Asked(replace(target, index=index), view.spent, stop)
    if method.class_specific and target.index is None:
        raise QuestionError(f"{method.title} is about a class; name it: target={model.labels[0]!r}, for one.")
    return Asked(target, Spent(), stop)


def _prediction(model: Classifier, view: Trace | None, index: int | None) -> Prediction | None:
    if not model.has_classes or (view is None and index is None):
        return None
    if view is None:
        assert index is not None
        return model.head.prediction(model.labels[index], index)
    index = view.class_index if index is None else index
    return model.head.prediction(model.labels[index], index, view.logits)
