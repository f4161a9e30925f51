"""Attention spelled out: the fused call as products and a softmax, where a rule or a second derivative needs them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn
from torch.overrides import TorchFunctionMode

from .opened import opened


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - of no effect in eval mode
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`scaled_dot_product_attention` (…, queries, values) by plain operations, with its signature."""
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scores = torch.matmul(query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale), key.transpose(-2, -1))
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if attn_mask is not None:
        hidden = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if hidden else scores + attn_mask
    return torch.matmul(torch.softmax(scores, -1), value)


class Spelled(TorchFunctionMode):
    """While it lasts, in this thread, fused attention runs as plain operations."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is fn.scaled_dot_product_attention:
            with self:
                return attention(*args, **(kwargs or {}))
        if func is fn.multi_head_attention_forward and (body := opened(func)):  # which has the fused call inside
            with self:
                return body(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
