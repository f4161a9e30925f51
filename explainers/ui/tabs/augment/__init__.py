"""The tab “Augment”: what a pipeline does to the picture, to the prediction and to the reason for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .... import engine
from ....augmenting import (
    MOST_STEPS,
    PRESETS,
    SWEEPS,
    TRANSFORMS,
    Mixing,
    Pipeline,
    colors_of,
    experiment,
    find_sweep,
    mixing_code,
    picture_of,
    timm_code,
    torchvision_code,
)
from ....augmenting import mixed as mix_two
from ....errors import QuestionError, SightglassError
from ....explanation import Explanation
from ....registry import filling, find
from ....results import Curves, Tile, Tiles
from ... import endpoints as endpoint
from ... import panes
from ...given import Given, PictureFile
from ...pictures import Shown, colors_url, from_upload
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell, Work, asked

SAMPLES, POINTS = 14, 25
PRESET_WORDS = {
    "classic": "Classic training",
    "rand_augment": "RandAugment (2, 9)",
    "auto_augment": "AutoAugment",
    "trivial_augment": "TrivialAugmentWide",
    "aug_mix": "AugMix",
}


def preview(given: Json, shelf: Shelf, _stop: Stop, _tell: Tell) -> Json:
    """One variant, without asking the network: what is seen while a setting is moved."""
    picture = picture_of(asked(given, shelf).trace)
    made, recipe = _pipeline(given).sample(picture, _checked("variants", seed=given.get("seed", 0))["seed"])
    return {"picture": _url(made.permute(1, 2, 0).numpy()), "recipe": str(recipe)}


def variants(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The original and variants of it, with recipe, prediction and change; batch by batch."""
    question, pipeline, told = asked(given, shelf), _pipeline(given), Json()
    chosen = {"pipeline": str(pipeline), "seed": given.get("seed", 0), "samples": given.get("samples", SAMPLES)}
    for answer in question.put("augment.variants", stop, **chosen):
        assert isinstance(answer.result, Tiles)
        original, *drawn = answer.result.tiles
        height, width = original.values.shape[:2]
        told = {
            "size": [width, height],
            "target": answer.prediction.label if answer.prediction else "",
            "unit": answer.result.unit,
            "text": str(pipeline),
            "original": _variant(original) | {"seed": -1},
            "codes": _codes(pipeline, (height, width)),
            "variants": [_variant(tile) for tile in drawn],
        }
        tell(told)
    return told


