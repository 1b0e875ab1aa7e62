"""Downloads from the Hugging Face hub, which would retry for a minute without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.utils import get_session  # type: ignore[attr-defined] # in all versions, without a word


@contextmanager
def one_try() -> Iterator[None]:
    """Ask the hub once, as its own settings say, and take it as offline in this block if it does not answer.

    Files in its cache load all the same; others are errors at once. ``HF_HUB_OFFLINE`` spares the question, and
    ``HF_HUB_ETAG_TIMEOUT`` limits the seconds to wait for an answer.
    """
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or not _answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _answers() -> bool:
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception:  # of its HTTP client, which differs between versions
        return False
    return True
