"""Real Chromium and Firefox, each a process of its own with a fresh profile.

Tabs are opened and closed over the browsers' own remote protocols, the Chrome DevTools Protocol and WebDriver BiDi;
all else a test does through its page (`pages.py`). Both protocols are JSON calls over one WebSocket.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shutil
import subprocess
from asyncio.subprocess import DEVNULL
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from websockets.asyncio.client import ClientConnection, connect

from e2e.lab.processes import family, running, scratch

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from e2e.lab.display import Display

START = 60.0  # seconds that a cold browser may take on a busy machine

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)
CHROMIUM_SHOW_ADDRESSES = ("--use-fake-ui-for-media-stream", "--disable-features=WebRtcHideLocalIpsWithMdns")

FIREFOX_PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.navigator.permission.fake": True,  # its indicator shows the fake ones too
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.loopback": True,
    "media.autoplay.default": 0,
    "media.gmp-manager.url": "",
    "media.gmp-manager.updateEnabled": False,
    "privacy.reduceTimerPrecision": False,
    "dom.min_background_timeout_value": 4,  # a tab behind another one is tested like that one
    "dom.min_background_timeout_value_without_budget_throttling": 4,
    "dom.timeout.enable_budget_timer_throttling": False,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.region.network.url": "",
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.topsites.contile.enabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.prefetch-next": False,
    "security.certerrors.mitm.auto_enable_enterprise_roots": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
}


FIREFOX_CONTEXT = (
    'ChromeUtils.importESModule("chrome://remote/content/shared/NavigableManager.sys.mjs")'
    ".NavigableManager.getBrowsingContextById(%s)"
)
FIREFOX_MEMORY = """(async () => {
  const pid = %s;
  const manager = Cc["@mozilla.org/memory-reporter-manager;1"].getService(Ci.nsIMemoryReporterManager);
  Services.obs.notifyObservers(null, "child-mmu-request");
  await new Promise((done) => manager.minimizeMemoryUsage(done));
  const found = { "JavaScript and objects of the page": 0 };
  const read = (process, path, kind, units, amount) => {
    if (!process.includes(`pid ${pid}`)) return;
    if (/^explicit.(js-non-window|window-objects)/.test(path)) found["JavaScript and objects of the page"] += amount;
    if (path === "heap-allocated") found.heap = amount;
    if (path === "resident-unique") found.process = amount;
  };
  await new Promise((done) => manager.getReports(read, null, done, null, false));
  return JSON.stringify(found);
})()"""
CHROMIUM_HEAP = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
CHROMIUM_CAPTURES = ("video_capture", "audio")
MIB = 1 << 20


class Browser(Protocol):
    """A running browser; without a screen it is headless."""

    name: str
    version: str
    process: Process
    screen: Display | None

    async def open(self, url: str) -> str:
        """Open a tab; its id."""

    async def close(self, tab: str) -> None:
        """Close a tab as its owner's program would, without asking the page."""

    async def load_again(self, tab: str) -> None:
        """Load a tab's page again, as its owner does; also one that has crashed."""

    async def pid(self, tab: str) -> int:
        """Of the process that runs a tab's page."""

    async def signal(self, number: int) -> None:
        """Send a signal to the browser."""

    async def processes(self) -> list[int]:
        """All of them."""

    async def capturing(self, *, sound: bool = True) -> bool:
        """Whether a camera is on, or with `sound` a microphone: by what the browser knows, not by what a page says.

        Chromium cannot tell a microphone from a loudspeaker that plays.
        """

    async def memory(self, tab: str) -> dict[str, float]:
        """What a tab's page holds, in MiB, once everything that can be collected has been."""


