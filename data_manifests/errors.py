"""The error every package raises for bad data; the command line turns it into one line."""


class DataError(Exception):
    """Something a user handed over cannot be used; the message says what was expected, what came, where, what to do."""


class ManifestError(DataError):
    """A manifest, or a file it names, is missing, damaged or contradicts itself."""


def list_some(names: list[str], limit: int = 10) -> str:
    """Join names for a message: the first ``limit`` of them, then a count of the rest.

    Example:
        >>> list_some(["a", "b", "c"], limit=2)
        'a, b and 1 more'
    """
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
