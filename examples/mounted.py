"""The signaling server inside your own web application, which also says who may join which room.

    python examples/mounted.py

`app` is what you would give to `uvicorn example:app`; FastAPI works the same way. The rest tries it out: it serves the
application, and lets two programs meet through it.
"""

import asyncio
import secrets
import socket

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import adieu
import adieu.server

KEY = secrets.token_hex(32)
signaling = adieu.server.SignalingApp(keys=[KEY])


async def token(request: Request) -> PlainTextResponse:
    """Give a user a token. Here everybody gets one; your application asks its own session who this is."""
    user = request.query_params["user"]
    return PlainTextResponse(adieu.server.make_token(KEY, user=user, rooms=["lab"], seconds=3600))


app = Starlette(
    routes=[Route("/token", token), Mount("/talk", signaling)],
    lifespan=signaling.lifespan,  # a mounted application's own lifespan is not run
)


async def program(place, name):
    async with httpx.AsyncClient() as client:
        mine = (await client.get(f"http://{place}/token", params={"user": name})).text
    async with adieu.join(f"ws://{place}/talk/ws", room="lab", name=name, token=mine) as room:
        session = await room.session()
        chat = await session.open("chat")
        await chat.send(f"hello from {name}")
        print(f"{session.name} says: {await chat.receive()}")


async def main():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="websockets-sansio"))
        serving = asyncio.create_task(server.serve([listener]))
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        await asyncio.gather(program(place, "ada"), program(place, "ben"))
        try:
            async with adieu.join(f"ws://{place}/talk/ws", room="lab", name="eve"):
                pass
        except adieu.SignalingRefusedError as error:
            print(f"without a token: {error}")
        server.should_exit = True
        await serving


asyncio.run(main())
