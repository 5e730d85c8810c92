"""`adieu send` sends everything as one folder: the next attempt goes on in it, and only what was listed is kept."""

# ruff: noqa: SIM117 the fixtures are imported; the sender is there before the receiver
from __future__ import annotations

import os

import msgspec
import pytest

import adieu
from adieu.cli.sending import display, guest, listing, sender
from adieu.server.small import serve_small
from unit.cli.test_sending import both_well, listed, receiving, result, sending, target

__all__ = ["listed", "target"]
pytestmark = pytest.mark.anyio


async def test_the_next_attempt_goes_on_in_the_middle_of_a_folder(listed, target):
    """The receiver is killed after some files; what it has is hashed, and only the rest is sent."""
    film = listed.paths[-1]
    film.write_bytes(os.urandom(8_000_000))
    again = listing.Listing()
    for path in (listed.paths[0], film):
        again.add(path)
    async with serve_small() as server, sending(server.url(), again, limit=sender.Limit(4e6)) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            await other._display.until(lambda: other._display.done > 2_000_000)
            here.cancel()
        await one.shown.until(lambda: one.shown.words()[-1] in {"failed", "left", "lost"})
    [place] = target.iterdir()
    assert place.name == f".adieu-{listing.identity(again.entries)}"
    had = sum(each.stat().st_size for each in place.rglob("*") if each.is_file())
    assert had > 1_000_000
    sent = []
    async with serve_small() as server, sending(server.url(), again) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            await other._display.until(lambda: "receiving" in other._display.words())
            await other._display.until(lambda: sent.append(other._display.done) or other._display.done)
            both_well(one, other, await result(here), await result(there))
    assert next(filter(None, sent)) >= 1_000_000, "it began where the first attempt had ended"
    assert (target / "film.mp4").read_bytes() == film.read_bytes()
    assert sorted(each.name for each in target.iterdir()) == ["film.mp4", "photos"]


@pytest.mark.parametrize("name", ["a/b", "..", "."])
def test_a_name_that_no_folder_can_have_goes_by_itself(listed, name):
    made = listing.Listing()
    made.add(listed.paths[-1], name)
    assert made.whole() is None


def test_one_folder_is_the_folder_itself_and_several_things_are_in_one(listed):
    alone = listing.Listing()
    alone.add(listed.paths[0])
    assert listing.trunk(alone.entries) == "photos/"
    assert [each.path for each in alone.whole().entries][:2] == [".git", ".git/deep"]
    assert listing.trunk(listed.entries) == ""
    assert {each.path for each in listed.whole().entries} == {each.path for each in listed.entries}
    twice = listing.Listing()
    for _ in range(2):
        twice.add(listed.paths[-1])
    assert twice.whole() is None, "the receiver says that the list has it twice"


async def test_another_folder_than_the_one_that_was_listed_is_not_kept(listed, target, monkeypatch):
    """A sender that knows the code sends a file of the same size under another name."""
    real = guest.in_parts

    def other_name(entries, size):
        film = [msgspec.structs.replace(each, path=each.path.replace("film", "book")) for each in entries]
        return real(film, size)

    monkeypatch.setattr(guest, "in_parts", other_name)
    async with serve_small() as server, sending(server.url(), listed) as (_, _):
        async with receiving(server.url(), target) as (other, here):
            assert await result(here) == 1
            assert "other files than it had listed" in other._display.events[-1][1]
    assert not [each.name for each in target.iterdir() if not each.name.startswith(".adieu-")]


async def test_a_folder_that_does_not_fit_the_list_is_refused(listed, target, monkeypatch):
    as_one = guest.Guest._as_one
    refused = []

    async def more(self, session, what, whole):
        try:
            await (await session.send_folder(listed.paths[0], name="x")).wait()
        except adieu.TransferError as error:
            refused.append(str(error))
        await as_one(self, session, what, whole)

    monkeypatch.setattr(guest.Guest, "_as_one", more)
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with receiving(server.url(), target) as (other, here):
            both_well(one, other, await result(here), await result(there))
    [why] = refused
    assert "not in the list" in why
    assert sorted(each.name for each in target.iterdir()) == ["film.mp4", "photos"]


def test_an_error_of_a_transfer_names_the_file():
    error = adieu.TransferError("'3' was not sent: the disk is full")
    assert display.under_its_name(error, 3, "a/film\n.mp4").startswith("a/film")
    assert display.under_its_name(error, 3, "film").endswith("film was not sent: the disk is full")
    assert "'3'" in display.under_its_name(error, 4, "film")