class Remote:
    """JSON calls over one WebSocket, one after the other: what DevTools and BiDi have in common."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._turn = asyncio.Lock()

    async def call(self, method: str, *, session: str | None = None, **params: Any) -> Any:
        """Call; `session` is that of a tab, in DevTools."""
        wanted = next(self._ids)
        call = {"id": wanted, "method": method, "params": params}
        if session is not None:
            call["sessionId"] = session
        async with self._turn, asyncio.timeout(START):
            await self._socket.send(json.dumps(call))
            while True:
                answer = json.loads(await self._socket.recv())
                if answer.get("id") != wanted:
                    continue  # an event that nobody asked for
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer}")
                return answer["result"]


@dataclass
class Chromium:
    """Chromium by the Chrome DevTools Protocol."""

    version: str
    process: Process
    remote: Remote
    screen: Display | None
    name: str = "chromium"

    async def open(self, url: str) -> str:
        return str((await self.remote.call("Target.createTarget", url=url))["targetId"])

    async def close(self, tab: str) -> None:
        await self.remote.call("Target.closeTarget", targetId=tab)

    async def load_again(self, tab: str) -> None:
        session = (await self.remote.call("Target.attachToTarget", targetId=tab, flatten=True))["sessionId"]
        await self.remote.call("Page.reload", session=session)

    async def pid(self, tab: str) -> int:
        session = (await self.remote.call("Target.attachToTarget", targetId=tab, flatten=True))["sessionId"]
        # DevTools does not tell it: the page's process is the one that its work shows up in, and not once by chance.
        found, again = None, await self._busiest(session)
        while again != found:
            found, again = again, await self._busiest(session)
        return again

    async def _busiest(self, session: str) -> int:
        """The process of a page that works most while this one does."""
        pages = [p["id"] for p in await self._processes() if p["type"] == "renderer"]
        before = {pid: _ticks(pid) for pid in pages}
        spin = "const until = performance.now() + 400; while (performance.now() < until);"
        await self.remote.call("Runtime.evaluate", session=session, expression="{" + spin + "}")
        return max(pages, key=lambda pid: _ticks(pid) - before[pid])

    async def signal(self, number: int) -> None:
        os.kill(self._main(), number)

    async def processes(self) -> list[int]:
        # Those of pages do not show the environment that they have inherited.
        return sorted({*family(self.process), *(p["id"] for p in await self._processes())})

    def _main(self) -> int:
        """Itself: its script and setpriv become it."""
        return self.process.pid

    async def capturing(self, *, sound: bool = True) -> bool:
        """The processes that read the devices work, or sleep."""
        captures = CHROMIUM_CAPTURES if sound else CHROMIUM_CAPTURES[:1]
        services = [p["id"] for p in await self._processes() if p["type"].startswith(captures)]
        before = sum(map(_wakes, services))
        await asyncio.sleep(0.5)
        return sum(map(_wakes, services)) - before > 5

    async def memory(self, tab: str) -> dict[str, float]:
        session = (await self.remote.call("Target.attachToTarget", targetId=tab, flatten=True))["sessionId"]
        await self.remote.call("HeapProfiler.collectGarbage", session=session)
        heap = await self.remote.call("Runtime.getHeapUsage", session=session)
        await self.remote.call("Target.detachFromTarget", sessionId=session)
        pages = [p["id"] for p in await self._processes() if p["type"] == "renderer"]
        return {
            "JavaScript and objects of the page": sum(heap[part] for part in CHROMIUM_HEAP) / MIB,
            "process": max(map(_private, pages)),  # the others are empty, for the next tabs
        }

    async def _processes(self) -> list[dict[str, Any]]:
        processes: list[dict[str, Any]] = (await self.remote.call("SystemInfo.getProcessInfo"))["processInfo"]
        return processes


@dataclass
class Firefox:
    """Firefox by WebDriver BiDi."""

    version: str
    process: Process
    remote: Remote
    screen: Display | None
    name: str = "firefox"

    async def open(self, url: str) -> str:
        tab = str((await self.remote.call("browsingContext.create", type="tab"))["context"])
        await self.remote.call("browsingContext.navigate", context=tab, url=url, wait="none")
        return tab

    async def close(self, tab: str) -> None:
        await self.remote.call("browsingContext.close", context=tab)

    async def load_again(self, tab: str) -> None:
        await self.remote.call("browsingContext.reload", context=tab, wait="none")

    async def pid(self, tab: str) -> int:
        return int(await self.privileged(f"{FIREFOX_CONTEXT % json.dumps(tab)}.currentWindowGlobal.osPid"))

    async def signal(self, number: int) -> None:
        os.kill(self._main(), number)

    async def processes(self) -> list[int]:
        return family(self.process)

    def _main(self) -> int:
        """Itself: its script and setpriv become it."""
        return self.process.pid

    async def capturing(self, *, sound: bool = True) -> bool:
        """What its indicator of cameras in use shows."""
        which = f"true, {'true' if sound else 'false'}, false"
        return int(await self.privileged(f"webrtcUI.getActiveStreams({which}).length")) > 0

    async def memory(self, tab: str) -> dict[str, float]:
        """As about:memory has it, after "minimize memory usage".

        And after the button "Clear History" of about:webrtc: Firefox keeps statistics and descriptions of each closed
        connection for that page, 20 to 45 KiB, in the process of the page that had it.
        """
        await self.privileged("WebrtcGlobalInformation.clearAllStats()")
        found: dict[str, float] = json.loads(await self.privileged(FIREFOX_MEMORY % await self.pid(tab)))
        return {name: size / MIB for name, size in found.items()}

    async def privileged(self, expression: str) -> str:
        """What an expression gives in the browser's own code, as text."""
        tree = await self.remote.call("browsingContext.getTree", maxDepth=0, **{"moz:scope": "chrome"})
        window = {"context": tree["contexts"][0]["context"]}
        answer = await self.remote.call(
            "script.evaluate",
            expression=f"(async () => String(await ({expression})))()",
            target=window,
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise RuntimeError(f"{expression}: {answer}")
        return str(answer["result"]["value"])


def program(*names: str) -> str | None:
    """The first of these programs that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)


def chromium_program() -> str | None:
    return program("chromium", "chromium-browser", "google-chrome")


def firefox_program() -> str | None:
    return program("firefox-esr", "firefox")


@asynccontextmanager
async def chromium(
    *, hide_addresses: bool = False, flags: tuple[str, ...] = (), screen: Display | None = None
) -> AsyncIterator[Chromium]:
    """Run Chromium while the block lasts.

    Args:
        hide_addresses: offer mDNS names in place of addresses, as for pages that may not use a camera.
        flags: more command line flags.
        screen: where its windows are; headless without one.
    """
    path = chromium_program()
    assert path, "Chromium is not installed"
    version = _version(path, "--version", "--no-sandbox")
    more = (*(() if hide_addresses else CHROMIUM_SHOW_ADDRESSES), *(() if screen else ("--headless",)), *flags)
    with scratch("chromium") as home:
        profile = home / "profile"
        command = [path, *CHROMIUM_FLAGS, *more, f"--user-data-dir={profile}", "about:blank"]
        async with _started(home, command, screen) as process:
            port, where = (await _file(profile / "DevToolsActivePort", process, home)).split()
            async with connect(f"ws://127.0.0.1:{port}{where}", max_size=None, compression=None) as socket:
                yield Chromium(version, process, Remote(socket), screen)


@asynccontextmanager
async def firefox(*, hide_addresses: bool = False, screen: Display | None = None) -> AsyncIterator[Firefox]:
    """Run Firefox while the block lasts, headless unless there is a screen for its windows.

    Args:
        hide_addresses: offer mDNS names in place of addresses, as Firefox does by default.
        screen: where its windows are; headless without one.
    """
    path = firefox_program()
    assert path, "Firefox is not installed"
    version = _version(path, "--version")
    with scratch("firefox") as home:
        profile = home / "profile"
        profile.mkdir()
        chosen = {**FIREFOX_PREFERENCES, "media.peerconnection.ice.obfuscate_host_addresses": hide_addresses}
        preferences = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in chosen.items()]
        (profile / "user.js").write_text("\n".join(preferences))
        command = [path, *(() if screen else ("--headless",)), "--no-remote", "--profile", str(profile)]
        command += ["--remote-debugging-port=0", "--remote-allow-system-access"]
        async with _started(home, command, screen) as process:
            port = json.loads(await _file(profile / "WebDriverBiDiServer.json", process, home))["ws_port"]
            async with connect(f"ws://127.0.0.1:{port}/session", max_size=None, compression=None) as socket:
                remote = Remote(socket)
                await remote.call("session.new", capabilities={})
                yield Firefox(version, process, remote, screen)


def _wakes(pid: int) -> int:
    """How often threads of a process went to sleep so far."""
    told = [status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(
        int(number) for text in told for number in re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.MULTILINE)
    )


def _ticks(pid: int) -> int:
    """Of the processor, that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def _private(pid: int) -> float:
    """MiB that are this process's alone."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s*(\d+)", text, re.MULTILINE)) / 1024


def _version(*command: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, timeout=START, check=False)
    found = re.search(r"\d+(\.\d+)+", said.stdout)
    return found.group() if found else "unknown"


@asynccontextmanager
async def _started(home: Path, command: list[str], screen: Display | None) -> AsyncIterator[Process]:
    """Run a browser with nothing of the user's own profile, no desktop, its words in log.txt."""
    own = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": home}
    env = {**{name: str(path) for name, path in own.items()}, **({"DISPLAY": screen.name} if screen else {})}
    with (home / "log.txt").open("wb") as log:
        async with running(*command, env=env, stdin=DEVNULL, stdout=log, stderr=log) as process:
            yield process


async def _file(path: Path, process: Process, home: Path) -> str:
    """What the browser writes when it can be spoken to."""
    async with asyncio.timeout(START):
        while not (text := _text(path)):
            if process.returncode is not None:
                raise RuntimeError(f"the browser ended at its start: {_text(home / 'log.txt')[-2000:]}")
            await asyncio.sleep(0.02)  # it tells nobody but the file
    return text


def _text(path: Path) -> str:
    return path.read_text(errors="replace").strip() if path.exists() else ""
