"""The receipt of a session: the account that both sides hold of it (closing rules S2, S5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.errors import NotAdieuPeerError, SessionClosedError
from adieu.protocol.control import FILE_CHANNEL
from adieu.session.machine.cause import confidence
from adieu.session.machine.recovery import NOT_ADIEU

if TYPE_CHECKING:
    from adieu.protocol.words import Level, Reason
    from adieu.session.ledger import Ledger
    from adieu.session.machine.cause import Confidence
    from adieu.session.machine.receipt import Account, By, ChannelReceipt, Outcome, Path, StepReceipt
    from adieu.session.machine.sender import Outgoing, Sender
    from adieu.session.media import MediaReceipt
    from adieu.session.recorder import Recorder


def ending_error(receipt: CloseReceipt) -> SessionClosedError:
    """Return the error for those that wait for a session which has ended."""
    kind = NotAdieuPeerError if receipt.reason.text == NOT_ADIEU else SessionClosedError
    return kind(receipt.notice, receipt)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that did not arrive, or may not have. `send()` takes it again.

    Attributes:
        data: as it was given to `send()`.
        seq: its number on its channel.
        receipt: the id of the receipt that accounts for it. A message that may have arrived is marked with it when it
            is sent again: a receiver that has the message can tell.
        sent: whether any of it left.
    """

    data: str | bytes
    seq: int
    receipt: str
    sent: bool


@dataclass(frozen=True, slots=True)
class FileReceipt:
    """A file, or a folder, that arrived whole.

    Attributes:
        name: as it was offered; on the receiving side, fit for a disk.
        size: bytes.
        proof: the SHA-256 over the hashes of its chunks, hex; equal on both sides. That of a folder is over its
            manifest and the proofs of its files. If the other program is of the first version, it is that of the file.
        sent: by this side; else it was received.
        files: the number of files in the folder; None: it is a file.
    """

    name: str
    size: int
    proof: str
    sent: bool
    files: int | None = None


@dataclass(frozen=True, slots=True)
class PartialFile:
    """A file that is not whole: under way, or cut off by the end of the session.

    Attributes:
        name: as it was offered; on the receiving side, fit for a disk.
        size: bytes; 0 of a stream, whose size is not known.
        done: bytes that are there, as far as this side knows.
        sent: by this side; else it is received.
    """

    name: str
    size: int
    done: int
    sent: bool


