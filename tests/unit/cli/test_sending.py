"""`adieu send` and `adieu receive` in one process: the proof, who is refused, what is kept. As programs: tests/e2e."""

# ruff: noqa: SIM117 the sender is there before the receiver
from __future__ import annotations

import asyncio
import io
import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import PurePosixPath
from types import SimpleNamespace

import msgspec
import pytest

import adieu
from adieu.cli.sending import code as codes
from adieu.cli.sending import display, guest, listing, meeting, messages, proof, receiver, sender, tries
from adieu.cli.sending import link as links
from adieu.cli.sending.display import Display
from adieu.cli.sending.messages import Entry, ExchangeError, Line
from adieu.cli.sending.receipt import receipt_of
from adieu.errors import OperationError
from adieu.server.small import serve_small
from adieu.session.files.excludes import Excludes
from support.virtual import World, simulated

pytestmark = pytest.mark.anyio
CODE = codes.Code("4821", "amber-lotus-river")
LINK = links.Link("http://127.0.0.1:9/", "k3fp", bytes(range(16)))
GIVEN = SimpleNamespace(ca=None)


class OtherDone(messages.Done, frozen=True, tag="done"):
    """The last word, with another hash."""

    def __post_init__(self):
        msgspec.structs.force_setattr(self, "digest", "0" * 64)


class Heard:
    """A display that remembers."""

    is_due = True

    def __init__(self, above=None):
        self.above = above
        self.events: list[tuple[str, str]] = []
        self.done = 0
        self.numbered: dict[int, Heard] = {}
        self.changed = asyncio.Event()

    def say(self, what, text, **_):
        self.events.append((what, text))
        self._wake()

    def progress(self, done, total):
        assert 0 <= done <= total
        self.done = done
        self._wake()

    def of(self, number):
        return self.numbered.setdefault(number, Heard(self))

    def end(self):
        pass

    def _wake(self):
        self.changed.set()
        self.changed = asyncio.Event()
        if self.above is not None:
            self.above._wake()

    def words(self):
        return [what for what, _ in self.events]

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not condition():
                await self.changed.wait()


@asynccontextmanager
async def running(side, room):
    """The task of a sender or receiver, which ends with the block."""
    task = asyncio.create_task(side.run(room))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def new_pin():
    return proof.Pin(await adieu.RTCPeerConnection.generateCertificate())


@asynccontextmanager
async def sending(url, what, code=CODE, limit=None, *, link=None, receivers=1, wrong=sender.MAX_WRONG):
    """A sender that waits. Its `shown` are what it says, its `arrived` the receivers that have everything."""

    async def files():
        return what

    known = proof.Secrets(code, link, tries.Tries(wrong))
    shown, arrived = Heard(), []
    certificate = await adieu.RTCPeerConnection.generateCertificate()
    made = sender.Sender(
        files, known, certificate, shown, limit, lambda each, _: arrived.append(each), receivers=receivers
    )
    made.shown, made.arrived = shown, arrived
    async with meeting.meeting(url, code or link, GIVEN, made.connect, made.gate, sends=True) as room:
        async with running(made, room) as task:
            yield made, task


@asynccontextmanager
async def receiving(url, folder, secret=CODE, *, overwrite=False):
    """A receiver that has come."""
    made = receiver.Receiver(folder, secret, await new_pin(), Heard(), overwrite=overwrite)
    async with meeting.meeting(url, secret, GIVEN, made.connect, made.accept, sends=False) as room:
        async with running(made, room) as task:
            yield made, task


def both_well(one, other, *results):
    """Both ended with 0; if not, what they said is shown."""
    assert results == (0, 0), (one.shown.events, other._display.events)


async def result(task):
    return await asyncio.wait_for(asyncio.shield(task), 40)


