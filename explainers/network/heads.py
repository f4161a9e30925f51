"""Head: how a network's outputs become the numbers that people read, and which score is explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ..errors import ModelError

ScoreName = Literal["centered_logit", "logit", "log_prob", "probability", "output"]
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)
DEFAULT_SCORE: ScoreName = "centered_logit"
"""That of exclusive classes; other heads have their own, see `Head.default`."""

POINTS: dict[ScoreName, str] = {
    "centered_logit": "logit points",
    "logit": "logit points",
    "log_prob": "points of log probability",
    "probability": "points of probability",
    "output": "points",
}
"""What a score is counted in. Methods say the first, and an answer says what it is under its own score."""

NO_SLOPE = "no slope comes through"
"""What is said where outputs are probabilities that their number type cannot tell from 0 or 1."""

Kind = Literal["softmax", "sigmoid", "regression", "probabilities", "sigmoid probabilities", "log probabilities"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ONE_LABEL = "yes"
"""What a single sigmoid says, where nobody named it."""


@dataclass(frozen=True)
class Prediction:
    """A class and how probable the network calls it, as its head reads it; or a number that it puts out."""

    label: str
    probability: float | None
    """None for the number of a regression; and, as the logit, where no picture was asked about."""
    index: int
    logit: float | None
    """What stands before the softmax or sigmoid, but for a constant; the number itself of a regression."""
    unit: str = ""
    """What the number of a regression is counted in."""

    @property
    def told(self) -> str:
        """The number that people read: “71 %”, or “3.2 years” of a regression; empty where there is none."""
        if self.probability is not None:
            return _percent(self.probability)
        return "" if self.logit is None else f"{self.logit:.4g} {self.unit}".strip().replace("-", "−")


@dataclass(frozen=True)
class Head:
    """What outputs (…, C) mean, and so what "why?" and "rather than" mean.

    - "softmax": logits of classes that exclude each other. Explained is the centered logit, z_c − mean(z).
    - "sigmoid": logits of labels that hold or not, each by itself. Explained is the label's logit: yes rather than no.
    - "regression": numbers, counted in `unit`. Explained is the number: higher rather than lower.
    - "probabilities", "sigmoid probabilities", "log probabilities": the same, through a softmax, a sigmoid or a
      log-softmax already. They are never sent through it again: probabilities are the outputs, and logits are made
      from them by the logarithm, exactly but for the digits that the outputs do not have (see `caveat`).
    """

    kind: Kind = "softmax"
    unit: str = ""
    """What the numbers of a regression are counted in."""
    no: str = ""
    """What a single sigmoid says where it does not say its label."""
    single: bool = False
    """Whether there is one output alone."""
    dtype: torch.dtype = torch.float32
    """The type of the outputs: how near to 0 and 1 it tells probabilities apart."""

    def __post_init__(self) -> None:
        """Raises `ModelError` for a kind that there is not, and for a unit where nothing is counted in it."""
        if self.kind not in KINDS:
            raise ModelError(f"A head is one of {', '.join(KINDS)}, not “{str(self.kind)[:40]}”.")
        if self.unit and self.kind != "regression":
            raise ModelError(f"A unit belongs to the numbers of a regression; the head is “{self.kind}”.")

    @property
    def exclusive(self) -> bool:
        """Whether the classes exclude each other, so that one of them wins."""
        return self.kind in ("softmax", "probabilities", "log probabilities")

    @property
    def probable(self) -> bool:
        """Whether there are probabilities to read; a regression has numbers only."""
        return self.kind != "regression"

    @property
    def scores(self) -> tuple[ScoreName, ...]:
        """Which scores can be explained, first the default one."""
        match self.kind:
            case "regression":
                return ("output",)
            case "sigmoid" | "sigmoid probabilities":
                return ("logit", "log_prob", "probability", "output")
            case "probabilities":  # what a softmax adds to all logits alike is lost, so that there is no bare one
                return ("centered_logit", "log_prob", "probability", "output")
            case _:
                return SCORES

    @property
    def default(self) -> ScoreName:
        """The score that is explained where nobody names one."""
        return self.scores[0]

    @property
    def reading(self) -> str:
        """What a number that people read is called."""
        return "probability" if self.probable else "value"

    def fitted(self, outputs: Tensor) -> Head:
        """The head for such outputs (…, C). Raises `ModelError` for a softmax over one alone, which is always 1."""
        single = outputs.shape[-1] == 1
        if single and self.exclusive:
            raise ModelError(
                "A softmax over a single output is 1 for every picture, so there is nothing to explain. Say "
                'head="sigmoid" where the output is a logit, head="regression" where it is a number, and take the '
                "softmax out where the network has it inside."
            )
        dtype = outputs.dtype if outputs.is_floating_point() else torch.float32
        return replace(self, single=single, dtype=dtype)

    def winner(self, outputs: Tensor) -> Tensor:
        """Which output (…) of (…, C) is explained where nobody names one: the largest; of a regression, the first."""
        return outputs.argmax(-1) * int(self.probable)

    def decisions(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """What the network can call a picture: a class, or a single label or its opposite; nothing for a regression."""
        if not self.probable:
            return ()
        return (self.opposite(labels[0]), labels[0]) if self.single else labels

    def decided(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the network calls pictures (…), as a place among `decisions`, and how surely; −1 for a regression."""
        if not self.probable:
            none = torch.zeros(outputs.shape[:-1], device=outputs.device)
            return none.long() - 1, none
        chances = self._values(outputs, "probability")
        if self.single:
            return (chances[..., 0] > _EVEN).long(), torch.maximum(chances, 1 - chances)[..., 0]
        best = outputs.argmax(-1)  # of the outputs, since probabilities round to one another
        return best, chances.gather(-1, best[..., None])[..., 0]

    def names(self, count: int) -> tuple[str, ...]:
        """What `count` outputs are called that nobody named."""
        if self.kind == "regression":
            return ("value",) if count == 1 else tuple(f"value {index}" for index in range(count))
        return (ONE_LABEL,) if count == 1 else tuple(f"class {index}" for index in range(count))

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """The probabilities (…, C) in outputs (…, C); None for a regression."""
        return self._values(outputs, "probability") if self.probable else None

    def readings(self, outputs: Tensor) -> Tensor:
        """The numbers (…, C) that people read: probabilities, or those of a regression."""
        return self._values(outputs, "probability" if self.probable else "output")

    def logits(self, outputs: Tensor) -> Tensor:
        """The logits (…, C) that the outputs are or were made from, but for a constant; a regression's numbers."""
        return self._values(outputs, self.default)

    def prediction(self, label: str, index: int, outputs: Tensor | None = None) -> Prediction:
        """What the outputs (C,) say of one class or number; without them, only which one it is."""
        if outputs is None:
            return Prediction(label, None, index, None, self.unit)
        chances = self.probabilities(outputs)
        chance = None if chances is None else float(chances[index])
        return Prediction(label, chance, index, float(self.logits(outputs)[index]), self.unit)

    def score(self, outputs: Tensor, index: int, versus: int | None, name: ScoreName) -> Tensor:
        """The score (…) of one of the outputs (…, C), or by how much it is above that of another one."""
        values = self._values(outputs, name)
        chosen = values[..., index]
        if versus is not None:
            return chosen - values[..., versus]
        centered = name == "centered_logit" and values.shape[-1] > 1
        return chosen - values.mean(-1) if centered else chosen

    def points(self, name: ScoreName) -> str:
        """What a score is counted in."""
        if name != "output":
            return POINTS[name]
        match self.kind:
            case "regression":
                return self.unit or POINTS["output"]
            case "probabilities" | "sigmoid probabilities":
                return POINTS["probability"]
            case "log probabilities":
                return POINTS["log_prob"]
            case _:
                return POINTS["logit"]

    def subject(self, label: str, versus: str | None = None) -> str:
        """What is asked about, and rather than what: “tabby”, “yes rather than no”, “age in years”."""
        if versus is not None:
            return f"{label} rather than {versus}"
        if self.kind == "regression":
            return f"{label} in {self.unit}" if self.unit else label
        if self.single:
            return f"{label} rather than {self.opposite(label)}"
        return label

    def opposite(self, label: str) -> str:
        """What a single sigmoid says where it does not say its label."""
        return self.no or ("no" if label == ONE_LABEL else f"not {label}")

    def no_rival(self) -> str:
        """Why no output can be held against another one, as a sentence without a way out; empty where one can."""
        if self.kind == "regression":
            return "The numbers of a regression are no rivals; each is explained as higher rather than lower"
        return "There is one output, which is explained as yes rather than no" if self.single else ""

    def caveat(self, outputs: Tensor, index: int, versus: int | None, name: ScoreName) -> str:
        """What the digits of the outputs (C,) do not tell of a score, as a sentence; empty where they tell it."""
        if name in ("probability", "output") or self.kind not in ("probabilities", "sigmoid probabilities"):
            return ""
        whole = name == "centered_logit" and versus is None
        taken = outputs if whole else outputs[[index] if versus is None else [index, versus]]
        lost = int((taken < self._least).sum())
        if lost and self.kind == "probabilities":
            return (
                f"Of the probabilities that count here, {lost} {'is' if lost == 1 else 'are'} 0 in the network's "
                f"number type, so that {NO_SLOPE}, and {self._least:.0e} stands in the logarithm. The "
                "outputs before the softmax would tell more."
            )
        room = float((1 - taken).min())
        error = torch.finfo(self.dtype).eps / 2 / room if room > 0 else 1.0
        if self.kind == "probabilities" or (error <= _CRUDE and not lost):
            return ""
        if lost or error >= 1:
            size = abs(float(self._logit(torch.tensor(0.0 if lost else 1.0))))
            return (
                f"The network's sigmoid is {0 if lost else 1} to the last digit: {NO_SLOPE} it, and its "
                f"logit is only known to be beyond {'−' if lost else ''}{size:.0f}. The output before the sigmoid "
                "would tell more."
            )
        return (
            f"The network's sigmoid is so near to 1 that its logit and slopes are good to {error:.0%} only. The output "
            "before the sigmoid would tell more."
        )

    # --- private -----------------------------------------------------------------------------------------------------

    @property
    def _least(self) -> float:
        """Below this a type has too few digits, or none; and one over it is still a number in that type."""
        return torch.finfo(self.dtype).tiny

    def _values(self, outputs: Tensor, name: ScoreName) -> Tensor:
        """What a score is made from, for each of the outputs."""
        if name == "output" or self.kind == "regression":
            return outputs
        match self.kind, name:
            case "sigmoid", "log_prob":
                return logsigmoid(outputs)
            case "sigmoid", "probability":
                return outputs.sigmoid()
            case (("softmax" | "log probabilities"), "log_prob"):
                return outputs.log_softmax(-1)
            case (("softmax" | "log probabilities"), "probability"):
                return outputs.softmax(-1)
            case "sigmoid probabilities", "logit":
                return self._logit(outputs)
            case (("probabilities" | "sigmoid probabilities"), ("centered_logit" | "logit" | "log_prob")):
                return outputs.clamp(min=self._least).log()
            case _:
                return outputs

    def _logit(self, outputs: Tensor) -> Tensor:
        most = 1 - torch.finfo(self.dtype).eps / 2
        kept = outputs.clamp(self._least, most)
        return kept.log() - (1 - kept).log()