class CloseReceipt:
    """How a session ended, and what became of each message.

    Attributes:
        id: equal on both sides.
        by: who ended it: `local`, `remote`, `both` or `network`.
        reason: `code` for programs, `text` for people.
        path: `graceful`, `deadline` or `abrupt`.
        cause: why, one of `adieu.session.CAUSES`; two joined by a comma where they look the same from here. Of a
            session that was closed here while the other side was dead: the cause of that.
        confidence: how sure the cause is: `certain`, `likely` or `possible`.
        evidence: what speaks for the cause.
        channels: the program's own, name to `sent` and `received`, each with `accepted`, `delivered`, `unread` (a part
            of `delivered`), `unknown`, `unsent`, each with `messages` and `bytes`; None where this side cannot know.
        steps: the five steps, with start and duration in seconds and an outcome.
        ledger: what is still held; false when nothing is.
        confirmed: this side has the other's last word.
        agreed: the canonical part, JSON; equal byte for byte on both sides where both are confirmed. (With a peer of
            the version before, a reason of its own that has control characters is cleaned here alone.)
        clean: confirmed, nothing of a reliable channel is unknown or unsent, and no file is partial. Messages that were
            delivered and not read yet do not count against it.
        notice: one sentence for a person.
        files: the last thousand that arrived whole, in either direction. Each side keeps its own account: it is not
            part of `agreed`, but the proofs are equal.
        partial: the files that the end has cut off. They can go on in the next session, where they stopped.
        media: by the mid of a section, what became of its media on the last connection (`MediaReceipt`). This side's
            own account: it is not part of `agreed`. Empty after an abrupt end.
        recording: the flight recorder, if the receipt is not clean: `receipt.recording.save("trouble.json")`, then
            `adieu explain trouble.json`. None if it is clean; `session.recording()` has it always.
    """

    def __init__(
        self,
        outcome: Outcome,
        ledger: Ledger,
        notice: str,
        senders: dict[str, Sender],
        files: tuple[FileReceipt, ...] = (),
        recorder: Recorder | None = None,
        partial: tuple[PartialFile, ...] = (),
        media: dict[str, MediaReceipt] | None = None,
    ) -> None:
        self.id: str = outcome.id
        self.by: By = outcome.by
        self.reason: Reason = outcome.reason
        self.path: Path = outcome.path
        self.cause: str = outcome.cause
        self.confidence: Confidence = confidence(outcome.cause)
        self.evidence: list[str] = outcome.evidence
        self.channels: dict[str, ChannelReceipt] = {
            name: channel for name, channel in outcome.channels.items() if not name.startswith(FILE_CHANNEL)
        }
        self.steps: list[StepReceipt] = outcome.steps
        self.ledger = ledger
        self.confirmed: bool = outcome.confirmed
        self.agreed: str = outcome.agreed
        self.clean: bool = outcome.clean and not partial
        self.notice = notice
        self.files = files
        self.partial = partial
        self.media: dict[str, MediaReceipt] = media or {}
        self.recording: Recorder | None = None if self.clean else recorder
        self._senders = senders

    def unsent(self, name: str) -> list[Message]:
        """Take back what never left on this channel: sending it again is safe.

        Raises:
            KeyError: there was no such channel.
        """
        return [self._message(message, sent=False) for message in self._senders[name].unsent()]

    def unknown(self, name: str) -> list[Message]:
        """Return messages that left and are not known to have arrived: sent again, they may arrive twice.

        A receiver that runs adieu knows them again for ten minutes. Unreliable channels keep nothing. Of an unordered
        channel, some may count as delivered: a peer with more than 256 gaps, or of the version before, does not say
        which ones it took.

        Raises:
            KeyError: there was no such channel.
        """
        return [self._message(message, sent=True) for message in self._senders[name].unknown()]

    def _message(self, message: Outgoing, *, sent: bool) -> Message:
        payload = message.payload
        data = payload.data.decode() if payload.text else bytes(payload.data)
        if payload.again is not None:
            receipt, seq = payload.again
            return Message(data, seq, receipt, sent)
        return Message(data, message.seq, self.id, sent)

    def to_json(self) -> str:
        """All of it but the messages, as JSON."""
        files = {"files": self.files, "partial": self.partial}
        return msgspec.json.encode({**self._members(), **files, "agreed": msgspec.json.decode(self.agreed)}).decode()

    def recorded(self) -> dict[str, Any]:
        """Return the part that a recording shows, as JSON has it."""
        members: dict[str, Any] = msgspec.to_builtins(self._members())
        return members

    def _members(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "by": self.by,
            "reason": self.reason,
            "path": self.path,
            "cause": self.cause,
            "confidence": self.confidence,
            "evidence": self.evidence,
            "channels": {
                name: {
                    "sent": _account(channel.sent),
                    "received": _account(channel.received),
                    "reliable": channel.reliable,
                }
                for name, channel in self.channels.items()
            },
            "steps": self.steps,
            "ledger": [str(held) for held in self.ledger.held],
            "media": self.media,
            "confirmed": self.confirmed,
            "clean": self.clean,
            "notice": self.notice,
        }

    def __repr__(self) -> str:
        return f"<CloseReceipt {self.id} {self.path} by {self.by}: {self.notice}>"


def _account(account: Account) -> dict[str, dict[str, int] | None]:
    totals = {
        "accepted": account.accepted,
        "delivered": account.delivered,
        "unread": account.unread,
        "unknown": account.unknown,
        "unsent": account.unsent,
    }
    return {
        name: None if total is None else {"messages": total.messages, "bytes": total.bytes}
        for name, total in totals.items()
    }


@dataclass(frozen=True, slots=True)
class ResetReport:
    """How a reset went.

    Attributes:
        level: `ice`, `transport` or `full`; the highest that either side asked for.
        asker: the peer id of the side that asked first.
        epoch: the number of the connection that carries the session now.
        duration: seconds.
        replayed: messages of this side that were sent again over the new connection.
        path: the pair of addresses that carries the session now, in words; empty if it is not known.
    """

    level: Level
    asker: str
    epoch: int
    duration: float
    replayed: int
    path: str = ""
