"""The settings of a connection's addresses and ports, checked, and as the core takes them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from adieu import _core
from adieu.webrtc.dictionaries import is_list, is_mapping


def port_range(name: str, value: Any) -> tuple[int, int] | None:
    """Return a range of ports.

    Raises:
        TypeError: it is not a pair of integers.
        ValueError: it is not two ports, the lower one first.
    """
    if value is None:
        return None
    if not is_list(value) or [type(one) for one in value] != [int, int]:
        raise TypeError(f"{name} is {value!r}, not a pair of ports such as (50000, 50999)")
    first, last = value
    if not 0 < first <= last <= 65535:
        raise ValueError(f"{name} is {value!r}: two ports from 1 to 65535, the lower one first")
    return first, last


def rules(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts; one text is a list of one.

    Raises:
        TypeError: it is something else.
    """
    listed = [value] if isinstance(value, str) else value
    if not is_list(listed) or not all(isinstance(one, str) for one in listed):
        raise TypeError(f"{name} is {value!r}, not a list of texts")
    return tuple(listed)


def public_addresses(name: str, value: Any) -> tuple[tuple[str | None, str], ...]:
    """Return pairs of inside and public address. An inside address of None means every address.

    Raises:
        TypeError: it is neither a list of addresses nor a mapping of inside to public ones.
    """
    given: object = value
    if is_mapping(given):
        pairs = list(given.items())
        if all(isinstance(inside, str) and isinstance(outside, str) for inside, outside in pairs):
            return tuple(pairs)
    elif is_list(given) and given and all(isinstance(one, tuple) for one in given):
        return tuple(given)  # it is normalized already
    elif isinstance(given, str) or (is_list(given) and all(isinstance(one, str) for one in given)):
        return tuple((None, outside) for outside in rules(name, given))
    raise TypeError(f"{name} is {value!r}, not a list of addresses, or a mapping of inside to public addresses")


@lru_cache(maxsize=64)
def native(
    *,
    loopback: Literal["auto", "always", "never"],
    ports: tuple[int, int] | None,
    shared_port: int | None,
    publics: tuple[tuple[str | None, str], ...],
    keeps_inside: bool,
    interfaces: tuple[str, ...],
    default_route_only: bool,
) -> _core.Addresses:
    """Return the settings as the core takes them, the same object for the same settings.

    Raises:
        ValueError: an address, a rule or a range is malformed.
    """
    return _core.Addresses(
        loopback=loopback,
        ports=ports,
        shared_port=shared_port,
        publics=publics,
        keeps_inside=keeps_inside,
        interfaces=interfaces,
        default_route_only=default_route_only,
    )
