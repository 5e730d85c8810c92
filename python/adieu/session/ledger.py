"""The ledger: things that are still held, and the lines that made them (closing rule S9)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Held:
    """One thing that has not been given back.

    Attributes:
        kind: `connection`, `channel`, `file`, `task`, `timer`, `handler`, or a kind that the connection's own ledger
            names.
        what: for a person.
        where: the line that made it, as `file.py:12`, if it is known.
        count: how many.
    """

    kind: str
    what: str
    where: str = ""
    count: int = 1

    def __str__(self) -> str:
        times = f"{self.count} x " if self.count != 1 else ""
        made = f" (made at {self.where})" if self.where else ""
        return f"{times}{self.kind}: {self.what}{made}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is still held; false when that is nothing."""

    held: tuple[Held, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.held)

    def __str__(self) -> str:
        return "; ".join(map(str, self.held)) or "nothing"

    def assert_released(self) -> None:
        """Check that nothing is held, for tests.

        Raises:
            AssertionError: something is; the message names each thing, and the line that made it.
        """
        if self.held:
            raise AssertionError("still held: " + "".join(f"\n- {held}" for held in self.held))
