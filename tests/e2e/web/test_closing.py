"""A room is closed for everybody, on the page: by those that may, when they have said so twice."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

import adieu
from adieu.server import serve
from e2e.web.people import come_in
from e2e.web.screen import Screen, screen
from e2e.web.sizes import is_accessible

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SECRET = "a secret of thirty-two bytes or more"
FOCUS = "document.activeElement.textContent.trim() === words"
CHOOSE = (
    "const one = document.querySelector('dialog .language select'); one.value = language;"
    "one.dispatchEvent(new Event('change', { bubbles: true }))"
)
PICK = "[...document.querySelectorAll('#closing button')].find((one) => one.textContent.trim() === words).focus()"
QUESTION = "document.querySelector('[role=alertdialog]')"
CLOSE = {
    "en": ("Close the room for everybody", "Close it for everybody", "The room was closed for everybody"),
    "de": ("Raum für alle schließen", "Für alle schließen", "Der Raum wurde für alle geschlossen"),
    "es": ("Cerrar la sala para todos", "Cerrarla para todos", "Se cerró la sala para todos"),
}


def token(name: str, *can: str) -> str:
    claims = {"sub": name, "room": "lab", "can": can, "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def enter(person: Screen, name: str, key: str) -> None:
    await person.fill("Your name", name)
    await person.press("Come in")
    await person.sees("asks for a key")
    await person.fill("Your key", key)
    await come_in(person, name, devices=False)


async def panel(person: Screen) -> None:
    await person.front()  # keys go to the tab before the others
    await person.run("document.querySelector('#more').focus()")
    await person.key("Enter")
    await person.until("document.querySelector('dialog[open] h2')")


async def test_a_room_is_closed_for_everybody_by_keyboard_when_it_was_asked_twice(browser: Any) -> None:
    async with (
        serve(keys=[SECRET]) as server,
        screen(browser, f"{server.http_url}/#lab") as host,
        screen(browser, f"{server.http_url.replace('127.0.0.1', 'localhost')}/#lab") as ben,
        adieu.join(server.url, room="lab", name="Cy", token=token("cy")) as cy,
    ):
        await enter(host, "Host", token("host", "close"))
        await enter(ben, "Ben", token("ben"))
        for person in (host, ben):
            await person.until("document.querySelectorAll('friend-tile').length === 2")
        sessions = [await cy.session("Host"), await cy.session("Ben")]
        await panel(ben)
        assert not await ben.run("return document.querySelector('dialog').textContent.includes('for everybody')")
        for code, (button, now, _) in CLOSE.items():
            await panel(host)
            await host.run(CHOOSE, language=code)
            await host.press(button)
            await host.until(f"{QUESTION}?.textContent.includes(words)", words=now)
            named = f"return document.getElementById({QUESTION}.getAttribute('aria-labelledby')).textContent"
            assert button in await host.run(named)
            assert not await host.run(f"return {FOCUS}", words=now), "what does nothing has the focus"
            if code == "en":
                await is_accessible(host, "closing")
            await host.key("Escape")
            await host.until(f"!{QUESTION} && document.activeElement.id === 'more'")
        assert all(session.state == "open" for session in sessions)
        await panel(host)
        await host.press(CLOSE["es"][0])
        await host.until(QUESTION)
        await host.run(PICK, words=CLOSE["es"][1])
        await host.key("Enter")
        await host.sees(CLOSE["es"][2])
        await ben.sees(CLOSE["en"][2])
        await ben.until("document.activeElement?.tagName === 'H1'")
        for session in sessions:
            receipt = await session.wait_closed()
            assert receipt.clean and receipt.cause == "room-closed", receipt.to_json()
        assert cy.over == "the room was closed"
