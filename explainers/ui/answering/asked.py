"""A question with all that it names found, once: picture, network, what the network has computed, class and method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import explainers as ex

from ... import engine, registry
from ...errors import DoesNotApply, Stopped
from ...explanation import Explanation
from ...galleries import gallery as galleries
from ...galleries.gallery import Gallery
from ...registry import Method
from ...trace import Second, Target, Trace
from ..pictures import Shown
from ..shelf import Shelf
from .question import Question, find_picture
from .work import Stop


@dataclass(frozen=True, eq=False)
class Asked:
    """What a question is about; each part is found when it is first wanted, and raises in words."""

    question: Question
    shelf: Shelf

    @cached_property
    def shown(self) -> Shown:
        """The picture."""
        return find_picture(self.question, self.shelf.pictures, self.shelf.catalogue)

    @cached_property
    def network(self) -> ex.Classifier:
        """The network, opened where it is not yet."""
        return self.shelf.network(self.question.model)

    @cached_property
    def trace(self) -> Trace:
        """What the network has computed about the picture so far; shared by all who ask about both."""
        return self.shelf.trace(self.question.model, self.shown)

    @cached_property
    def target(self) -> Target:
        """The class in question and its rival, by number."""
        number = self.network.index
        target, versus = self.question.target, self.question.versus
        return Target(
            None if target is None else number(target), None if versus is None else number(versus), self.question.score
        )

    @cached_property
    def method(self) -> Method:
        """The method that was named, or the one that is asked where none is."""
        method = registry.find(self.question.method) if self.question.method else registry.usual(self.network)
        if method is None:
            raise DoesNotApply(f"No method here applies to {self.network.name}.")
        return method

    @property
    def key(self) -> tuple[object, ...]:
        """The same for questions that get the same answer; known before the network runs."""
        return (
            () if self.question.alone else self.shown.key,
            replace(self.question, method=self.method.id, beside={}).key,
        )

    @property
    def kept(self) -> Explanation | None:
        """The very answer on the screen, unless it has left the memory."""
        return self.shelf.explanations.get(self.key)

    def view(self, stop: Stop | None) -> Trace:
        """The trace, asked about the class in question."""
        return self.trace.ask(self.target, stop=stop)

    def using(self, method: Method) -> Asked:
        """The same picture, network and class, put to another method with its own options' defaults."""
        return Asked(replace(self.question, method=method.id, options={}, beside={}), self.shelf)

    def put(self, part: str, stop: Stop | None, **options: Any) -> Iterator[Explanation]:
        """What the method that fills a part of a tab answers, better and better; `gallery` and `second` are options."""
        about = self.target
        return engine.stream(
            self.trace, registry.filling(part), target=about.index, versus=about.versus, score=about.score, stop=stop,
            **options,
        )  # fmt: skip

    def answer(self, stop: Stop | None = None, tell: Callable[[Explanation], object] | None = None) -> Explanation:
        """The whole answer where it is kept, or else a new one; `tell` hears of those on the way.

        One that was stopped on the way is kept, too, since it is on somebody's screen; but a whole one is not lost for
        it, and half an answer is none to the next who asks.
        """
        kept = self.kept
        if kept is not None and kept.result.done >= 1:
            return kept
        last: Explanation | None = None
        try:
            for last in self._answers(stop):
                if tell is not None:
                    tell(last)
        except Stopped:
            if last is None:
                raise
        assert last is not None
        return self.shelf.explanations.put(self.key, last)

    def _answers(self, stop: Stop | None) -> Iterator[Explanation]:
        method, question, target = self.method, self.question, self.target
        options: dict[str, Any] = method.check(question.options, named_depths_only=True)
        if Gallery in method.given:
            options["gallery"] = galleries.on_offer(question.gallery or None, self.network)
        if Second in method.given and question.second:
            options["second"] = find_picture(
                replace(question, scene=question.second), self.shelf.pictures, self.shelf.catalogue
            ).picture
        return engine.stream(
            self.network if question.alone else self.trace, method, target=target.index, versus=target.versus,
            score=target.score, stop=stop, working=True, **options,
        )  # fmt: skip

    def again(self) -> Explanation:
        """The answer on the screen itself, for saving and judging; asked again where it has left the memory."""
        kept = self.kept
        if kept is not None:
            return kept
        try:
            return self.answer()
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the large graphs that answers have left, where a picture was asked about."""
        if not self.question.alone:
            self.trace.release()
