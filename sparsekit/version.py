"""The version of the distribution, under the name of this package."""

from data_manifests.version import __version__ as __version__
