"""Python calls that an operation of a connection takes. A count has no noise."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import adieu
from support.calls import python_calls
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Awaitable

ROOT = str(Path(adieu.__file__).parent)


async def calls(operation: Awaitable[object]) -> Counter[str]:
    """The calls of functions in adieu until `operation` is done."""
    with python_calls(lambda file: file.startswith(ROOT)) as counted:
        await operation
    return Counter(f"{code.co_filename.removeprefix(ROOT)}: {code.co_name}" for code in counted)


@simulated()
async def test_descriptions_for_data_take_few_calls(world):
    a, b = (world.connection(host) for host in world.hosts())
    a.createDataChannel("chat")
    await a.setLocalDescription()
    offer = a.localDescription.toJSON()
    await world.settle()
    offered = await calls(b.setRemoteDescription(offer))
    await b.setLocalDescription()
    answer = b.localDescription.toJSON()
    await world.settle()
    answered = await calls(a.setRemoteDescription(answer))
    assert "".join(offer["sdp"].split()).count("a=candidate") == 0
    assert offered.total() <= 200, chr(10).join(f"{n} {w}" for w, n in offered.most_common())
    assert answered.total() <= 300, chr(10).join(f"{n} {w}" for w, n in answered.most_common())
