"""A browser's tab as a person has it: what is to be seen and done there."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from e2e.lab.browsers import Chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from e2e.lab.browsers import Browser, Firefox

PATIENCE = 20.0
KEYS = {
    "Tab": ("\ue004", 9),
    "Enter": ("\ue007", 13),
    "Space": (" ", 32),
    "Escape": ("\ue00c", 27),
    "ArrowLeft": ("\ue012", 37),
    "ArrowUp": ("\ue013", 38),
}


class Screen:
    """One tab. Words are found as a person finds them: by what a button says, by a field's label."""

    def __init__(self, browser: Chromium | Firefox, tab: str, session: str) -> None:
        self.browser = browser
        self.tab = tab
        self._session = session

    async def run(self, code: str, **values: Any) -> Any:
        """Run the body of an async function, as if its owner had just touched the page."""
        constants = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        body = f"(async () => JSON.stringify((await (async () => {{ {constants}{code} }})()) ?? null))()"
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            answer = await call(
                *("Runtime.evaluate",),
                session=self._session,
                expression=body,
                awaitPromise=True,
                returnByValue=True,
                userGesture=True,
            )
            assert "exceptionDetails" not in answer, answer["exceptionDetails"]
            return json.loads(answer["result"]["value"])
        answer = await call(
            *("script.evaluate",),
            expression=body,
            target={"context": self.tab},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer.get("exceptionDetails")
        return json.loads(answer["result"]["value"])

    async def until(self, condition: str, seconds: float = PATIENCE, **values: Any) -> None:
        """Wait for an expression to be true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._holds(condition, **values):
                    await asyncio.sleep(0.05)  # a page that is looked at from outside tells nobody
        except TimeoutError:
            shown = await self.run("return document.body.innerText")
            raise AssertionError(f"never: {condition} {values}; the page says:\n{shown}") from None

    async def _holds(self, condition: str, **values: Any) -> bool:
        try:
            return bool(await self.run(f"return !!({condition})", **values))
        except RuntimeError as error:
            if "navigated" in str(error):
                return False  # of a page that is being loaded again
            raise

    async def sees(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until the page says this somewhere."""
        await self.until("document.body.innerText.includes(text)", seconds, text=text)

    async def press(self, button: str) -> None:
        """Press a button or link by what it says, or by its label."""
        find = (
            "[...document.querySelectorAll('button, a, summary')].find((one) => !one.disabled && one.offsetParent"
            " && (one.ariaLabel ?? one.textContent).trim().replace(/\\s+/g, ' ') === button)"
        )
        await self.until(f"!!({find})", button=button)
        await self.run(f"({find}).click()", button=button)

    async def fill(self, field: str, text: str) -> None:
        """Put text into the field with this label."""
        find = (
            "[...document.querySelectorAll('label')].find((one) => one.innerText.trim().startsWith(field)"
            " || one.textContent.trim().startsWith(field))?.control"
        )
        await self.until(f"!!({find})", field=field)
        await self.run(
            f"const one = {find}; one.value = text; one.dispatchEvent(new Event('input', {{ bubbles: true }}))",
            field=field,
            text=text,
        )

    async def key(self, name: str) -> None:
        """Press a key of the keyboard."""
        value, code = KEYS[name]
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            text = {"Enter": "\r", "Space": " "}.get(name, "")
            said = {"key": " " if name == "Space" else name, "code": name, "windowsVirtualKeyCode": code}
            for kind in ("keyDown", "keyUp"):
                more = {"text": text} if text and kind == "keyDown" else {}
                await call("Input.dispatchKeyEvent", session=self._session, type=kind, **said, **more)
            return
        presses = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": presses}]
        await call("input.performActions", context=self.tab, actions=actions)

    async def type(self, text: str) -> None:
        """Type where the focus is."""
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            for letter in text:
                for kind in ("keyDown", "keyUp"):
                    more = {"text": letter} if kind == "keyDown" else {}
                    await call("Input.dispatchKeyEvent", session=self._session, type=kind, key=letter, **more)
            return
        presses = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": presses}]
        await call("input.performActions", context=self.tab, actions=actions)

    async def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Another window; dark mode in Chromium only."""
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            await call("Emulation.setDeviceMetricsOverride", session=self._session, **size)
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            await call("Emulation.setEmulatedMedia", session=self._session, features=scheme)
        else:
            viewport = {"width": width, "height": height}
            await call("browsingContext.setViewport", context=self.tab, viewport=viewport)

    async def offline(self, is_so: bool) -> None:
        """Take the tab's network away, or give it back."""
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            none = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            await call("Network.enable", session=self._session)
            await call("Network.emulateNetworkConditions", session=self._session, offline=is_so, **none)
        else:
            conditions = {"type": "offline"} if is_so else None
            await call("emulation.setNetworkConditions", contexts=[self.tab], networkConditions=conditions)

    async def slow_phone(self) -> None:
        """Make the tab a phone with a slow network and processor, as Lighthouse does; Chromium only."""
        call = self.browser.remote.call
        await self.resize(390, 844)
        await call("Network.enable", session=self._session)
        rate = 1_600_000 // 8
        conditions = {"latency": 150, "downloadThroughput": rate, "uploadThroughput": rate}
        await call("Network.emulateNetworkConditions", session=self._session, offline=False, **conditions)
        await call("Emulation.setCPUThrottlingRate", session=self._session, rate=4)

    async def go(self, url: str) -> None:
        """Go to another page."""
        await _go(self, url)

    async def drop(self, x: int, y: int, *paths: Path) -> None:
        """Drop files or folders from the desktop; Chromium only."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            await self.browser.remote.call(
                *("Input.dispatchDragEvent",), session=self._session, type=kind, x=x, y=y, data=data
            )

    async def front(self) -> None:
        """Put the tab before the others."""
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            await call("Page.bringToFront", session=self._session)
        else:
            await call("browsingContext.activate", context=self.tab)

    async def picture(self, path: Path) -> None:
        """Keep what is to be seen."""
        call = self.browser.remote.call
        if isinstance(self.browser, Chromium):
            await self.front()  # one behind others is not always drawn
            shot = await call("Page.captureScreenshot", session=self._session, format="png")
        else:
            shot = await call("browsingContext.captureScreenshot", context=self.tab)
        await asyncio.to_thread(_write, path, base64.b64decode(shot["data"]))

    async def close(self) -> None:
        """Close the tab."""
        await self.browser.close(self.tab)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@asynccontextmanager
async def screen(browser: Chromium | Firefox, url: str) -> AsyncIterator[Screen]:
    """A new tab, closed at the end of the block if it is still there."""
    tab = await browser.open("about:blank")
    session = ""
    if isinstance(browser, Chromium):
        session = (await browser.remote.call("Target.attachToTarget", targetId=tab, flatten=True))["sessionId"]
        await browser.remote.call("Emulation.setFocusEmulationEnabled", session=session, enabled=True)
    shown = Screen(browser, tab, session)
    await shown.resize(1280, 800)  # headless windows are small
    await _go(shown, url)
    try:
        yield shown
    finally:
        if await _is_open(browser, tab):
            try:
                await browser.close(tab)
            except RuntimeError:
                if await _is_open(browser, tab):  # else the test has closed it, and it went just now
                    raise


async def _go(shown: Screen, url: str) -> None:
    if isinstance(shown.browser, Chromium):
        await shown.browser.remote.call("Page.navigate", session=shown._session, url=url)
    else:
        await shown.browser.remote.call("browsingContext.navigate", context=shown.tab, url=url, wait="complete")
    await shown.until("document.readyState === 'complete' && location.href.startsWith('http')")


async def _is_open(browser: Browser, tab: str) -> bool:
    assert hasattr(browser, "remote")
    if isinstance(browser, Chromium):
        targets = (await browser.remote.call("Target.getTargets"))["targetInfos"]
        return any(target["targetId"] == tab for target in targets)
    contexts = (await browser.remote.call("browsingContext.getTree", maxDepth=0))["contexts"]
    return any(context["context"] == tab for context in contexts)
