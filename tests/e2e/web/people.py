"""What people do on the page, and who else is in the room: shared by its tests."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.web.screen import screen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.server.serving import Server
    from e2e.web.screen import Screen

ROOT = Path(__file__).resolve().parents[3]
PICTURES = ROOT / "reports" / "page"
SEND_FILE = """
const data = new DataTransfer();
data.items.add(new File([Uint8Array.from({ length: size }, (_, n) => (n * 7) % 256)], name, { type: "image/jpeg" }));
const input = document.querySelector("#files");
input.files = data.files;
input.dispatchEvent(new Event("change"));
"""
KEEP_FILES = "const make = URL.createObjectURL; URL.createObjectURL = (blob) => make.call(URL, window.file = blob)"
ARRIVED = """
const data = new Uint8Array(await window.file.arrayBuffer());
const link = document.querySelector("a[download]");
return [link.download, data.length, data.findIndex((byte, n) => byte !== (n * 7) % 256)];
"""
SHARE = """
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [1280, 720];
const context = canvas.getContext("2d");
setInterval(() => {
  context.fillStyle = "#fff"; context.fillRect(0, 0, 1280, 720);
  context.fillStyle = "#000"; context.font = "60px sans-serif"; context.fillText(`Slide ${Date.now()}`, 60, 120);
}, 100);
navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(10);
"""
REFUSE = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', name) }"


@asynccontextmanager
async def friend(server: Server, room: str = "lab") -> AsyncIterator[asyncio.subprocess.Process]:
    """`adieu demo --join`, a program of its own."""
    code = "import sys; from adieu.cli import main; sys.argv[0] = 'adieu'; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "demo", "--join", f"{server.http_url}/#{room}"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        assert b"is in room" in await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def come_in(person: Screen, name: str, *, devices: bool = True) -> None:
    await person.fill("Your name", name)
    if not devices:
        await person.run("for (const box of document.querySelectorAll('[type=checkbox]')) box.checked = false")
    await person.press("Come in")
    await person.until("document.querySelector('.call')")


@asynccontextmanager
async def together(browser: Any, server: Server, *, before: str = "") -> AsyncIterator[tuple[Screen, Screen]]:
    """Ada and Ben; to the browser their addresses are different sites. `before` runs in Ada's page at first."""
    async with (
        screen(browser, f"{server.http_url}/#lab") as ada,
        screen(browser, f"{server.http_url.replace('127.0.0.1', 'localhost')}/#lab") as ben,
    ):
        await ada.run(before)
        await come_in(ada, "Ada")
        await come_in(ben, "Ben")
        await ada.sees("Connected with Ben.")
        await ben.sees("Connected with Ada.")
        yield ada, ben


async def say(person: Screen, text: str) -> None:
    await person.fill("Message", text)
    await person.press("Send")


SEES = (
    "[...document.querySelectorAll('friend-tile video')].some(({ videoWidth, currentTime, hidden }) =>"
    " videoWidth > 0 && currentTime > 0 && !hidden)"
)
