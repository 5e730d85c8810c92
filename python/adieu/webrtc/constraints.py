"""Constraints of tracks. https://www.w3.org/TR/mediacapture-streams/#constrainable-interface

A constraint is a value, or a mapping with `exact`, `ideal`, `min`, `max`. The capabilities of a source are a range
`{"min": …, "max": …}` or a list of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adieu.errors import OverconstrainedError
from adieu.webrtc.dictionaries import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RULES = frozenset({"exact", "ideal", "min", "max"})


@dataclass(frozen=True, slots=True)
class Constraints:
    """The constraints of a track.

    Attributes:
        basic: by name.
        advanced: further sets; each set is kept as a whole or ignored.
    """

    basic: Mapping[str, Any] | None = None
    advanced: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, given: object) -> Constraints:
        """Read a caller's constraints: a mapping, True, or None.

        Raises:
            TypeError: it is something else.
        """
        if given is None or given is True:
            return cls()
        if not is_mapping(given):
            raise TypeError(f"constraints are {given!r}, not True, False or a mapping")
        advanced = given.get("advanced", ())
        if not is_list(advanced) or not all(is_mapping(item) for item in advanced):
            raise TypeError(f"constraints.advanced is {advanced!r}, not a list of mappings")
        return cls({name: value for name, value in given.items() if name != "advanced"}, tuple(advanced))

    def given(self) -> dict[str, Any]:
        """Return them as a program gave them."""
        shown = dict(self.basic or {})
        if self.advanced:
            shown["advanced"] = [dict(item) for item in self.advanced]
        return shown


def fit(constraints: Constraints, capabilities: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that keep the constraints; unknown names are ignored.

    Raises:
        OverconstrainedError: a constraint cannot be kept.
    """
    fitted = dict(settings)
    for name, value in (constraints.basic or {}).items():
        if name in capabilities:
            rules = value if is_mapping(value) and _RULES.intersection(value) else {"ideal": value}
            fitted[name] = _fitted(name, rules, capabilities[name], settings.get(name))
    for more in constraints.advanced:
        try:
            fitted |= fit(Constraints({name: _exact(value) for name, value in more.items()}), capabilities, fitted)
        except OverconstrainedError:
            continue  # section 11.1.4: it is left out as a whole
    return fitted


def _exact(value: object) -> object:
    return value if is_mapping(value) and _RULES.intersection(value) else {"exact": value}


def _fitted(name: str, rules: Mapping[str, Any], capability: Any, now: Any) -> Any:
    if not is_mapping(capability):
        return _chosen(name, rules, list(capability), now)
    low, high = capability["min"], capability["max"]
    least, most = rules.get("min", low), rules.get("max", high)
    if (exact := rules.get("exact")) is not None:
        least, most = max(least, exact), min(most, exact)
    least, most = max(low, least), min(high, most)
    if least > most:
        raise OverconstrainedError(name, f"{name} cannot be {dict(rules)}: it is from {low} to {high}")
    wanted = rules.get("exact", rules.get("ideal", now))
    return min(max(least if wanted is None else wanted, least), most)


def _chosen(name: str, rules: Mapping[str, Any], values: Sequence[Any], now: Any) -> Any:
    exact = _listed(rules.get("exact"))
    if exact:
        values = [value for value in values if value in exact]
    if not values:
        raise OverconstrainedError(name, f"{name} cannot be {dict(rules)}")
    ideal = [value for value in values if value in _listed(rules.get("ideal"))]
    return ideal[0] if ideal else now if now in values else values[0]


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if is_list(value) else [value]
