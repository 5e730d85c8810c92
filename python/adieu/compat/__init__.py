"""Ways in for programs that were written for other libraries."""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

__all__ = ["install_aiortc"]


def install_aiortc() -> None:
    """Let `import aiortc` give `adieu.compat.aiortc`, in this process: for libraries whose imports cannot be changed.

    Call it before they are imported. Modules that aiortc has and adieu has not are not found then, with or without
    aiortc installed.

    Raises:
        RuntimeError: aiortc itself is imported already.
    """
    package = import_module("adieu.compat.aiortc")
    known = sys.modules.get("aiortc")
    if known is not None and known is not package:
        raise RuntimeError("aiortc is imported already: call install_aiortc() before the first import of it")
    sys.modules["aiortc"] = package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        sys.modules[found.name.removeprefix(f"{__name__}.")] = import_module(found.name)
