"""The command line: explain a picture, list the methods and the networks, build a gallery.

python -m explainers explain cat.jpg --model timm:resnet50 --method grad_cam --out why.png
python -m explainers gallery build photos/ --model timm:resnet50 --out gallery/
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .. import registry, worlds
from ..engine import explain, look, methods, models
from ..errors import SightglassError
from ..galleries.gallery import Gallery
from ..network.classifier import load
from ..network.heads import SCORES
from ..network.sources import HERE, SCHEME
from ..version import NAME, release
from . import anatomy


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a sentence on standard error and 2 where it cannot be done."""
    choice = _parser().parse_args(arguments)
    try:
        return int(choice.run(choice))
    except SightglassError as error:
        print(error, file=sys.stderr)
        return 2


# --- private ---------------------------------------------------------------------------------------------------------

_BUILT_IN = (SCHEME, *(world.scheme for world in worlds.worlds()))
_NAMED = f"timm:…, torchvision:…, hf:…, {', '.join(f'{kind}:…' for kind in _BUILT_IN)} or a folder"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m explainers", description="Why did the network decide that?")
    parser.add_argument("--version", action="version", version=f"{NAME} {release()}")
    commands = parser.add_subparsers(required=True, metavar="command")
    asking = commands.add_parser("explain", help="lay a method's heat over a picture")
    asking.add_argument("picture", help="a JPEG, PNG or WebP")
    asking.add_argument("--model", default=HERE, help=_NAMED)
    asking.add_argument("--method", default=None, help="see the command methods; by default the first that applies")
    asking.add_argument("--target", help="the class by label or number; the winning one by default")
    asking.add_argument("--versus", help="rather than which class?")
    asking.add_argument("--score", choices=SCORES)
    asking.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the method")
    asking.add_argument("--gallery", help="for methods among other pictures: a folder, or a built-in one's name")
    asking.add_argument("--out", default="why.png", help=".png, .npz or .json")
    asking.add_argument("--full", action="store_true", help="draw a large photograph, and keep its heat, in full size")
    asking.set_defaults(run=_explain)
    listing = commands.add_parser("methods", help="what can be asked, and of a network what applies")
    listing.add_argument("--model", help="say which of them apply to this network")
    listing.set_defaults(run=_methods)
    reading = commands.add_parser("anatomy", help="where a network's maps are read, and why not elsewhere")
    reading.add_argument("model", help=_NAMED)
    reading.set_defaults(run=_anatomy)
    _add_gallery(commands.add_parser("gallery", help="pictures to find neighbors in"))
    commands.add_parser("models", help="networks worth starting with").set_defaults(run=_models)
    return parser


def _add_gallery(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action")
    building = actions.add_parser("build", help="read pictures, embed them, and keep both; what is cut off goes on")
    building.add_argument("source", help="a folder, a .zip, torchvision:cifar10 or hub:owner/name")
    building.add_argument("--model", default=HERE, help="whose vectors; another one's are added")
    building.add_argument("--out", required=True, help="the folder of the gallery")
    building.add_argument("--limit", type=int, help="take so many pictures, evenly from all")
    building.set_defaults(run=_build_gallery)


def _build_gallery(choice: argparse.Namespace) -> int:
    def tell(done: int, of: int) -> None:
        print(f"\r{done:,} of {of:,}", end="" if done < of else "\n", file=sys.stderr, flush=True)

    gallery = Gallery.build(choice.source, load(choice.model), choice.out, limit=choice.limit, progress=tell)
    print(f"{gallery.name}: {len(gallery):,} pictures, vectors of {', '.join(gallery.models)}; in {choice.out}")
    for note in gallery.notes:
        print(f"Note: {note}")
    return 0


def _explain(choice: argparse.Namespace) -> int:
    model = load(choice.model)
    name = choice.method or next((fit.method.id for fit in methods(model) if fit.applies and fit.method.lays_heat), "")
    options = _options(name, choice.option)
    trace = look(model, choice.picture)
    options |= {"gallery": choice.gallery} if choice.gallery else {}
    answer = explain(trace, name, target=choice.target, versus=choice.versus, score=choice.score, **options)
    answer.save(choice.out, full=choice.full)
    print(answer.question)
    print(answer.alt)
    for note in answer.notes:
        print(f"Note: {note}")
    print(f"{answer.cost}; saved as {choice.out}")
    return 0


def _methods(choice: argparse.Namespace) -> int:
    if choice.model:
        for fit in methods(load(choice.model)):
            print(f"{fit.method.id:20} {fit.why_not or fit.method.question}")
    else:
        for method in registry.all_methods():
            print(f"{method.id:20} {method.question}")
    return 0


def _anatomy(choice: argparse.Namespace) -> int:
    for line in anatomy.lines(load(choice.model)):
        print(line)
    return 0


def _models(_choice: argparse.Namespace) -> int:
    for suggestion in models():
        print(suggestion)
    return 0


def _options(method: str, pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE as the method's option wants it; what does not fit is refused by the method itself."""
    kinds = {option.name: option.kind for option in registry.find(method).options}
    read: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        value: Any = text
        try:
            match kinds.get(name):
                case "integer":
                    value = int(text)
                case "number":
                    value = float(text)
                case "cell":
                    value = tuple(int(part) for part in text.split(","))
                case "numbers":
                    value = tuple(float(part) for part in text.split(","))
                case "switch":
                    value = {"true": True, "false": False}.get(text.lower(), text)
        except ValueError:
            value = text
        read[name] = value
    return read
