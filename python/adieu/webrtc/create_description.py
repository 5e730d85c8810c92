"""createOffer and createAnswer. https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-createoffer"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from adieu import jsep
from adieu.errors import InvalidStateError
from adieu.jsep import IceCredentials, LocalParameters
from adieu.sdp.attributes import Fingerprint
from adieu.webrtc.certificate import RTCCertificate
from adieu.webrtc.slots import Created

if TYPE_CHECKING:
    from adieu.webrtc.slots import Slots

_ICE_CHARS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


async def create_offer(slots: Slots, *, restart: bool) -> str:
    """W3C create an offer, and the steps it goes on with.

    Raises:
        InvalidStateError: there is an offer of the other side to be answered.
    """
    # step 1
    if slots.negotiation.state not in {"stable", "have-local-offer"}:
        raise InvalidStateError(f"there can be no offer while the signaling state is {slots.negotiation.state!r}")
    # in parallel, step 4
    await slots.next_task()
    # final steps 3 to 6
    parameters = _parameters(slots, restart=restart)
    text = jsep.create_offer(slots.negotiation, parameters)
    made_for = jsep.made_for(jsep.offered_places(slots.negotiation, data=parameters.data))
    slots.last_created_offer = Created(text, system_state(slots), made_for)
    return text


async def create_answer(slots: Slots) -> str:
    """W3C create an answer, and the steps it goes on with.

    Raises:
        InvalidStateError: there is no offer of the other side to be answered.
    """
    # step 1
    if slots.negotiation.state not in {"have-remote-offer", "have-local-pranswer"}:
        raise InvalidStateError(
            f"there is no offer to answer: the signaling state is {slots.negotiation.state!r}; "
            "call setRemoteDescription() with one first"
        )
    await slots.next_task()
    text = jsep.create_answer(slots.negotiation, _parameters(slots, restart=False))
    slots.last_created_answer = Created(text, system_state(slots))
    return text


def system_state(slots: Slots) -> object:
    """The W3C's "system state": a description that was made of an equal one still represents it."""
    replace = slots.credentials_to_replace, slots.outdated_credentials
    return slots.negotiation, slots.has_made_channels, replace


def certificate_of(slots: Slots) -> RTCCertificate:
    """Ours: the configured one, or one made now."""
    if slots.certificate is None:
        configured = slots.configuration.certificates
        slots.certificate = configured[0] if configured else RTCCertificate.generate()
    return slots.certificate


def _parameters(slots: Slots, *, restart: bool) -> LocalParameters:
    native = certificate_of(slots).native
    return LocalParameters(
        session_id=slots.session_id,
        fingerprints=(Fingerprint("sha-256", native.fingerprint("sha-256")),),
        fresh=slots.pool.credentials if slots.pool is not None else fresh_credentials(),
        data=slots.has_made_channels,
        restart=restart,
        replace=slots.credentials_to_replace | slots.outdated_credentials,
        max_message_size=slots.settings.maxMessageSize,
        bundle_policy=slots.configuration.bundlePolicy,
    )


def fresh_credentials() -> IceCredentials:
    """RFC 8445 section 5.3 asks for 24 and 128 random bits; these are 48 and 144."""
    return IceCredentials(_random(8), _random(24))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(length))
