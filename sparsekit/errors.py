"""The error of this package."""

from data_manifests.errors import DataError


class AnnotationError(DataError):
    """An annotation or figure cannot be made from the given input."""