@pytest.fixture
def listed(tmp_path):
    """A folder with files, and an odd one."""
    source = tmp_path / "source"
    (source / "photos" / ".git" / "deep").mkdir(parents=True)
    (source / "photos" / "empty folder").mkdir()
    (source / "photos" / ".git" / "deep" / "x").write_text("x")
    (source / "photos" / "empty").touch()
    (source / "photos" / "link").symlink_to("/etc/passwd")
    for number in range(30):
        (source / "photos" / f"{number} ä.jpg").write_bytes(os.urandom(1000 * number))
    (source / "photos" / "0 ä.jpg").chmod(0o755)
    os.utime(source / "photos" / "1 ä.jpg", ns=(5, 1234567890123456789))
    (source / "film.mp4").write_bytes(os.urandom(5_000_000))
    made = listing.Listing()
    made.add(source / "photos")
    made.add(source / "film.mp4")
    return made


@pytest.fixture
def first_version(monkeypatch):
    """The sender is of the version that sends each file by itself."""
    monkeypatch.setattr(listing.Listing, "whole", lambda _: None)


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


# --- all is well ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["both of the second", "sender of the first", "receiver of the first"])
async def test_files_and_folders_arrive_and_both_hold_the_same_receipt(listed, target, version, request, monkeypatch):
    (target / "film.mp4").write_text("mine")
    match version:
        case "sender of the first":
            request.getfixturevalue("first_version")
        case "receiver of the first":
            in_parts = guest.Entries
            monkeypatch.setattr(
                guest, "Entries", lambda entries, last, whole: in_parts(entries, last)
            )  # as it reads it
            assert listed.whole() is not None
    ways, names_ = [], ("_as_one", "_one_by_one")
    for name in names_:
        real = getattr(guest.Guest, name)
        monkeypatch.setattr(
            guest.Guest, name, lambda *given, real=real, name=name: (ways.append(name), real(*given))[1]
        )
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            both_well(one, other, await result(here), await result(there))
    [served] = one.arrived
    assert ways == [names_[0] if version == "both of the second" else names_[1]]
    texts = [receipt_of(side, made.proofs, made.receipt) for side, made in
             ((listed.entries, served), (other.entries, other))]  # fmt: skip
    assert texts[0] == texts[1]
    told = json.loads(texts[0])
    assert told["bytes"] == listed.size
    assert {each["path"] for each in told["files"]} >= {"film.mp4", "photos/.git/deep/x", "photos/empty"}
    assert all(len(each["proof"]) == 64 for each in told["files"])
    for number, path in enumerate(listed.paths):
        entry = listed.entries[number]
        name = "film (1).mp4" if entry.path == "film.mp4" else entry.path
        if entry.size == listing.FOLDER:
            assert (target / name).is_dir()
        else:
            assert (target / name).read_bytes() == path.read_bytes()
            assert (target / name).stat().st_mtime_ns == path.stat().st_mtime_ns
    assert os.access(target / "photos" / "0 ä.jpg", os.X_OK)
    assert not os.access(target / "photos" / "1 ä.jpg", os.X_OK)
    assert (target / "film.mp4").read_text() == "mine", "nothing is overwritten"
    assert sorted(each.name for each in target.iterdir()) == ["film (1).mp4", "film.mp4", "photos"]
    assert not (target / "photos" / "link").exists()
    assert [path.rpartition("/")[2] for path in listed.left_out] == ["link"]


async def test_overwrite_replaces_files_and_merges_folders_but_never_follows_a_link(listed, target):
    (target / "photos").mkdir()
    (target / "photos" / "3 ä.jpg").write_text("mine")
    (target / "photos" / "kept").write_text("mine too")
    (target / "outside").write_text("not to be touched")
    (target / "film.mp4").symlink_to("outside")
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target, overwrite=True) as (other, here):
            both_well(one, other, await result(here), await result(there))
    assert (target / "outside").read_text() == "not to be touched"
    assert (target / "film.mp4").stat().st_size == 5_000_000 and not (target / "film.mp4").is_symlink()
    assert (target / "photos" / "3 ä.jpg").stat().st_size == 3000
    assert (target / "photos" / "kept").read_text() == "mine too"
    assert sorted(each.name for each in target.iterdir()) == ["film.mp4", "outside", "photos"]


