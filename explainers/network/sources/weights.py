"""How heavy weights are, how much memory there is, and how many weights do not fit."""

from __future__ import annotations

import os
import pickle
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from ...errors import ModelError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

# What loaders raise when the weights are not those of the module: torch for keys and shapes, the loaders' own
# conversions for everything before that, safetensors and the unpickler for the file itself.
LOADING_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    ImportError,  # a network that needs a package beyond ours
    OSError,
    EOFError,
    SafetensorError,
    pickle.UnpicklingError,
)

_GB = 10**9
_MB = 10**6
_FEW_GB = 10 * _GB
_seeding = threading.Lock()


def default_limit() -> int:
    """Half of the memory that is free for use now, in bytes, so that a network leaves room for its own work."""
    return min(_machine_memory(), _container_memory()) // 2


def check_size(name: str, size: int, limit: int) -> None:
    """ModelError with both figures where weights of `size` bytes are beyond `limit` bytes."""
    if size > limit:
        raise ModelError(
            f"“{name}” is too large for here: its weights take {amount(size)} and the limit is {amount(limit)}. "
            "Choose a smaller network."
        )


def weigh(build: Callable[[], nn.Module]) -> int:
    """Bytes of the parameters and buffers of what `build` makes, in float32, without allocating them.

    0 where it cannot be built so: then the size of the files is the only check, and building it says what is wrong.
    """
    try:
        with seeded(), torch.device("meta"):
            module = build()
    except ModelError:
        raise
    except LOADING_ERRORS:
        return 0
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * max(4, tensor.element_size()) for tensor in tensors)


@contextmanager
def seeded() -> Iterator[None]:
    """Weights drawn within are the same each time, and the caller's random numbers are not disturbed."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def weights_file(path: str) -> Path:
    """The local file of weights, or ModelError; the sentence has its name only."""
    file = Path(path).expanduser()
    if file.suffix not in SUFFIXES:
        raise ModelError(f"“{file.name}” is not a file of weights that is read here: {', '.join(SUFFIXES)}.")
    if not file.is_file():
        raise ModelError(f"There is no file of weights “{file.name}” at the place given.")
    return file


def do_not_fit(name: str, where: str, error: Exception) -> ModelError:
    """The sentence for weights that a loader refused; says how many keys, where the error names them."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return ModelError(f"“{where}” holds more than weights, so it is not opened; save it as safetensors.")
    count = misfits(str(error))
    how_many = f": {count} of its keys are missing, unknown or of another size" if count else ""
    return ModelError(f"The weights “{where}” are not those of “{name}”{how_many}.")


def no_network(file: Path) -> ModelError:
    """The sentence for a file that was named as if it were a network, with the way in that fits what it holds."""
    name = file.name
    if file.suffix == ".pt2":
        return ModelError(f"“{name}” is an exported program; ex.wrap(torch.export.load(“{name}”).module()) takes it.")
    if file.suffix not in (*SUFFIXES, ".ckpt", ".pkl"):
        return ModelError(f"“{name}” is a file of no kind that is read here: {', '.join(SUFFIXES)}.")
    if file.suffix != ".safetensors" and (why := _more_than_weights(file)):
        return ModelError(f"“{name}” {why}")
    read = "safetensors.torch.load_file" if file.suffix == ".safetensors" else "torch.load"
    build = f"build it, module.load_state_dict({read}(“{name}”)), and ex.wrap(module.eval())."
    if file.suffix in SUFFIXES:
        named = f"timm:resnet50?weights=…/{name} (and &num_classes=5) or torchvision:resnet50?weights=…/{name}"
        build = f"name it, as in {named}; or {build}"
    return ModelError(f"“{name}” holds weights and does not say of which network: {build}")


def misfits(message: str) -> int:
    """How many keys torch complains about when a strict load fails."""
    listed = re.findall(r'(?:Missing|Unexpected) key\(s\) in state_dict: ((?:"[^"]*"(?:, )?)+)', message)
    return sum(len(re.findall(r'"[^"]*"', keys)) for keys in listed) + message.count("size mismatch for ")


def amount(size: int) -> str:
    """Bytes in words: 98 MB, 1.4 GB, 140 GB."""
    if size < _GB:
        return f"{max(1, round(size / _MB))} MB"
    return f"{size / _GB:.1f} GB" if size < _FEW_GB else f"{size / _GB:.0f} GB"


def _more_than_weights(file: Path) -> str:
    """What else a file of torch's holds, and the way in, as the end of a sentence; empty where it is weights."""
    try:
        with zipfile.ZipFile(file) as parts:
            if any(part.endswith(("/constants.pkl", "/code/__torch__.py")) for part in parts.namelist()):
                return f"is TorchScript; ex.wrap(torch.jit.load(“{file.name}”).eval()) takes it."
    except (OSError, zipfile.BadZipFile):  # written by a torch before 1.6, or no file of torch's at all
        with suppress(OSError), file.open("rb") as opened:
            if opened.read(1) != pickle.PROTO:
                return "cannot be read as a file of torch's."
    try:
        torch.load(file, map_location="meta", weights_only=True)
    except pickle.UnpicklingError:
        return (
            "holds more than weights, a whole pickled module, perhaps. It is not opened here, since that runs its "
            "code; open it by yourself and give the module to ex.wrap(module.eval())."
        )
    except LOADING_ERRORS:
        return "cannot be read as a file of torch's."
    return ""


def _machine_memory() -> int:
    """What the kernel can hand out; the free pages alone would leave out what caches give back."""
    with suppress(OSError):
        found = re.search(r"^MemAvailable:\s+([0-9]+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _container_memory() -> int:
    """What a container leaves of its own limit; a Space sees the memory of the whole machine otherwise."""
    control = Path("/sys/fs/cgroup")
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # absent, or the word "max"
            return max(0, int((control / most).read_text()) - int((control / used).read_text()))
    return 2**63
