"""Cuts in the network of a run."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conftest import missing
from e2e.lab.namespace import INSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def cut(*rule: str) -> Iterator[None]:
    """Drop what fits the rule of iptables, in this run's own network."""
    if not os.environ.get(INSIDE):
        missing("a network of its own", "run by tests/e2e/lab/namespace.py")
    tools = ("iptables", "ip6tables")
    for tool in tools:
        subprocess.run([tool, "-I", "INPUT", *rule, "-j", "DROP"], check=True)
    try:
        yield
    finally:
        for tool in tools:
            subprocess.run([tool, "-D", "INPUT", *rule, "-j", "DROP"], check=True)