def as_head(head: str | Head) -> Head:
    """A head from its name, or as it is. Raises `ModelError` that names those there are."""
    if isinstance(head, Head):
        return head
    if not isinstance(head, str):
        raise ModelError(f"A head is a name, one of {', '.join(KINDS)}, or a Head; not {type(head).__name__}.")
    return Head(head.replace("_", " "))  # type: ignore[arg-type]  # checked within


def configured(module: nn.Module, count: int) -> tuple[Head | None, str]:
    """The head that the module's own configuration tells, by transformers' rules, and what is to be said about it."""
    config = getattr(module, "config", None)
    if getattr(config, "num_labels", None) != count:
        return None, ""
    match getattr(config, "problem_type", "unknown"):
        case "regression":
            return Head("regression"), ""
        case "multi_label_classification":
            return Head("sigmoid"), ""
        case "single_label_classification" if count > 1:
            return Head("softmax"), ""
        case None if count == 1:
            return Head("regression"), (
                "Its configuration has one label and no problem type, which transformers trains as a regression: the "
                'output is read as a number. Where it is the logit of yes or no, say head="sigmoid".'
            )
        case _:
            return None, ""


def noticed(answers: Callable[[Tensor], Tensor], probe: Tensor, outputs: Tensor) -> tuple[Head, str]:
    """The head that a network's outputs tell of, and what is to be said about it.

    `answers` gives outputs (N, C) for what the network is fed, such as `probe` (1, 3, H, W), whose `outputs` (1, C)
    are known. Only where these could be probabilities, or are one number, the network runs again: once with its graph,
    whose last operation tells most, and where it does not, on pictures that drive a plain output far out of 0 to 1.
    """
    count = outputs.shape[1]
    maybe = count == 1 or _within(outputs) or _sums_to_one(outputs.exp())
    if not maybe or not outputs.is_floating_point():
        return Head("softmax"), ""
    with torch.enable_grad():
        output = answers(probe.clone().requires_grad_())
    # Not only its node is held: before torch 2.9, that of a custom function ends with the last of its outputs.
    (last,), below = _ends(output.grad_fn, _MOVED) or {""}, _ends(output.grad_fn, _MOVED | _ARITHMETIC)
    if below and below <= _LINEAR:
        return _plain(count)
    with torch.no_grad():
        several = torch.cat([answers(picture) for picture in _driven(probe)])
        several = several[several.isfinite().all(1)]  # a type that overflows tells nothing
    if count > 1 and _within(several) and _sums_to_one(several):
        return Head("probabilities"), "The network ends in probabilities that sum to 1, which are taken as they are."
    if count > 1 and bool((several <= 0).all()) and _sums_to_one(several.exp()):
        return Head("log probabilities"), "The network ends in log probabilities, which are taken as they are."
    if count == 1 and last in _SOFT:
        return Head("probabilities"), ""  # which `fitted` refuses in words
    if count == 1 and last in _BOUNDED:
        return Head("regression"), f"The network ends in {_BOUNDED[last]}: its output is read as a number. {_OTHERWISE}"
    inside = _within(several) and bool(((several > 0) & (several < 1)).any())
    if last in _SQUASHED or (inside and last not in _BOUNDED):
        ends = "The network ends in a sigmoid" if last in _SQUASHED else "The outputs stay within 0 and 1"
        what = "its output is read as the probability of yes"
        if count > 1:
            what = "its outputs are read as probabilities of labels that do not exclude each other"
        return Head("sigmoid probabilities"), f"{ends}: {what}." + ("" if last in _SQUASHED else f" {_OTHERWISE}")
    if count == 1 and below & (_SQUASHED | _BOUNDED.keys() | _CUT):
        return Head("regression"), f"The output is a bounded one, scaled: it is read as a number. {_OTHERWISE}"
    return _plain(count)


