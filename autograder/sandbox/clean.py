"""Text that a student's process wrote in, text that is safe on a terminal or in a log out. No torch."""

from __future__ import annotations

import re

# C0 and C1 controls but newline and tab, surrogates, and the marks that reorder or hide text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\uffff]")


def clean(text: str, n_chars: int) -> str:
    """Return at most n characters of the text with control characters replaced. HTML is escaped where it is shown."""
    return _UNSAFE.sub("\ufffd", text[:n_chars])
