"""Files in a page: they are offered at once, and hashed without the page standing still."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from adieu.server.assets import POLICY
from conftest import missing
from e2e.sdk.test_modules import BUILT, Modules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection

    from e2e.lab.figures import Figures
    from e2e.sdk.tabs import Tab

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

MIB = 1 << 20
NATIVE, WORKER = 256, 32
"""MiB that are hashed."""
LOOK = """
// How long the page did not come to anything else, at the most.
const watch = () => {
  let last = performance.now(), longest = 0, on = true;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (on) setTimeout(tick);
  };
  setTimeout(tick);
  return () => { on = false; tick(); return longest / 1000; };
};
const piece = new Uint8Array(1 << 20);
for (let at = 0; at < piece.length; at += 65536) crypto.getRandomValues(piece.subarray(at, at + 65536));
const made = (size) => new File(Array(size).fill(piece), "film.bin");
"""
HASH = """
const { digest } = await import("/js/build/src/hashing.js");
const { whole: wholeOf } = await import("/js/build/src/session/files/first.js");
const [file, small] = [made(mib), made(1)];
await digest(piece);  // what is made once is made
const rested = watch();
const began = performance.now();
for (let at = 0; at < file.size; at += 1 << 20) {
  await digest(new Uint8Array(await file.slice(at, at + (1 << 20)).arrayBuffer()));
}
const seconds = (performance.now() - began) / 1000;
const longest = rested();
const whole = await wholeOf(small);
const hex = [...await digest(piece)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
return [seconds, longest, whole === hex];
"""
HIDE = 'Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true });'


STRICT = """
import { digest } from "/js/build/src/hashing.js";
Object.defineProperty(crypto, "subtle", { value: undefined });
const socket = new WebSocket(`ws://${location.host}/tab${location.search}`);
socket.onmessage = async ({ data }) => {
  const { id } = JSON.parse(data);
  const value = await digest(new Uint8Array(3)).then((hash) => [...hash], String);
  socket.send(JSON.stringify({ id, value }));
};
"""


class Strict(Modules):
    """The server of a page with the policy of the project's own page."""

    def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        bodies = {"/": '<!doctype html><script type="module" src="/strict.js"></script>', "/strict.js": STRICT}
        if path not in bodies:
            return super()._requested(connection, request)
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        body = bodies[path].encode()
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY})
        return Response(HTTPStatus.OK, "OK", headers, body)


@asynccontextmanager
async def page(browser: Any) -> AsyncIterator[Tab]:
    if not (BUILT / "files.test.js").exists():
        missing("the SDK's tests, built", "python tools/sdk.py --build")
    async with Modules().serving() as server, server.open(browser) as tab:
        yield tab


async def test_a_page_with_tls_hashes_natively_and_does_not_stand_still(browser: Any, figures: Figures) -> None:
    async with page(browser) as tab:
        assert await tab.run("return isSecureContext && !!crypto.subtle")
        seconds, longest, same = await tab.run(LOOK + HASH, mib=NATIVE, patience=120.0)
        assert same
        size = NATIVE * MIB
        rate = f"{size / seconds / 1e6:.0f} MB/s"
        who = browser.name.capitalize()
        figures.within("Files are hashed", who, f"{NATIVE} MiB, natively", seconds, size / 100e6, rate)
        figures.within("Files are hashed", who, "natively: the page stands still", longest, 0.05)


async def test_a_page_without_tls_hashes_in_a_worker_and_does_not_stand_still(browser: Any, figures: Figures) -> None:
    async with page(browser) as tab:
        seconds, longest, same = await tab.run(HIDE + LOOK + HASH, mib=WORKER, patience=120.0)
        assert same
        who, rate = browser.name.capitalize(), f"{WORKER * MIB / seconds / 1e6:.0f} MB/s"
        figures.within("Files are hashed", who, "in a worker: the page stands still", longest, 0.05, rate)


async def test_a_page_that_may_have_no_worker_says_so_and_hashes_nothing_itself(browser: Any) -> None:
    async with page(browser) as tab:
        error = await tab.run(
            HIDE
            + LOOK
            + """
            globalThis.Worker = class { constructor() { throw new DOMException("blocked", "SecurityError"); } };
            const { digest } = await import("/js/build/src/hashing.js");
            return await digest(piece).then(() => "", (error) => error.message);
            """
        )
        assert "no worker" in error and 'allow "worker-src blob:"' in error


async def test_the_policy_of_the_own_page_lets_it_hash_in_a_worker(browser: Any) -> None:
    async with Strict().serving() as server, server.open(browser) as tab:
        assert await tab.run("") == list(hashlib.sha256(bytes(3)).digest())


