"""Time and memory of the AGMM loss beside the literal dense form and, where fetched, the authors' released code.

    python benchmarks/losses.py                                     # on the CPU
    python benchmarks/losses.py --released /path/to/export          # also the released code (see below)
    python benchmarks/losses.py --device cuda --network             # also whole training steps

To time the released code, clone https://github.com/Luffy03/AGMM-SASS (it needs matplotlib) and give the clone's path.
All forms run in turn in one process, on equal inputs, forward and backward; memory is the peak above the inputs, on the
CPU of a fresh process for each form.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from agmm.config.loss import MixtureOptions
from agmm.losses.agmm import AGMMLoss, contrastive_loss, sparse_supervision_loss
from agmm.losses.labelled_pixels import find_labelled
from agmm.losses.mixture import adaptive_variance, fit_mixture, probs_at
from agmm.losses.pixel_terms import pixel_terms
from agmm.losses.prototypes import prototypes_and_distances
from tests.helpers.literal import literal_loss


class Inputs(NamedTuple):
    features: Tensor
    logits: Tensor
    target: Tensor
    valid: Tensor
    image_classes: Tensor


def make_inputs(arguments: argparse.Namespace, crop: int) -> Inputs:
    """Random features at a quarter of the crop's size, and clicks of the first classes in every image."""
    torch.manual_seed(0)
    n, c, d, small = arguments.batch, arguments.classes, arguments.channels, (crop + 3) // 4
    device = torch.device(arguments.device)
    target = torch.full((n, crop, crop), 255)
    for image in target:
        for click in range(arguments.clicks):
            image[tuple(torch.randint(crop, (2,)))] = click % arguments.present
    image_classes = torch.zeros(n, c, dtype=torch.bool)
    image_classes[:, : arguments.present] = True
    return Inputs(
        torch.rand(n, d, small, small, device=device).requires_grad_(),
        torch.randn(n, c, crop, crop, device=device).requires_grad_(),
        target.to(device),
        torch.ones(n, crop, crop, dtype=torch.bool, device=device),
        image_classes.to(device),
    )


def released_loss(path: Path, x: Inputs) -> Tensor:
    """The sum the released training script minimises; unlabelled pixels hold the number of classes."""
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    from model import tools

    num_classes = x.logits.shape[1]
    mask = torch.where(x.target == 255, num_classes, x.target).masked_fill(~x.valid, 255)
    whole = x.image_classes.float()
    here = tools.build_cur_cls_label(mask, num_classes)
    prototypes, contrast = tools.cal_protypes(x.features, mask, num_classes)
    limited = tools.clean_mask(x.logits, whole, True)
    mixture = tools.GMM(x.features, prototypes, limited, mask, here)
    total = tools.loss_calc(x.logits, mask, ignore_index=num_classes)
    total = total + tools.cal_gmm_loss(x.logits.softmax(1), mixture, here, mask)
    return (total + contrast + tools.get_cls_loss(x.logits, whole, mask)).squeeze()


def forms(arguments: argparse.Namespace) -> dict[str, Callable[[Inputs], Tensor]]:
    """Every form by name; each returns the total."""
    paper, released = AGMMLoss("paper"), AGMMLoss("released")
    seg_only = AGMMLoss("paper", use_self=False, use_spar=False, use_con=False)
    literal_released = {"distance": "l1_mean", "variance": "fixed", "mask_distance": True, "contrastive": "sum"}
    found: dict[str, Callable[[Inputs], Tensor]] = {
        "L_seg alone": lambda x: seg_only(*x)[0],
        "paper": lambda x: paper(*x)[0],
        "paper, literal": lambda x: sum(v for k, v in literal_loss(*x).items() if k != "absence"),  # type: ignore[misc]
        "released": lambda x: released(*x)[0],
        "released, literal": lambda x: sum(literal_loss(*x, **literal_released).values()),  # type: ignore[arg-type,misc]
    }
    if arguments.released:
        found["released, authors' code"] = lambda x: released_loss(arguments.released, x)
    return found


