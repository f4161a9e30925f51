"""Seeded at random from a generator of one's own, where a library draws from the one that everybody shares."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

BLOCK = 624
"""The generator (a Mersenne twister) makes its words in blocks of so many. Source: Matsumoto & Nishimura, 1998."""


class Seeded(TorchFunctionMode):
    """Inside, torch's random functions draw from a generator seeded with `seed`; outside, nothing changes.

    It is a mode of this thread alone, so the process's own random state is neither read nor moved, and people who
    draw at the same moment do not disturb each other. What comes out is what it would be after `manual_seed(seed)`.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, self.generator = seed, torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn_like:  # takes a generator in new releases only
            return torch.empty_like(*args, **kwargs).normal_(generator=self.generator)
        if func in _RANDOM and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self.generator}
        return func(*args, **kwargs)

    @property
    def words(self) -> int:
        """How many random words (of 32 bits) have been drawn since the seed."""
        state, fresh = self.generator.get_state(), torch.Generator().manual_seed(self.seed)
        if torch.equal(state[_LEFT], fresh.get_state()[_LEFT]) and torch.equal(
            state[_BLOCK], fresh.get_state()[_BLOCK]
        ):
            return 0
        drawn = 1
        _skip(fresh, 1)
        while not torch.equal(state[_BLOCK], fresh.get_state()[_BLOCK]):
            _skip(fresh, BLOCK)
            drawn += BLOCK
        return drawn + _left(fresh.get_state()) - _left(state)


def seeded_after(seed: int, words: int) -> Seeded:
    """Seeded that goes on where another one with that seed was, after so many words."""
    seeded = Seeded(seed)
    _skip(seeded.generator, words)
    return seeded


# --- private ---------------------------------------------------------------------------------------------------------

_RANDOM = {
    torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch._sample_dirichlet,
    Tensor.uniform_, Tensor.normal_, Tensor.random_,
}  # fmt: skip

# Where torch keeps, in the bytes of a generator's state, how many words of the block are left, and the block itself.
_LEFT, _BLOCK = slice(8, 12), slice(24, 24 + 8 * BLOCK)


def _left(state: Tensor) -> int:
    return int.from_bytes(bytes(state[_LEFT].tolist()), "little")


def _skip(generator: torch.Generator, words: int) -> None:
    torch.empty(words, dtype=torch.int64).random_(0, 2**16, generator=generator)  # a word each, below 2³²
