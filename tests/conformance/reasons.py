"""Why a subtest does not pass, as far as its result tells: for the expectations that are written anew."""

from __future__ import annotations

import re
from typing import Any

# What "file: subtest: missing members: message" has in it → the reason. The first one counts.
REASONS = {
    r"'not-counted' connecting, id 10": "the test uses an id twice",
    r"RSASSA|rsa (and|certificate)|idlTestObjects\.certificate": "RSA certificates are not made here",
    r"new RTCErrorEvent\('error'\)": "the test leaves out an argument that is required",
    r"RTCRtcpMuxPolicy": "the enumeration has no 'negotiate' any more",
    r"getContext|captureStream|TypeError: not a function": "needs a canvas",
    r"two certificates|2 certificates|all provided certificates": "only one certificate is used",
    r"DTMF": "no DTMF yet",
    r"offerToReceive": "no legacy offer options yet",
    r"(create(Offer|Answer)|set(Local|Remote)Description|addIceCandidate): .*positional": "no legacy callbacks yet",
    r"mediaDevices|MediaStream": "no media objects yet",
    r"addTransceiver|addTrack|removeTrack|[^.]RTCRtp|TrackEvent|jitterBufferTarget": "no transceivers yet",
    r"SDP negotiation with a sha-1": "a description with nothing but SHA-1 is refused",
    r"wrong DTLS fingerprint": "the other side does not learn that the fingerprint is wrong",
    r"SctpTransport|maxChannels gets": "`sctp` is there with the answer, not with the offer",
    r"ice-(ufrag|pwd) containing": "the error is RTCError, the test wants InvalidAccessError",
    r"tlsVersion|dtlsCipher|srtpCipher": "statistics that are not there",
    r"not the text that create": "a text of one's own is refused before the state is looked at",
    r"SLD\(rollback\) must": "rejected one task later than asked for",
    r"getStats does NOT": "answers in the task of the call, where nothing has to be asked for",
    r"rollback\) after setting a local": "a remote rollback of a local offer is taken",
    r"aimed at port 8001": "an offer with nothing but audio has no transport yet",
    r"connection with one data channel": "`sctp` is there with the answer, not with the offer",
    r"relayProtocol": "not there yet: relayProtocol",
    r"no such ufrag": "a candidate of an unknown generation is taken in silence when it is empty",
    r"m=(audio|video)|audio|video|rtpmap|msid|simulcast|ssrc|codec|header extension": "no media in descriptions yet",
    r"protocol/(dtls-setup|rtp|vp8|pt-no-bundle|sdes|ice-state|bundle)|no-media-call": "no media in descriptions yet",
}


def reason_for(file: str, name: str, subtest: dict[str, Any], browsers: dict[str, str]) -> str:
    """One line."""
    if not name:
        return "one of its subtests hangs"
    text = f"{file}: {name}: {'; '.join(subtest['missing'])}: {subtest['message']}"
    for pattern, reason in REASONS.items():
        if re.search(pattern, text):
            return reason
    if browsers and "PASS" not in browsers.values():
        return "fails in Chromium and Firefox as well"
    if subtest["message"]:
        return f"differs: {' '.join(subtest['message'].split())[:160]}"
    return "not reached: the file ends before it"
