"""The schema is that of the structs, and says so when it is not."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("schema_tool", ROOT / "tools" / "schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["schema.py", "--check"])
    return module


def test_the_committed_schema_is_not_stale(tool):
    assert tool.main() == 0


@pytest.mark.parametrize("text", [None, "{}"])
def test_a_stale_schema_fails_the_check(tool, tmp_path, monkeypatch, text, capsys):
    target = tmp_path / "protocol.schema.json"
    if text is not None:
        target.write_text(text, encoding="utf-8")
    monkeypatch.setattr(tool, "TARGET", target)
    assert tool.main() == 1
    assert "run `python tools/schema.py`" in capsys.readouterr().err


def test_every_reference_of_the_schema_is_defined(tool):
    document = json.loads(tool.TARGET.read_text(encoding="utf-8"))
    references = set()

    def walk(value):
        if isinstance(value, dict):
            references.update(member for name, member in value.items() if name == "$ref")
            for member in value.values():
                walk(member)
        elif isinstance(value, list):
            for member in value:
                walk(member)

    walk(document)
    assert references == {f"#/$defs/{name}" for name in document["$defs"]}
    assert {"ControlHello", "SignalingHello"} <= document["$defs"].keys()
