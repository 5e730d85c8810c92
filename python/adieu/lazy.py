"""Names of a package that are imported when they are first used (PEP 562).

Type checkers read where the names of a package come from in its `if TYPE_CHECKING`; the interpreter takes them from a
table. `tests/unit/test_lazy.py` compares both.
"""

import sys
from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it, without loading `typing`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy(
    package: str, homes: "Mapping[str, tuple[str, ...]]"
) -> "tuple[Callable[[str], object], Callable[[], list[str]]]":
    """Return `__getattr__` and `__dir__` for a package.

    Args:
        package: its name.
        homes: the names that each module gives the package, in rows with blanks between them.
    """
    modules = {name: module for module, rows in homes.items() for row in rows for name in row.split()}

    def getattr_(name: str) -> object:
        if name in modules:
            value: object = getattr(import_module(modules[name]), name)
        elif name.startswith("__"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        else:
            value = _submodule(package, name)
        setattr(sys.modules[package], name, value)  # the next access does not come here
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return getattr_, dir_


def _submodule(package: str, name: str) -> object:
    """Import a module of the package, so that `adieu.errors` works after `import adieu`."""
    full = f"{package}.{name}"
    try:
        return import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
