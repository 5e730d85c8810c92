"""The kit of `adieu.testing`, under the name that the project's own tests use."""

from adieu.testing import HangError, Negotiation, Pair, Peer, VirtualLoop, World, reached, simulate, simulated

__all__ = ["HangError", "Negotiation", "Pair", "Peer", "VirtualLoop", "World", "reached", "simulate", "simulated"]
