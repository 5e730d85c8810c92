"""Texts of a caller, before they become part of a message: both wire protocols are UTF-8, a `str` need not be."""

from __future__ import annotations

from typing import Any


def scalar(text: str) -> str:
    """The text with U+FFFD in the place of each half of a surrogate pair, which UTF-8 cannot say.

    Such halves come from `json`, from text that was cut by its UTF-16 length, and from names of files.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sendable(text: str, most: int) -> str:
    """The same, of at most `most` characters."""
    return scalar(text[:most])


def scalar_json(value: Any) -> Any:
    """The same for all texts in a value that JSON can hold."""
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, dict):
        members: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {scalar_json(key): scalar_json(member) for key, member in members.items()}
    if isinstance(value, list | tuple):
        items: list[Any] | tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType]
        return [scalar_json(member) for member in items]
    return value


def checked(what: str, text: str, least: int, most: int) -> str:
    """The text, repaired.

    Args:
        what: it is, for the message.
        text: the caller's.
        least: characters.
        most: characters.

    Raises:
        TypeError: it is no text.
        ValueError: too short or too long; says the value and the bound.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] callers need not be typed
        raise TypeError(f"{what} is text, not {type(text).__name__}: {text!r:.60}")
    if not least <= len(text) <= most:
        bound = f"{least} to {most}" if least else f"at most {most}"
        raise ValueError(f"{what} has {bound} characters, not {len(text)}: {text[:40]!r}")
    return scalar(text)