def variant(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """One variant's heat, beside the same heat carried back and the original's own."""
    chosen = {"pipeline": str(_pipeline(given)), "seed": given.get("seed", 0), "explained_by": given.get("by") or ""}
    (answer,) = asked(given, shelf).put("augment.variant", stop, **chosen)
    tiles = _tiles(answer)
    told = dict(tiles["heat"].facts) | {
        "signed": tiles["heat"].signed,
        "heat": panes.packed(tiles["heat"].values),
        "own": panes.packed(tiles["original"].values),
        "recipe": tiles["variant"].facts["recipe"],
    }
    if "back" not in tiles:
        return told | {"back": None, "why": answer.result.note}
    packed = {name: panes.packed(tiles[name].values) for name in ("back", "lost")}
    return told | packed | dict(tiles["back"].facts)


def sweep(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """A curve over one parameter, and the picture at every place of it."""
    question, chosen = asked(given, shelf), find_sweep(str(given.get("transform") or "rotation"))
    *_, answer = question.put("augment.curve", stop, transform=chosen.name, points=POINTS)
    curves = answer.result
    assert isinstance(curves, Curves)
    return {
        "transform": chosen.name,
        "unit": chosen.unit,
        "neutral": chosen.neutral if chosen.start <= chosen.neutral <= chosen.end else None,
        "curves": curves.as_json(),
        "places": [
            {**each.facts, "picture": _url(each.picture)} for each in curves.stations if each.picture is not None
        ],
        "original": _url(picture_of(question.trace).permute(1, 2, 0).numpy()),
    }


def bars(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """A bar for each transform, the control first."""
    told: Json = {}
    for answer in asked(given, shelf).put("augment.bars", stop, measure=given.get("measure")):
        told = {"bars": answer.result.as_json()}
        tell(told)
    return told


def mix(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """Two pictures in one: the picture, its label, what the network says, and how much of the heat lies in the box."""
    question, kind = asked(given, shelf), _kind(given)
    chosen = _mixing(given, shelf) | {"kind": kind, "share": given.get("share", 0.5)}
    (answer,) = question.put("augment.mixture", stop, **chosen)
    tiles = _tiles(answer)
    made, heat = tiles["mixture"], tiles["heat"]
    return dict(made.facts) | dict(heat.facts) | {
        "size": [made.values.shape[1], made.values.shape[0]],
        "picture": _url(made.values),
        "second": _url(tiles["second"].values),
        "words": made.caption,
        "says": [[each["label"], each["probability"], each["told"]] for each in made.facts["says"][:3]],
        "signed": heat.signed,
        "heat": panes.packed(heat.values),
        "code": mixing_code(kind, len(question.network.labels)),
    }  # fmt: skip


def mix_sweep(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """How heat and probabilities follow λ."""
    question, kind, chosen = asked(given, shelf), _kind(given), _mixing(given, shelf)
    if kind == "mixup":  # which has no box
        del chosen["across"], chosen["down"]
    *_, answer = question.put(f"augment.{kind}", stop, points=13, **chosen)
    return {"curves": answer.result.as_json(), "question": answer.question, "read_it_as": answer.method.read_it_as}


def consistency(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """Whether the map moves with the picture: mean, drift, and the agreement of each variant."""
    told: Json = {}
    for answer in asked(given, shelf).put(
        "augment.agreement", stop, pipeline=str(_pipeline(given)), explained_by=given.get("by") or "",
        samples=given.get("samples", SAMPLES), seed=given.get("seed", 0),
    ):  # fmt: skip
        tiles = _tiles(answer)
        told = {
            "maps": [{"caption": t.caption, "value": t.value, "signed": t.signed, "heat": panes.packed(t.values)}
                     for t in map(tiles.pop, ("original", "mean", "drift"))],
            "control": tiles.pop("control").value,
            "agreements": [tile.value for tile in tiles.values()],
            "note": answer.result.note,
            "read_it_as": answer.method.read_it_as,
            "beware": answer.method.beware,
        }  # fmt: skip
        tell(told)
    return told


def trained(given: Json, _shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """What training with augmentation does: as it came with the package, or live, network by network."""
    digit = _url(experiment.digit().array)
    if given.get("live") is not True:
        return {"results": _with_heat(experiment.shipped()), "done": 1.0, "live": False, "digit": digit}
    told: Json = {}

    def heard(done: float, results: Json) -> None:
        nonlocal told
        told = {"results": _with_heat(results), "done": done, "live": True, "digit": digit}
        tell(told)

    experiment.experiment(stop=stop, report=heard)
    return told


def about(shelf: Shelf) -> Json:
    """What can be put together, and from what to what."""
    return {
        "transforms": [
            {"name": each.name, "title": each.title, "settings": [asdict(setting) for setting in each.settings]}
            for each in TRANSFORMS.values()
        ],
        "presets": {
            name: {"title": PRESET_WORDS[name], "steps": Pipeline.parse(text).as_data()}
            for name, text in PRESETS.items()
        },
        "most_steps": MOST_STEPS,
        "sweeps": [
            {"name": each.name, "title": each.title, "unit": each.unit, "start": each.start, "end": each.end}
            for each in SWEEPS.values()
        ],
        "samples": SAMPLES,
        "scenes": shelf.catalogue.as_json()["scenes"],
    }


def endpoints(shelf: Shelf, limits: Mapping[str, Any]) -> None:
    """Add `augmented`: one variant of a picture, with its recipe and the code to train with; `mixed`: two in one."""

    def augmented(picture: Any, scene: Any, model: Any, pipeline: Any, seed: Any) -> Any:
        trace = shelf.trace(endpoint.model_of(model, shelf, scene), endpoint.shown_of(picture, scene, shelf))
        chosen = Pipeline.parse(pipeline if isinstance(pipeline, str) else "")
        answer = engine.explain(trace, filling("augment.variants"), pipeline=pipeline, samples=1, seed=seed)
        _, tile = _tiles(answer).values()
        told = {
            "pipeline": chosen.as_data(),
            "recipe": tile.facts["recipe"],
            "actions": tile.facts["actions"],
            "label": tile.facts["label"],
            "probability": tile.facts["share"],
        }
        return Image.fromarray(tile.values), told | _codes(chosen, tile.values.shape[:2])

    def mixed(
        picture: Any,
        scene: Any,
        model: Any,
        second: Any,
        second_scene: Any,
        kind: Any,
        share: Any,
        across: Any,
        down: Any,
    ) -> Any:
        trace = shelf.trace(endpoint.model_of(model, shelf, scene), endpoint.shown_of(picture, scene, shelf))
        if second is None and second_scene is None:
            raise QuestionError("Two pictures are mixed, and there is only one; send “second”, or name a second_scene.")
        other = endpoint.shown_of(second, second_scene, shelf)
        pixels = trace.classifier.framing.frame(other.picture, trace.pixels.dtype).to(trace.pixels)
        chosen = _checked("mixture", kind=kind, share=share, across=across, down=down)
        center = (chosen["across"], chosen["down"])
        made = mix_two(chosen["kind"], trace.pixels, pixels, share=chosen["share"], center=center)
        top = trace.elsewhere(made.pixels).top(5)
        says = [{"label": p.label, "probability": p.probability, "told": p.told} for p in top]
        told = {"words": str(made), "share": made.share, "box": made.box, "says": says}
        return Image.fromarray(colors_of(made.pixels)), told

    text = Given("classic", {"type": "string", "maxLength": 2000}, "pipeline", "transforms as text, or a preset")
    seed = Given(0, {"type": "integer", "minimum": 0, "maximum": 99999}, "seed", "another number, another variant")
    inputs = dict(zip(("picture", "scene", "model"), endpoint.about_picture(shelf), strict=True))
    inputs |= {"pipeline": text, "seed": seed}
    gr.on(
        [],
        endpoint.endpoint(augmented, "augmented", inputs),
        list(inputs.values()),
        [gr.Image(label="variant", format="png", type="pil"), gr.JSON(label="told")],
        api_name="augmented",
        api_description="One variant of a picture: what was really done to it, what the network says, and code.",
        **limits,
    )
    share = {"type": "number", "minimum": 0, "maximum": 1}
    about_two = dict(zip(("picture", "scene", "model"), endpoint.about_picture(shelf), strict=True)) | {
        "second": PictureFile(label="second", about=endpoint.ABOUT_SECOND),
        "second_scene": Given(None, {"type": "string"}, "second_scene", endpoint.ABOUT_SCENE),
        "kind": Given("cutmix", {"enum": ["cutmix", "mixup"]}, "kind", "paste a box, or blend"),
        "share": Given(0.5, share, "share", "λ: the share of the first picture"),
        "across": Given(0.5, share, "across", "middle of the box, as a share of the width"),
        "down": Given(0.5, share, "down", "middle of the box, as a share of the height"),
    }
    gr.on(
        [],
        endpoint.endpoint(mixed, "mixed", about_two),
        list(about_two.values()),
        [gr.Image(label="mixed", format="png", type="pil"), gr.JSON(label="told")],
        api_name="mixed",
        api_description="Two pictures in one, by CutMix or MixUp: with box and λ, and what the network says.",
        **limits,
    )


def _letting_go(work: Work, given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The work, after which what is kept of the picture holds no large graph."""
    try:
        return work(given, shelf, stop, tell)
    finally:
        with suppress(SightglassError):
            asked(given, shelf).trace.release()


WORK: dict[str, Work] = {
    "preview": preview, "variants": variants, "variant": variant, "sweep": sweep, "bars": bars, "mix": mix,
    "mix_sweep": mix_sweep, "consistency": consistency, "trained": trained,
}  # fmt: skip

TAB = Tab(
    id="augment",
    title="Augment",
    line="What do flips, crops and colors do to the answer, and to the reason for it?",
    order=40,
    work={name: partial(_letting_go, work) for name, work in WORK.items()},
    about=about,
    endpoints=endpoints,
)  # fmt: skip


# --- private ---------------------------------------------------------------------------------------------------------


def _with_heat(results: Json) -> Json:
    """The results with maps as the browser draws them."""
    ways = [way | {"heat": panes.packed(np.array(way["heat"], np.float32))} for way in results["ways"]]
    return results | {"ways": ways}


def _checked(part: str, **options: Any) -> dict[str, Any]:
    """Options as the method that fills a part of this tab takes them. Raises in its words."""
    return find(filling(f"augment.{part}")).check(options)


def _tiles(answer: Explanation) -> dict[str, Tile]:
    assert isinstance(answer.result, Tiles)
    return {tile.key: tile for tile in answer.result.tiles}


def _kind(given: Json) -> Mixing:
    return "mixup" if given.get("kind") == "mixup" else "cutmix"


def _mixing(given: Json, shelf: Shelf) -> dict[str, Any]:
    """The second picture, where its box lies, and whose heat is asked for."""
    place = {name: given.get(name, 0.5) for name in ("across", "down")}
    return {"second": _second(given, shelf).picture, "explained_by": given.get("by") or "", **place}


def _second(given: Json, shelf: Shelf) -> Shown:
    second = given.get("second")
    second = second if isinstance(second, dict) else {}
    if second.get("upload"):
        return from_upload(second["upload"])
    if not isinstance(second.get("scene"), str):
        raise QuestionError("Two pictures are mixed, and there is only one; choose a second one below.")
    return shelf.pictures.setdefault(second["scene"], shelf.catalogue.picture(second["scene"]))


def _pipeline(given: Json) -> Pipeline:
    steps = given.get("pipeline")
    if isinstance(steps, str):
        return Pipeline.parse(steps)
    if not isinstance(steps, list) or not all(isinstance(each, Mapping) for each in steps):
        raise QuestionError("A pipeline is a list of transforms with their settings; load the page again.")
    return Pipeline.from_data(steps)


def _codes(pipeline: Pipeline, size: tuple[int, int]) -> Json:
    return {"torchvision": torchvision_code(pipeline, size), "timm": timm_code(pipeline, size)}


def _variant(tile: Tile) -> Json:
    facts = {name: value for name, value in tile.facts.items() if name != "actions"}
    return facts | {"picture": _url(tile.values), "change": tile.value}


def _url(colors: NDArray[np.uint8]) -> str:
    """A picture (h, w, 3) or (h, w, 1) as an address that holds it."""
    return colors_url(np.broadcast_to(colors, (*colors.shape[:2], 3)))
