"""Whole training steps: with and without AGMM, bfloat16 and float32, compiled or not, and where the time goes.

    python studies/on-a-card/steps.py --device cuda

DeepLabV3+ with ResNet-50 at output stride 8, channels last. All variants run in turn in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from agmm.config.model import ModelConfig
from agmm.losses.agmm import AGMMLoss
from agmm.models import build_model


@dataclass(frozen=True)
class Variant:
    """One way to take a step."""

    name: str
    loss: AGMMLoss
    bfloat16: bool = True
    compiled: bool = False


def seg_only() -> AGMMLoss:
    """The cross-entropy alone."""
    return AGMMLoss("paper", use_self=False, use_spar=False, use_con=False)


VARIANTS = (
    Variant("L_seg", seg_only()),
    Variant("AGMM, paper", AGMMLoss("paper")),
    Variant("AGMM, released", AGMMLoss("released")),
    Variant("L_seg, float32", seg_only(), bfloat16=False),
    Variant("AGMM, paper, float32", AGMMLoss("paper"), bfloat16=False),
    Variant("L_seg, compiled", seg_only(), compiled=True),
    Variant("AGMM, paper, compiled", AGMMLoss("paper"), compiled=True),
)


class Steps:
    """A network, a batch, and the step that is timed."""

    def __init__(self, device: torch.device, crop: int, batch: int, classes: int = 19, clicks: int = 50) -> None:
        self.device = device
        config = ModelConfig(classes, encoder="resnet50s.gluon_in1k", output_stride=8, aspp_rates=(12, 24, 36))
        self.model = build_model(config).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.compiled: nn.Module = torch.compile(self.model)  # type: ignore[assignment]
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)
        images = torch.rand(batch, 3, crop, crop, device=device)
        self.images = images.to(memory_format=torch.channels_last)
        self.target = torch.full((batch, crop, crop), 255)
        for image in self.target:
            for click in range(clicks):
                image[tuple(torch.randint(crop, (2,)))] = click % classes

    def __call__(self, variant: Variant) -> Tensor:
        """Take one step; returns the loss."""
        network = self.compiled if variant.compiled else self.model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=variant.bfloat16):
            out = network(self.images)
            total, _ = variant.loss(out.features, out.logits, self.target)
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return total.detach()

    def seconds(self, variant: Variant) -> float:
        """Time one step, to the end of its work on the device."""
        self._finish()
        start = time.perf_counter()
        self(variant)
        self._finish()
        return time.perf_counter() - start

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_mib(self, variant: Variant) -> float:
        """Peak memory of one step on CUDA."""
        if self.device.type != "cuda":
            return float("nan")
        torch.cuda.reset_peak_memory_stats()
        self(variant)
        return torch.cuda.max_memory_allocated() / 2**20


def print_table(steps: Steps, variants: list[Variant], repeats: int, batch: int) -> None:
    """Time variants in turn and print a table."""
    for variant in variants:
        for _ in range(2):
            steps(variant)
    taken: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for _ in range(repeats):
        for variant in variants:
            taken[variant.name].append(steps.seconds(variant))
    print("| step | median ms | min-max ms | times L_seg | images/s | peak MiB |\n|" + " --- |" * 6)
    for variant in variants:
        times = taken[variant.name]
        median = statistics.median(times)
        ratio = statistics.median(a / b for a, b in zip(times, taken["L_seg"], strict=True))
        print(
            f"| {variant.name} | {1000 * median:.1f} | {1000 * min(times):.1f}-{1000 * max(times):.1f} | "
            f"{ratio:.3f} | {batch / median:.1f} | {steps.peak_mib(variant):.0f} |",
            flush=True,
        )


def print_profile(steps: Steps, variant: Variant) -> None:
    """Print the ten operations that take most of a step."""
    on_cuda = steps.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as record:
        for _ in range(3):
            steps(variant)
    order = "self_cuda_time_total" if on_cuda else "self_cpu_time_total"
    print(f"\n{variant.name}:\n" + record.key_averages().table(sort_by=order, row_limit=10))


def main() -> None:
    """Read the command line, time and profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    for name, default in {"crop": 721, "batch": 4, "repeats": 20}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled variants")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    steps = Steps(torch.device(arguments.device), arguments.crop, arguments.batch)
    print(f"crop {arguments.crop}, batch {arguments.batch}, torch {torch.__version__}, {arguments.device}\n")
    variants = [variant for variant in VARIANTS if not (variant.compiled and arguments.no_compile)]
    print_table(steps, variants, arguments.repeats, arguments.batch)
    for variant in VARIANTS[:2]:
        print_profile(steps, variant)


if __name__ == "__main__":
    main()
