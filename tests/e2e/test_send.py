"""`adieu send` and `adieu receive` as two programs: exit codes, receipts, pipes, a receiver that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from e2e.lab.commands import ENVIRONMENT, PIPE, adieu, ended, event

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_two_programs_without_a_server_and_without_extras(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(os.urandom(3_000_000))
    (tmp_path / "b").write_text("b")
    target = tmp_path / "target"
    target.mkdir()
    receipts = tmp_path / "1.json", tmp_path / "2.json"
    async with adieu("send", tmp_path / "folder", tmp_path / "b", "--receipt", receipts[0]) as sender:
        assert sender.stdout is not None
        async with asyncio.timeout(60):
            while not (found := re.search(rb"adieu receive (\S+)", await sender.stdout.readline())):
                pass
        async with adieu("receive", found[1].decode(), "--to", target, "--receipt", receipts[1]) as receiver:
            assert (await ended(receiver))[0] == 0
        assert (await ended(sender))[0] == 0
    assert receipts[0].read_bytes() == receipts[1].read_bytes()
    assert (target / "folder" / "a").read_bytes() == (tmp_path / "folder" / "a").read_bytes()
    assert {path.name for path in target.iterdir()} == {"folder", "b"}


async def test_a_firewall_needs_to_know_only_the_ports_that_are_given(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("b")
    target = tmp_path / "target"
    target.mkdir()
    # `!lo`: a rule that leaves something out, and lets all else pass.
    ports = ("--udp-ports", "47360-47379", "--interface", "!lo", "--log", "debug")
    async with adieu("send", tmp_path / "b", "--json", *ports) as sender:
        code = (await event(sender, "code"))["code"]
        async with adieu("receive", code, "--to", target, *ports) as receiver:
            status, _, said = await ended(receiver)
            assert status == 0, said
        status, _, told = await ended(sender)
        assert status == 0, told
    for log in (said, told):
        # Each side's log has what it was told of the other.
        told_of = re.findall(r"< candidate udp host (\S+):(\d+)$", log, re.MULTILINE)
        assert told_of and all(47360 <= int(port) <= 47379 for _, port in told_of), log
        assert "127.0.0.1" not in {host for host, _ in told_of}


async def test_a_receiver_that_is_killed_goes_on_with_the_same_command(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(60_000_000))
    target = tmp_path / "target"
    target.mkdir()
    async with adieu("send", tmp_path / "big", "--json", "--limit-rate", "20M") as sender:
        code = (await event(sender, "code"))["code"]
        async with adieu("receive", code, "--to", target, "--json") as first:
            while (await event(first, "progress"))["done"] < 15_000_000:
                pass
            first.send_signal(signal.SIGKILL)
            await first.wait()
        async with adieu("receive", code, "--to", target, "--json") as second:
            at = (await event(second, "progress"))["done"]
            assert at > 10_000_000, "it goes on where the first was"
            await event(second, "done")
            assert (await ended(second))[0] == 0
        assert (await ended(sender))[0] == 0
    assert (target / "big").read_bytes() == (tmp_path / "big").read_bytes()
    assert [path.name for path in target.iterdir()] == ["big"]


async def test_pipes_and_a_wrong_code(tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    async with adieu("send", "-", "--name", "pipe", "--json", stdin=PIPE) as sender:
        assert sender.stdin is not None
        sender.stdin.write(data)
        sender.stdin.close()
        code = (await event(sender, "code"))["code"]
        wrong = re.sub(r"-[a-z]+$", "-zebra" if not code.endswith("zebra") else "-tiger", code)
        async with adieu("receive", wrong, "--to", tmp_path) as receiver:
            assert (await ended(receiver))[0] == 1
        async with adieu("receive", "--to", "-", env={**ENVIRONMENT, "ADIEU_CODE": code}) as receiver:
            out, err = await receiver.communicate()
            assert receiver.returncode == 0, err
        assert out == data
        assert (await ended(sender))[0] == 0
    assert not os.listdir(tmp_path)  # noqa: PTH208 without a thread


async def test_ctrl_c_ends_both_properly(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(50_000_000))
    target = tmp_path / "target"
    target.mkdir()
    async with adieu("send", tmp_path / "big", "--json", "--limit-rate", "5M") as sender:
        code = (await event(sender, "code"))["code"]
        async with adieu("receive", code, "--to", target, "--json") as receiver:
            await event(receiver, "progress")
            sender.send_signal(signal.SIGINT)
            assert (await ended(sender))[0] == 130
            returned, out, _ = await ended(receiver)
            assert returned == 1
            assert json.loads(out.splitlines()[-1])["event"] in {"left", "failed"}


async def test_a_receiver_that_is_stopped_has_left_and_not_failed(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(50_000_000))
    (tmp_path / "target").mkdir()
    async with adieu("send", tmp_path / "big", "--json", "--limit-rate", "5M") as sender:
        code = (await event(sender, "code"))["code"]
        async with adieu("receive", code, "--to", tmp_path / "target", "--json") as receiver:
            await event(receiver, "progress")
            receiver.send_signal(signal.SIGINT)
            assert (await ended(receiver))[0] == 130
            returned, out, _ = await ended(sender)
    assert returned == 1
    last = json.loads(out.splitlines()[-1])
    assert last["event"] == "left"
    assert re.fullmatch(r"The receiver left\. It has .+ of 50\.0 MB\.", last["text"])


async def test_a_link_goes_to_a_program_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(1_000_000))
    target = tmp_path / "target"
    target.mkdir()
    receipts = tmp_path / "1.json", tmp_path / "2.json"
    async with adieu("send", tmp_path / "a", "--link", "--json", "--receipt", receipts[0]) as sender:
        link = (await event(sender, "link"))["link"]
        assert re.fullmatch(r"http://[0-9.:]+/#receive/[0-9a-z]{12}/[0-9A-Za-z_-]{22}", link)
        async with adieu("receive", link, "--to", target, "--receipt", receipts[1]) as receiver:
            assert (await ended(receiver))[0] == 0
        assert (await ended(sender))[0] == 0
    assert receipts[0].read_bytes() == receipts[1].read_bytes()


async def test_a_folder_is_shared_with_whoever_comes_until_it_is_stopped(tmp_path: Path) -> None:
    """Two at once, by the code and by the link, a wrong code, one later: who gets a file that came meanwhile."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(os.urandom(3_000_000))
    targets = [tmp_path / str(number) for number in range(3)]
    for target in targets:
        target.mkdir()
    command = ("share", tmp_path / "folder", "--json", "--limit-rate", "6M", "--receipt", tmp_path / "receipt.json")
    async with adieu(*command) as sharing:
        code = (await event(sharing, "code"))["code"]
        link = (await event(sharing, "link"))["link"]
        wrong = re.sub(r"-[a-z]+$", "-zebra" if not code.endswith("zebra") else "-tiger", code)
        async with (
            adieu("receive", code, "--to", targets[0], "--receipt", tmp_path / "0.json") as first,
            adieu("receive", link, "--to", targets[1], "--receipt", tmp_path / "1.json") as second,
            adieu("receive", wrong, "--to", tmp_path) as stranger,
        ):
            results = await asyncio.gather(ended(first), ended(second), ended(stranger))
            assert [each[0] for each in results] == [0, 0, 1], results
        (tmp_path / "folder" / "b").write_text("new")
        async with adieu("receive", link, "--to", targets[2], "--receipt", tmp_path / "2.json") as third:
            assert (await ended(third))[0] == 0
        sharing.send_signal(signal.SIGINT)
        returned, out, _ = await ended(sharing)
    assert returned == 0
    told = [json.loads(line) for line in out.splitlines()]
    assert told[-1]["event"] == "summary"
    assert [(each["receiver"], each["end"]) for each in told[-1]["receivers"]] == [
        (1, "done"),
        (2, "done"),
        (3, "done"),
    ]
    assert told[-1]["bytes"] == 9_000_003
    own = {(tmp_path / f"receipt-{number}.json").read_bytes() for number in (1, 2, 3)}
    assert own == {(tmp_path / f"{number}.json").read_bytes() for number in range(3)}
    assert len(own) == 3
    assert all((target / "folder" / "a").stat().st_size == 3_000_000 for target in targets)
    assert [(target / "folder" / "b").exists() for target in targets] == [False, False, True]