@pytest.mark.parametrize("there", ["a file for a folder", "a folder for a file", "a link for a folder"])
async def test_what_is_of_another_kind_is_not_overwritten(listed, target, there):
    """It is said before anything comes."""
    match there:
        case "a file for a folder":
            (target / "photos").write_text("mine")
        case "a folder for a file":
            (target / "film.mp4").mkdir()
        case _:
            (target / "elsewhere").mkdir()
            (target / "photos").symlink_to("elsewhere")
    before = sorted(each.name for each in target.iterdir())
    async with serve_small() as server, sending(server.url(), listed) as (one, _):
        async with receiving(server.url(), target, overwrite=True) as (other, here):
            assert await result(here) == 1
            assert "it is not replaced" in other._display.events[-1][1]
            await one.shown.until(lambda: "failed" in one.shown.words())
    assert sorted(each.name for each in target.iterdir()) == before


def test_excluded_things_in_folders_are_left_out(listed):
    root = listed.paths[0]
    made = listing.Listing(Excludes([".git/", "1*.jpg", "!1 ä.jpg"]))
    made.add(root)
    names = {entry.path.removeprefix("photos/") for entry in made.entries}
    assert "1 ä.jpg" in names and "2 ä.jpg" in names
    assert not any(name.startswith((".git", "10")) for name in names)
    assert [path.rpartition("/")[2] for path in made.left_out] == ["link"], "and nothing is said about them"


async def test_a_reset_in_the_middle_changes_nothing(tmp_path, target):
    """A new connection has the same certificates, so the pin lets it pass."""
    (tmp_path / "big").write_bytes(os.urandom(20_000_000))
    what = listing.Listing()
    what.add(tmp_path / "big")
    async with serve_small() as server, sending(server.url(), what, limit=sender.Limit(10e6)) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            await one.shown.until(lambda: one.shown.done > 4_000_000)
            room = await one.gate.room
            [session] = room.sessions
            report = await session.reset("transport")
            assert report.epoch == 2
            both_well(one, other, await result(here), await result(there))
    assert (target / "big").read_bytes() == (tmp_path / "big").read_bytes()


@pytest.mark.usefixtures("first_version")
async def test_the_next_attempt_goes_on_and_hashes_what_it_finds(listed, target, monkeypatch):
    """The receiver has some files from before: one is right, one was changed since, one is cut."""
    paths = listing.safe_paths(listed.entries)
    part = receiver.Partial(target / f".adieu-{listing.identity(listed.entries)}")
    part.prepare(listed.entries, paths)
    by_path = {entry.path: number for number, entry in enumerate(listed.entries)}
    numbers = [by_path[f"photos/{number} ä.jpg"] for number in (20, 21, 22)]
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        for number in numbers:
            part.path(paths[number]).write_bytes(listed.paths[number].read_bytes())
            part.note(number, guest.proof_of(listed.paths[number]))
        part.note(numbers[1], "0" * 64)
        part.path(paths[numbers[2]]).write_bytes(b"cut")
        with part._notes.open("ab") as notes:
            notes.write(b'[7,"dead')  # the program was killed in this line
        sent = []
        send = guest.Guest._send

        async def seen(self, session, what, number):
            sent.append(number)
            await send(self, session, what, number)

        monkeypatch.setattr(guest.Guest, "_send", seen)
        async with receiving(server.url(), target) as (other, here):
            both_well(one, other, await result(here), await result(there))
    assert numbers[0] not in sent
    assert set(numbers[1:]) <= set(sent)
    assert other.proofs == one.arrived[0].proofs
    for number in numbers:
        assert (target / listed.entries[number].path).read_bytes() == listed.paths[number].read_bytes()


# --- who is refused ---------------------------------------------------------------------------------------------------


