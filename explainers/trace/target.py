"""Target: the score that is explained, of which class, against what."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ..network.heads import Head, ScoreName
from ..shapes import full


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
        return self.head.score(full(logits), self.index, self.versus, self.explained)
