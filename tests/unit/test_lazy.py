"""Names of a package are imported when they are first used: what is loaded when, and that nothing else is different."""

from __future__ import annotations

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import adieu

PACKAGES = ("adieu", "adieu.session", "adieu.signaling", "adieu.webrtc")
SHOWN = "import sys; print(*sorted(sys.modules))"


def loaded(program: str) -> set[str]:
    """The modules that are loaded once a program has run in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", f"{program}\n{SHOWN}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def parts(modules: set[str]) -> set[str]:
    """The packages and modules directly in adieu."""
    return {".".join(name.split(".")[:2]) for name in modules if name.startswith("adieu.")}


def test_import_adieu_loads_nothing_that_it_does_not_use():
    modules = loaded("import adieu")
    assert parts(modules) == {"adieu.lazy"}
    assert not modules & {"asyncio", "dataclasses", "logging", "msgspec", "ssl", "websockets"}


@pytest.mark.parametrize(
    ("used", "not_loaded"),
    [
        ("adieu.AdieuError", {"adieu._core", "adieu.webrtc", "adieu.session", "asyncio"}),
        ("adieu.once, adieu.EventTarget", {"adieu._core", "adieu.webrtc", "adieu.session", "adieu.jsep"}),
        ("adieu.RTCIceServer", {"adieu.jsep", "adieu.session", "websockets"}),
        ("adieu.mediaDevices", {"adieu.jsep", "adieu.session", "websockets"}),
        ("adieu.RTCPeerConnection", {"adieu.session", "adieu.protocol", "adieu.signaling", "msgspec", "websockets"}),
        ("adieu.Session, adieu.memory_pair", {"adieu.cli", "adieu.server", "websockets"}),
        ("adieu.join", {"adieu.cli", "adieu.server", "starlette"}),
    ],
)
def test_a_name_loads_what_it_needs(used, not_loaded):
    modules = loaded(f"import adieu; {used}")
    assert not modules & not_loaded


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_gives_the_names_of_which_type_checkers_know(package):
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
    known = {name.name: node.module for node in block.body for name in node.names}
    assert set(known) == set(module.__all__)
    for name, home in known.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name), name
    assert set(module.__all__) <= set(dir(module))
    submodules = {path.stem for path in Path(module.__file__).parent.iterdir()}
    assert not submodules & set(known), "a module of that name would take the place of the function"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there(package):
    module = importlib.import_module(package)
    for name in ("RTCPeerConection", "__wrapped__"):
        assert not hasattr(module, name)
        with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute '{name}'"):
            getattr(module, name)
        with pytest.raises(ImportError):
            exec(f"from {package} import {name}")


def test_all_names_come_by_a_star():
    names: dict[str, object] = {}
    exec("from adieu import *", names)
    assert set(adieu.__all__) <= set(names)


def test_modules_are_attributes_of_their_packages():
    modules = loaded(
        "import adieu; adieu.errors.AdieuError, adieu.webrtc.states.connection_state, adieu.session.CAUSES"
    )
    assert {"adieu.errors", "adieu.webrtc.states"} <= modules


@pytest.mark.parametrize("name", [name for name in adieu.__all__ if name.endswith("Error")])
def test_an_error_is_known_again_after_pickling(name):
    cls = getattr(adieu, name)
    assert pickle.loads(pickle.dumps(cls)) is cls