async def test_a_wrong_code_gets_nothing_and_three_end_it(listed, target):
    wrong = codes.Code(CODE.place, "amber-lotus-canoe")
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        for left in (2, 1, 0):
            async with receiving(server.url(), target, wrong) as (other, here):
                assert await result(here) == 1
                assert other._display.words() == ["wrong-code"]
            await one.shown.until(lambda n=left: one.shown.words().count("wrong-code") == 3 - n)
        assert await result(there) == 1
    assert one.shown.words()[-1] == "void"
    assert not list(target.iterdir())
    assert one.guests == []


async def test_after_a_wrong_code_the_right_one_works(listed, target):
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target, codes.Code(CODE.place, "amber-lotus-canoe")) as (_, here):
            assert await result(here) == 1
        async with receiving(server.url(), target) as (other, here):
            both_well(one, other, await result(here), await result(there))


class Between:
    """A signaling server that swaps both descriptions: each program gets its own connection with the attacker.

    It hands on whatever one side says to the other, and offers of files too.
    """

    def __init__(self, room=CODE.room):
        self.room = room
        self.seen: list[bytes] = []
        self.offers: list[object] = []

    async def run(self, to_sender, to_receiver):
        async with (
            adieu.join(to_sender, room=self.room) as one,
            adieu.join(to_receiver, room=self.room, meta={sender.ROLE: "sender"}) as other,
        ):
            first, second = await asyncio.gather(one.session(), other.session())
            for session in (first, second):
                session.on("file", self.offers.append)
            here, there = await asyncio.gather(first.open(messages.CHANNEL), second.open(messages.CHANNEL))
            await asyncio.gather(self.hand_on(here, there), self.hand_on(there, here), return_exceptions=True)

    async def hand_on(self, here, there):
        async for message in here:
            self.seen.append(message)
            await there.send(message)


@pytest.mark.parametrize("secret", [CODE, LINK], ids=["code", "link"])
@pytest.mark.parametrize("bound", [True, False])
async def test_a_server_that_swaps_both_descriptions_is_refused_before_a_byte_leaves(
    listed, target, monkeypatch, bound, secret
):
    """Without the fingerprints in the exchange, the same attack works: that is the control."""
    if not bound:
        side, mac = proof._side, proof._link_mac
        monkeypatch.setattr(proof, "_side", lambda code, sends, **_: side(code, sender="", receiver="", sends=sends))
        monkeypatch.setattr(proof, "_link_mac", lambda link, who, *_: mac(link, who, "", ""))
    between = Between(secret.room)
    code, link = (CODE, None) if secret is CODE else (None, LINK)
    async with serve_small() as one_server, serve_small() as other_server:
        async with sending(one_server.url(), listed, code, link=link) as (one, there):
            attack = asyncio.create_task(between.run(one_server.url(), other_server.url()))
            async with receiving(other_server.url(), target, secret) as (other, here):
                if bound:
                    assert await result(here) == 1
                    await one.shown.until(lambda: "wrong-code" in one.shown.words())
                else:
                    await one.shown.until(lambda: one.shown.words()[:2] == ["connected", "sending"])
                    await asyncio.sleep(0)
            attack.cancel()
            await asyncio.wait({attack})
            assert not (bound and there.done()), "the sender waits for the right receiver"
    said = b"".join(each if isinstance(each, bytes) else each.encode() for each in between.seen)
    assert (b"film.mp4" in said) == (not bound), "not even a name has left"
    assert bool(between.offers) <= (not bound)
    if bound:
        assert other._display.words() == ["wrong-code"]
        assert not list(target.iterdir())


