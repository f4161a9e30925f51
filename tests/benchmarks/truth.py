"""Every method against what truly decides in the pond: `make truth`.

    PYTHONPATH=. python tests/benchmarks/truth.py [--scenes 40] [--networks cnn,vit] [--methods a,b]

For each test scene, each element (nucleus, appendage, body, debris, tag, background) is taken out or drawn anew and the
picture rendered again: its true effect on the score. Beside it stands what a method's map put there. Printed are the
mean rank correlation of the two with its 95 % interval, the share of pairs in the right order (chance: 50 %), the share
of the score that lies between covering the coldest and the warmest cells first, and the passes that a map took. Rows
that know the answer, or nothing, stand beside the methods: the effects themselves painted on their elements, random
maps, a blurred edge detector, and the creature's outline.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

import explainers as ex
from explainers import worlds
from explainers.baselines import blurred
from explainers.errors import DoesNotApply
from explainers.results import Heatmap
from explainers.scores import judge, spearman
from explainers.worlds.pond import effects
from explainers.worlds.pond.renderer import render
from explainers.worlds.pond.scenes import Scene, scene

SIZE = 96


@dataclass
class Row:
    rank: list[float] = field(default_factory=list)
    order: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)


def score_of(model: ex.Classifier, target: int) -> Callable[[np.ndarray], np.ndarray]:
    def score(pictures: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            logits = torch.cat([model.module(part) for part in model.framing.normalize(pixels).split(64)])
        return (logits[:, target] - logits.mean(1)).numpy()

    return score


def known(drawn: Scene, true: dict[str, float], number: int) -> dict[str, Heatmap]:
    """Maps that are no method's: what they get is what a figure of the table is worth."""
    rendering = render(drawn, SIZE)
    places = effects.places(rendering, list(true))
    painted = sum(effect / max(1, places[name].sum()) * places[name] for name, effect in true.items())
    gray = torch.from_numpy(rendering.pixels).float().mean(2)
    edges = blurred((gray.diff(dim=0, append=gray[-1:]) ** 2 + gray.diff(dim=1, append=gray[:, -1:]) ** 2).sqrt(), 3.0)
    noise = np.random.default_rng(number).standard_normal((8, 8))
    creature = sum(mask for name, mask in places.items() if name.split(":")[0] in ("body", "nucleus", "appendage"))
    return {
        "*the effects, painted*": Heatmap(painted, unit="", signed=True),
        "*the creature's outline*": Heatmap(np.asarray(creature, float), unit=""),
        "*edges, blurred*": Heatmap(edges, unit=""),
        "*random cells*": Heatmap(noise, unit="", signed=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--networks", default="cnn,vit")
    parser.add_argument("--methods", default="")
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    wanted = set(filter(None, choice.methods.split(",")))
    for name in choice.networks.split(","):
        model = ex.load(f"pond:{name}")
        rows: dict[str, Row] = {}
        for number in range(choice.scenes):
            drawn = scene("test", number)
            trace = ex.look(model, render(drawn, SIZE).pixels)
            target = drawn.class_a
            true = effects.effects(drawn, score_of(model, target), SIZE)
            view = trace.ask(ex.engine._target(model, target, None, "centered_logit"))

            def tell(title: str, result: Heatmap, passes: int, drawn=drawn, true=true, view=view, rows=rows) -> None:
                amount = effects.given(result.heat, drawn, SIZE)
                row = rows.setdefault(title, Row())
                amounts = np.array([amount[n] for n in true])
                row.rank.append(spearman(np.array(list(true.values())), amounts) or 0.0)
                row.order.append(worlds.pairwise(true, amount) or 0.5)
                row.share.append(judge(view, result).share or 0.0)
                row.passes.append(passes)

            for method in ex.methods():
                if wanted and method.id not in wanted:
                    continue
                try:
                    answer = ex.explain(ex.look(model, trace.picture), method.id, target=target)
                except DoesNotApply:
                    continue
                tell(method.title, answer.result, answer.spent.forwards + answer.spent.backwards)
            for title, result in known(drawn, true, number).items():
                tell(title, result, 0)
        print(f"\npond:{name}, {choice.scenes} test scenes\n")
        print("| map | rank correlation with the true effects | pairs in order | share of the score | passes |")
        print("|---|---|---|---|---|")
        for title, row in sorted(rows.items(), key=lambda item: -np.mean(item[1].rank)):
            margin = 1.96 * np.std(row.rank) / len(row.rank) ** 0.5
            print(
                f"| {title} | {np.mean(row.rank):.2f} ± {margin:.2f} | {np.mean(row.order):.0%} "
                f"| {np.mean(row.share):.2f} | {np.mean(row.passes):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
