"""Web IDL's dictionaries in Python: a mapping, keywords, or the dataclass itself.

A wrong member is a TypeError or a ValueError that names the member and its value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, get_args

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def dictionary(cls: type[T], value: object, keywords: Mapping[str, Any] | None = None, *, open_: bool = False) -> T:
    """Make a `cls` from a caller's argument.

    Args:
        cls: the dataclass.
        value: a mapping, a `cls`, or None.
        keywords: members given as keywords; they win.
        open_: unknown members are ignored, as in a browser, because the value comes from a wire and not from a
            programmer.

    Raises:
        TypeError: it is something else, has an unknown member, or lacks one.
    """
    given = dict(keywords or {})
    if isinstance(value, cls):
        return replace(value, **given) if given else value
    if is_mapping(value):
        given = {**value, **given}
    elif value is not None:
        raise TypeError(f"expected a mapping or {cls.__name__}, not {value!r}")
    names, needed = _members(cls)
    if not names.issuperset(given):
        unknown = next(name for name in given if name not in names)
        if not open_:
            raise TypeError(f"{cls.__name__} has no member {unknown!r}; it has {', '.join(_names(cls))}")
        given = {name: member for name, member in given.items() if name in names}
    for name in needed:
        if name not in given:
            raise TypeError(f"{cls.__name__} needs the member {name!r}")
    return cls(**given)


@cache
def _members(cls: type[DataclassInstance]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the names of the members, and those of the required ones."""
    needed = (each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING)
    return frozenset(_names(cls)), tuple(needed)


def _names(cls: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(cls))


def sendable_form(value: object) -> str:
    """Return what turns a value that is no message into one, for the end of an error's text."""
    if isinstance(value, dict | list | tuple):
        return ": json.dumps() makes a text of it"
    if hasattr(value, "tobytes"):
        return ": value.tobytes() has its bytes"
    return ""


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it is a mapping of any types."""
    return isinstance(value, Mapping)


def boolean(name: str, value: object) -> None:
    """Check a member of type boolean."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, not True or False")


def unsigned(name: str, value: object, highest: int) -> None:
    """Check a member of an unsigned integer type with [EnforceRange]."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, not an integer from 0 to {highest}")
    if not 0 <= value <= highest:
        raise TypeError(f"{name} is {value}, not from 0 to {highest}")


def string(name: str, value: object) -> None:
    """Check a member of a string type."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, not a string")


def choice(name: str, value: object, literal: object) -> None:
    """Check a member of an enumeration, given as a `Literal`."""
    options = get_args(literal)
    if value not in options:
        raise TypeError(f"{name} is {value!r}, not one of {', '.join(map(repr, options))}")


def number(name: str, value: object) -> None:
    """Check a member of type double: finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name} is {value!r}, not a finite number")


def members_of(cls: type[T], name: str, value: object) -> list[T]:
    """Make a list of `cls` from a caller's sequence.

    Raises:
        TypeError: it is not a list, or an item is wrong.
    """
    if not is_list(value):
        raise TypeError(f"{name} is {value!r}, not a list of {cls.__name__}")
    return [dictionary(cls, item, open_=True) for item in value]


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is a list or a tuple of any types."""
    return isinstance(value, list | tuple)


def scalar(text: str) -> str:
    """Return Web IDL's USVString: half of a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
