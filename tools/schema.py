"""Write docs/reference/protocol.schema.json from the structs of adieu.protocol; with --check, fail if it is stale.

One file for both protocols: `$defs` holds every struct, `protocols` names the messages of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from adieu.protocol import VERSION, control, folders, signaling, words

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "protocol.schema.json"
FRAMES: dict[str, tuple[Any, ...]] = {
    "control": control.AnyControl.__args__,
    "folder": folders.Text.__args__,
    "signalingFromClient": signaling.FromClient.__args__,
    "signalingFromServer": signaling.FromServer.__args__,
    "signalingEnvelope": (signaling.Envelope,),
    "beacon": (signaling.Leaving,),
}
PREFIX = "adieu.protocol."
DEFS = "#/$defs/"


def schema() -> dict[str, Any]:
    """Return the whole document."""
    kinds = [kind for frames in FRAMES.values() for kind in frames]
    found, definitions = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    references = dict(zip(kinds, found, strict=True))
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The wire protocols of adieu",
        "description": "Made from python/adieu/protocol by tools/schema.py. Readers ignore unknown members.",
        "version": VERSION,
        "protocols": {name: {"anyOf": [references[kind] for kind in frames]} for name, frames in FRAMES.items()},
        "$defs": dict(sorted(definitions.items())),
    }
    return shorten(document)


def shorten(value: Any) -> Any:
    """Add the module to the name of structs that exist in two modules: `ControlHello`, `SignalingHello`."""
    match value:
        case {"maxLength": words.MAX_LINE}:
            return value | {"x-line": words.MAX_TEXT}  # what is longer is not refused: who reads it cuts it
        case dict():
            return {_name(key): shorten(member) for key, member in value.items()}
        case list():
            return [shorten(item) for item in value]
        case str() if value.startswith(DEFS):
            return DEFS + _name(value.removeprefix(DEFS))
        case _:
            return value


def _name(name: str) -> str:
    module, _, kind = name.removeprefix(PREFIX).partition(".")
    return f"{module.capitalize()}{kind}" if name.startswith(PREFIX) else name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the file is not what it would be")
    check = parser.parse_args().check
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            print(f"{TARGET.name} is stale: run `python tools/schema.py`", file=sys.stderr)
            return 1
        return 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
