"""What networks come wrapped in, and the module inside: compiled, parallel, exported, or held by a trainer."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def unwrapped(given: Any) -> Any:
    """The network inside `given`: past `torch.compile`, `DataParallel` and whatever has it as its `model`.

    Where only parts are compiled or parallel, a copy of the structure without that, sharing every tensor. `given` is
    not changed; what holds no network is given back as it is.
    """
    if not isinstance(given, nn.Module):  # fastai's Learner and its like are no modules, and have one
        held = getattr(given, "model", None)
        return unwrapped(held) if isinstance(held, nn.Module) else given
    if (inside := _inside(given)) is not None:
        return unwrapped(inside)
    parts = {id(part): inner for part in given.modules() if (inner := _inside(part)) is not None}
    if parts or any(getattr(part, "_compiled_call_impl", None) is not None for part in given.modules()):
        with suppress(Exception):  # what cannot be copied runs eagerly where it stands, see `eagerly`
            return copied(given, shared(given) | {part: unwrapped(inner) for part, inner in parts.items()})
    return given


def shared(module: nn.Module) -> dict[int, Any]:
    """Every tensor that a module holds, by identity: what a copy that is `copied` with it has in common with it."""
    held = [*module.parameters(), *module.buffers()]
    for part in module.modules():
        held += [value for value in vars(part).values() if isinstance(value, Tensor)]
    return {id(tensor): tensor for tensor in held}


def copied(module: nn.Module, common: dict[int, Any]) -> nn.Module:
    """A copy that shares what is in `common`, by identity; what is held in lists and mappings is copied as well."""
    return copy.deepcopy(module, dict(common))


def in_training(module: nn.Module) -> bool:
    """Whether any part is in training mode; of an exported program, which has no modes, the flag says nothing."""
    if "eval" in vars(module):  # one of its own, which refuses
        return False
    return module.training or any(in_training(part) for part in module.children())


def in_script(module: nn.Module) -> bool:
    """Whether a part of it is TorchScript, scripted or traced."""
    return any(isinstance(part, torch.jit.ScriptModule) for part in module.modules())


@contextmanager
def eagerly() -> Iterator[None]:
    """While it lasts, what was compiled runs as it was written, so that modes and hooks see it; in all threads.

    torch keeps one such stance for the whole process; the first to enter sets it, the last to leave restores it.
    """
    global _users, _stance  # noqa: PLW0603 - as process-wide as the stance itself
    with _lock:
        _users += 1
        if _users == 1:
            _stance = torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _stance.__exit__(None, None, None)
                _stance = None


class Compiled:
    """While it lasts, in this thread, notices whether anything under `torch.compile` is called."""

    def __init__(self) -> None:
        self.called = False

    def __enter__(self) -> Compiled:
        self._before = sys.getprofile()
        if "torch._dynamo" in sys.modules:  # else nothing was compiled
            sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _see(self, frame: FrameType, event: str, _value: Any) -> None:
        if event == "call" and frame.f_code.co_qualname.startswith(_COMPILED):
            self.called = True


class AsWritten(TorchFunctionMode):
    """While it lasts, in this thread, an exported operation is called by the function that people write for it.

    An exported program calls `torch.ops.aten.relu.default`, which no rule knows, where `torch.relu` does the same.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (written(func) or func)(*args, **(kwargs or {}))


def written(func: Any) -> Any:
    """The function of torch that an operation of an exported program stands for; None where there is none."""
    packet = getattr(func, "overloadpacket", func)
    if not isinstance(packet, torch._ops.OpOverloadPacket) or packet._qualified_op_name.split("::")[0] != "aten":
        return None
    homes = (torch, torch._C._nn, Tensor)
    return next((found for home in homes if (found := getattr(home, packet.__name__, None))), None)


# --- private ---------------------------------------------------------------------------------------------------------

_COMPILED = "_TorchDynamoContext.__call__."
"""What stands in the place of a function, or of a module's call, under `torch.compile`."""

_lock = threading.Lock()
_users = 0
_stance: Any = None


def _inside(module: nn.Module) -> nn.Module | None:
    """The one module that this one hands its input to, with nothing done to it."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        held: nn.Module = module.module
        return held
    inside = getattr(module, "_orig_mod", None)  # of torch.compile
    return inside if isinstance(inside, nn.Module) else None
