"""Open3D's keys by the names that the key table uses."""

from __future__ import annotations

from typing import Any

_NAMES = {
    **{letter: letter.upper() for letter in "abcdefghijklmnopqrstuvwxyz"},
    **dict(
        zip(
            "0123456789",
            ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"),
            strict=True,
        )
    ),
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
    **{name: name.upper() for name in ("space", "tab", "enter", "escape", "delete", "backspace")},
    **{name: name.upper() for name in ("left", "right", "up", "down", "home", "end", "insert")},
    "page_up": "PAGE_UP",
    "page_down": "PAGE_DOWN",
    "[": "LEFT_BRACKET",
    "]": "RIGHT_BRACKET",
    "!": "EXCLAMATION_MARK",
    "?": "QUESTION_MARK",
    ",": "COMMA",
    ".": "PERIOD",
    "/": "SLASH",
    ";": "SEMICOLON",
    "-": "MINUS",
    "=": "EQUALS",
    "'": "QUOTE",
    "`": "BACKTICK",
    "\\": "BACKSLASH",
}
_MODIFIERS = {
    "shift": ("LEFT_SHIFT", "RIGHT_SHIFT"),
    "ctrl": ("LEFT_CONTROL", "RIGHT_CONTROL"),
    "alt": ("ALT",),
}


def key_names(gui: Any) -> dict[int, str]:
    """Names in the key table by Open3D's number."""
    return {int(getattr(gui.KeyName, theirs)): ours for ours, theirs in _NAMES.items()}


def modifier_names(gui: Any) -> dict[int, str]:
    """``shift``, ``ctrl`` and ``alt`` by Open3D's number."""
    return {
        int(getattr(gui.KeyName, theirs)): ours for ours, listed in _MODIFIERS.items() for theirs in listed
    }
