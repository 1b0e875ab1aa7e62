"""Pack what `run.py` needs on a machine without a network: two datasets, encoder weights, and wheels.

    python studies/on-a-card/pack.py ../shared/data --wheels wheels/

Writes the folder `card/` in the project's root, which git ignores, for copying beside the checkout. `DATA` holds
`camvid/`, `clothing_small/` and `weights/mobilenetv2_100.imagenet.safetensors`. Masks and JPEG images are copied as
they are. Images of clothing_small become JPEG of quality 92, and the weights lose ImageNet's classifier, so that all of
it fits into 64 MiB: scores of clothing_small on a card compare with each other, and not with those of its PNG images.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 64 * 2**20
WEIGHTS = "mobilenetv2_100.imagenet.safetensors"


def pack(data: Path, wheels: Path | None, released: Path | None, card: Path) -> int:
    """Write the folder; returns its size in bytes."""
    for name in ("camvid", "clothing_small"):
        for path in sorted((data / name).rglob("*")):
            if path.is_file():
                _copy(path, card / "data" / path.relative_to(data))
    (card / "weights").mkdir(parents=True)
    tensors = load_file(data / "weights" / WEIGHTS)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
    save_file(kept, card / "weights" / WEIGHTS)
    for folder, name in ((wheels, "wheels"), (released, "released")):
        if folder:
            shutil.copytree(folder, card / name, ignore=shutil.ignore_patterns(".git"))
    return sum(path.stat().st_size for path in card.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.parent.name == "images" and source.suffix == ".png":
        with Image.open(source) as image:
            image.convert("RGB").save(target.with_suffix(".jpg"), quality=92, subsampling=0)
    else:
        shutil.copyfile(source, target)


def main() -> None:
    """Read the command line and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--wheels", type=Path, help="folder of wheels that the machine lacks")
    parser.add_argument("--released", type=Path, help="a clone of github.com/Luffy03/AGMM-SASS, to time beside ours")
    parser.add_argument("--card", type=Path, default=ROOT / "card", help="folder to write; default: card")
    arguments = parser.parse_args()
    if arguments.card.exists():
        sys.exit(f"{arguments.card} exists: delete it to pack again.")
    size = pack(arguments.data, arguments.wheels, arguments.released, arguments.card)
    print(f"{arguments.card}: {size / 2**20:.1f} MiB")
    if size > LIMIT:
        sys.exit(f"More than {LIMIT // 2**20} MiB: give fewer wheels.")


if __name__ == "__main__":
    main()
