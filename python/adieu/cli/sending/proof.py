"""The proof that the other end of a session knows the same code or link, and that nobody is between.

**By a code**, both programs run SPAKE2 (the package `spake2`) over the session's own connection. The fingerprints of
both DTLS certificates are the names of its two sides. A signaling server that gives each side a description of its own
ends DTLS itself. Then the two programs see different fingerprints, and their keys differ. The server learns nothing
from that, but that one guess of the words was wrong.

**By a link**, both have a key of 128 random bits. Each shows the HMAC of both fingerprints under this key, with its own
part in it. The receiver, which may be a page, shows its own first. An HMAC for other fingerprints is of no use.

A session may change its connection later. From the proof on, `Pin` refuses every description with another fingerprint.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adieu.cli.sending import messages
from adieu.cli.sending.link import Link
from adieu.cli.sending.messages import ByLink, Confirm, Refused, exchange
from adieu.cli.sending.pake import Pake, PakeError
from adieu.cli.sending.tries import Tries, UnansweredError, VoidError, WrongCodeError
from adieu.errors import OperationError, SessionError

if TYPE_CHECKING:
    from adieu.cli.sending.code import Code
    from adieu.cli.sending.messages import Line
    from adieu.session import Session
    from adieu.webrtc import RTCCertificate, RTCPeerConnection, TransportSettings

TO_CONFIRM = 8.0
"""Seconds for the answer of a receiver that holds one of the few tries: a program gives it at once."""
_FINGERPRINT = re.compile(r"^a=fingerprint:(\S+) (\S+)\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that a receiver may know.

    Attributes:
        code: its words; None: only the link counts.
        link: the link; None: only the code counts.
        tries: of codes; there is no bound for links, which nobody can guess.
    """

    code: Code | None
    link: Link | None
    tries: Tries


class Pin:
    """The certificates of both programs: that of this one for all its connections, and the proved one of the other.

    Attributes:
        own: the SHA-256 of this program's certificate, hex.
        proved: that of the other program, once it is proved.
    """

    def __init__(self, certificate: RTCCertificate, settings: TransportSettings | None = None) -> None:
        self.certificate: RTCCertificate = certificate
        self._settings = settings
        self.own: str = _plain(certificate.getFingerprints()[0].value or "")
        self.proved: str | None = None
        self._made: weakref.WeakSet[RTCPeerConnection] = weakref.WeakSet()

    def connection(self, ice_servers: list[dict[str, Any]]) -> RTCPeerConnection:
        """Return a new connection that keeps to this pin."""
        from adieu.cli.sending.pinned import PinnedConnection  # noqa: PLC0415 loaded while the code is read

        configuration = {"iceServers": ice_servers, "certificates": [self.certificate]}
        made = PinnedConnection(self.check, configuration, self._settings)
        self._made.add(made)
        return made

    @property
    def open(self) -> list[RTCPeerConnection]:
        """Return the connections that are not closed."""
        return [pc for pc in self._made if pc.signalingState != "closed"]

    def set(self, proved: str) -> None:
        """Refuse all other certificates from now on; a connection that has one is closed."""
        self.proved = proved
        for pc in list(self._made):
            remote = pc.remoteDescription
            if remote is not None and fingerprints(remote.sdp) != {("sha-256", proved)}:
                pc.close()

    def clear(self) -> None:
        """Forget the other program: the session with it has ended."""
        self.proved = None

    def check(self, sdp: str) -> None:
        """Raise OperationError if a description names another certificate than the proved one."""
        if self.proved is not None and fingerprints(sdp) != {("sha-256", self.proved)}:
            raise OperationError("the description names another certificate than the proved one: it is refused")


def fingerprints(sdp: str) -> set[tuple[str, str]]:
    """Return all fingerprints in a description: algorithm, and value in hex."""
    return {(name.lower(), _plain(value)) for name, value in _FINGERPRINT.findall(sdp)}


def _plain(value: str) -> str:
    return value.replace(":", "").lower()