async def test_after_the_proof_another_certificate_is_refused():
    """A server may swap the descriptions of a later connection: a reset, or a recovery."""
    pin, friend, stranger = [await new_pin() for _ in range(3)]
    offers = []
    for each in (friend, stranger):
        pc = each.connection([])
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        offers.append((pc, pc.localDescription))
    both = (
        offers[0][1].sdp + f"a=fingerprint:sha-256 {':'.join([stranger.own[i : i + 2] for i in range(0, 64, 2)])}\r\n"
    )
    early = pin.connection([])
    await early.setRemoteDescription(offers[1][1])
    fits = pin.connection([])
    await fits.setRemoteDescription(offers[0][1])
    pin.set(friend.own)
    assert early.signalingState == "closed", "what was set before the proof is ended by it"
    assert fits.signalingState == "have-remote-offer"
    later = pin.connection([])
    for sdp in (offers[1][1].sdp, both, offers[0][1].sdp.replace("sha-256", "sha-512")):
        with pytest.raises(OperationError, match="another certificate than the proved one"):
            await later.setRemoteDescription({"type": "offer", "sdp": sdp})
    with pytest.raises(OperationError):
        await later.setRemoteDescription(type="offer", sdp=offers[1][1].sdp)
    await later.setRemoteDescription(offers[0][1])
    pin.clear()
    again = pin.connection([])
    await again.setRemoteDescription(offers[1][1])
    for pc in (*(pc for pc, _ in offers), early, fits, later, again):
        pc.close()
        await pc.wait_closed()


async def test_a_silent_guest_holds_the_sender_only_for_a_while(listed, target, monkeypatch):
    monkeypatch.setattr(messages, "PATIENCE", 0.5)
    monkeypatch.setitem(messages.exchange.__kwdefaults__, "patience", 0.5)
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with adieu.join(server.url(), room=CODE.room) as room:
            await (session := await room.session()).open(messages.CHANNEL)
            assert "did not answer" in (await session.wait_closed()).reason.text
        monkeypatch.setitem(messages.exchange.__kwdefaults__, "patience", 30.0)
        async with receiving(server.url(), target) as (other, here):
            both_well(one, other, await result(here), await result(there))


@pytest.mark.usefixtures("first_version")
async def test_what_is_not_in_the_list_is_not_taken(listed, target, monkeypatch):
    """A sender that knows the code offers more than it said."""
    send_all, refused = guest.Guest._one_by_one, []
    empty = next(str(number) for number in listed.files if not listed.entries[number].size)
    wrong = dict.fromkeys(("999", "x", "-1"), listed.paths[-1]) | {empty: io.BytesIO(b"x")}  # a stream has no size

    async def more(self, session, what):
        for name, source in wrong.items():
            transfer = await session.send_file(source, name=name)
            try:
                await transfer.wait()
            except adieu.TransferError as error:
                refused.append(str(error))
        await send_all(self, session, what)

    monkeypatch.setattr(guest.Guest, "_one_by_one", more)
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            both_well(one, other, await result(here), await result(there))
    assert ["not in the list" in each for each in refused] == [True] * 4
    assert sorted(each.name for each in target.iterdir()) == ["film.mp4", "photos"]


# --- links ------------------------------------------------------------------------------------------------------------


async def test_a_link_needs_no_code(listed, target):
    async with serve_small() as server, sending(server.url(), listed, None, link=LINK) as (one, there):
        async with receiving(server.url(), target, LINK) as (other, here):
            both_well(one, other, await result(here), await result(there))
    assert (target / "film.mp4").stat().st_size == 5_000_000


async def test_a_wrong_link_gets_nothing_and_voids_nothing(listed, target):
    """Nobody can guess 128 bits. Were their tries bounded, anybody could end the sending."""
    wrong = links.Link(LINK.page, LINK.place, bytes(16))
    async with serve_small() as server, sending(server.url(), listed, None, link=LINK, wrong=1) as (one, there):
        for _ in range(3):
            async with receiving(server.url(), target, wrong) as (other, here):
                assert await result(here) == 1
                assert other._display.words() == ["wrong-code"]
        assert not list(target.iterdir())
        async with receiving(server.url(), target, LINK) as (other, here):
            both_well(one, other, await result(here), await result(there))


