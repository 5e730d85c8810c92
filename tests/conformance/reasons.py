"""Why a subtest does not pass, as far as its result tells: for the expectations that are written anew."""

from __future__ import annotations

import re
from typing import Any

# What the first missing member or the message says → the reason.
MISSING = {
    r"addTransceiver|addTrack|removeTrack|RTCRtp|getSenders|getReceivers|getTransceivers": "no transceivers yet",
    r"mediaDevices|MediaStream": "no media objects yet",
    r"RTCTrackEvent": "no transceivers yet",
    r"DTMF": "no DTMF yet",
    r"create(?:Offer|Answer): |set(?:Local|Remote)Description: |addIceCandidate: ": "no legacy callbacks yet",
}
MESSAGES = {
    r"m=(?:audio|video)|audio|video|rtpmap|msid|simulcast|ssrc": "no media in descriptions yet",
    r"generated certificate|RSASSA": "RSA certificates are not made here",
}
UNREACHED = {"MISSING", "NOTRUN", "TIMEOUT"}


def reason_for(subtest: dict[str, Any], browsers: dict[str, str], file: str) -> str:
    """One line."""
    missing = "; ".join(subtest["missing"])
    for pattern, reason in MISSING.items():
        if re.search(pattern, missing):
            return reason
    if missing:
        return f"not there yet: {missing}"
    message = subtest["message"]
    for pattern, reason in MESSAGES.items():
        if re.search(pattern, message):
            return reason
    if browsers and "PASS" not in browsers.values():
        return "fails in Chromium and Firefox as well"
    if re.search(r"https\.html|simulcast|legacy/|protocol/", file) and subtest.get("status") in UNREACHED:
        return "waits for media"
    return f"differs: {' '.join(message.split())[:160]}" if message else "not reached"