# --- private ---------------------------------------------------------------------------------------------------------

_EVEN = 0.5
_HUNDREDTH = 0.01

_CRUDE = 0.01
"""Digits of a logit that are worth a word when they are lost."""

_OTHERWISE = 'Say head="…" where they mean something else.'

_LINEAR = {f"{name}Backward0" for name in ("Addmm", "Mm", "Bmm", "Addbmm", "Baddbmm", "Linear", "Mv", "Convolution")}
"""Operations that know no bounds: behind them come logits or numbers, wherever they happen to lie."""

_SQUASHED = {"SigmoidBackward0", "HardsigmoidBackward0"}
_SOFT = {"SoftmaxBackward0", "LogSoftmaxBackward0"}
_BOUNDED = {
    "TanhBackward0": "a tanh, which bounds them to −1 to 1",
    "ReluBackward0": "a ReLU, which no logit comes out of",
    "SoftplusBackward0": "a softplus, which no logit comes out of",
    "ExpBackward0": "an exponential, which no logit comes out of",
}
_CUT = {"HardtanhBackward0", "ClampBackward0", "ClampBackward1", "ClampMinBackward0"}
_MOVED = {f"{name}Backward0" for name in ("View", "UnsafeView", "_UnsafeView", "Reshape", "ReshapeAlias", "Squeeze")}
_MOVED |= {f"{name}Backward0" for name in ("Unsqueeze", "Select", "Slice", "Clone", "Expand", "T", "Transpose")}
_MOVED |= {f"{name}Backward0" for name in ("ToCopy", "_ToCopy", "Alias", "Permute", "Cat", "Stack", "Contiguous")}
_MOVED |= {"SqueezeBackward1", "SqueezeBackward2", "SqueezeBackward3", "AsStridedBackward0", "_ReshapeAliasBackward0"}
"""Operations that move numbers and change none."""