@pytest.mark.parametrize("shown", ["link", "code"])
async def test_only_what_was_shown_counts(listed, target, shown):
    """Where only a link was shown no words are right, and where only a code was no link is."""
    code, link = (None, LINK) if shown == "link" else (codes.Code(LINK.place, CODE.secret), None)
    tried = codes.Code(LINK.place, CODE.secret) if shown == "link" else LINK
    async with serve_small() as server, sending(server.url(), listed, code, link=link) as (one, _):
        async with receiving(server.url(), target, tried) as (other, here):
            assert await result(here) == 1
            assert other._display.words() == ["wrong-code"]
        assert one.guests == []


# --- several receivers ------------------------------------------------------------------------------------------------


@pytest.fixture
def big(tmp_path):
    (tmp_path / "big").write_bytes(os.urandom(6_000_000))
    made = listing.Listing()
    made.add(tmp_path / "big")
    return made


async def test_several_receive_at_once_and_one_after_the_other(tmp_path, big):
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    rate = sender.Limit(12e6)
    async with serve_small() as server, sending(server.url(), big, link=None, limit=rate, receivers=3) as (one, there):
        async with (
            receiving(server.url(), folders[0]) as (first, a),
            receiving(server.url(), folders[1]) as (other, b),
        ):
            await one.shown.until(lambda: len(one.guests) == 2)
            assert all(not each.how for each in one.guests), "both are served at the same time"
            assert [await result(a), await result(b)] == [0, 0], (first._display.events, other._display.events)
        assert not there.done(), "it waits for the third"
        async with receiving(server.url(), folders[2]) as (third, c):
            assert [await result(c), await result(there)] == [0, 0], third._display.events
    assert [each.how for each in one.guests] == ["done"] * 3
    assert len({each.receipt.id for each in one.arrived}) == 3
    for folder in folders:
        assert (folder / "big").read_bytes() == big.paths[0].read_bytes()
    assert "done" not in one.shown.words(), "what belongs to one of several is said with its number"
    assert all(each.words()[0] == "connected" for each in one.shown.numbered.values())


async def test_of_two_that_come_for_one_place_the_second_waits(tmp_path, big):
    """And it does not take the first one, another receiver, for the sender."""
    for name in "ab":
        (tmp_path / name).mkdir()
    async with serve_small() as server, sending(server.url(), big, limit=sender.Limit(6e6)) as (one, there):
        async with receiving(server.url(), tmp_path / "a") as (first, a):
            await one.shown.until(lambda: one.shown.done > 0)
            async with receiving(server.url(), tmp_path / "b") as (second, b):
                both_well(one, first, await result(a), await result(there))
                assert second._display.events == []
                assert not b.done()
    assert not list((tmp_path / "b").iterdir())


async def test_one_that_left_while_it_waited_takes_no_place(tmp_path, big):
    """Two wait for the one place, and the first of them leaves: the second need not wait for it to connect."""
    for name in "ac":
        (tmp_path / name).mkdir()
    async with serve_small() as server:
        async with sending(server.url(), big, limit=sender.Limit(6e6), receivers=2) as (one, there):
            one.gate.places = 1
            async with receiving(server.url(), tmp_path / "a") as (first, a):
                await one.shown.until(lambda: one.guests)
                async with adieu.join(server.url(), room=CODE.room):
                    await asyncio.wait_for(one.gate.waiting.wait(), 10)
                async with receiving(server.url(), tmp_path / "c") as (last, c):
                    assert [await result(a), await result(c), await result(there)] == [0, 0, 0], last._display.events
            assert first.kept and last.kept


