"""Cost of each decoder in training and inference, beside segmentation_models.pytorch with the same encoder.

    OMP_NUM_THREADS=1 python benchmarks/decoders.py

One thread, MobileNetV2 (random weights) at output stride 16 where the decoder dilates it, 2 images of 512x512, 19
classes, cross-entropy on all pixels, backward and a step of SGD. All networks take their steps in turn in one process,
in both layouts of memory, with freed memory kept, as in the commands of ``agmm``, which use channels-last. Seconds are
those of the processor, which other programs of a busy machine do not take part in.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.model import DECODERS, ModelConfig
from agmm.memory import keep_freed_memory
from agmm.models import build_model

ENCODER, CLASSES = "mobilenetv2_100", 19
CHANNELS_LAST = ", channels-last"


def make_networks() -> dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]]:
    """Networks by name, with a function that gives their logits."""
    found: dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]] = {}
    for suffix in ("", CHANNELS_LAST):
        network = smp.DeepLabV3Plus(f"tu-{ENCODER}", encoder_weights=None, encoder_output_stride=16, classes=CLASSES)
        found[f"smp{suffix}"] = network, lambda network, images: network(images)
    for decoder in DECODERS[1:]:
        for suffix in ("", CHANNELS_LAST):
            network = build_model(ModelConfig(CLASSES, encoder=ENCODER, decoder=decoder))
            found[f"{decoder}{suffix}"] = network, lambda network, images: network(images).logits
    for name, (network, _) in found.items():
        if name.endswith(CHANNELS_LAST):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return found


def main() -> None:
    """Time all networks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.rand(2, 3, args.size, args.size)
    target = torch.randint(CLASSES, (2, args.size, args.size))
    networks = make_networks()
    optimizers = {name: torch.optim.SGD(net.parameters(), 1e-3, 0.9) for name, (net, _) in networks.items()}
    training: dict[str, list[float]] = {name: [] for name in networks}
    inference: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(args.rounds + 1):  # the first warms up
        for name, (network, logits_of) in networks.items():
            is_last = name.endswith(CHANNELS_LAST)
            given = images.contiguous(memory_format=torch.channels_last) if is_last else images
            start = time.process_time()
            optimizers[name].zero_grad()
            F.cross_entropy(logits_of(network.train(), given), target).backward()
            optimizers[name].step()
            training[name].append(time.process_time() - start)
            with torch.inference_mode():
                start = time.process_time()
                logits_of(network.eval(), given)
                inference[name].append(time.process_time() - start)
    print("| network | parameters, millions | training step, s | times smp | inference, s | times smp |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (network, _) in networks.items():
        cells = [name, f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f}"]
        for seconds in (training, inference):
            own, theirs = seconds[name][1:], seconds["smp"][1:]
            ratio = statistics.median(a / b for a, b in zip(own, theirs, strict=True))
            cells += [f"{statistics.median(own):.2f} ({min(own):.2f}–{max(own):.2f})", f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