def remote_certificate(session: Session) -> str:
    """Return the SHA-256 of the certificate with which the other program has come, hex. Raises WrongCodeError."""
    pc = session.pc
    sctp = pc.sctp if pc is not None else None
    chain = sctp.transport.getRemoteCertificates() if sctp is not None else []
    if pc is None or pc.remoteDescription is None or not chain:
        raise WrongCodeError
    seen = hashlib.sha256(chain[0]).hexdigest()
    if fingerprints(pc.remoteDescription.sdp) != {("sha-256", seen)}:
        raise WrongCodeError  # several fingerprints, or another hash: no adieu program does that
    return seen


async def prove_as_sender(session: Session, line: Line, known: Secrets, pin: Pin) -> None:
    """Let the receiver prove first, then prove ourselves, and pin its certificate.

    Raises:
        WrongCodeError: the receiver did not prove that it knows the code or the link.
        SessionError: the session ended.
    """
    theirs = remote_certificate(session)
    first: messages.Pake | ByLink = await exchange(line, None, messages.Pake, ByLink)
    try:
        if isinstance(first, ByLink):
            answer = _check_link(first, known.link, sender=pin.own, receiver=theirs)
        else:
            async with known.tries.one():
                answer = await _check_code(line, first, known.code, sender=pin.own, receiver=theirs)
        if remote_certificate(session) != theirs:
            raise WrongCodeError
    except WrongCodeError:
        await line.send(Refused())
        raise
    pin.set(theirs)
    await line.send(answer)


def _check_link(shown: ByLink, link: Link | None, *, sender: str, receiver: str) -> Confirm:
    if link is None or not hmac.compare_digest(shown.mac, _link_mac(link, b"receiver", sender, receiver)):
        raise WrongCodeError
    return Confirm(_link_mac(link, b"sender", sender, receiver))


async def _check_code(line: Line, first: messages.Pake, code: Code | None, *, sender: str, receiver: str) -> Confirm:
    if code is None:
        raise VoidError
    side = _side(code, sender=sender, receiver=receiver, sends=True)
    try:
        key = side.key(first.message)
    except PakeError:
        raise WrongCodeError from None
    confirmed = await exchange(line, messages.Pake(side.message), Confirm, patience=TO_CONFIRM)
    if not hmac.compare_digest(confirmed.mac, _mac(key, b"receiver")):
        raise WrongCodeError
    return Confirm(_mac(key, b"sender"))


async def prove_as_receiver(session: Session, line: Line, secret: Code | Link, pin: Pin) -> None:
    """Prove that this program knows the secret, let the sender do the same, and pin its certificate; see above.

    Raises:
        WrongCodeError: the sender did not prove that it knows the code or the link.
        ExchangeError: it says something else.
        SessionError: the session ended before this side's proof was shown.
    """
    theirs = remote_certificate(session)
    shown: ByLink | Confirm
    if isinstance(secret, Link):
        shown = ByLink(_link_mac(secret, b"receiver", theirs, pin.own))
        wanted = _link_mac(secret, b"sender", theirs, pin.own)
    else:
        side = _side(secret, sender=theirs, receiver=pin.own, sends=False)
        heard = await exchange(line, messages.Pake(side.message), messages.Pake)
        try:
            key = side.key(heard.message)
        except PakeError:
            raise WrongCodeError from None
        shown = Confirm(_mac(key, b"receiver"))
        wanted = _mac(key, b"sender")
    try:
        confirmed = await exchange(line, shown, Confirm)
    except SessionError:
        raise UnansweredError from None
    if not hmac.compare_digest(confirmed.mac, wanted) or remote_certificate(session) != theirs:
        raise WrongCodeError
    pin.set(theirs)


def _side(code: Code, *, sender: str, receiver: str, sends: bool) -> Pake:
    """Return one side of the exchange. The names of both are their certificates' fingerprints."""
    names = (f"adieu send 1 sender {sender}".encode(), f"adieu send 1 receiver {receiver}".encode())
    return Pake(code.secret.encode(), sender=names[0], receiver=names[1], sends=sends)


def _mac(key: bytes, who: bytes) -> bytes:
    return hmac.digest(key, b"adieu send 1 confirm " + who, "sha256")


def _link_mac(link: Link, who: bytes, sender: str, receiver: str) -> bytes:
    return hmac.digest(link.key, b"adieu send 1 link %s %s %s" % (who, sender.encode(), receiver.encode()), "sha256")
