"""Closing rules S1 to S11, each broken; and what a peer may say that the tests with a hostile peer do not look at.

`python -m mutations` runs them (`tests/mutations.py`); the bounds are in `tests/property/session/mutations.py`. Each
names the smallest test files that have to see it.
"""

from __future__ import annotations

from sim.session.mutations_ending import ENDS
from sim.session.mutations_python import PYTHON
from sim.session.mutations_typescript import TYPESCRIPT

MUTATIONS = (*PYTHON, *ENDS, *TYPESCRIPT)
