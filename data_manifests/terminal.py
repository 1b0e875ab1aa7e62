"""Text for terminals and commands for shells, whatever characters the names of files hold."""

from __future__ import annotations

import shlex

#: Control characters other than tab and line feed, and marks of direction, which terminals obey, as escapes.
CONTROL = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (
        *range(9), *range(11, 32), *range(127, 160), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
}  # fmt: skip

_IN_QUOTES = {
    **{code: "".join(f"\\x{byte:02x}" for byte in chr(code).encode()) for code in CONTROL},
    ord("\t"): "\\t", ord("\n"): "\\n", ord("'"): "\\'", ord("\\"): "\\\\",
}  # fmt: skip


def shell_quote(word: object) -> str:
    r"""Quote a word for a shell; control characters and marks of direction become escapes in ``$'...'``.

    Example:
        >>> print(shell_quote("my town"), shell_quote("a\nb"))
        'my town' $'a\nb'
    """
    text = str(word)
    if all(ord(letter) not in CONTROL and letter not in "\t\n" for letter in text):
        return shlex.quote(text)
    return f"$'{text.translate(_IN_QUOTES)}'"


def shell_join(*words: object) -> str:
    """Join the words of a command, each quoted as by ``shell_quote``."""
    return " ".join(map(shell_quote, words))
