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
    r"SDP negotiation with a sha-1": "a description with nothing but SHA-1 is refused",
    r"tlsVersion": "DTLS 1.3 is FEFC on the wire; the test knows FEFD and 0304",
    r"dtlsCipher": "DTLS 1.3 has other cipher suites; the test knows one of DTLS 1.2",
    r"aimed at port 8001": "no ICE over TCP",
    r"duplicate msid": "a msid here names no track (RFC 9429): two of them are two tracks of one stream",
    r"does not undo rollback": "a bad offer changes nothing: ours is not rolled back for it",
    r"containing partial restart": "both sections are in one bundle, of which the first one speaks for all",
    r"ice-pwd has 8 characters": "the test's password is shorter than RFC 8839 allows",
    r"codecs undefined": "a required member is missing: Web IDL makes it a TypeError",
    r"failing candidate is sent": "what never was connected fails without being disconnected first",
    r"iceTransports should have matching": "the test asks for a gathering state `completed`: it is called `complete`",
    r"Check onaddstream": "the W3C has taken the event out",
    r"asymmetrical AV1": "a codec with another profile is another codec",
    r"H26[45] (codecs )?(is not )?available|There are no (recv|send)only": "not among the codecs here",
}


def reason_for(file: str, name: str, subtest: dict[str, Any], browsers: dict[str, str], before: str = "") -> str:
    """One line; what stood there before, where the result tells nothing."""
    if not name:
        return "one of its subtests hangs"
    text = f"{file}: {name}: {'; '.join(subtest['missing'])}: {subtest['message']}"
    for pattern, reason in REASONS.items():
        if re.search(pattern, text):
            return reason
    if "simulcast" in file:
        return "one encoding of a track is sent, and one received"
    if browsers and "PASS" not in browsers.values():
        return "fails in Chromium and Firefox as well"
    if before:
        return before
    if subtest["message"]:
        return f"differs: {' '.join(subtest['message'].split())[:160]}"
    return "not reached: the file ends before it"
