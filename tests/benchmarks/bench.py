"""What an answer costs, as a multiple of one bare forward pass, with the peers beside it. `make bench`.

All contenders of one network take turns in one run, so that what else the machine does falls on all alike; medians
of the ratios are printed. Peers are optional: those that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import explainers as ex
from explainers.pictures import Framing, Picture

CLASSICS = ["cam", "grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "xgrad_cam", "eigen_cam"]
"""Seven maps that one forward and one short backward pass are enough for."""

PERTURBING = {
    "occlusion": {},
    "rise": {"samples": 96},
    "lime": {"samples": 96},
    "kernel_shap": {"samples": 96},
    "sobol": {},
}

NETWORKS = {"ResNet-50": "resnet50", "ViT-B/16": "vit_base_patch16_224", "ConvNeXt-T": "convnext_tiny"}


def network(name: str, device: torch.device) -> tuple[ex.Classifier, nn.Module]:
    import timm

    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval().to(device)
    return ex.wrap(module, name=name, framing=Framing(size=(224, 224))), module


def contenders(model: ex.Classifier, module: nn.Module, picture: Picture) -> dict[str, Callable[[], Any]]:
    """Each from a decoded picture to native heat; the bare pass has its tensor ready."""
    pixels = model.framing.normalize(model.framing.frame(picture)).to(model.device)[None]
    label = int(module(pixels).argmax())
    other = (label + 1) % len(model.labels)
    layer = module.get_submodule(model.anatomy.sites["last"].point.path)
    site = model.anatomy.sites["last"]
    ready = ex.look(model, picture)
    ex.explain(ready, "grad_cam")
    turn = [0]

    def bare() -> Tensor:
        return bare_pass(module, pixels)

    def ours(method: str) -> Callable[[], Any]:
        return lambda: ex.explain(ex.look(model, picture), method, target=label).native

    def second_target() -> Any:
        # Another class each time: one that was asked before would be remembered and cost nothing at all.
        turn[0] += 1
        return ex.explain(ready, "grad_cam", target=(other + turn[0]) % len(model.labels)).native

    known = {
        "bare forward": bare,
        "Grad-CAM": ours("grad_cam"),
        "gradient": ours("gradient"),
        "Grad-CAM, second target": second_target,
    }
    if model.anatomy.head is not None:
        known["CAM after Grad-CAM"] = lambda: ex.explain(ready, "cam").native
        known["seven CAMs, compared"] = lambda: ex.compare(ex.look(model, picture), CLASSICS, target=label)
    known["DeepLIFT"] = ours("deeplift")
    return known | peers(module, layer, site.layout, pixels, label)


def paths(model: ex.Classifier, module: nn.Module, picture: Picture) -> dict[str, Callable[[], Any]]:
    """Integrated gradients: 50 equal steps, and as many steps as either takes to the same residual."""
    trace = ex.look(model, picture)
    label = trace.class_index
    pixels = model.framing.normalize(trace.pixels)[None]

    def ours(**options: float) -> ex.Explanation:
        return ex.explain(ex.look(model, picture), "integrated_gradients", target=label, **options)

    known: dict[str, Callable[[], Any]] = {
        "bare forward": lambda: bare_pass(module, pixels),
        "integrated gradients, 50 equal steps": lambda: ours(steps=50, tolerance=0),
        "integrated gradients, within 1 %": lambda: ours(steps=512, tolerance=0.01),
    }
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        return known
    peer = IntegratedGradients(lambda x: (lambda z: z[:, label] - z.mean(1))(module(x)))

    def theirs(steps: int) -> tuple[Tensor, Tensor]:
        return peer.attribute(pixels, n_steps=steps, method="riemann_middle", return_convergence_delta=True)

    answer = known["integrated gradients, within 1 %"]()
    whole = abs(answer.result.adds_up.whole)
    for steps in (8, 12, 16, 24, 32, 50, 75, 100, 150, 200):
        missed = float(theirs(steps)[1].abs()) / whole
        if missed <= max(answer.result.adds_up.residual, 1e-4):
            break
    print(
        f"  to a residual of {answer.result.adds_up.residual:.1e}: here {answer.spent.backwards} slopes, "
        f"captum {steps} steps ({missed:.1e})"
    )
    known["captum, 50 equal steps"] = lambda: theirs(50)
    known[f"captum, to the same residual ({steps})"] = lambda: theirs(steps)
    return known


def bare_pass(module: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return module(pixels)


def covering(model: ex.Classifier, module: nn.Module, picture: Picture) -> dict[str, tuple[Callable[[], Any], int]]:
    """Each method that covers parts of the picture, and the same number of forwards in a bare batched loop."""
    known: dict[str, tuple[Callable[[], Any], int]] = {}
    label = ex.look(model, picture).class_index
    at_once = ex.look(model, picture).at_once
    pixels = model.framing.normalize(model.framing.frame(picture)).to(model.device)
    pixels = pixels.expand(at_once, -1, -1, -1).contiguous()

    def loop(forwards: int) -> None:
        with torch.no_grad():
            for first in range(0, forwards, at_once):
                module(pixels[: min(at_once, forwards - first)])

    for method, options in PERTURBING.items():
        if method not in {m.id for m in ex.methods()}:
            continue

        def ask(method: str = method, options: dict[str, Any] = options) -> ex.Explanation:
            return ex.explain(ex.look(model, picture), method, target=label, **options)

        forwards = ask().spent.forwards
        known[method] = (ask, forwards)
        known[f"bare loop of {forwards}"] = (lambda n=forwards: loop(n), forwards)
    return known


def peers(module: nn.Module, layer: nn.Module, layout: Any, pixels: Tensor, label: int) -> dict[str, Callable[[], Any]]:
    found: dict[str, Callable[[], Any]] = {}
    try:
        from captum.attr import LayerGradCam, Saliency

        if layout.form == "NCHW":
            grad_cam = LayerGradCam(module, layer)
            found["captum Grad-CAM"] = lambda: grad_cam.attribute(pixels, target=label)
        saliency = Saliency(module)
        from captum.attr import DeepLift

        lift = DeepLift(module)

        def deep_lift() -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return lift.attribute(pixels, torch.zeros_like(pixels), target=label)

        try:
            deep_lift()
            found["captum DeepLIFT"] = deep_lift
        except Exception as error:
            print(f"captum's DeepLIFT does not run here: {str(error).splitlines()[0][:90]}")
        found["captum gradient"] = lambda: saliency.attribute(pixels.clone().requires_grad_(), target=label)
    except ImportError:
        print("captum is not installed")
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def reshape(tensor: Tensor) -> Tensor:
            return torch.stack([layout.maps(tensor[i : i + 1]) for i in range(len(tensor))])

        cam = GradCAM(module, [layer], reshape_transform=None if layout.form == "NCHW" else reshape)
        found["pytorch-grad-cam"] = lambda: cam(pixels, [ClassifierOutputTarget(label)])
    except ImportError:
        print("pytorch-grad-cam is not installed")
    try:
        from torchcam.methods import GradCAM as TorchCam

        if layout.form == "NCHW":

            def torch_cam() -> Any:
                with TorchCam(module, target_layer=layer) as extractor:
                    return extractor(label, module(pixels.clone().requires_grad_()))

            found["torch-cam"] = torch_cam
    except ImportError:
        print("torch-cam is not installed")
    return found


def measure(
    known: dict[str, Callable[[], Any]], rounds: int, device: torch.device, warm: int = 2
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in known}
    for done in range(rounds + warm):
        for name, work in known.items():
            began = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if done >= warm:  # the first rounds warm caches and allocators
                times[name].append(time.perf_counter() - began)
    return times


def memory(work: Callable[[], Any], device: torch.device) -> float:
    """Peak extra memory of one call in MB: torch's own count, on either kind of device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    level = peak = 0
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak / 1e6


