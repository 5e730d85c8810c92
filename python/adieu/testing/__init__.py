"""A kit for the tests of programs: virtual time, a network in memory, and peers that freeze, die and lie.

`docs/topics/testing.md` shows it. Nothing of it opens a socket or waits: an outage of ten minutes takes milliseconds.
"""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu.testing.loop import HangError, VirtualLoop
    from adieu.testing.negotiation import Negotiation, reached
    from adieu.testing.pair import Pair
    from adieu.testing.peer import Peer
    from adieu.testing.pictures import number_of, numbered
    from adieu.testing.signaling import check_signaling
    from adieu.testing.sound import Heard, ToneReader, tones, voice
    from adieu.testing.turn import TurnServer
    from adieu.testing.world import World, simulate, simulated

__all__ = [
    "HangError",
    "Heard",
    "Negotiation",
    "Pair",
    "Peer",
    "ToneReader",
    "TurnServer",
    "VirtualLoop",
    "World",
    "check_signaling",
    "number_of",
    "numbered",
    "reached",
    "simulate",
    "simulated",
    "tones",
    "voice",
]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "adieu.testing.loop": ("HangError VirtualLoop",),
            "adieu.testing.negotiation": ("Negotiation reached",),
            "adieu.testing.pair": ("Pair",),
            "adieu.testing.peer": ("Peer",),
            "adieu.testing.pictures": ("number_of numbered",),
            "adieu.testing.signaling": ("check_signaling",),
            "adieu.testing.sound": ("Heard ToneReader tones voice",),
            "adieu.testing.turn": ("TurnServer",),
            "adieu.testing.world": ("World simulate simulated",),
        },
    )
