"""How to test a program that uses adieu: `pytest test_my_program.py`. No socket is opened, and nothing waits."""

import asyncio

import adieu


async def send_all(session: adieu.Session, lines: list[str]) -> adieu.CloseReceipt:
    """The program under test: it sends lines, and leaves."""
    channel = await session.open("lines")
    for line in lines:
        await channel.send(line)
    return await session.close("that was all", timeout=30.0)


async def read_all(session: adieu.Session) -> list[str | bytes]:
    return [line async for line in await session.open("lines")]


async def test_all_lines_arrive_over_a_bad_network(virtual_world):
    virtual_world.link(delay=0.05, loss=0.02, jitter=0.02)
    async with virtual_world.sessions() as pair:
        lines = [f"line {number}" for number in range(100)]
        receipt, heard = await asyncio.gather(send_all(pair.first, lines), read_all(pair.second))
        assert heard == lines
        assert receipt.clean


async def test_a_cut_of_twenty_seconds_loses_nothing(virtual_world):
    async with virtual_world.sessions() as pair:
        chat, other = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        pair.cut()
        sent = await chat.send("still there?")
        await asyncio.sleep(20.0)  # of virtual time
        assert pair.first.state == "recovering"
        pair.cut(False)
        assert await other.receive() == "still there?"
        await sent.delivered()


async def test_the_survivor_is_told_that_the_other_program_has_crashed(virtual_world):
    async with virtual_world.sessions() as pair:
        states = []
        pair.first.on("state", states.append)
        pair.ben.die()
        await asyncio.sleep(2.0)
        assert (states[0].state, states[0].cause) == ("suspect", "crashed")
