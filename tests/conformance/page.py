"""One test file in one process: a window without anything to see, the file's scripts, their results.

    PYTHONPATH=tests python -m conformance.page FILE RESULT.json [--backend nul] [--lenient]

The event loop of asyncio is the page's only clock. JavaScript is entered from its callbacks alone, and after each entry
what awaits promises runs; so a task of JavaScript is atomic against the network, as in a browser.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import quickjs

from adieu.webrtc import strict_specification
from conformance import fetch, idl, teardown
from conformance.backends import BACKENDS
from conformance.bridge import Bridge
from conformance.elements import Players

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache"
SCRIPTS = [HERE / "page" / name for name in ("window.js", "webidl.js", "harness.js")]
TIMEOUTS = {"normal": 10.0, "long": 60.0}
STATUS = {0: "PASS", 1: "FAIL", 2: "TIMEOUT", 3: "NOTRUN", 4: "PRECONDITION_FAILED"}
SCHEDULER = Path("/proc/self/schedstat")
IDLE = 1.0
"""A page that has no connection, no timer and nothing to do for so many seconds will never have."""

IDLE_CONNECTED = 7.0
"""The same with a connection: the longest silence before an event is a DTMF tone of 6 s."""

IDLE_UNDECIDED = 17.0
"""The same while ICE is at work, or has failed on one side: on the other it fails after 15 s."""


@dataclass
class Result:
    """What one file gave.

    Attributes:
        file: its path.
        status: of the file: OK, ERROR, TIMEOUT, CRASH.
        message: why.
        subtests: name → status, message, calls of Python, members that are missing.
        events_in_calls: see `Bridge`.
        events_after_close: see `Bridge`.
        bugs: see `Bridge`.
        left: what the teardown found.
        log: what the page said on the console.
        seconds: how long it took.
    """

    file: str
    status: str = "TIMEOUT"
    message: str = ""
    subtests: dict[str, dict[str, Any]] = field(default_factory=dict)
    events_in_calls: dict[str, int] = field(default_factory=dict)
    events_after_close: dict[str, int] = field(default_factory=dict)
    bugs: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0


def own_time() -> float:
    """Seconds of a clock that stands still while this process waits for a processor: others may need all there are."""
    try:
        waited = int(SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        waited = 0.0  # not Linux
    return time.monotonic() - waited


class Source(HTMLParser):
    """The scripts of a file, in their order, and the little that they look for in the document."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.scripts: list[tuple[str, str]] = []  # ("src", url) or ("text", code)
        self.metas: list[tuple[str, str]] = []
        self.ids: list[tuple[str, str]] = []
        self.title = ""
        self._inside = ""
        if path.endswith(".js"):
            self._read_script(path, text)
        else:
            self.feed(text)

    def _read_script(self, path: str, text: str) -> None:
        self.scripts = [("src", "/resources/testharness.js"), ("src", "/resources/testharnessreport.js")]
        for line in text.splitlines():
            if line.startswith("// META: "):
                key, _, value = line.removeprefix("// META: ").partition("=")
                self.metas.append((key, value))
        self.scripts += [("src", value) for key, value in self.metas if key == "script"]
        self.scripts.append(("src", f"/{path}"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take what is of interest."""
        found = {name: value or "" for name, value in attributes}
        self._inside = tag
        if tag == "script" and "src" in found:
            self.scripts.append(("src", found["src"]))
            self._inside = ""
        elif tag == "script":
            self.scripts.append(("text", ""))
        elif tag == "meta" and "name" in found:
            self.metas.append((found["name"], found.get("content", "")))
        if "id" in found:
            self.ids.append((found["id"], tag))

    def handle_endtag(self, tag: str) -> None:
        """Its text ends."""
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Text of a script or of the title."""
        if self._inside == "script":
            self.scripts[-1] = ("text", self.scripts[-1][1] + data)
        elif self._inside == "title":
            self.title += data

    @property
    def timeout(self) -> float:
        """How long its tests may take."""
        return TIMEOUTS["long" if ("timeout", "long") in self.metas else "normal"]


class Page:
    """A window, and what runs in it."""

    def __init__(
        self,
        wpt: Path,
        path: str,
        backend: str,
        *,
        lenient: bool,
        clock: float | None = None,
        without: Sequence[str] = (),
        only: str | None = None,
    ) -> None:
        self._wpt = wpt
        self._path = path
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._done = asyncio.Event()
        self._last_entry = own_time()
        self.result = Result(path)
        table = idl.table(wpt, CACHE / "conformance")
        self.backend = BACKENDS[backend]()
        self.bridge = Bridge(table, self.backend, self.enter)
        self._players = Players(self.backend, self.enter)
        self._context = quickjs.Context()
        self._context.set_max_stack_size(4 << 20)
        self._context.set_memory_limit(1 << 30)
        self._context.add_callable("door", self._door)
        self._clock = clock
        options = json.dumps({"idl": table, "lenient": lenient, "without": without, "only": only})
        self._context.eval(f"globalThis.shared = {{door, options: {options}}}; delete globalThis.door")
        for script in SCRIPTS[:2]:
            self._context.eval(script.read_text())
        self._shared: Any = {
            name: self._context.eval(f"shared.{name}")
            for name in (
                "timer",
                "begin",
                "enter",
                "end",
                "settle",
                "callFunction",
                "load",
                "loaded",
                "report",
                "playing",
            )
        }

    # --- the door -----------

    def _door(self, operation: str, *arguments: Any) -> Any:
        """Every call of JavaScript comes here. No exception may leave it."""
        try:
            return self._open_door(operation, arguments)
        except Exception as error:  # noqa: BLE001 see above
            self.result.bugs.append(f"{operation}{arguments}: {error!r}")
            return None

    def _open_door(self, operation: str, arguments: tuple[Any, ...]) -> Any:
        match operation:
            case "listen":
                self.bridge.listen(*arguments)
            case "drop":
                self.bridge.drop(*arguments)
            case "timer":
                number, milliseconds = arguments
                loop = asyncio.get_running_loop()
                self._timers[number] = loop.call_later(milliseconds / 1000, self._timer, number)
            case "clear":
                self._timers.pop(*arguments).cancel()
            case "now":
                return time.monotonic()
            case "time":
                return time.time()
            case "utf8":
                return base64.b64encode(arguments[0].encode()).decode()
            case "text":
                return base64.b64decode(arguments[0]).decode(errors="replace")
            case "read":
                return self._read(arguments[0])
            case "play":
                element, stream = arguments
                self._players.play(element, self.bridge.object_of(stream))
            case "gc":
                asyncio.get_running_loop().call_soon(self._collect)
            case "log":
                self.result.log.append(": ".join(arguments)[:2000])
            case "test":
                self._take_result(*arguments)
            case "done":
                self._finish(*arguments)
            case "calls":
                return self.bridge.calls
            case "missing":
                return len(self.bridge.missing)
            case _:
                return self.bridge.call(operation, *arguments)
        return None

    def _timer(self, number: int) -> None:
        del self._timers[number]
        self.enter("timer", number)

    def _collect(self) -> None:
        self._context.gc()
        self._run_jobs()
        gc.collect()

    def enter(self, function: str, *arguments: Any) -> Any:
        """Run JavaScript, then what awaits promises; inside a call of JavaScript that comes later."""
        self._last_entry = own_time()
        try:
            return self._shared[function](*arguments)
        except quickjs.JSException as error:
            self.result.bugs.append(f"{function}: {error}")
            return None
        finally:
            self._run_jobs()

    def _run_jobs(self) -> None:
        while not self.bridge.is_inside_call:
            try:
                if not self._context.execute_pending_job():
                    break
            except quickjs.JSException as error:
                self.result.log.append(f"error: {error}")

    # --- scripts -----------

    def _read(self, url: str) -> str | None:
        path = urljoin(f"/{self._path}", url).lstrip("/").partition("?")[0]
        if path == "resources/WebIDLParser.js":
            path = idl.PARSER
        with suppress(OSError):
            return (self._wpt / path).read_text()
        return None

    def _eval(self, code: str) -> None:
        try:
            self._context.eval(code)
        except quickjs.JSException as error:
            report = self._context.eval("(text) => shared.report(new Error(text))")
            report(str(error))
        self._run_jobs()

    async def run(self) -> None:
        """Load the file, and wait for its end."""
        began = own_time()
        source = Source(self._path, self._read(f"/{self._path}") or "")
        document = {"title": source.title, "metas": source.metas, "ids": source.ids, "path": self._path}
        self._shared["load"](self._context.parse_json(json.dumps(document)))
        for kind, script in source.scripts:
            if "testdriver" in script and kind == "src":
                continue
            if "testharnessreport" in script and kind == "src":
                self._eval(SCRIPTS[2].read_text())
                continue
            code = script if kind == "text" else self._read(script)
            if code is None:
                self.result.log.append(f"error: {script} is not there")
            else:
                self._eval(code)
            await asyncio.sleep(0)
        self.enter("loaded")
        await self._wait_until(began + (self._clock or source.timeout))
        if not self._done.is_set():
            self._eval("timeout()")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), 3.0)
        self.result.seconds = round(own_time() - began, 2)

    async def _wait_until(self, deadline: float) -> None:
        """For the end of the tests, or until nothing more can happen."""
        while not self._done.is_set() and (now := own_time()) < deadline:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), min(IDLE / 2, deadline - now))
            patience = self._patience()
            if not self._timers and own_time() - self._last_entry > patience:
                self.result.log.append(f"idle: no timer, nothing has happened for {patience} s, and nothing will")
                return

    def _patience(self) -> float:
        if not teardown.connections_held():
            return IDLE
        states = {connection.iceConnectionState for connection in self.bridge.connections}
        return IDLE_UNDECIDED if states & {"checking", "disconnected", "failed"} else IDLE_CONNECTED

    # --- results -----------

    def _take_result(self, name: str, status: int, message: str | None, calls: int, missing: int) -> None:
        self.result.subtests[name] = {
            "status": STATUS[status],
            "message": message or "",
            "calls": self.bridge.calls - calls,
            "missing": sorted(set(self.bridge.missing[missing:])),
        }

    def _finish(self, status: int, message: str | None) -> None:
        self.result.status = {0: "OK", 1: "ERROR", 2: "TIMEOUT", 3: "PRECONDITION_FAILED"}[status]
        self.result.message = message or ""
        self._done.set()

    # --- the end -----------

    async def unload(self) -> None:
        """As when a browser leaves a page: connections are closed, timers stop, nothing is referred to any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._shared["timer"] = self._shared["begin"] = lambda *_: None
        await self._players.close()
        connections = list(self.bridge.connections)
        for connection in connections:
            connection.close()
        self.result.left += await teardown.released(connections)
        self.result.events_in_calls = dict(self.bridge.events_in_calls)
        self.result.events_after_close = dict(self.bridge.events_after_close)
        self.result.bugs += self.bridge.bugs
        self.bridge.close()


async def run(wpt: Path, path: str, backend: str, *, lenient: bool, **choice: Any) -> Result:
    """Run one file and look at what is left."""
    with strict_specification():
        before = teardown.Held.now()
        page = Page(wpt, path, backend, lenient=lenient, **choice)
        with page.backend.watch(page.bridge.see):
            await page.run()
            await page.unload()
        result = page.result
        del page
        result.left += await teardown.left_since(before)
        return result


def main() -> None:
    """See the module."""
    os.environ.setdefault("ADIEU_FAKE_MEDIA", "1")
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("result", type=Path)
    parser.add_argument("--backend", default="adieu", choices=BACKENDS)
    parser.add_argument("--lenient", action="store_true")
    parser.add_argument("--wpt", type=Path)
    parser.add_argument("--without", type=json.loads, default=[], help="names of subtests, as JSON")
    parser.add_argument("--only", help="the name of one subtest")
    parser.add_argument("--clock", type=float, help="seconds, instead of what the file asks for")
    options = parser.parse_args()
    wpt = options.wpt or fetch.tests()
    choice = {"without": options.without, "only": options.only, "clock": options.clock}
    result = asyncio.run(run(wpt, options.file, options.backend, lenient=options.lenient, **choice))
    options.result.write_text(json.dumps(asdict(result)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