async def test_a_share_that_is_stopped_in_the_middle_says_so(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(50_000_000))
    (tmp_path / "target").mkdir()
    async with adieu("share", tmp_path / "big", "--limit-rate", "5M", "--host", "127.0.0.1") as sharing:
        assert sharing.stdout is not None
        async with asyncio.timeout(60):
            while not (found := re.search(rb"adieu receive (127\.0\.0\.1:\S+)", await sharing.stdout.readline())):
                pass
        async with adieu("receive", found[1].decode(), "--to", tmp_path / "target", "--json") as receiver:
            while (await event(receiver, "progress"))["done"] < 10_000_000:
                pass
            sharing.send_signal(signal.SIGINT)
            returned, out, _ = await ended(sharing)
            assert (await ended(receiver))[0] == 1
    assert returned == 1
    assert "0 of 1 receivers have everything" in out
    assert re.search(r"^ +\[1\] +direct, IPv\d.* [\d.]+ MB +\d+ s +interrupted$", out, re.MULTILINE), out


async def test_the_code_is_there_before_the_pipe_has_ended(tmp_path: Path) -> None:
    data = os.urandom(500_000)
    async with adieu("send", "-", "--name", "pipe", "--json", stdin=PIPE) as sender:
        code = (await event(sender, "code"))["code"]
        async with adieu("receive", "--to", "-", env={**ENVIRONMENT, "ADIEU_CODE": code}) as receiver:
            await event(sender, "connected")
            assert sender.stdin is not None
            sender.stdin.write(data)
            sender.stdin.close()
            out, err = await receiver.communicate()
            assert receiver.returncode == 0, err
        assert out == data
        assert (await ended(sender))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["send", "/no/such/file"], "/no/such/file"),
        (["send", "/dev/null"], "give - to send what comes by a pipe"),
        (["send", "a", "b", "--name", "x"], "--name is for one file"),
        (["send", "/etc/hostname", "--limit-rate", "fast"], "'fast' is not a rate"),
        (["send", "/etc/hostname", "--host", "here"], "'here' is not an address"),
        (["send", "/etc/hostname", "--receivers", "0"], "'0' is not a number of receivers"),
        (["send", "/etc/hostname", "--link", "--server", "wss://127.0.0.1:9/x"], "there is no page beside wss"),
        (["share", "/no/such/folder"], "/no/such/folder"),
        (["receive", "hello"], "this is not a code"),
        (["receive", "http://127.0.0.1:9/#lab"], "this is not a link"),
        (["receive", "1-amber-lotus-rivr"], "'rivr' is no word of a code"),
        (["receive", "1-amber-lotus-river"], "give --server URL"),
        (["receive"], "there is no code: give it, or set ADIEU_CODE"),
        (["receive", "127.0.0.1:9/1-amber-lotus-river"], "nothing answers at 127.0.0.1:9: the sender has ended"),
        (["receive", "127.0.0.1:9/1-amber-lotus-river", "--to", "/no/folder"], "/no/folder is no folder"),
    ],
)
async def test_wrong_use_is_said_in_one_line(arguments: list[str], said: str) -> None:
    async with adieu(*arguments) as process:
        code, _, err = await ended(process)
    assert code == 2
    assert said in err
    assert "river" not in err or "word" in err or arguments[0] == "send", "the code is not repeated"
    assert len(err.splitlines()) == 1
