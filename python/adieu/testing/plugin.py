"""A plugin of pytest: an async test that takes `virtual_world` runs in it.

```python
async def test_they_meet(virtual_world):
    async with virtual_world.sessions() as pair:
        assert pair.first.id == pair.second.id
```

`@pytest.mark.virtual_world(seed=3, limit=3600.0)` sets the seed and the limit, see `adieu.testing.simulate`. pytest
loads the plugin by itself where adieu is installed; it imports adieu when a test first takes the fixture.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "virtual_world(seed=0, limit=600.0): how the fixture virtual_world is made")


@pytest.fixture
def virtual_world(request: pytest.FixtureRequest) -> Any:
    """The `World` of the test, which must be an async function."""
    from adieu.testing import simulate  # noqa: PLC0415 it starts nothing where it is not used

    node: Any = request.node
    test = node.obj
    if not inspect.iscoroutinefunction(test):
        raise pytest.UsageError(f"{node.nodeid} takes virtual_world: it must be an async function")
    mark = node.get_closest_marker("virtual_world")
    settings: dict[str, Any] = dict(mark.kwargs) if mark is not None else {}

    def run(**arguments: Any) -> None:
        simulate(lambda world: test(**{**arguments, "virtual_world": world}), **settings)

    node.obj = run
    return None  # the world is made when the test runs: its event loop is the test's
