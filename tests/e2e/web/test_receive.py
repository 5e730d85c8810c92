"""A link of `adieu send` in a real browser: the sender serves the page, which takes the files and holds the receipt."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.server.small import serve_small
from e2e.lab.commands import adieu as command
from e2e.lab.commands import ended, event
from e2e.web.screen import screen

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.server.serving import Server
    from e2e.web.screen import Screen

pytestmark = pytest.mark.anyio
HASHES = """
return Promise.all([...document.querySelectorAll("a[download]")].map(async ({ href, download }) => {
  const data = new Uint8Array(await (await KEPT.get(href)).arrayBuffer());
  return [download, data.length, data[0] ?? -1, data.at(-1) ?? -1];
}));
"""
KEEP = """
window.KEPT = new Map();
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => { const url = make.call(URL, blob); KEPT.set(url, blob); return url; };
const click = HTMLAnchorElement.prototype.click;
HTMLAnchorElement.prototype.click = function () { window.SAVED = [this.download, this.href]; };
"""


TO_DISK = """
window.showDirectoryPicker = async () => {
  const root = await navigator.storage.getDirectory();
  return (window.place = await root.getDirectoryHandle("chosen", { create: true }));
};
"""
ON_DISK = """
const found = [];
const look = async (folder, before) => {
  for await (const each of folder.values()) {
    if (each.kind === "directory") await look(each, `${before}${each.name}/`);
    else {
      const data = new Uint8Array(await (await each.getFile()).arrayBuffer());
      found.push([before + each.name, data.length, data[0] ?? -1, data.at(-1) ?? -1]);
    }
  }
};
await look(window.place, "");
return found;
"""


async def kept(page: Screen) -> list[list[Any]]:
    found: list[list[Any]] = await page.run(HASHES)
    return found


def first_and_last(path: Path) -> list[Any]:
    data = path.read_bytes()
    return [path.name, len(data), data[0] if data else -1, data[-1] if data else -1]


async def test_a_browser_takes_one_file_from_the_sender_and_saves_it(browser: Any, tmp_path: Path) -> None:
    """Over plain HTTP, and the network's own address: where a browser has no native hashing."""
    (tmp_path / "film ä.mp4").write_bytes(os.urandom(3_000_000))
    receipt = tmp_path / "receipt.json"
    async with command("send", tmp_path / "film ä.mp4", "--link", "--json", "--receipt", receipt) as sender:
        link = (await event(sender, "link"))["link"]
        assert "127.0.0.1" not in link
        async with screen(browser, link) as page:
            await page.run(KEEP)
            await page.press("Receive")
            await page.sees("Both sides hold the same receipt.")
            assert (await ended(sender))[0] == 0
            number = json.loads(receipt.read_text())["session"]
            assert number and number in await page.run("return document.body.innerText")
            assert await kept(page) == [first_and_last(tmp_path / "film ä.mp4")]
            assert (await page.run("return window.SAVED"))[0] == "film ä.mp4", "one file is saved by itself"


