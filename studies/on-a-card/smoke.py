"""One step of everything that can go wrong on a device, in about a minute: a line for each, `ok` or the error.

python studies/on-a-card/smoke.py --device cuda
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from agmm.config.training import TrainConfig
from agmm.inference.protocols import Protocol
from agmm.training.stages import run_stages
from agmm.training.train import train_network
from cli.sparsekit_cli import main as sparsekit
from data_manifests import Manifest, read_manifest

#: Settings to take a few steps with, by name.
SETTINGS: dict[str, dict[str, object]] = {
    "paper": {},
    "released": {"preset": "released"},
    "batch prototypes": {"loss": {"prototypes": "batch", "classes": "batch"}},
    "absence": {"loss_kind": "absence"},
    "presence": {"loss_kind": "presence"},
    "gated CRF": {"loss_kind": "gated_crf"},
    "tree energy": {"loss_kind": "tree_energy"},
    "mean teacher": {"loss_kind": "mean_teacher", "ema_decay": 0.9},
    "mixture labels": {"loss_kind": "mixture_labels"},
    "float32": {"amp": False},
    "compiled": {"compile": True},
    "full masks": {"supervision": "full"},
    "vision transformer": {"encoder": "vit_tiny_patch16_224.augreg_in21k_ft_in1k"},
}


def checks(manifest: Manifest, work: Path, base: TrainConfig) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what to try, by name."""
    for number, (name, settings) in enumerate(SETTINGS.items()):
        config = replace(base, **settings)
        yield name, lambda config=config, n=number: train_network(manifest, config, work / f"run-{n}", quiet=True)
    longer = replace(base, epochs=2)
    yield "resume", lambda: train_network(manifest, longer, work / "run-0", resume=True, quiet=True)
    yield "two stages", lambda: run_stages(manifest, base, work / "stages", protocol=Protocol(), quiet=True)
    yield "one rank of DDP", lambda: _as_one_rank(manifest, base, work / "ddp")


def _as_one_rank(manifest: Manifest, config: TrainConfig, run_dir: Path) -> None:
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    os.environ.update(ranks)
    try:
        train_network(manifest, config, run_dir, quiet=True)
    finally:
        for name in ranks:
            del os.environ[name]


def main() -> None:
    """Try everything, print a line for each, and fail if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    name = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else "CPU"
    print(f"{name}, torch {torch.__version__}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sparsekit(["demo-data", str(work / "town"), "--images", "6", "-q"], standalone_mode=False)
        sparsekit(["points", str(work / "town"), "--strategy", "per-class", "--clicks", "1", "--out",
                   str(work / "sparse"), "-q"], standalone_mode=False)  # fmt: skip
        base = TrainConfig(
            encoder="resnet10t.c3_in1k", aspp_rates=(1, 2), decoder_channels=32, crop_size=(96, 96), batch_size=2,
            epochs=1, workers=0, device=arguments.device,
        )  # fmt: skip
        for title, attempt in checks(read_manifest(work / "sparse/town-1clicks-per-class"), work, base):
            start = time.monotonic()
            try:
                attempt()
                print(f"ok      {title}, {time.monotonic() - start:.1f} s", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {title}\n{traceback.format_exc()}", flush=True)
    sys.exit(f"{failed} failed" if failed else None)


if __name__ == "__main__":
    main()
