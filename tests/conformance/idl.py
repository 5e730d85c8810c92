"""The table of interfaces, dictionaries and enumerations that the page's classes are made of.

It is read from the W3C's own Web IDL files by their own parser, `webidl2.js`, and cached.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import quickjs

if TYPE_CHECKING:
    from pathlib import Path

FILES = (
    "webrtc",
    "mediacapture-streams",
    "webrtc-priority",
    "webrtc-svc",
    "mst-content-hint",
)
PARSER = "resources/webidl2/lib/webidl2.js"

# What these files take from others (DOM, HTML, WebSockets, Web Cryptography, High Resolution Time, Permissions), and
# `stopped`, which the W3C took out: browsers have kept it, and tests look at it.
BORROWED = """
dictionary EventInit { boolean bubbles = false; boolean cancelable = false; boolean composed = false; };
dictionary PermissionDescriptor { required DOMString name; };
enum BinaryType { "blob", "arraybuffer" };
typedef double DOMHighResTimeStamp;
typedef unsigned long long EpochTimeStamp;
typedef (object or DOMString) AlgorithmIdentifier;
callback VoidFunction = undefined ();
partial interface RTCRtpTransceiver { readonly attribute boolean stopped; };
"""

Table = dict[str, Any]


def table(wpt: Path, cache: Path) -> Table:
    """The table of these tests' files."""
    texts = [(wpt / "interfaces" / f"{name}.idl").read_text() for name in FILES]
    parser = (wpt / PARSER).read_text()
    key = hashlib.sha256("".join([*texts, BORROWED, parser]).encode()).hexdigest()[:16]
    path = cache / f"idl-{key}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_parse(parser, [*texts, BORROWED]))
    return _table(json.loads(path.read_text()))


def _parse(parser: str, texts: list[str]) -> str:
    context = quickjs.Context()
    context.set_max_stack_size(8 << 20)
    context.eval("globalThis.self = globalThis")
    context.eval(parser)
    parse = context.eval("(text) => JSON.stringify(WebIDL2.parse(text))")
    return json.dumps([item for text in texts for item in json.loads(parse(text))])


def _table(tree: list[dict[str, Any]]) -> Table:
    names = {"interface": {}, "dictionary": {}}
    parents: dict[str, str | None] = {}
    for item in tree:
        if item["type"] in names:
            names[item["type"]].setdefault(item["name"], []).extend(item["members"])
            parents[item["name"]] = parents.get(item["name"]) or item.get("inheritance")
    interfaces = {name: members for name, members in names["interface"].items() if name != "Navigator"}
    return {
        "interfaces": {name: _interface(name, interfaces[name], parents) for name in _base_first(interfaces, parents)},
        "dictionaries": {name: _members(name, names["dictionary"], parents) for name in names["dictionary"]},
        "enums": {item["name"]: [v["value"] for v in item["values"]] for item in tree if item["type"] == "enum"},
        "typedefs": {item["name"]: _type(item["idlType"]) for item in tree if item["type"] == "typedef"},
        "callbacks": [item["name"] for item in tree if item["type"] == "callback"],
    }


def _base_first(interfaces: dict[str, Any], parents: dict[str, str | None]) -> list[str]:
    return sorted(interfaces, key=lambda name: len(_ancestors(name, parents)))


def _ancestors(name: str, parents: dict[str, str | None]) -> list[str]:
    parent = parents.get(name)
    return [name, *(_ancestors(parent, parents) if parent else [])]


def _interface(name: str, members: list[dict[str, Any]], parents: dict[str, str | None]) -> Table:
    operations: dict[str, Table] = {}
    for member in members:
        if member["type"] == "operation":
            operation = operations.setdefault(
                member["name"],
                {"name": member["name"], "overloads": [], "type": _type(member["idlType"])},
            )
            operation["isStatic"] = member["special"] == "static"
            operation["overloads"].append(_arguments(member))
    return {
        "parent": parents[name],
        "ancestors": _ancestors(name, parents),
        "overloads": [_arguments(member) for member in members if member["type"] == "constructor"],
        "attributes": [
            {
                "name": member["name"],
                "type": _type(member["idlType"]),
                "attributes": _attributes(member),
                "readonly": member["readonly"],
            }
            for member in members
            if member["type"] == "attribute"
        ],
        "operations": list(operations.values()),
        "maplike": any(member["type"] == "maplike" for member in members),
    }


def _members(name: str, all_: dict[str, list[dict[str, Any]]], parents: dict[str, str | None]) -> list[Table]:
    """In the order in which Web IDL converts them: those of the ancestors first, each in the order of the alphabet."""
    own = sorted(all_[name], key=lambda member: member["name"])
    parent = parents.get(name)
    return [
        *(_members(parent, all_, parents) if parent else []),
        *(
            {
                "name": member["name"],
                "type": _type(member["idlType"]),
                "attributes": _attributes(member),
                "required": member["required"],
            }
            for member in own
        ),
    ]


def _arguments(member: dict[str, Any]) -> list[Table]:
    return [
        {
            "name": argument["name"],
            "type": _type(argument["idlType"]),
            "attributes": _attributes(argument),
            "optional": argument["optional"],
            "variadic": argument["variadic"],
        }
        for argument in member["arguments"]
    ]


def _attributes(item: dict[str, Any]) -> list[str]:
    return [attribute["name"] for attribute in item.get("extAttrs", ())]


def _type(tree: dict[str, Any]) -> Table:
    inner = tree["idlType"]
    of = [] if isinstance(inner, str) else [_type(item) for item in (inner if isinstance(inner, list) else [inner])]
    return {
        "name": inner if isinstance(inner, str) else "",
        "generic": tree["generic"],
        "union": tree["union"],
        "nullable": tree["nullable"],
        "of": of,
        "attributes": _attributes(tree),
    }