async def test_a_crowd_has_no_more_tries_than_a_queue(listed, tmp_path):
    """Six wrong codes at once, and three tries: three are looked at, and then the right code is void too."""
    wrong = codes.Code(CODE.place, "amber-lotus-canoe")
    async with serve_small() as server, sending(server.url(), listed, receivers=None, link=LINK) as (one, there):
        checked = []
        check = proof._check_code

        async def seen(*arguments, **more):
            checked.append(1)
            return await check(*arguments, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(proof, "_check_code", seen)
            async with AsyncExitStack() as stack:
                crowd = [await stack.enter_async_context(receiving(server.url(), tmp_path, wrong)) for _ in range(6)]
                assert [await result(task) for _, task in crowd] == [1] * 6
            async with receiving(server.url(), tmp_path) as (_, here):
                assert await result(here) == 1, "it is void"
        assert len(checked) == 3
        assert one.shown.words().count("void") == 1
        assert not there.done()
    assert one.guests == []


@simulated()
async def test_tries_that_were_right_are_given_back(world: World) -> None:
    bound = tries.Tries(1)
    for _ in range(5):
        async with bound.one():
            pass
    assert bound.left == 1
    order: list[str] = []

    async def one(name, error):
        try:
            async with bound.one():
                order.append(name)
                await asyncio.sleep(1)
                if error:
                    raise tries.WrongCodeError
        except tries.VoidError:
            order.append(f"{name} void")
        except tries.WrongCodeError:
            pass

    await asyncio.gather(one("a", False), one("b", True), one("c", False))
    assert order == ["a", "b", "c void"], "one at a time, and after the wrong one none"


async def test_each_session_has_a_pin_of_its_own(big):
    """The server may not hand the connection of one receiver to another, which has proved itself as well."""
    async with serve_small() as server, sending(server.url(), big, receivers=2) as (one, _):
        friends = [await new_pin(), await new_pin()]
        offers = []
        for friend in friends:
            pc = friend.connection([])
            pc.createDataChannel("x")
            await pc.setLocalDescription()
            offers.append((pc, pc.localDescription))
        sessions = [SimpleNamespace(id="1"), SimpleNamespace(id="2")]
        made = [one.connect(session) for session in sessions]
        for session, friend in zip(sessions, friends, strict=True):
            one._pins[session.id].set(friend.own)
        with pytest.raises(OperationError, match="another certificate than the proved one"):
            await made[0].setRemoteDescription(offers[1][1])
        await made[1].setRemoteDescription(offers[1][1])
        for pc in (*made, *(pc for pc, _ in offers)):
            pc.close()
            await pc.wait_closed()


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["first", "second"])
async def test_different_hashes_are_a_failure_on_both_sides(listed, target, monkeypatch, version, request):
    if version == "first":
        request.getfixturevalue("first_version")
        monkeypatch.setattr(receiver, "digest", lambda entries, proofs: "0" * 64)
    else:
        monkeypatch.setattr(receiver, "Done", OtherDone)
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target) as (_, here):
            assert [await result(here), await result(there)] == [1, 1]
    assert "hashes differs" in one.shown.events[-1][1]


@pytest.mark.parametrize("side", ["sender", "receiver"])
async def test_an_end_that_is_not_confirmed_is_no_success(listed, target, monkeypatch, side):
    real = {name: getattr(adieu.Session, name) for name in ("close", "wait_closed")}

    def unconfirmed(name):
        async def end(self, *arguments, **options):
            receipt = await real[name](self, *arguments, **options)
            return SimpleNamespace(confirmed=False, clean=True, notice="cut", by="remote", reason=receipt.reason)

        return end

    name = "close" if side == "sender" else "wait_closed"
    monkeypatch.setattr(adieu.Session, name, unconfirmed(name))
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            codes_ = {"receiver": await result(here), "sender": await result(there)}
    assert codes_ == {"sender": int(side == "sender"), "receiver": int(side == "receiver")}
    assert (one if side == "sender" else other)._display.words()[-1] == "unconfirmed"


async def test_an_unforeseen_error_ends_the_sending(listed, target, monkeypatch):
    async def fail(*_, **__):
        raise RuntimeError("never thought of")

    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    monkeypatch.setattr(guest.Guest, "_send_all", fail)
    async with serve_small() as server, sending(server.url(), listed) as (_, there):
        async with receiving(server.url(), target):
            assert await result(there) == 1
    assert "a receiver was not served" in said


