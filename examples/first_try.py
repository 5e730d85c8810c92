"""Two sessions in one program, over real UDP: send, reset in the middle, close, look at the receipt.

python examples/first_try.py
"""

import asyncio

import adieu


async def main() -> None:
    async with adieu.memory_pair() as (ada, ben):
        chat, his = await asyncio.gather(ada.open("chat"), ben.open("chat"))

        await chat.send("hello")
        print(await his.receive())

        await chat.send("sent before the reset")
        report = await ada.reset("transport")  # a new connection under the same channels
        print(f"reset in {report.duration * 1000:.0f} ms, {report.replayed} messages sent again")
        print(await his.receive())

        await chat.send("queued")  # and closed at once: nothing is lost
        receipt = await ada.close("done")
        same = await ben.wait_closed()
        print(await his.receive())
        print(f"graceful: {receipt.clean}; both sides hold the same receipt: {receipt.agreed == same.agreed}")
        print(f"Ben reads: {same.notice}")


asyncio.run(main())