def step(form: Callable[[Inputs], Tensor], x: Inputs) -> float:
    x.features.grad = x.logits.grad = None
    total = form(x)
    total.backward()  # type: ignore[no-untyped-call]
    return float(total.detach())


def seconds(call: Callable[[], Any], arguments: argparse.Namespace) -> float:
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    if arguments.device == "cuda":
        torch.cuda.synchronize()
    start = clock()
    call()
    if arguments.device == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def peak_memory(name: str, arguments: argparse.Namespace) -> float:
    """Peak MB above the inputs while one form runs; on the CPU in a process of its own."""
    if arguments.device == "cuda":
        x, form = make_inputs(arguments, arguments.crop), forms(arguments)[name]
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(form, x)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    command = [sys.executable, *sys.argv, "--only-memory-of", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak_memory(name: str, arguments: argparse.Namespace) -> None:
    """Linux only: the kernel's record of the highest resident memory, reset once the inputs are there."""
    form = forms(arguments)[name]
    step(form, make_inputs(arguments, 33))  # loads what loads once
    x = make_inputs(arguments, arguments.crop)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    step(form, x)
    print((resident("VmHWM") - before) / 2**10)


def resident(key: str) -> int:
    """Memory in KiB as the kernel counts it now (VmRSS) or at its highest (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))


def compare(arguments: argparse.Namespace) -> None:
    x = make_inputs(arguments, arguments.crop)
    table = forms(arguments)
    values = {name: step(form, x) for name, form in table.items()}  # also warms up
    taken: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(arguments.repeats):
        for name, form in table.items():
            taken[name].append(seconds(lambda form=form: step(form, x), arguments))  # type: ignore[misc]
    memory = {name: peak_memory(name, arguments) for name in table}
    print("| form | value | median s | min-max s | times ours | peak MB above inputs | times ours |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in table:
        ours = name.split(",")[0]
        median = statistics.median(taken[name])
        ratio = median / statistics.median(taken[ours])
        print(
            f"| {name} | {values[name]:.5f} | {median:.3f} | {min(taken[name]):.3f}-{max(taken[name]):.3f} | "
            f"{ratio:.1f} | {memory[name]:.0f} | {memory[name] / memory[ours]:.1f} |"
        )


def where_time_goes(arguments: argparse.Namespace) -> None:
    """Each stage of the paper's preset alone, and what moving the bytes alone would take."""
    x = make_inputs(arguments, arguments.crop)
    labelled = find_labelled(x.target, x.valid, num_classes=arguments.classes)
    size = (x.features.shape[2], x.features.shape[3])
    prototypes, squared = prototypes_and_distances(x.features, labelled)
    mixture = fit_mixture(x.features, x.logits, x.valid, labelled, MixtureOptions())
    density = mixture.density.detach().requires_grad_()
    seg, self_, _ = pixel_terms(x.logits, density, labelled, x.valid, None)
    upstream = torch.rand_like(squared)
    stages: dict[str, Callable[[], Any]] = {
        "find labelled pixels": lambda: find_labelled(x.target, x.valid, num_classes=arguments.classes),
        "prototypes and distances, forward": lambda: prototypes_and_distances(x.features, labelled),
        "prototypes and distances, backward": lambda: torch.autograd.grad(
            squared, x.features, upstream, retain_graph=True
        ),
        "variance": lambda: adaptive_variance(squared, probs_at(x.logits, labelled, size)),
        "L_seg and L_self, forward": lambda: pixel_terms(x.logits, density, labelled, x.valid, None),
        "L_seg and L_self, backward": lambda: torch.autograd.grad(seg + self_, (x.logits, density), retain_graph=True),
        "L_spar and L_con, forward": lambda: (
            sparse_supervision_loss(mixture),
            contrastive_loss(prototypes, labelled),
        ),
    }
    print("\n| stage | median ms |\n| --- | --- |")
    for name, stage in stages.items():
        stage()
        times = [seconds(stage, arguments) for _ in range(arguments.repeats)]
        print(f"| {name} | {1000 * statistics.median(times):.1f} |")
    # Each input is read by the forward and by the backward step, each gradient written once, into fresh memory.
    inputs = x.features.numel() * x.features.element_size() + x.logits.numel() * x.logits.element_size()
    source = x.logits.detach()
    target = torch.empty_like(source)
    target.copy_(source)
    moved = 2 * source.numel() * source.element_size()
    reuse = statistics.median(seconds(lambda: target.copy_(source), arguments) for _ in range(7))
    fresh = statistics.median(seconds(source.clone, arguments) for _ in range(7))
    floor = 2 * inputs / (moved / reuse) + fresh * inputs / (moved / 2)
    print(f"| floor: read inputs twice, write gradients once ({3 * inputs / 1e6:.0f} MB) | {1000 * floor:.1f} |")


def training_steps(arguments: argparse.Namespace) -> None:
    """A whole step of DeepLabV3+ (ResNet-50, output stride 8) with L_seg alone and with AGMM, channels last.

    On CUDA in bfloat16, with memory and the number of times that a step waits for the device.
    """
    from agmm.config.model import ModelConfig
    from agmm.models import build_model

    device, on_cuda = torch.device(arguments.device), arguments.device == "cuda"
    config = ModelConfig(arguments.classes, encoder="resnet50s.gluon_in1k", output_stride=8, aspp_rates=(12, 24, 36))
    model = build_model(config).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    _, _, *labels = (part.cpu() for part in make_inputs(arguments, arguments.crop))
    if on_cuda:
        labels = [part.pin_memory() for part in labels]  # as the loader leaves them
    images = torch.rand(arguments.batch, 3, arguments.crop, arguments.crop, device=device)
    images = images.to(memory_format=torch.channels_last)
    losses = {
        "L_seg alone": AGMMLoss("paper", use_self=False, use_spar=False, use_con=False),
        "paper": AGMMLoss("paper"),
        "released": AGMMLoss("released"),
    }

    def train(loss: AGMMLoss) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=on_cuda):
            out = model(images)
            total, _ = loss(out.features, out.logits, *labels)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    taken: dict[str, list[float]] = {name: [] for name in losses}
    memory = dict.fromkeys(losses, "")
    for name, loss in losses.items():
        for _ in range(3 if on_cuda else 1):
            train(loss)
        if on_cuda:
            torch.cuda.reset_peak_memory_stats()
            train(loss)
            memory[name] = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}"
    for _ in range(max(10, arguments.repeats) if on_cuda else arguments.repeats):
        for name, loss in losses.items():
            taken[name].append(seconds(lambda loss=loss: train(loss), arguments))  # type: ignore[misc]
    print("\n| training step | median s | min-max s | times L_seg alone | peak MB |\n| --- | --- | --- | --- | --- |")
    for name, times in taken.items():
        ratio = statistics.median(a / b for a, b in zip(times, taken["L_seg alone"], strict=True))
        print(
            f"| {name} | {statistics.median(times):.3f} | {min(times):.3f}-{max(times):.3f} | {ratio:.3f} | "
            f"{memory[name]} |"
        )
    if on_cuda:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            train(losses["paper"])
            torch.cuda.set_sync_debug_mode("default")
        print(f"\nOne step with preset paper waits for the device {len(caught)} times.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: the process's own time, for a busy machine"
    )
    parser.add_argument("--released", type=Path, help="a clone of the authors' code")
    for name, default in {
        "crop": 721, "batch": 4, "classes": 19, "present": 12, "channels": 256, "clicks": 50, "repeats": 5,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--network", action="store_true", help="also whole training steps of the paper's network")
    parser.add_argument("--only-memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only_memory_of:
        print_peak_memory(arguments.only_memory_of, arguments)
        return
    print(
        f"crop {arguments.crop}, batch {arguments.batch}, {arguments.classes} classes, {arguments.present} labelled, "
        f"{arguments.channels} channels, {arguments.clicks} clicks per image; torch {torch.__version__}, "
        f"{arguments.device}, {arguments.threads} threads, {arguments.clock} clock\n"
    )
    compare(arguments)
    where_time_goes(arguments)
    if arguments.network:
        training_steps(arguments)


if __name__ == "__main__":
    main()
