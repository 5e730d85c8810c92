"""The signaling server as an ASGI application: under a prefix of another application, and by itself."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from uvicorn.lifespan.on import LifespanOn

import adieu
from adieu.protocol.signaling import SUBPROTOCOL
from adieu.server import SignalingApp, make_token
from adieu.server.bridge import Bridge
from conftest import missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
KEY = "k" * 32


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an application as its own program would; yield host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, log_level="warning", ws="websockets-sansio", lifespan="on")
        server = uvicorn.Server(config)
        config.load()
        serving = asyncio.create_task(server.serve([listener]))
        async with asyncio.timeout(10):
            while not server.started and not serving.done():
                await asyncio.sleep(0)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def starlette(signaling: SignalingApp) -> Starlette:
    async def own(_: object) -> PlainTextResponse:
        return PlainTextResponse("mine")

    return Starlette(routes=[Route("/", own), Mount("/talk", signaling)], lifespan=signaling.lifespan)


def fastapi(signaling: SignalingApp) -> Any:
    try:
        from fastapi import FastAPI
    except ImportError:
        missing("FastAPI", "make lock && make")
    app = FastAPI(lifespan=signaling.lifespan)

    @app.get("/")
    async def own() -> str:
        return "mine"

    app.mount("/talk", signaling)
    return app


async def meet(url: str, **options: Any) -> list[str]:
    async def program(name: str) -> str:
        async with adieu.join(url, room="lab", name=name, **options) as room:
            session = await room.session()
            chat = await session.open("chat")
            await chat.send(f"hello from {name}")
            said = await chat.receive()
            assert isinstance(said, str)
            return said

    return await asyncio.gather(program("ada"), program("ben"))


@pytest.mark.parametrize("outer", [starlette, fastapi])
async def test_two_programs_meet_under_a_prefix_of_an_application(outer: Any) -> None:
    signaling = SignalingApp(keys=[KEY])
    async with served(outer(signaling)) as place, asyncio.timeout(30):
        token = make_token(KEY, user="u", rooms=["lab"], seconds=60)
        assert await meet(f"ws://{place}/talk/ws", token=token) == ["hello from ben", "hello from ada"]
        assert signaling.hub.counters["connections"] == 2
        async with httpx.AsyncClient(base_url=f"http://{place}") as client:
            assert "mine" in (await client.get("/")).text
            assert (await client.get("/talk/healthz")).headers.get_list("date")[1:] == []
            assert (await client.get("/talk/readyz")).text == "ok"
            assert (await client.get("/talk/metrics")).status_code == 404
            page = (await client.get("/talk/")).text
            assert "<script" in page
            [script] = [part.split('"')[0] for part in page.split('src="')[1:2]]
            assert not script.startswith("/")
            assert (await client.get(f"/talk/{script.removeprefix('./')}")).status_code == 200
            assert (await client.post("/talk/v1/leave", content=b"{}")).status_code == 204


async def test_the_program_of_the_guide_lets_two_programs_meet() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "mount.md").read_text()
    [program] = re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    if importlib.util.find_spec("fastapi") is None:
        missing("FastAPI", "make lock && make")
    names: dict[str, Any] = {}
    exec(program, names)
    async with served(names["app"]) as place, httpx.AsyncClient(base_url=f"http://{place}") as client:
        token = (await client.get("/token", params={"user": "ada"})).json()
        assert await meet(f"ws://{place}/talk/ws", token=token) == ["hello from ben", "hello from ada"]


async def test_it_is_an_application_by_itself() -> None:
    signaling = SignalingApp(open_to_all=True, page=False, metrics=True)
    async with served(signaling) as place, asyncio.timeout(30):
        assert await meet(f"ws://{place}/ws") == ["hello from ben", "hello from ada"]
        async with httpx.AsyncClient(base_url=f"http://{place}") as client:
            assert (await client.get("/")).status_code == 404
            assert "adieu_events_total" in (await client.get("/metrics")).text
    with pytest.raises(RuntimeError, match="has not been entered"):
        _ = signaling.hub


async def test_without_a_token_nobody_joins() -> None:
    async with served(starlette(SignalingApp(keys=[KEY]))) as place:
        with pytest.raises(adieu.SignalingRefusedError, match="needs a token"):
            async with adieu.join(f"ws://{place}/talk/ws", room="lab", name="eve"):
                pass


async def test_a_foreign_page_or_host_is_refused_with_the_remedy_in_code() -> None:
    app = starlette(SignalingApp(open_to_all=True, names=["known.example"]))
    async with served(app) as place, httpx.AsyncClient(base_url=f"http://{place}") as client:
        answer = await client.get("/talk/healthz", headers={"Host": "evil.example"})
        assert (answer.status_code, "names=['evil.example']" in answer.text) == (403, True)
        answer = await client.get("/talk/healthz", headers={"Origin": "https://app.example"})
        assert (answer.status_code, "origins=['https://app.example']" in answer.text) == (403, True)
        assert (await client.get("/talk/healthz", headers={"Host": "known.example"})).text == "ok"


async def test_a_lifespan_that_nobody_entered_is_named_with_its_remedy() -> None:
    signaling = SignalingApp(open_to_all=True)
    transport = httpx.ASGITransport(Starlette(routes=[Mount("/talk", signaling)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with pytest.raises(RuntimeError, match=r"FastAPI\(lifespan=signaling\.lifespan\)"):
            await client.get("/talk/healthz")


async def test_it_can_be_started_again_but_not_twice_at_once() -> None:
    signaling = SignalingApp(open_to_all=True)
    for _ in range(2):
        async with signaling.lifespan():
            assert signaling.hub.ready
            with pytest.raises(RuntimeError, match="entered already"):
                async with signaling.lifespan():
                    pass


async def lived(signaling: SignalingApp, **scope: Any) -> list[dict[str, Any]]:
    """Run the lifespan as a web server does, and return the messages that the application sends."""
    incoming = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": next(incoming)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await signaling({"type": "lifespan", **scope}, receive, send)
    return sent


async def test_a_web_server_is_told_why_it_cannot_start() -> None:
    """An exception would mean: no lifespan. The web server would serve, and each request would fail."""
    [failed] = await lived(SignalingApp(open_to_all=True, bus="nonsense://x"))
    assert failed["type"] == "lifespan.startup.failed"
    assert "ValueError: " in failed["message"]
    assert "redis://" in failed["message"]
    config = uvicorn.Config(SignalingApp(open_to_all=True, bus="nonsense://x"), log_config=None)
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    assert lifespan.should_exit


async def test_a_web_server_is_told_when_its_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise OSError("the bus is lost")

    monkeypatch.setattr(Bridge, "shut_down", broken)
    signaling = SignalingApp(open_to_all=True)
    assert await lived(signaling) == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.failed", "message": "OSError: the bus is lost"},
    ]
    with pytest.raises(RuntimeError, match="has not been entered"):
        _ = signaling.hub


async def test_clients_are_told_before_it_ends() -> None:
    """`goaway` and 3001, when the web server leaves the sockets open until the end of the lifespan."""
    signaling = SignalingApp(open_to_all=True)
    sent: list[dict[str, Any]] = []
    ended = asyncio.Event()
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "websocket.close":
            incoming.put_nowait({"type": "websocket.disconnect", "code": message["code"]})
            ended.set()

    scope = {
        "type": "websocket",
        "path": "/ws",
        "headers": [(b"host", b"localhost")],
        "subprotocols": [SUBPROTOCOL],
        "client": ("127.0.0.1", 1),
    }
    async with signaling.lifespan():
        call = asyncio.create_task(signaling(scope, incoming.get, send))
        async with asyncio.timeout(10):
            while not signaling.hub.counters["connections"]:
                assert not call.done(), sent
                await asyncio.sleep(0)
    await asyncio.wait_for(call, 10)
    assert ended.is_set()
    assert sent[-1]["code"] == 3001


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, r"keys=\[\.\.\.\]"),
        ({"keys": ["short"]}, "32"),
        ({"open_to_all": True, "audience": "x"}, "an audience needs a key"),
        ({"open_to_all": True, "drain": -1}, "must be 0 or more, not -1"),
        ({"open_to_all": True, "drain": float("nan")}, "must be 0 or more, not nan"),
    ],
)
def test_it_is_not_open_by_mistake(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SignalingApp(**options)


@pytest.mark.parametrize("length", ["x", "-1", "1_000", "999999999"])
async def test_a_body_of_a_strange_length_is_refused(length: str) -> None:
    """Not every web server checks it as h11 does."""
    signaling = SignalingApp(open_to_all=True)
    status: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"host", b"localhost"), (b"content-length", length.encode())]
    scope = {"type": "http", "path": "/v1/leave", "method": "POST", "headers": headers, "query_string": b""}
    async with signaling.lifespan():
        await signaling(scope, receive, send)
    assert status == [413]