def late_graph(module: nn.Module, layer: nn.Module, pixels: Tensor) -> Callable[[], Any]:
    """One forward pass with a graph from the tapped point on, and nothing else: the bound for Grad-CAM's memory."""

    def work() -> Tensor:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            torch.set_grad_enabled(True)
            return output.detach().requires_grad_().clone()

        handle = layer.register_forward_hook(hook)
        try:
            with torch.no_grad():
                return module(pixels)
        finally:
            handle.remove()

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--long", action="store_true", help="also methods of many passes, some minutes more")
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = Picture.read(np.repeat(np.repeat(noise, 8, 0), 8, 1))
    devices = [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else [])
    for device in devices:
        where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        for title in choice.networks.split(","):
            model, module = network(NETWORKS[title], device)
            known = contenders(model, module, picture)
            times = measure(known, choice.rounds, device)
            base = times["bare forward"]
            print(f"\n{title} at 224 px, {where}; bare forward {1000 * statistics.median(base):.1f} ms")
            for name, spent in times.items():
                ratio = statistics.median(t / b for t, b in zip(spent, base, strict=True))
                print(f"  {name:26} × {ratio:6.3f}   {1000 * statistics.median(spent):8.2f} ms")
            pixels = model.framing.normalize(model.framing.frame(picture)).to(device)[None]
            layer = module.get_submodule(model.anatomy.sites["last"].point.path)
            bound, mine = memory(late_graph(module, layer, pixels), device), memory(known["Grad-CAM"], device)
            print(f"  memory: Grad-CAM {mine:.1f} MB at its peak, one forward with a graph from there {bound:.1f} MB")
            if choice.long:
                long(model, module, picture, device)


def long(model: ex.Classifier, module: nn.Module, picture: Picture, device: torch.device) -> None:
    """Methods of many passes: fewer rounds, and figures per forward where that is what counts."""
    known = paths(model, module, picture)
    for name, spent in measure(known, 3, device, warm=1).items():
        print(f"  {name:44} {statistics.median(spent):8.2f} s")
    for name in [n for n in known if "50 equal" in n]:
        print(f"  memory: {name:40} {memory(known[name], device):8.0f} MB at its peak")
    asked = covering(model, module, picture)
    for name, spent in measure({n: work for n, (work, _) in asked.items()}, 3, device, warm=1).items():
        print(f"  {name:44} {asked[name][1] / statistics.median(spent):8.2f} forwards/s")


if __name__ == "__main__":
    main()