@pytest.mark.parametrize("version", ["first", "second"])
async def test_a_full_disk_is_said_before_anything_comes(listed, target, monkeypatch, version, request):
    if version == "first":
        request.getfixturevalue("first_version")
    monkeypatch.setattr(receiver.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            assert [await result(here), await result(there)] == [1, 1]
    for side in (other._display, one.shown):
        assert "the disk " in side.events[-1][1] and "1000000 bytes left" in side.events[-1][1]


# --- parts ------------------------------------------------------------------------------------------------------------


def test_codes():
    made = codes.make()
    assert codes.parse(str(made)) == made
    assert codes.parse("  4821 Amber  LOTUS-river\n") == CODE
    assert codes.parse("[fd00::2]:80/4821-amber-lotus-river").address == "[fd00::2]:80"
    assert len(codes.WORDS) == len(set(codes.WORDS)) == 256
    assert "river" not in repr(CODE)
    for wrong in ("", "amber-lotus-river", "4821", "4821-amber-lotus-rivr", "x:y/4821-amber", "4821-../amber"):
        with pytest.raises(ValueError, match="code"):
            codes.parse(wrong)


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("../../etc/passwd", "file/file/etc/passwd"),
        ("/etc/passwd", "file/etc/passwd"),
        (".ssh/authorized_keys", "ssh/authorized_keys"),
        ("a/.git/config", "a/.git/config"),
        ("a/../b", "a/file/b"),
        ("a\\..\\b", "b"),
        ("a/CON/x\x1b[2J", "a/_CON/x[2J"),
    ],
)
def test_a_path_stays_below_the_folder_whatever_it_is(path, safe):
    assert listing.safe_paths([Entry(path, 0)]) == [PurePosixPath(safe)]


@pytest.mark.parametrize(
    "paths",
    [
        [("a", 1), ("a", 1)],
        [("a", 1), ("a/b", 1)],
        [("a/b", 1), ("a", 1)],
        [("..", 1), ("file", 1)],
        [("a", listing.FOLDER), ("a", 1)],
        [("/".join("x" * 200), 1)],
    ],
)
def test_a_list_that_contradicts_itself_is_refused(paths):
    with pytest.raises(ExchangeError):
        listing.safe_paths([Entry(*each) for each in paths])


async def test_a_list_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(receiver, "MAX_ENTRIES", 450)

    class Endless:
        async def receive(self):
            return messages.Entries([Entry("x", 1)] * 200, last=False)

    with pytest.raises(ExchangeError, match="more than 450"):
        await receiver.Receiver._list(None, Endless())


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"type":"done","digest":"x"}', '{"type":"entries","entries":[["",1]],"last":true}',
     '{"type":"entries","entries":[["a",-2]],"last":true}', '{"type":"have","files":[[-1,"00"]],"last":true}', "?"],
)  # fmt: skip
async def test_malformed_messages_are_refused(text):
    class Channel:
        async def receive(self):
            return text

    with pytest.raises(ExchangeError, match="does not understand"):
        await Line(Channel()).receive()


@simulated()
async def test_the_rate_is_limited_for_all_files_together(world: World) -> None:
    limit = sender.Limit(1000.0)
    began = world.now
    await asyncio.gather(*(limit.wait(500) for _ in range(11)))
    assert world.now - began == pytest.approx(5.0)


def test_figures_in_words():
    assert [display.amount(n) for n in (0, 999, 1000, 1_234_567, 123_456_789, 5e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "123 MB",
        "5.0 TB",
    ]
    assert [display.duration(n) for n in (0.4, 99, 130, 7260)] == ["0 s", "99 s", "2 min", "2 h 1 min"]


def test_progress_is_due_a_few_times_a_second(capsys):
    display = Display(as_json=True)
    assert display.is_due
    display.progress(1, 10)
    assert not display.is_due
    display.progress(2, 10)
    display.progress(10, 10)  # the end is always reported
    assert [json.loads(line)["done"] for line in capsys.readouterr().out.splitlines()] == [1, 10]
