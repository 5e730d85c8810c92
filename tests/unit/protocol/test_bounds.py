"""Every member of every message has a bound, and the decoder keeps it: no number, text, list or map is without one."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import msgspec
import msgspec.inspect as inspect
import pytest

from adieu.protocol import control, folders, signaling
from adieu.protocol.nesting import MAX_NESTING, check_nesting

FRAMES: dict[str, tuple[Any, Any]] = {
    "control": (control.AnyControl.__args__, control.decode),
    "folder": (folders.Text.__args__, folders.decode),
    "from a client": (signaling.FromClient.__args__, signaling.decode_client),
    "from the server": (signaling.FromServer.__args__, signaling.decode_server),
    "beacon": ((signaling.Leaving,), msgspec.json.Decoder(signaling.Leaving).decode),
    "envelope": ((signaling.Envelope,), msgspec.json.Decoder(signaling.Envelope).decode),
}
FREE = {"meta"}
"""Maps whose values are a program's own: the length of a frame and the nesting bound them."""


def least(kind: inspect.Type) -> Any:
    """A small value of a type, as JSON has it."""
    match kind:
        case inspect.UnionType(types=types):
            return least(types[0])
        case inspect.IntType(ge=ge) | inspect.FloatType(ge=ge):
            return ge or 0
        case inspect.StrType(min_length=length, pattern=pattern):
            return ("0" if pattern else "x") * (length or 0)
        case inspect.BoolType():
            return False
        case inspect.NoneType() | inspect.AnyType():
            return None
        case inspect.ListType():
            return []
        case inspect.TupleType(item_types=items):
            return [least(item) for item in items]
        case inspect.DictType():
            return {}
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.StructType():
            return whole(kind)
    raise AssertionError(kind)


def whole(kind: inspect.StructType) -> dict[str, Any]:
    """The smallest message of a type: what must be there."""
    tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
    return tag | {field.encode_name: least(field.type) for field in kind.fields if field.required}


def beyond(kind: inspect.Type, at: str) -> list[tuple[str, Any]]:
    """Values just beyond each bound of a type, with the place of each; fails where there is no bound."""
    match kind:
        case inspect.UnionType(types=types):
            return [wrong for one in types for wrong in beyond(one, at)]
        case inspect.IntType(ge=ge, le=le) | inspect.FloatType(ge=ge, le=le):
            assert ge is not None, f"{at} has no least number"
            assert le is not None, f"{at} has no greatest number"
            more = [(f"{at} = {number}", number) for number in (ge - 1, le + (2 if le > 2**52 else 1))]
            return more + ([(f"{at} = 1e400", "HUGE")] if isinstance(kind, inspect.FloatType) else [])
        case inspect.StrType(max_length=most, min_length=length, pattern=pattern):
            assert most is not None, f"{at} has no greatest length"
            wrong = [(f"{at}: {most + 1} characters", ("0" if pattern else "x") * (most + 1))]
            return wrong + ([(f"{at}: too short", "0" * (length - 1))] if length else [])
        case inspect.BoolType() | inspect.NoneType() | inspect.LiteralType():
            return [(f"{at}: another type", [])]
        case inspect.ListType(item_type=item, max_length=most):
            assert most is not None, f"{at} has no greatest length"
            inner = [(where, [value]) for where, value in beyond(item, f"{at}[]")]
            return [(f"{at}: {most + 1} items", [least(item)] * (most + 1)), *inner]
        case inspect.TupleType(item_types=items):
            good = least(kind)
            return [
                (where, [*good[:number], value, *good[number + 1 :]])
                for number, item in enumerate(items)
                for where, value in beyond(item, f"{at}[{number}]")
            ]
        case inspect.DictType(key_type=key, value_type=value, max_length=most):
            assert most is not None, f"{at} has no greatest length"
            filled = {f"{number:04}"[-16:]: least(value) for number in range(most + 1)}
            keys = [(where, {name: least(value)}) for where, name in beyond(key, f"{at}{{}}")]
            if at.rpartition(".")[2] in FREE:
                assert isinstance(value, inspect.AnyType)
                return [(f"{at}: {most + 1} members", filled), *keys]
            inner = [(where, {"x": bad}) for where, bad in beyond(value, f"{at}.x")]
            return [(f"{at}: {most + 1} members", filled), *keys, *inner]
        case inspect.StructType():
            good = whole(kind)
            return [
                (where, good | {field.encode_name: bad})
                for field in kind.fields
                for where, bad in beyond(field.type, f"{at}.{field.encode_name}")
            ]
    raise AssertionError(f"{at}: {kind} has no bound that this test knows")


ALL = [
    pytest.param(decode, inspect.type_info(kind), id=f"{name}: {kind.__name__}")
    for name, (kinds, decode) in FRAMES.items()
    for kind in kinds
]


@pytest.mark.parametrize(("decode", "kind"), ALL)
def test_every_member_has_a_bound_and_the_decoder_keeps_it(decode: Any, kind: inspect.StructType) -> None:
    decode(json.dumps(whole(kind)))
    for where, message in beyond(kind, kind.cls.__name__):
        text = json.dumps(message).replace('"HUGE"', "1e400")
        with pytest.raises(ValueError, match=r"."):
            decode(text)
            pytest.fail(f"taken: {where}")


def test_a_member_without_a_bound_is_seen() -> None:
    for loose in (int, float, str, list[int], dict[str, int], "a"):
        Loose = msgspec.defstruct("Loose", [("member", Any if loose == "a" else loose)])
        with pytest.raises(AssertionError, match=r"Loose\.member"):
            beyond(inspect.type_info(Loose), "Loose")


# --- nesting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [("[", "]"), ('{"x":', "}"), ('[{"x":', "}]")])
def test_json_is_nested_no_deeper_than_16(one: str, other: str) -> None:
    deep = one.count("[") + one.count("{")
    levels = MAX_NESTING // deep
    check_nesting(one * levels + "0" + other * levels)
    with pytest.raises(ValueError, match="nested deeper than 16"):
        check_nesting(one * levels + "[0]" + other * levels)


def test_brackets_in_texts_are_no_nesting() -> None:
    for text in ('["' + "[{" * 50 + '"]', r'["\"' + "[{" * 50 + r'\\"]', '{"' + "[" * 50 + '":1}'):
        json.loads(text)
        check_nesting(text)
        check_nesting(text.encode())


@pytest.mark.parametrize("text", ['"' + r"\"" * 130_000, "[" * 262_000, "[]" * 131_000, '"[' * 131_000, "\\" * 262_000])
def test_the_look_at_nesting_takes_one_pass_over_whatever_it_is(text: str) -> None:
    began = time.thread_time()
    with suppress(ValueError):
        check_nesting(text)
    assert time.thread_time() - began < 0.5  # a hundred times what it takes, a thousandth of two passes for each
