"""A chat of two in the terminal. Start a server, then this twice; end it by Ctrl-D, or kill one and see what happens.

adieu serve
python examples/chat.py --name Ada
python examples/chat.py --name Ben
"""

import argparse
import asyncio
import sys

import adieu


async def main(url: str, room: str, name: str) -> None:
    async with adieu.join(url, room=room, name=name) as place:
        print("waiting for somebody to come in")
        session = await place.session()
        chat = await session.open("chat")
        print(f"{session.name} is here")
        session.on("state", lambda event: print(f"({event.state})"))

        typing = asyncio.create_task(send_lines(chat))
        try:
            async for message in chat:
                print(f"{session.name}: {message}")
        except adieu.SessionClosedError:
            pass  # the notice says it
        typing.cancel()
        receipt = await session.wait_closed()
        print(receipt.notice)


async def send_lines(chat: adieu.Channel) -> None:
    """Each line of the input is a message; its end closes the session."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await chat.send(line.decode().rstrip("\n"))
    await chat.session.close("left the chat")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws")
    parser.add_argument("--room", default="chat")
    parser.add_argument("--name", default="somebody")
    asyncio.run(main(**vars(parser.parse_args())))
