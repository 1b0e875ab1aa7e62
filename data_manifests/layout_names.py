"""Names of the dataset layouts. Imports no NumPy, so that the command line lists them at once."""

from __future__ import annotations

#: All layouts by name, specific ones before general ones: the first that matches is used. Each is an attribute of a
#: module of ``data_manifests.layouts``.
LAYOUT_NAMES: dict[str, str] = {
    "cityscapes": "cityscapes.LAYOUT",
    "cityscapes_coarse": "cityscapes.COARSE_LAYOUT",
    "pascal_voc": "pascal_voc.LAYOUT",
    "camvid": "camvid.LAYOUT",
    "ade20k": "ade20k.LAYOUT",
    "coco_stuff": "coco_stuff.LAYOUT",
    "kitti": "kitti.LAYOUT",
    "bdd100k": "bdd100k.LAYOUT",
    "generic": "generic.LAYOUT",
}
