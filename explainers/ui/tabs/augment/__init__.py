"""The tab “Augment”: what a pipeline does to the picture, to the prediction and to the reason for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .... import engine
from ....augmenting import (
    NOTHING,
    PRESETS,
    SWEEPS,
    TRANSFORMS,
    Mixed,
    Pipeline,
    Trial,
    answered,
    carried_back,
    compared,
    cut_mix,
    experiment,
    find_sweep,
    finest,
    invertible,
    mix_up,
    mixing_code,
    picture_of,
    pixels_of,
    put,
    timm_code,
    torchvision_code,
)
from ....errors import QuestionError, SightglassError
from ....ingredients.stretching import stretched
from ....network.heads import Prediction
from ....registry import filling, heat_of, map_method
from ....results import Curves
from ....trace import Trace
from ... import endpoints as endpoint
from ... import panes
from ...answering import question
from ...given import Given, PictureFile
from ...pictures import Shown, colors_url, from_upload
from ...shelf import Shelf
from ...tab import Json, Stop, Tab, Tell, Work, asked

SAMPLES, MOST_SAMPLES = 14, 63
POINTS = 25


def preview(given: Json, shelf: Shelf, _stop: Stop, _tell: Tell) -> Json:
    """One variant, without asking the network: what is seen while a setting is moved."""
    trace = _trace(given, shelf, None)
    picture, recipe = _pipeline(given).sample(picture_of(trace), _whole(given, "seed", 0, 99999))
    return {"picture": _url(picture), "recipe": str(recipe)}


def variants(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """The original and variants of it, with recipe, prediction and change; batch by batch."""
    trace, pipeline = _trace(given, shelf, stop), _pipeline(given)
    seed, samples = _whole(given, "seed", 0, 99999), _whole(given, "samples", 1, MOST_SAMPLES, SAMPLES)
    picture, size = picture_of(trace), _size(trace)
    ready = pipeline.at(size)
    (original,) = answered(trace, [(picture, NOTHING)])
    told: Json = {
        "size": [size[1], size[0]],
        "target": trace.classifier.labels[trace.class_index],
        "unit": trace.target.points,
        "text": str(pipeline),
        "original": _tile(trace, original, original, -1),
        "codes": {"torchvision": torchvision_code(pipeline, size), "timm": timm_code(pipeline, size)},
        "variants": [],
    }
    for first in range(0, samples, trace.at_once):
        seeds = range(seed + first, seed + min(samples, first + trace.at_once))
        trials = answered(trace, [ready.sample(picture, each) for each in seeds])
        more = [_tile(trace, trial, original, each) for trial, each in zip(trials, seeds, strict=True)]
        told = told | {"variants": told["variants"] + more}
        tell(told)
    return told


def variant(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """One variant's heat, beside the same heat carried back and the original's own."""
    trace = _trace(given, shelf, stop)
    by = map_method(str(given.get("by") or ""), trace.classifier)
    picture, recipe = _pipeline(given).sample(picture_of(trace), _whole(given, "seed", 0, 99999))
    original, found = heat_of(trace, by), heat_of(trace.elsewhere(pixels_of([picture], trace)[0]), by)
    told = {
        "by": by.id,
        "title": by.title,
        "signed": found.signed,
        "heat": panes.packed(found.heat),
        "own": panes.packed(original.heat),
        "recipe": str(recipe),
    }
    if not invertible(recipe):
        why = "Several moved copies lie over each other here: no place of the map belongs to one of the original."
        return told | {"back": None, "why": why}
    size = _size(trace)
    back = compared(found, original, recipe, size)
    _, known = carried_back(torch.ones(1, 1), recipe, size, finest(size))
    lost = float(1 - known.float().mean())
    return told | {"back": panes.packed(back.heat.numpy()), "lost": panes.packed((~known).float().numpy()),
                   "share_lost": lost, "agreement": back.agreement}  # fmt: skip


def sweep(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """A curve over one parameter, and the picture at every place of it."""
    trace = _trace(given, shelf, stop)
    chosen = find_sweep(str(given.get("transform") or "rotation"))
    answer = engine.explain(
        trace, filling("augment.curve"), **_asked(given), transform=chosen.name, points=POINTS, stop=stop
    ).result
    assert isinstance(answer, Curves)
    picture, size = picture_of(trace), _size(trace)
    places = [chosen.recipe(value, size) for value in chosen.values(POINTS)]
    trials = [trial for batch in put(trace, places) for trial in batch]
    return {
        "transform": chosen.name,
        "unit": chosen.unit,
        "neutral": chosen.neutral if chosen.start <= chosen.neutral <= chosen.end else None,
        "curves": answer.as_json(),
        "places": [_place(trace, trial) for trial in trials],
        "original": _url(picture),
    }


def bars(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """A bar for each transform, the control first."""
    trace = _trace(given, shelf, stop)
    told: Json = {}
    for answer in engine.stream(
        trace, filling("augment.bars"), **_asked(given), measure=str(given.get("measure")), stop=stop
    ):
        told = {"bars": answer.result.as_json()}
        tell(told)
    return told


def mix(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """Two pictures in one: the picture, its label, what the network says, and how much of the heat lies in the box."""
    trace, other = _trace(given, shelf, stop), _second(given, shelf)
    pixels = trace.classifier.framing.frame(other.picture, trace.pixels.dtype).to(trace.pixels)
    mixed = _mixed(given, trace, pixels)
    first, second = trace.class_index, int(trace.classifier.head.winner(trace.logits_at(pixels[None])[0]))
    view = trace.elsewhere(mixed.pixels)
    head, labels = trace.classifier.head, trace.classifier.labels
    by = map_method(str(given.get("by") or ""), trace.classifier)
    found = heat_of(view, by)
    told: Json = {
        "size": list(_size(trace))[::-1],
        "picture": _url((mixed.pixels.float().cpu() * 255).round().to(torch.uint8)),
        "second": _url((pixels.float().cpu() * 255).round().to(torch.uint8)),
        "share": mixed.share,
        "box": mixed.box,
        "words": str(mixed),
        "label": [[labels[first], mixed.share], [labels[second], 1 - mixed.share]],
        "says": [[p.label, p.probability, p.told] for p in view.top(3)],
        "chances": [float(each) for each in head.readings(view.logits)[[first, second]]],
        "title": by.title,
        "signed": found.signed,
        "heat": panes.packed(found.heat),
        "code": mixing_code("mixup" if given.get("kind") == "mixup" else "cutmix", len(labels)),
    }
    if mixed.box:
        x0, y0, x1, y1 = mixed.box
        whole = stretched(torch.from_numpy(np.abs(found.heat)), _size(trace))
        told["heat_in_box"] = float(whole[y0:y1, x0:x1].sum() / whole.sum().clamp(min=1e-12))
    return told


def mix_sweep(given: Json, shelf: Shelf, stop: Stop, _tell: Tell) -> Json:
    """How heat and probabilities follow λ."""
    trace, other = _trace(given, shelf, stop), _second(given, shelf)
    kind = "mixup" if given.get("kind") == "mixup" else "cutmix"
    place: dict[str, Any] = (
        {} if kind == "mixup" else {"across": _share(given, "across", 0.5), "down": _share(given, "down", 0.5)}
    )
    by = str(given.get("by") or "")
    answer = engine.explain(
        trace,
        filling(f"augment.{kind}"),
        **_asked(given),
        second=other.picture,
        stop=stop,
        points=13,
        explained_by=by,
        **place,
    )
    return {"curves": answer.result.as_json(), "question": answer.question, "read_it_as": answer.method.read_it_as}


def consistency(given: Json, shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """Whether the map moves with the picture: mean, drift, and the agreement of each variant."""
    trace = _trace(given, shelf, stop)
    told: Json = {}
    for answer in engine.stream(
        trace, filling("augment.agreement"), **_asked(given), stop=stop, pipeline=str(_pipeline(given)),
        explained_by=str(given.get("by") or ""), samples=_whole(given, "samples", 2, MOST_SAMPLES, SAMPLES),
        seed=_whole(given, "seed", 0, 9999),
    ):  # fmt: skip
        tiles = answer.result.tiles  # type: ignore[attr-defined]
        told = {
            "maps": [{"caption": t.caption, "value": t.value, "signed": t.signed, "heat": panes.packed(t.values)}
                     for t in tiles[:3]],
            "control": tiles[3].value,
            "agreements": [t.value for t in tiles[4:]],
            "note": answer.result.note,
            "read_it_as": answer.method.read_it_as,
            "beware": answer.method.beware,
        }  # fmt: skip
        tell(told)
    return told


def trained(given: Json, _shelf: Shelf, stop: Stop, tell: Tell) -> Json:
    """What training with augmentation does: as it came with the package, or live, network by network."""
    if given.get("live") is not True:
        return {"results": _with_heat(experiment.shipped()), "done": 1.0, "live": False, "digit": _digit()}
    told: Json = {}

    def heard(done: float, results: Json) -> None:
        nonlocal told
        told = {"results": _with_heat(results), "done": done, "live": True, "digit": _digit()}
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
        "presets": {name: Pipeline.parse(text).as_data() for name, text in PRESETS.items()},
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
        trace = shelf.trace(endpoint.model_of(model, shelf), endpoint.shown_of(picture, scene, shelf))
        chosen = Pipeline.parse(pipeline if isinstance(pipeline, str) else "")
        variant, recipe = chosen.sample(picture_of(trace), _whole({"seed": seed}, "seed", 0, 99999))
        (trial,) = answered(trace, [(variant, recipe)])
        said = trial.predicted(trace)
        told = {
            "pipeline": chosen.as_data(),
            "recipe": str(recipe),
            "actions": [action.as_data() for action in recipe.actions],
            "label": said.label,
            "probability": said.probability,
            "torchvision": torchvision_code(chosen, _size(trace)),
            "timm": timm_code(chosen, _size(trace)),
        }
        return Image.fromarray(variant.permute(1, 2, 0).contiguous().numpy()), told

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
        trace = shelf.trace(endpoint.model_of(model, shelf), endpoint.shown_of(picture, scene, shelf))
        if second is None and second_scene is None:
            raise QuestionError("Two pictures are mixed, and there is only one; send “second”, or name a second_scene.")
        other = endpoint.shown_of(second, second_scene, shelf)
        pixels = trace.classifier.framing.frame(other.picture, trace.pixels.dtype).to(trace.pixels)
        made = _mixed({"kind": kind, "share": share, "across": across, "down": down}, trace, pixels)
        top = trace.elsewhere(made.pixels).top(5)
        says = [{"label": p.label, "probability": p.probability, "told": p.told} for p in top]
        colors = (made.pixels.float().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return Image.fromarray(colors), {"words": str(made), "share": made.share, "box": made.box, "says": says}

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
            _trace(given, shelf, None).release()


WORK: dict[str, Work] = {
    "preview": preview, "variants": variants, "variant": variant, "sweep": sweep, "bars": bars, "mix": mix,
    "mix_sweep": mix_sweep, "consistency": consistency, "trained": trained,
}  # fmt: skip

TAB = Tab(
    id="augment",
    title="Augment",
    line="What do flips, crops and colors do to the answer, and to the reason for it?",
    place=40,
    work={name: partial(_letting_go, work) for name, work in WORK.items()},
    about=about,
    endpoints=endpoints,
)  # fmt: skip


# --- private ---------------------------------------------------------------------------------------------------------


def _with_heat(results: Json) -> Json:
    """The results with maps as the browser draws them."""
    ways = [way | {"heat": panes.packed(np.array(way["heat"], np.float32))} for way in results["ways"]]
    return results | {"ways": ways}


def _digit() -> str:
    return _url(torch.from_numpy(experiment.digit().array.copy()).permute(2, 0, 1))


def _trace(given: Json, shelf: Shelf, stop: Stop | None) -> Trace:
    """The trace of the question on the screen, asked about its class."""
    return asked(given, shelf).view(stop)


def _asked(given: Json) -> dict[str, Any]:
    return {name: question.label(given.get(name)) for name in ("target", "versus")}


def _second(given: Json, shelf: Shelf) -> Shown:
    second = given.get("second")
    second = second if isinstance(second, dict) else {}
    if second.get("upload"):
        return from_upload(second["upload"])
    if not isinstance(second.get("scene"), str):
        raise QuestionError("Two pictures are mixed, and there is only one; choose a second one below.")
    return shelf.pictures.setdefault(second["scene"], shelf.catalogue.picture(second["scene"]))


def _mixed(given: Json, trace: Trace, pixels: Tensor) -> Mixed:
    share = _share(given, "share", 0.5)
    if given.get("kind") == "mixup":
        return mix_up(trace.pixels, pixels, share=share)
    center = (_share(given, "across", 0.5), _share(given, "down", 0.5))
    return cut_mix(trace.pixels, pixels, share=share, center=center)


def _pipeline(given: Json) -> Pipeline:
    steps = given.get("pipeline")
    if isinstance(steps, str):
        return Pipeline.parse(steps)
    if not isinstance(steps, list) or not all(isinstance(each, Mapping) for each in steps):
        raise QuestionError("A pipeline is a list of transforms with their settings; load the page again.")
    return Pipeline.from_data(steps)


def _whole(given: Json, name: str, low: int, high: int, default: int = 0) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise QuestionError(f"“{name}” is a whole number from {low} to {high}.")
    return value


def _share(given: Json, name: str, default: float) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise QuestionError(f"“{name}” is a number from 0 to 1.")
    return float(value)


def _size(trace: Trace) -> tuple[int, int]:
    return trace.pixels.shape[-2], trace.pixels.shape[-1]


def _tile(trace: Trace, trial: Trial, original: Trial, seed: int) -> Json:
    flipped = trial.predicted(trace).label != original.predicted(trace).label
    return {"seed": seed, **_place(trace, trial), "flipped": flipped, "change": trial.score - original.score}


def _place(trace: Trace, trial: Trial) -> Json:
    said = trial.predicted(trace)
    return {"picture": _url(trial.picture), "label": said.label, **_told(said), "recipe": str(trial.recipe)}


def _told(said: Prediction) -> Json:
    return {"share": said.probability, "told": said.told}


def _url(picture: Tensor) -> str:
    """A picture (3, H, W) or (1, H, W), uint8, as an address that holds it."""
    colors: NDArray[np.uint8] = picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return colors_url(colors)
