"""Cost of each loss: seconds of a whole step, including the network, compared with cross-entropy alone.

    OMP_NUM_THREADS=1 python benchmarks/ways.py
    OMP_NUM_THREADS=1 python benchmarks/ways.py --losses agmm --batch 2 --size 512 512 --channels 256

One thread, MobileNetV2 (random weights), 8 crops of 160x112 with 22 classes, of which each image holds 7 with one click
each; channels-last and with freed memory kept, as in training. Steps of all losses are taken in turn, and each is
compared with that of cross-entropy in the same turn. Seconds are those of the processor, which other programs of a busy
machine do not take part in.
"""

from __future__ import annotations

import argparse
import time
from copy import deepcopy
from statistics import median

import torch

from agmm.config.model import ModelConfig
from agmm.data.dataset import Sample
from agmm.losses.agmm import AGMM
from agmm.losses.base import SparseLoss
from agmm.losses.combined import TERM_LOSSES
from agmm.losses.seg import SegLoss
from agmm.memory import keep_freed_memory
from agmm.models import build_model

NUM_CLASSES, PER_IMAGE = 22, 7


def make_batch(num_images: int, height: int, width: int) -> Sample:
    """Random images with one click for each class that they hold."""
    rng = torch.Generator().manual_seed(0)
    target = torch.full((num_images, height, width), 255, dtype=torch.uint8)
    image_classes = torch.zeros((num_images, NUM_CLASSES), dtype=torch.bool)
    for n in range(num_images):
        for k in torch.randperm(NUM_CLASSES, generator=rng)[:PER_IMAGE].tolist():
            row, col = (int(torch.randint(length, (), generator=rng)) for length in (height, width))
            target[n, row, col], image_classes[n, k] = k, True
    none = torch.zeros((num_images, 0, height, width), dtype=torch.uint8)
    images = torch.rand((num_images, 3, height, width), generator=rng)
    return Sample(images, target, torch.ones_like(target, dtype=torch.bool), image_classes, none, none)


def main() -> None:
    """Time all losses and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=11)
    parser.add_argument("--size", type=int, nargs=2, default=(160, 112), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=64, help="of the decoder")
    parser.add_argument("--losses", nargs="+", default=[*TERM_LOSSES, "agmm"])
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ModelConfig(
        num_classes=NUM_CLASSES, encoder="mobilenetv2_100", encoder_weights="none", output_stride=16,
        aspp_rates=(2, 4, 6), decoder_channels=args.channels, presence_head=True,
    )  # fmt: skip
    model = build_model(config).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = make_batch(args.batch, *args.size)
    batch = batch._replace(image=batch.image.contiguous(memory_format=torch.channels_last))
    built: dict[str, SparseLoss] = {**{name: way() for name, way in TERM_LOSSES.items()}, "agmm": AGMM()}
    losses = {"seg": SegLoss(), **{name: built[name] for name in args.losses}}
    if "mean_teacher" in losses:
        losses["mean_teacher"].attach_teacher(deepcopy(model).eval())
    seconds: dict[str, list[float]] = {name: [] for name in losses}

    def step(name: str) -> None:
        start = time.process_time()
        out = model(batch.image)
        total, _ = losses[name](out, batch)
        total.backward()
        seconds[name].append(time.process_time() - start)
        model.zero_grad()

    for _ in range(args.steps):
        for name in seconds:
            step(name)
    print("| loss | ms a step | times cross-entropy alone |\n| --- | --- | --- |")
    for name, times in seconds.items():
        ratios = [own / alone for own, alone in zip(times[1:], seconds["seg"][1:], strict=True)]  # the first warms up
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        print(f"| {name} | {1000 * median(times[1:]):.0f} | {spread} |")


if __name__ == "__main__":
    main()
