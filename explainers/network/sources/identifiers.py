"""What an identifier may look like; nothing reaches a loader that does not fit here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ... import worlds
from ...errors import ModelError
from ...errors.spelling import either
from .packaged import PACKAGED, SCHEME, here

HERE = next((each.identifier for each in here()), worlds.home().first)
"""A network that is here, the one to begin with: of photographs where it is installed, else a world's."""
HOW_TO_NAME = f"write timm:resnet50, torchvision:resnet50, hf:google/vit-base-patch16-224 or {HERE}"

_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,95}[A-Za-z0-9_-])?"
_NAMES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "timm": re.compile(r"[A-Za-z0-9_]{1,80}(?:\.[A-Za-z0-9_]{1,80})?"),
        "torchvision": re.compile(r"[A-Za-z0-9_]{1,80}"),
        "hf": re.compile(rf"{_OWNER}/{_OWNER}(?:@(?:refs/pr/[0-9]{{1,6}}|[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}))?"),
        SCHEME: re.compile(r"[a-z0-9]{1,20}"),
    }
)
_SHAPES: Mapping[str, str] = MappingProxyType(
    {
        "timm": "timm:name or timm:name.tag, as in timm:resnet50.a1_in1k",
        "torchvision": "torchvision:name, as in torchvision:resnet50",
        "hf": "hf:owner/name or hf:owner/name@revision, as in hf:google/vit-base-patch16-224",
        SCHEME: either([each.identifier for each in PACKAGED]),
    }
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_+-]+):(.*)", re.DOTALL)  # two letters: C:\ is a drive
_OF_A_WORLD = re.compile(r"[a-z]{1,20}")
_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"timm": ("pretrained", "weights", "num_classes", "img_size"), "torchvision": ("pretrained", "weights")}
)
# 115,217 classes is the most that a network known to timm 1.0.31 has (vit_base_patch16_224.bamboo).
_BOUNDS: Mapping[str, tuple[int, int]] = MappingProxyType({"num_classes": (0, 200_000), "img_size": (8, 2048)})
_LONGEST = 1000


@dataclass(frozen=True)
class Identifier:
    """An identifier that fits the pattern of its kind.

    `kind` is timm, torchvision, hf, imagenet, folder or the name of a world; `name` is what stands after the colon,
    without options and revision (for a folder, its path); `options` holds what stands after the question mark.
    """

    kind: str
    name: str
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    revision: str | None = None
    text: str = ""

    def number(self, option: str) -> int | None:
        """The option as an integer, None where it is not given; its bounds were checked by `parse`."""
        return int(self.options[option]) if option in self.options else None

    @property
    def title(self) -> str:
        """What sentences call it: without options, and of a folder only its name."""
        if self.kind == "folder":
            return _shown(self.name.rstrip("/\\"))
        return f"{self.kind}:{self.name}" + (f"@{self.revision}" if self.revision else "")

    @property
    def random(self) -> bool:
        """Whether random weights were asked for by name."""
        return self.options.get("pretrained") == "false"


def parse(identifier: str) -> Identifier:
    """The parts of an identifier; ModelError with a sentence where it does not fit the pattern of its kind.

    A text without a scheme is taken for a folder. The disk is not touched here.
    """
    if not isinstance(identifier, str) or not identifier.strip() or len(identifier) > _LONGEST:
        raise ModelError(f"A network is named by a short text: {HOW_TO_NAME}.")
    match = _SCHEME.fullmatch(identifier)
    if match is None:
        return Identifier("folder", identifier, text=identifier)
    kind, rest = match[1], match[2]
    world = worlds.named(kind)
    pattern = _OF_A_WORLD if world else _NAMES.get(kind)
    if pattern is None:
        raise ModelError(f"“{_shown(kind)}:” is not a place that networks come from; {HOW_TO_NAME}.")
    name, mark, asked = rest.partition("?")
    if not pattern.fullmatch(name) or ".." in name or "--" in name:
        shape = either([world.identifier(each.name) for each in world.networks]) if world else _SHAPES[kind]
        raise ModelError(f"“{_shown(identifier)}” is not a name of this kind; it has the form {shape}.")
    name, _, revision = name.partition("@")
    options = _options(kind, asked) if mark else {}
    return Identifier(kind, name, MappingProxyType(options), revision or None, identifier)


def _options(kind: str, asked: str) -> dict[str, str]:
    """The options after the question mark: known names, each once, values within bounds.

    Values are taken as written, without percent decoding, because a path may contain a percent sign.
    """
    options: dict[str, str] = {}
    known = _OPTIONS.get(kind, ())
    for part in asked.split("&"):
        option, _, value = part.partition("=")
        if option not in known:
            offer = f"{kind} knows {', '.join(known)}" if known else f"{kind} takes none"
            raise ModelError(f"“{_shown(option)}” is not an option here; {offer}.")
        if option in options or not value:
            raise ModelError(f"The option {option} needs exactly one value, as in {option}=….")
        options[option] = value
    _check_values(options)
    return options


def _check_values(options: Mapping[str, str]) -> None:
    if options.get("pretrained", "true") not in ("true", "false"):
        raise ModelError("The option pretrained is true or false.")
    for option, (least, most) in _BOUNDS.items():
        value = options.get(option)
        if value is not None and not (re.fullmatch(r"[0-9]{1,9}", value) and least <= int(value) <= most):
            raise ModelError(f"The option {option} is a whole number from {least} to {most}.")
    random = options.get("pretrained") == "false"
    if random and "weights" in options:
        raise ModelError("pretrained=false asks for random weights and weights=… for those of a file: choose one.")
    if "img_size" in options and not random:
        raise ModelError("The option img_size goes with pretrained=false, because trained weights have a size already.")
    if "weights" in options and options.get("num_classes") == "0":
        raise ModelError("num_classes=0 drops the last layer, and weights=… must fit as a whole: choose one.")
    if options.get("num_classes", "0") != "0" and not random and "weights" not in options:
        raise ModelError(
            "The option num_classes goes with pretrained=false or weights=…; otherwise the checkpoint says."
        )


def _shown(text: str) -> str:
    """A foreign text, short and on one line, for a sentence; of a path only the last part."""
    last = re.split(r"[\\/]", text)[-1]
    clean = "".join(letter for letter in last if letter.isprintable())
    return clean if len(clean) <= 80 else clean[:79] + "…"
