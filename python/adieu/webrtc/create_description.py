"""createOffer and createAnswer. https://www.w3.org/TR/webrtc/#dom-rtcpeerconnection-createoffer"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import jsep
from adieu.errors import InvalidStateError
from adieu.jsep import LocalParameters
from adieu.sdp.attributes import Fingerprint
from adieu.webrtc.ice_credentials import fresh_credentials
from adieu.webrtc.internals import CreatedDescription

if TYPE_CHECKING:
    from adieu.webrtc.internals import Internals


async def create_offer(internals: Internals, *, restart: bool) -> str:
    """W3C create an offer, and the steps it goes on with.

    Raises:
        InvalidStateError: an offer of the other side must be answered first.
    """
    # step 1
    if internals.negotiation.state not in {"stable", "have-local-offer"}:
        raise InvalidStateError(f"there can be no offer while the signaling state is {internals.negotiation.state!r}")
    # in parallel, step 4
    await internals.next_task()
    # final steps 3 to 6
    parameters = _parameters(internals, restart=restart)
    text = jsep.create_offer(internals.negotiation, parameters)
    new = jsep.new_transceivers(jsep.offer_sections(internals.negotiation, data=parameters.data))
    internals.last_created_offer = CreatedDescription(text, system_state(internals), new)
    return text


async def create_answer(internals: Internals) -> str:
    """W3C create an answer, and the steps it goes on with.

    Raises:
        InvalidStateError: there is no offer of the other side to answer.
    """
    # step 1
    if internals.negotiation.state not in {"have-remote-offer", "have-local-pranswer"}:
        raise InvalidStateError(
            f"there is no offer to answer: the signaling state is {internals.negotiation.state!r}; "
            "call setRemoteDescription() with one first"
        )
    await internals.next_task()
    text = jsep.create_answer(internals.negotiation, _parameters(internals, restart=False))
    internals.last_created_answer = CreatedDescription(text, system_state(internals))
    return text


def system_state(internals: Internals) -> object:
    """The W3C's "system state": a description that was made from an equal one still represents it."""
    replace = internals.credentials_to_replace, internals.outdated_credentials
    return internals.negotiation, internals.channels.has_made, replace


def _parameters(internals: Internals, *, restart: bool) -> LocalParameters:
    native = internals.local_certificate().native
    return LocalParameters(
        session_id=internals.session_id,
        fingerprints=(Fingerprint("sha-256", native.fingerprint("sha-256")),),
        fresh=internals.pool.credentials if internals.pool is not None else fresh_credentials(),
        data=internals.channels.has_made,
        restart=restart,
        replace=internals.credentials_to_replace | internals.outdated_credentials,
        max_message_size=internals.settings.maxMessageSize,
        bundle_policy=internals.configuration.bundlePolicy,
        capabilities=internals.capabilities,
        cname=internals.cname,
    )
