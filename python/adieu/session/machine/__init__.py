"""The session machine: pure, without a clock, a socket or a task. Begin with `machine.py`."""