_ARITHMETIC = {f"{name}Backward{n}" for name in ("Add", "Sub", "Rsub", "Mul", "Div", "Neg", "Mean") for n in (0, 1)}
"""Operations that scale and shift what comes in, such as a temperature."""


def _percent(share: float) -> str:
    """A probability as people read it; what is not quite none or all does not look so."""
    if 0 < share < _HUNDREDTH:
        return "<1 %"
    return ">99 %" if 1 - _HUNDREDTH < share < 1 else f"{100 * share:.0f} %"


def _plain(count: int) -> tuple[Head, str]:
    """Outputs that nothing is known about."""
    if count > 1:
        return Head("softmax"), ""
    return Head("sigmoid"), (
        "The network puts out one number and does not say what it means. It is read as the logit of yes rather than "
        'no; where it is a number, such as an age, say head="regression", and head="sigmoid" confirms it.'
    )


def _ends(node: Any, through: set[str]) -> set[str]:
    """The names of the operations that put out what others only pass `through`; none where there is no graph."""
    found, waiting = set[str](), [node]
    while waiting:
        node = waiting.pop()
        name = "" if node is None else str(node.name())
        if name in through:
            waiting += [before for before, _ in node.next_functions[: 1 if name in _MOVED else None]]
        elif name and not name.endswith("AccumulateGrad"):
            found.add(name)
    return found


def _driven(probe: Tensor) -> list[Tensor]:
    """Pictures, as the network is fed, that drive a plain output up and down."""
    return [probe, probe.flip(-1), torch.zeros_like(probe), *(probe * factor for factor in (-1, 5, -5, 100, -100))]


def _within(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _sums_to_one(outputs: Tensor) -> bool:
    """Whether each row is shares of one whole, as far as rounding allows: half a unit in the last place of each."""
    type_ = torch.finfo(outputs.dtype)
    rounding = 8 * type_.eps + outputs.shape[-1] * type_.smallest_normal * type_.eps
    return bool(((outputs >= 0).all()) and ((outputs.double().sum(-1) - 1).abs() <= rounding).all())