async def test_a_folder_goes_to_a_browser_and_to_a_program_at_once(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    for number in range(12):
        (folder / "inner" / f"{number}.bin").write_bytes(os.urandom(number * 10_000))
    (folder / "empty").touch()
    target = tmp_path / "target"
    target.mkdir()
    async with command("share", folder, "--json") as sharing:
        link = (await event(sharing, "link"))["link"]
        async with screen(browser, link) as page, command("receive", link, "--to", target) as receiver:
            await page.run(KEEP)
            await page.press("Receive")
            await page.sees("Both sides hold the same receipt.")
            assert (await ended(receiver))[0] == 0
            wanted = sorted(first_and_last(path) for path in folder.rglob("*") if path.is_file())
            assert sorted(await kept(page)) == wanted
            await page.press("Save all as a ZIP file")
            await page.until("window.SAVED?.[0] === 'files.zip'")
            data = await page.run("return [...new Uint8Array(await KEPT.get(SAVED[1]).arrayBuffer())]")
        sharing.send_signal(signal.SIGINT)
        returned, out, _ = await ended(sharing)
    assert returned == 0, out
    archive = tmp_path / "files.zip"
    archive.write_bytes(bytes(data))
    assert _unzipped(archive) == {
        str(path.relative_to(tmp_path)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _unzipped(archive: Path) -> dict[str, bytes]:
    import zipfile

    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


async def test_a_folder_goes_straight_to_the_disk_where_the_browser_can(browser: Any, tmp_path: Path) -> None:
    """Into a folder of the browser's own disk, which the page gets as a person's choice."""
    folder = tmp_path / "holiday"
    (folder / "inner").mkdir(parents=True)
    for number in range(20):
        (folder / "inner" / f"{number}.bin").write_bytes(os.urandom(number))
    (folder / "film.mp4").write_bytes(os.urandom(3_000_000))
    async with command("send", folder, "--link", "--json", "--host", "127.0.0.1") as sender:
        link = (await event(sender, "link"))["link"]
        async with screen(browser, link) as page:
            await page.until("document.querySelector('receive-page button')")
            await page.run(TO_DISK + "document.querySelector('receive-page').requestUpdate();")
            await page.press("Save to the disk …")
            await page.sees("Both sides hold the same receipt.")
            await page.sees("It is on your disk")
            assert not await page.run("return document.querySelector('a[download]')")
            found = await page.run(ON_DISK)
        assert (await ended(sender))[0] == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(found) == sorted([str(path.relative_to(tmp_path)), *first_and_last(path)[1:]] for path in files)


async def test_over_a_server_the_page_is_the_servers(browser: Any, server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(os.urandom(2_000_000))
    async with command("send", tmp_path / "a.bin", "--link", "--json", "--server", server.url) as sender:
        link = (await event(sender, "link"))["link"]
        assert link.startswith(f"{server.http_url}/#receive/")
        async with screen(browser, link) as page:
            await page.run(KEEP)
            await page.press("Receive")
            await page.sees("Both sides hold the same receipt.")
            assert await kept(page) == [first_and_last(tmp_path / "a.bin")]
        assert (await ended(sender))[0] == 0


async def test_a_wrong_link_gets_nothing(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    async with command("send", tmp_path / "secret.txt", "--link", "--json") as sender:
        link = (await event(sender, "link"))["link"]
        wrong = re.sub(r"[^/]+$", "A" * 22, link)
        async with screen(browser, wrong) as page:
            await page.press("Receive")
            await page.sees("The link was wrong, or somebody is between the two computers: nothing was sent.")
            assert "secret.txt" not in await page.run("return document.body.innerText")
        async with screen(browser, link) as page:
            await page.press("Receive")
            await page.sees("Both sides hold the same receipt.")
        assert (await ended(sender))[0] == 0


async def test_a_server_that_swaps_both_descriptions_is_refused(browser: Any, tmp_path: Path) -> None:
    """Its own server serves the page honestly, but stands between the descriptions."""
    (tmp_path / "secret.txt").write_text("secret")
    async with command("send", tmp_path / "secret.txt", "--link", "--json") as sender, serve_small(page=True) as evil:
        link = (await event(sender, "link"))["link"]
        room = f"send-{link.split('/')[-2]}"
        real = link.partition("#")[0].replace("http", "ws") + "ws"
        swapped = f"http://127.0.0.1:{evil.port}/#{link.partition('#')[2]}"
        seen: list[str | bytes] = []
        attack = asyncio.create_task(_between(real, evil.url(), room, seen))
        try:
            async with screen(browser, swapped) as page:
                await page.press("Receive")
                await page.sees("The link was wrong, or somebody is between the two computers: nothing was sent.")
            await event(sender, "wrong-code")
        finally:
            attack.cancel()
            await asyncio.wait({attack})
    assert any("link" in str(each) for each in seen), "the attacker handed on the proof"
    assert not any("secret.txt" in str(each) for each in seen), "not even a name has left"


async def _between(to_sender: str, to_page: str, room: str, seen: list[str | bytes]) -> None:
    async with (
        adieu.join(to_sender, room=room) as one,
        adieu.join(to_page, room=room, meta={"adieu send": "sender"}) as other,
    ):
        sessions = await asyncio.gather(one.session(), other.session())
        here, there = [await session.open("adieu send") for session in sessions]

        async def hand_on(source: adieu.Channel, sink: adieu.Channel) -> None:
            async for message in source:
                seen.append(message)
                await sink.send(message)

        await asyncio.gather(hand_on(here, there), hand_on(there, here), return_exceptions=True)
