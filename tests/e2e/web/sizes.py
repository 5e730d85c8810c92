"""Windows of all sizes, and whether what is shown has its place in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from e2e.web.people import PICTURES, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.web.screen import Screen

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"desktop": (1280, 800), "phone": (390, 844), "small": (320, 568), "zoomed": (640, 400)}
"""`zoomed` is the desktop's window at 200 %."""
LOW = 36 * 16  # CSS pixels: lower windows show people or conversation


async def is_accessible(person: Screen, where: str) -> None:
    await person.run(AXE.read_text() + "; window.axe = axe")
    found = await person.run(
        "const { violations } = await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',"
        " 'best-practice'] });"
        "return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html, any }) =>"
        " [html.slice(0, 160), any.map(({ message }) => message)]) }))"
    )
    assert not found, f"{where}: {json.dumps(found, indent=1)}"


async def fits(person: Screen, where: str) -> None:
    """Nothing is cut off to the side; in a call, nothing can be scrolled out of sight either."""
    wide, width, high, height, calls = await person.run(
        "const { scrollWidth, scrollHeight } = document.documentElement;"
        "return [scrollWidth, innerWidth, scrollHeight, innerHeight, !!document.querySelector('.call')]"
    )
    assert wide <= width, f"{where} is {wide} pixels wide, the window {width}"
    assert high <= height or not calls, f"{where} is {high} pixels high, the window {height}"


async def out_of_sight(person: Screen, selectors: str) -> list[str]:
    """Which of these are not whole in the window."""
    found: list[str] = await person.run(
        "return [...document.querySelectorAll(selectors)].filter((one) => {"
        "  const { left, top, right, bottom, width } = one.getBoundingClientRect();"
        "  return !width || left < 0 || top < 0 || right > innerWidth + 0.5 || bottom > innerHeight + 0.5;"
        "}).map(({ outerHTML }) => outerHTML.slice(0, 80))",
        selectors=selectors,
    )
    return found


async def set_size(person: Screen, width: int, height: int, *, dark: bool = False) -> None:
    await person.resize(width, height, dark=dark)
    await person.until("innerWidth === width && innerHeight === height", width=width, height=height)
    await person.run("await new Promise((done) => setTimeout(done, 200))")  # colours change in a moment


async def covered(person: Screen) -> bool:
    """Whether one person's picture covers another's."""
    found: bool = await person.run(
        "const all = [...document.querySelectorAll('friend-tile, own-tile')].map((one) => one.getBoundingClientRect());"
        "return all.some((one, at) => all.some((other, number) => number > at && one.left < other.right - 1 &&"
        " other.left < one.right - 1 && one.top < other.bottom - 1 && other.top < one.bottom - 1))"
    )
    return found


async def sizes_in_chromium(person: Screen, name: str) -> AsyncIterator[tuple[str, int, int]]:
    """Give the window each size in one browser: styles that both have alike are looked at once."""
    if person.browser.name == "chromium":
        async for each in each_size(person, name):
            yield each


async def each_size(person: Screen, name: str) -> AsyncIterator[tuple[str, int, int]]:
    """Give the window each size: a picture is taken, and everything fits. Yield the place, the width and the height."""
    for size, (width, height) in SIZES.items():
        where = f"{person.browser.name}-{name}-{size}"
        await set_size(person, width, height)
        await person.picture(PICTURES / f"{where}.png")
        await fits(person, where)
        yield where, width, height
    await set_size(person, *SIZES["desktop"])
