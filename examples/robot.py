"""A robot and its operator: readings that may be lost, orders that may not, and a last word before it is left alone.

python examples/robot.py
"""

import asyncio
import itertools
import json

import adieu


async def robot(session: adieu.Session) -> None:
    """Readings as fast as they come, the newest counts; orders are obeyed in order."""
    readings = await session.open("readings", ordered=False, max_retransmits=0)
    orders = await session.open("orders")

    @session.on("closing")
    async def leave_safely(event: adieu.ClosingEvent) -> None:
        await orders.send(f"stopped, brakes on ({event.reason.text})")

    async def measure() -> None:
        for number in itertools.count():
            await readings.send(json.dumps({"number": number, "height": 100 + number % 7}))
            await asyncio.sleep(0.01)

    measuring = asyncio.create_task(measure())
    try:
        async for order in orders:
            print(f"robot: {order}")
    except adieu.SessionClosedError as error:
        print(f"robot: alone ({error}), landing")
    measuring.cancel()


async def operator(session: adieu.Session) -> None:
    readings = await session.open("readings", ordered=False, max_retransmits=0)
    orders = await session.open("orders")
    for order in ("take off", "turn left", "land"):
        await orders.send(order)
        print(f"operator: {json.loads(await readings.latest())}")
    receipt = await session.close("end of the flight")
    print(f"operator: {await orders.receive()}")
    print(f"operator: every order was obeyed: {receipt.clean}")


async def main() -> None:
    async with adieu.memory_pair() as (here, there):
        await asyncio.gather(operator(here), robot(there))


asyncio.run(main())
