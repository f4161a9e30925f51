"""Scores that are no class: a segmentation over a mask, a detector's box, a similarity.

Run it from the project's root: `PYTHONPATH=. python examples/own_targets.py`. The networks have random weights, so that
nothing is fetched; with trained ones the same lines explain what they found.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torchvision.models import detection, mobilenet_v3_small, segmentation
from torchvision.ops import box_iou

import explainers as ex
from explainers.network.outputs import OwnTarget
from explainers.pictures import Framing

PICTURE = Path(__file__).with_name("chelsea.jpg")


def segmented() -> ex.Explanation:
    """What makes the network call the middle of the picture class 8."""
    net = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    trace = ex.look(ex.wrap(net, framing=Framing(size=(128, 128)), head="none"), PICTURE)
    middle = torch.zeros(128, 128)
    middle[32:96, 32:96] = 1 / 64**2

    def cat(out: dict[str, Tensor]) -> Tensor:  # what torchvision returns for N pictures: {"out": (N, classes, H, W)}
        """The middle as class 8, rather than background."""
        return ((out["out"][:, 8] - out["out"][:, 0]) * middle).sum((1, 2))  # (N,)

    return ex.explain(trace, "grad_cam", target=OwnTarget(cat, unit="logit points"))


def detected() -> ex.Explanation:
    """What gives a box its score: that of the box found at its place, whose own place is held still."""
    net = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, score_thresh=0.0).eval()
    framing = Framing(size=(160, 160), mean=(0, 0, 0), std=(1, 1, 1))  # the detector normalizes by itself
    trace = ex.look(ex.wrap(net, framing=framing, head="none"), PICTURE)
    best = net(trace.pixels[None])[0]
    box, label = best["boxes"][:1].detach(), best["labels"][0]

    def box_score(found: list[dict[str, Tensor]]) -> Tensor:  # for N pictures, a list of {"boxes", "scores", "labels"}
        """The box's score."""
        return torch.stack([
            (each["scores"] * (each["labels"] == label) * box_iou(box, each["boxes"].detach())[0]).max()
            for each in found
        ])  # fmt: skip

    return ex.explain(trace, "gradient", target=box_score)


def alike() -> ex.Explanation:
    """What makes the network hold this picture to be like another one."""
    net = mobilenet_v3_small(weights=None)
    net.classifier = torch.nn.Identity()  # a backbone: its output is an embedding
    model = ex.wrap(net.eval(), labels=(), framing=Framing(size=(128, 128)))
    reference = ex.look(model, PICTURE.with_name("coffee.jpg")).logits

    def likeness(embedding: Tensor) -> Tensor:
        """The likeness to the coffee."""
        return cosine_similarity(embedding, reference[None])  # (N,)

    return ex.explain(ex.look(model, PICTURE), "grad_cam", target=OwnTarget(likeness, unit="points of cosine"))


if __name__ == "__main__":
    torch.manual_seed(0)
    where = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for make in (segmented, detected, alike):
        why = make()
        sys.stdout.write(f"{why}\n{why.prediction}\n")
        why.picture().save(where / f"{make.__name__}.png")
