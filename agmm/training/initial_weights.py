"""Start a run from the network of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator

from agmm.config.model import ModelConfig
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.models.network import SegmentationModel
from agmm.runs.checkpoint import load_checkpoint, load_tensors
from agmm.runs.checkpoint_info import read_checkpoint_info
from agmm.runs.files import CONFIG_NAME, weights_path
from data_manifests import LabelSpace

#: Layers with an output for each class.
_OF_CLASSES = ("classifier.", "presence.")
#: Settings that decide names and shapes of the other weights, or what they compute.
_NETWORK = ("encoder", "output_stride", "decoder", "aspp_rates", "multi_grid", "decoder_channels", "in_channels")


def require_initial_weights(config: TrainConfig, model: ModelConfig) -> None:
    """Check that the run of ``config.init`` has a network like that of the settings.

    Raises:
        TrainingError: If it cannot be read, or its network differs in more than the classes.
    """
    path = weights_path(config.init)
    held = read_checkpoint_info(path).model
    if differ := [name for name in _NETWORK if getattr(held, name) != getattr(model, name)]:
        told = ", ".join(f"{name} is {getattr(held, name)} there, {getattr(model, name)} here" for name in differ)
        raise TrainingError(
            f"{path}: its network is another one ({told}). Give its settings as well: "
            f"--config {path.with_name(CONFIG_NAME)}."
        )


def load_initial_weights(model: SegmentationModel, config: TrainConfig, label_space: LabelSpace) -> None:
    """Replace all weights with those of the run ``config.init``, except layers of other classes.

    Images are normalised as in that run, unless the settings say how.

    Raises:
        TrainingError: If the weights cannot be read or do not fit.
    """
    tensors, info = load_checkpoint(path := weights_path(config.init))
    own = model.state_dict()
    same = info.label_space.class_names == label_space.class_names
    kept = {name: t for name, t in own.items() if name.startswith(_OF_CLASSES) and not (same and name in tensors)}
    if config.image_mean is not None:
        kept |= {name: own[name] for name in ("image_mean", "image_std")}
    held = {name: tensor for name, tensor in tensors.items() if name in own or not name.startswith(_OF_CLASSES)}
    load_tensors(model, {**held, **kept}, path)


def initial_notice(config: TrainConfig, label_space: LabelSpace) -> Iterator[str]:
    """Yield a line that says where the weights come from, and whether the classifier is new."""
    info = read_checkpoint_info(path := weights_path(config.init))
    if info.label_space.class_names == label_space.class_names:
        yield f"Starting from all weights of {path}."
    else:
        yield f"Starting from the weights of {path}; it has other classes, so the classifier is new."