async def test_half_a_gigabyte_is_offered_at_once(browser: Any, figures: Figures) -> None:
    async with page(browser) as tab:
        seconds, name, size = await tab.run(
            LOOK
            + """
            const [a, b] = await adieu.memoryPair();
            const file = made(512);
            const offered = new Promise((resolve) => b.addEventListener("file", (one) => {
              one.hold();
              resolve(one);
            }));
            const began = performance.now();
            const transfer = await a.sendFile(file);
            const one = await offered;
            const seconds = (performance.now() - began) / 1000;
            one.refuse("it was the offer alone");
            await transfer.wait().catch(() => undefined);
            await a.close();
            return [seconds, one.name, one.size];
            """
        )
        assert (name, size) == ("film.bin", 512 * MIB)
        figures.within("Files are offered", browser.name.capitalize(), "512 MiB", seconds, 0.3)


@pytest.mark.parametrize("version", ["files2", "files1"])
async def test_a_file_arrives_whole_without_tls_too(browser: Any, version: str) -> None:
    async with page(browser) as tab:
        result = await tab.run(
            HIDE
            + LOOK
            + """
            const [a, b] = await adieu.memoryPair({ options: version === "files1" ? { capabilities: [] } : {} });
            const file = made(6);
            let proof;
            const come = new Promise((resolve) => b.addEventListener("file", async (one) => {
              resolve(await one.accept());
              proof = one.proof;
            }));
            const transfer = await a.sendFile(file);
            await transfer.wait();
            const bytes = async (blob) => new Uint8Array(await blob.arrayBuffer());
            const [one, other] = [await bytes(file), await bytes(await come)];
            const receipt = await a.close();
            return [one.length === other.length && one.every((byte, n) => byte === other[n]), proof === transfer.proof,
                    receipt.clean];
            """,
            version=version,
            patience=60.0,
        )
        assert result == [True, True, True]


DISK = """
// A folder of the browser's own disk, as `showDirectoryPicker()` gives one of the person's.
const root = await navigator.storage.getDirectory();
const folder = async (name) => root.getDirectoryHandle(name, { create: true });
const put = async (at, name, data) => {
  const writer = await (await at.getFileHandle(name, { create: true })).createWritable();
  await writer.write(data);
  await writer.close();
};
const hashes = async (at, before = "") => {
  const found = {};
  for await (const [name, handle] of at.entries()) {
    if (handle.kind === "directory") Object.assign(found, await hashes(handle, `${before}${name}/`));
    else found[before + name] = hexOf(await digest(new Uint8Array(await (await handle.getFile()).arrayBuffer())));
  }
  return found;
};
const hexOf = (data) => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const { digest } = await import("/js/build/src/hashing.js");
"""


async def test_a_folder_goes_from_disk_to_disk_and_is_merged_or_numbered(browser: Any) -> None:
    async with page(browser) as tab:
        sent, found, names, receipt = await tab.run(
            LOOK
            + DISK
            + """
            const photos = await folder("photos");
            await put(photos, "large.bin", made(3));
            await put(photos, "empty", "");
            await put(await photos.getDirectoryHandle("deep", { create: true }), "a.txt", "hello");
            const [a, b] = await adieu.memoryPair();
            const to = await folder("inbox");
            const come = [];
            const choices = ["rename", "rename", "overwrite"];
            b.addEventListener("folder", (one) => {
              come.push(one.accept({ to, exists: choices[come.length] }));
            });
            for (const _ of choices) await (await a.sendFolder(photos)).wait();
            const names = (await Promise.all(come)).map((each) => each.name);
            const receipt = await a.close();
            return [await hashes(photos), await Promise.all((await Promise.all(come)).map((each) => hashes(each))),
                    names, receipt.files.map(({ name, files }) => [name, files])];
            """,
            patience=60.0,
        )
        assert set(sent) == {"large.bin", "empty", "deep/a.txt"}
        assert found == [sent] * 3
        assert names == ["photos", "photos (1)", "photos"]
        assert receipt == [["photos", 3]] * 3


async def test_a_file_goes_straight_to_the_disk(browser: Any) -> None:
    async with page(browser) as tab:
        result = await tab.run(
            LOOK
            + DISK
            + """
            const [a, b] = await adieu.memoryPair();
            const handle = await root.getFileHandle("film.bin", { create: true });
            const come = new Promise((resolve) => {
              b.addEventListener("file", (one) => resolve(one.accept({ to: handle })));
            });
            const transfer = await a.sendFile(made(5));
            await transfer.wait();
            const got = await come;
            await a.close();
            return [got.name, got.size, (await handle.getFile()).size];
            """,
            patience=60.0,
        )
        assert result == ["film.bin", 5 * MIB, 5 * MIB]
