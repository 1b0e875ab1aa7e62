from .config.data import Augmentation as Augmentation
from .config.loss import LossOptions as LossOptions
from .config.model import ModelConfig as ModelConfig
from .config.recipes import (
    load_config as load_config,
)
from .config.recipes import (
    recipe_names as recipe_names,
)
from .config.training import TrainConfig as TrainConfig
from .data.dataset import (
    EpochSampler as EpochSampler,
)
from .data.dataset import (
    ManifestDataset as ManifestDataset,
)
from .data.dataset import (
    Sample as Sample,
)
from .data.dataset import (
    batches as batches,
)
from .data.dataset import (
    make_loader as make_loader,
)
from .data.dataset import (
    to_network_input as to_network_input,
)
from .errors import TrainingError as TrainingError
from .evaluation.evaluate import (
    EvalResult as EvalResult,
)
from .evaluation.evaluate import (
    evaluate_mixture as evaluate_mixture,
)
from .evaluation.evaluate import (
    evaluate_rows as evaluate_rows,
)
from .evaluation.metrics import ConfusionMatrix as ConfusionMatrix
from .inference.protocols import Protocol as Protocol
from .losses.agmm import AGMMLoss as AGMMLoss
from .losses.mixture import mixture_probs as mixture_probs
from .models import build_model as build_model
from .models.network import (
    SegmentationModel as SegmentationModel,
)
from .models.network import (
    SegmentationOutput as SegmentationOutput,
)
from .runs.checkpoint import (
    CheckpointInfo as CheckpointInfo,
)
from .runs.checkpoint import (
    LoadedRun as LoadedRun,
)
from .runs.checkpoint import (
    load_run as load_run,
)
from .training.rounds import run_rounds as run_rounds
from .training.stages import run_stages as run_stages
from .training.train import (
    TrainResult as TrainResult,
)
from .training.train import (
    train_network as train_network,
)
from .version import __version__ as __version__
