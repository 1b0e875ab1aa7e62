"""The error of this package."""

from data_manifests.errors import DataError


class TrainingError(DataError):
    """A network cannot be trained, evaluated or loaded with the given input."""
