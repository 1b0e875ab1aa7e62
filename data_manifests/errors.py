"""The error that every package raises for bad data; the command line prints its message as one line."""

#: Longest message, in characters: a value or a list of names can be as long as a file.
_LONGEST = 4000


def shorten(text: str, limit: int = _LONGEST) -> str:
    """Cut a message in its middle, so that where it happened and what to do both stay.

    Example:
        >>> shorten("no such class: " + 1000 * "x" + ". Rename it.", limit=60)
        'no such class: xxxxxxxxxxxxx [967 characters] xx. Rename it.'
    """
    if len(text) <= limit:
        return text
    cut = f" [{len(text) - limit:,} characters] "
    kept = (limit - len(cut)) * 2 // 3
    return text[:kept] + cut + text[kept + len(cut) - limit :]


class DataError(Exception):
    """User data cannot be used; the message says what was expected, what came, where, and what to do."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(shorten(arg) if isinstance(arg, str) else arg for arg in args))


class ManifestError(DataError):
    """A manifest, or a file it names, is missing, damaged or contradicts itself."""


def list_some(names: list[str], limit: int = 10) -> str:
    """Join names for a message: the first ``limit``, then a count of the rest.

    Example:
        >>> list_some(["a", "b", "c"], limit=2)
        'a, b and 1 more'
    """
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Format a number with its noun, for a message.

    Example:
        >>> counted(1, "image"), counted(2000, "image"), counted(0, "class", "classes")
        ('1 image', '2,000 images', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
