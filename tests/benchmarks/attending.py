"""What reading attention costs, as a multiple of one bare forward pass, with the peers beside it. Part of `make bench`.

ViT-B/16 at 224 pixels and a ViT-S/14 at 518 (1,370 tokens, as DINOv2 has them), with random weights. All contenders of
one network take turns in one run. Memory is torch's own count: the peak of one call beyond that of the
pass that a trace makes anyhow, beside the size of what is shown.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from bench import bare_pass, measure, memory
from torch import Tensor, nn

import explainers as ex
from explainers.pictures import Framing, Picture
from explainers.trace.attention import attention_rows, hold

NETWORKS: dict[str, tuple[str, dict[str, Any], int]] = {
    "ViT-B/16 at 224 px": ("vit_base_patch16_224", {}, 224),
    "ViT-S/14 at 518 px": ("vit_small_patch14_dinov2", {"num_classes": 1000}, 518),
}
MATRICES = {"rollout": "attention_rollout", "GenAtt": "gen_att", "LeGrad": "le_grad", "Grad-SAM": "grad_sam"}


def contenders(model: ex.Classifier, module: nn.Module, picture: Picture) -> dict[str, Callable[[], Any]]:
    pixels = model.framing.normalize(model.framing.frame(picture))[None]
    held = ex.look(model, picture)
    hold(held)
    rows, columns = model.anatomy.attention[-1].grid
    turn = [0]

    def another_patch() -> Any:
        turn[0] += 1
        return attention_rows(held, query=(turn[0] // columns % rows, turn[0] % columns))

    known: dict[str, Callable[[], Any]] = {
        "bare forward": lambda: bare_pass(module, pixels),
        "logits, ready for Grad-CAM": lambda: ex.look(model, picture).logits,
        "class token, all layers and heads": lambda: attention_rows(ex.look(model, picture)),
        "one patch, all layers and heads": lambda: attention_rows(ex.look(model, picture), query=(7, 4)),
        "another patch after the first": another_patch,
    }
    label = held.class_index
    for title, method in MATRICES.items():
        known[title] = lambda method=method: ex.explain(ex.look(model, picture), method, target=label).native
    return known | peers(model, module, pixels)


def peers(model: ex.Classifier, module: nn.Module, pixels: Tensor) -> dict[str, Callable[[], Any]]:
    """timm's own reader, which needs fused attention off, and transformers' eager attention of the same sizes."""
    import copy

    found: dict[str, Callable[[], Any]] = {}
    try:
        from timm.utils import AttentionExtract

        spelled = copy.deepcopy(module)
        for block in spelled.blocks:
            block.attn.fused_attn = False
        extract = AttentionExtract(spelled, method="fx")

        def timms() -> Any:
            with torch.no_grad():
                return extract(pixels)

        timms()
        found["timm AttentionExtract, fused off"] = timms
    except Exception as error:
        print(f"timm's AttentionExtract does not run here: {str(error).splitlines()[0][:90]}")
    try:
        import transformers as hf

        layers, width, heads = len(module.blocks), module.embed_dim, model.anatomy.attention[0].heads
        patch = module.patch_embed.patch_size[0]
        sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
        config = hf.ViTConfig(**sizes, intermediate_size=4 * width, image_size=pixels.shape[-1], patch_size=patch)
        config.num_labels = 1000
        network = hf.ViTForImageClassification(config).eval()
        network.set_attn_implementation("eager")

        def eager() -> Any:
            with torch.no_grad():
                return network(pixels, output_attentions=True).attentions

        found["transformers eager, all matrices"] = eager
    except Exception as error:
        print(f"transformers' eager attention does not run here: {str(error).splitlines()[0][:90]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    import timm

    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = Picture.read(np.repeat(np.repeat(noise, 8, 0), 8, 1))
    device = torch.device("cpu")
    for title in choice.networks.split(","):
        name, options, size = NETWORKS[title]
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, **options).eval()
        model = ex.wrap(module, name=name, framing=Framing(size=(size, size)))
        known = contenders(model, module, picture)
        times = measure(known, choice.rounds, device)
        base = times["bare forward"]
        print(
            f"\n{title}, CPU, {torch.get_num_threads()} threads; bare forward {1000 * statistics.median(base):.1f} ms"
        )
        for contender, spent in times.items():
            ratio = statistics.median(t / b for t, b in zip(spent, base, strict=True))
            print(f"  {contender:36} × {ratio:6.3f}   {1000 * statistics.median(spent):8.2f} ms")
        bare = memory(known["logits, ready for Grad-CAM"], device)
        shown = sum(t.numel() * 4 for row in attention_rows(ex.look(model, picture)) for t in row) / 1e6
        print(f"  memory: a pass for the logits {bare:.1f} MB at its peak; the class token's rows take {shown:.2f} MB")
        for contender, work in known.items():
            print(f"  {contender:36} {memory(work, device) - bare:+8.2f} MB at its peak")


if __name__ == "__main__":
    main()
