"""Breaks the closing rules one by one in a copy of adieu, and looks whether the W3C's tests turn red each time.

    PYTHONPATH=tests python -m conformance.mutations [WORD ...]

Each mutation replaces one text of one source file. Where that text is no more, the mutation says so: it has to follow
the source. A mutation that no test sees is a rule that only adieu's own tests guard.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from conformance import expectations, fetch
from conformance.run import Runner
from support.mutations import Mutation, StaleError, arguments, chosen, copied

SOURCE = Path(__file__).parent.parent.parent / "python"

CHANNEL, CLOSE = "adieu/webrtc/data_channel.py", "adieu/webrtc/close_connection.py"
TRANSPORT, CONNECTION = "adieu/webrtc/transport_events.py", "adieu/webrtc/peer_connection.py"
INTERNALS, OPERATIONS = "adieu/webrtc/internals.py", "adieu/webrtc/operations.py"


CLOSING = ("RTCDataChannel-close.html", "RTCDataChannel-send.html", "RTCPeerConnection-createDataChannel.html")
STATES = ("RTCPeerConnection-connectionState", "RTCPeerConnection-iceConnectionState", "RTCIceTransport.html")

MUTATIONS = (
    Mutation(
        2,
        "close() does not make it closed",
        CLOSE,
        "    internals.is_closed = True\n",
        "",
        (*CLOSING, "RTCPeerConnection-setLocalDescription-offer"),
    ),
    Mutation(
        3,
        "signalingState is not closed",
        CLOSE,
        'replace(before, state="closed", transceivers=ended)',
        "replace(before, transceivers=ended)",
        ("onsignalingstatechanged", "RTCPeerConnection-onnegotiationneeded", *CLOSING),
    ),
    Mutation(
        3,
        "signalingstatechange fires inside close()",
        CLOSE,
        "    transceivers.stop_all(internals)\n",
        '    from adieu.events import Event\n    internals.fire(Event("signalingstatechange"))\n',
        ("onsignalingstatechanged", *CLOSING),
    ),
    Mutation(
        10,
        "channels stay open",
        CLOSE,
        "        channel.handle_connection_closed(announce=not internals.strict)\n",
        "        pass\n",
        CLOSING,
    ),
    Mutation(
        12,
        "no ABORT and no release",
        CLOSE,
        "    internals.driver.core.close_connection(internals.handle)\n",
        "",
        CLOSING,
    ),
    Mutation(
        12,
        "the SCTP transport does not tell its end by its own close",
        CLOSE,
        '    sctp.dispatchEvent(Event("statechange"))\n',
        "",
        ("RTCSctpTransport-events",),
    ),
    Mutation(
        13,
        "iceConnectionState is not closed",
        CLOSE,
        '    internals.ice_connection_state = "closed"\n',
        "",
        STATES,
    ),
    Mutation(
        13,
        "connectionState is not closed",
        CLOSE,
        '    internals.connection_state = "closed"\n',
        "",
        STATES,
    ),
    Mutation(
        13,
        "the transports are not closed",
        CLOSE,
        "        transport.set_closed()\n",
        "        pass\n",
        ("RTCIceTransport.html", "RTCSctpTransport", "RTCDtlsTransport-state"),
    ),
    Mutation(
        14,
        "connectionstatechange fires for one's own close()",
        CLOSE,
        "    # End the calls that can no longer finish (closing rules 31 to 36).\n",
        "    from adieu.events import Event\n"
        '    internals.driver.queue_task(internals.fire, Event("connectionstatechange"))\n',
        (*STATES, *CLOSING),
    ),
    Mutation(
        19,
        "what is closed is kept",
        CLOSE,
        "        handles.transports.pop(transport.handle, None)\n",
        "        pass\n",
        CLOSING,
    ),
    Mutation(
        21,
        "operations on a closed connection end as if they had been done",
        OPERATIONS,
        '            raise InvalidStateError("the connection is closed")\n',
        "            return None\n",
        ("RTCPeerConnection-createOffer.html", "RTCPeerConnection-createAnswer.html", "parameterless"),
    ),
    Mutation(
        23,
        "createDataChannel() works on a closed connection",
        CONNECTION,
        "        internals = self._internals\n"
        "        # step 2\n        self._require_open()\n        # steps 4 to 17\n",
        "        internals = self._internals\n",
        ("RTCPeerConnection-createDataChannel.html",),
    ),
    Mutation(
        30,
        "send() is silent unless the channel is open",
        CHANNEL,
        '                raise InvalidStateError(f"the channel {self._label!r} is {self._state}, not open")\n',
        "                return\n",
        CLOSING,
    ),
    Mutation(
        31,
        "what was pending ends after the close",
        INTERNALS,
        "            if self.strict:\n                await asyncio.get_running_loop().create_future()\n",
        "",
        ("createOffer", "createAnswer", "setLocalDescription", "setRemoteDescription", "addIceCandidate.html"),
    ),
    Mutation(
        28,
        "there are no statistics of a closed connection",
        "adieu/webrtc/stats.py",
        "    report = _Report(internals.driver.clock.now())\n",
        '    if internals.is_closed:\n        raise TypeError("closed")\n'
        "    report = _Report(internals.driver.clock.now())\n",
        ("RTCPeerConnection-getStats.https",),
    ),
    Mutation(
        33,
        "negotiationneeded fires after the close",
        "adieu/webrtc/negotiation_needed.py",
        "    if internals.is_closed:\n        return\n    # step 2.2\n    if len(internals.operations):\n"
        "        internals.update_on_empty_chain = True\n        return\n    # step 2.3\n"
        '    if internals.negotiation.state != "stable":\n        return\n',
        "",
        ("RTCPeerConnection-restartIce.https", "RTCPeerConnection-createDataChannel.html"),
    ),
    Mutation(
        37,
        "the closer gets a closing event",
        CHANNEL,
        "        # step 4, closing procedure step 3\n",
        '        self._driver.queue_task(self._fire, Event("closing"))\n',
        CLOSING,
    ),
    Mutation(
        42,
        "the other side gets no closing event",
        CHANNEL,
        '        self._fire(Event("closing"))\n',
        "",
        CLOSING,
    ),
    Mutation(
        43,
        "the stream is not reset",
        CHANNEL,
        "        else:\n            self._core.close()\n",
        "",
        CLOSING,
    ),
    Mutation(
        44,
        "close fires twice",
        CHANNEL,
        '        self._fire(Event("close"))\n',
        '        self._fire(Event("close"))\n        self._fire(Event("close"))\n',
        CLOSING,
    ),
    Mutation(
        48,
        "bufferedAmount goes back to zero at the close",
        CHANNEL,
        "        self._buffered = self.bufferedAmount\n",
        "        self._buffered = 0\n",
        ("RTCDataChannel-bufferedAmount",),
    ),
    Mutation(
        56,
        "close comes before error",
        CHANNEL,
        "        if error is not None:\n"
        '            self._fire(RTCErrorEvent("error", error=error))\n'
        '        self._fire(Event("close"))\n',
        '        self._fire(Event("close"))\n'
        "        if error is not None:\n"
        '            self._fire(RTCErrorEvent("error", error=error))\n',
        CLOSING,
    ),
    Mutation(
        56,
        "a channel that was aborted has no error",
        CHANNEL,
        "        self._announce_closed(failure)\n\n    def handle_failed",
        "        self._announce_closed(None)\n\n    def handle_failed",
        CLOSING,
    ),
    Mutation(
        57,
        "the error is not one of SCTP",
        CHANNEL,
        '"errorDetail": "sctp-failure"',
        '"errorDetail": "data-channel-failure"',
        CLOSING,
    ),
    Mutation(
        56,
        "the SCTP transport does not notice its end",
        TRANSPORT,
        '            sctp.state = "closed"\n        # step 5\n',
        "            pass\n        # step 5\n",
        ("RTCSctpTransport",),
    ),
    Mutation(
        60,
        "the DTLS transport does not notice its end",
        TRANSPORT,
        '        dtls.state = cast("RTCDtlsTransportState", state)\n',
        '        if state != "closed":\n            dtls.state = cast("RTCDtlsTransportState", state)\n',
        ("RTCDtlsTransport-state",),
    ),
)


async def look(mutation: Mutation, wpt: Path, shards: int) -> tuple[str, int]:
    """What came of it, and how much turned red."""
    with copied(mutation, SOURCE, ".") as copy:
        skipped, browsers = expectations.skipped(), expectations.browsers()
        files = [f for f in browsers if f not in skipped and any(word in f for word in mutation.files)]
        results = await Runner(wpt, shards, hanging=expectations.hanging, python=copy).run(files, quiet=True)
    red = [
        surprise
        for file, result in results.items()
        for surprise in expectations.surprises(result, browsers[file], expectations.expected(file))
    ]
    return (f"red: {str(red[0])[:160]}" if red else "NOT SEEN"), len(red)


async def main() -> int:
    """See the module."""
    options = arguments(__doc__, shards=2)
    if not (wanted := chosen(MUTATIONS, options.words)):
        return 0
    wpt = fetch.tests()
    unseen = 0
    for mutation in wanted:
        try:
            what, red = await look(mutation, wpt, options.shards)
        except StaleError as error:
            what, red = str(error), 0
        unseen += not red
        print(f"{mutation}: {red} {what}", flush=True)
    print(f"{len(wanted) - unseen} of {len(wanted)} broken rules turn the tests red")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
