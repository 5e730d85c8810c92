"""The page in real browsers, as people use it: they meet, talk, send files, reset, leave, and read the receipt."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from adieu.server import serve
from adieu.server.hub import Hub
from e2e.lab import browsers
from e2e.web.people import ARRIVED, KEEP_FILES, PICTURES, REFUSE, SEES, SEND_FILE, SHARE, come_in, friend, say, together
from e2e.web.screen import screen
from e2e.web.sizes import each_size, is_accessible

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.server.serving import Server
    from e2e.web.screen import Screen

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def test_two_people_meet_talk_and_part(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await asyncio.gather(ada.until(SEES), ben.until(SEES))
        await say(ada, "hellö <b>Ben</b>")
        await ben.sees("hellö <b>Ben</b>")
        await ada.sees("Delivered")
        await ben.run(KEEP_FILES)
        await ada.run(SEND_FILE, name="holiday.jpg", size=3_000_000)
        await ben.sees("It is here")
        assert await ben.run(ARRIVED) == ["holiday.jpg", 3_000_000, -1]
        # A large one is asked about first.
        await ada.run(SEND_FILE, name="film.mp4", size=21_000_000)
        await ben.sees("Do you want it?")
        await ada.sees("Waiting for Ben")
        await ben.press("No, thanks film.mp4")
        await ada.sees("they do not want it")
        assert await ben.run("return document.activeElement.className") == "log"
        await ada.run(SEND_FILE, name="film.mp4", size=21_000_000)
        await ben.press("Take it film.mp4")
        await ben.until("document.querySelectorAll('a[download]').length === 2")
        # Muted here, shown there.
        await ada.press("Camera")
        await ben.until("document.querySelector('friend-tile .initials')")
        await ada.press("Camera")
        await ben.until(SEES)
        await ben.run("window.heard = document.querySelector('friend-tile video').srcObject.getVideoTracks()[0].id")
        await ada.press("Reset")
        await ada.press("Everything")
        await ada.sees("The connection with Ben is new")
        await ben.sees("Ada renewed the connection.")
        await asyncio.gather(ada.until(SEES), ben.until(SEES))
        await say(ben, "still there?")
        await ada.sees("still there?")
        await ada.run("window.mine = document.querySelector('own-tile video').srcObject.getTracks()[0]")
        await ada.press("Leave")
        await ada.sees("Everything was delivered, and both sides know it.")
        await ada.sees("You left Ben. Everything was delivered.")
        await ben.sees("Ada left. Everything was delivered.")
        await ben.sees("Nobody else is here yet.")
        assert await ada.run("return mine.readyState") == "ended"
        assert await ada.run("return document.activeElement.textContent") == "Adieu"
        number = "document.querySelector('.number code').textContent"
        assert await ada.run(f"return {number}") == await ben.run(f"return {number}")
        await ada.press("Come in again")
        await ada.sees("Connected with Ben.")
        await ben.until(SEES)


async def test_leaving_is_asked_while_a_file_is_under_way(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await ada.run(SEND_FILE, name="film.mp4", size=21_000_000)
        await ben.sees("Do you want it?")
        await ada.press("Leave")
        await ada.sees("film.mp4 is 0 % there.")
        assert await ada.run("return document.activeElement.textContent") == "Leave when it has arrived"
        await is_accessible(ada, "leaving")
        async for _ in each_size(ada, "leaving"):
            pass
        await ada.press("Stay")
        assert await ada.run("return document.activeElement.id") == "leave"
        await ada.press("Leave")
        await ada.press("Leave when it has arrived")
        await ada.sees("You leave when it has arrived.")
        assert await ada.run("return document.activeElement.textContent") == "Leave now; it can go on later"
        await ben.press("Take it film.mp4")
        await ada.sees("You left Ben. The file film.mp4 was delivered.")
        await ben.sees("Ada left.")
        await ben.until("document.querySelectorAll('a[download]').length === 1")


async def test_a_reset_is_chosen_and_the_rest_goes_on(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await ada.press("Reset")
        await ada.sees("Renew what?")
        assert await ada.run("return document.activeElement.textContent") == "Connection"
        await is_accessible(ada, "reset")
        async for _ in each_size(ada, "reset"):
            pass
        await ada.press("Cancel")
        assert await ada.run("return document.activeElement.id") == "reset"
        await ada.press("Reset")
        await ada.press("Connection")
        await ada.sees("The connection with Ben is new")
        await ben.sees("Ada renewed the connection.")
        await ada.press("Reset")
        await ada.press("Devices")
        await ada.sees("Your devices were requested again.")
        await ada.sees("Connected with Ben.")
        await ben.until(SEES)


WAITS = """
const { model } = document.querySelector("call-page");
const files = [{ name: "film.mp4", size: 100, done: 30, sent: true }];
model.friends[0].step = { work: "close", step: "drain", messages: 3, bytes: 90, incoming: 0, files, timeout: 4000 };
model.phase = "leaving";
model.changed();
"""


async def test_what_a_goodbye_waits_for_is_told_and_a_file_that_it_cuts_off_is_named(
    browser: Any, server: Server
) -> None:
    async with together(browser, server) as (ada, ben):
        await ada.run(SEND_FILE, name="film.mp4", size=21_000_000)
        await ben.sees("Do you want it?")
        await ada.run(WAITS)
        await ada.sees("Saying goodbye to Ben: 3 messages and film.mp4 (30 %) under way …")
        await ada.sees("4 seconds left at most")
        async for _ in each_size(ada, "goodbye-waits"):
            pass
        await ada.run("const { model } = document.querySelector('call-page'); model.phase = 'inside'; model.leave()")
        await ada.sees("film.mp4 is not whole; it can go on when you meet again.")
        await ada.sees("You left Ben. 0 % of film.mp4 was sent.")
        async for _ in each_size(ada, "cut-off"):
            pass


async def test_chromium_and_firefox(server: Server) -> None:
    async with (
        browsers.chromium() as chromium,
        browsers.firefox() as firefox,
        screen(chromium, f"{server.http_url}/#lab") as ada,
        screen(firefox, f"{server.http_url}/#lab") as ben,
    ):
        await come_in(ada, "Ada")
        await come_in(ben, "Ben")
        await asyncio.gather(ada.until(SEES), ben.until(SEES))
        await say(ada, "hello")
        await ben.sees("hello")
        await ben.press("Reset")
        await ben.press("Everything")
        await ben.sees("The connection with Ada is new")
        await asyncio.gather(ada.until(SEES), ben.until(SEES))
        await ben.press("Leave")
        await ben.sees("You left Ada.")
        await ada.sees("Ben left. Everything was delivered.")


async def test_a_program_in_python_is_a_peer_like_any_other(browser: Any, server: Server) -> None:
    async with friend(server) as program, screen(browser, f"{server.http_url}/#lab") as ada:
        await come_in(ada, "Ada")
        await ada.sees("Connected with Echo.")
        await ada.sees("Hello Ada, I am Echo")
        await say(ada, "how are you?")
        await ada.sees("You wrote: how are you?")
        await ada.until(SEES)
        await ada.run(SHARE)
        for words in ("Share screen", "Stop sharing"):
            await ada.press(words)
        await ada.run(KEEP_FILES)
        await ada.run(SEND_FILE, name="holiday.jpg", size=1_000_000)
        await ada.sees("It is here")
        assert await ada.run(ARRIVED) == ["holiday.jpg", 1_000_000, -1]
        await ada.press("Reset")
        await ada.press("Everything")
        await ada.sees("The connection with Echo is new")
        await ada.until(SEES)
        program.send_signal(signal.SIGINT)
        await ada.sees("Echo left (the friend was stopped). Everything was delivered.")
        assert await program.wait() == 0


async def test_the_friend_says_goodbye(browser: Any, server: Server) -> None:
    async with friend(server), screen(browser, f"{server.http_url}/#lab") as ada:
        await come_in(ada, "Ada", devices=False)
        await ada.sees("Hello Ada")
        await say(ada, "Bye!")
        await ada.sees("Echo left (you said so). Everything was delivered.")
        assert "Goodbye!" in await ada.run("return document.querySelector('.log').innerText")


async def test_what_did_not_arrive_is_sent_again(browser: Any, server: Server) -> None:
    """The friend's program stands still; this person leaves, comes back, and nothing is lost."""
    async with AsyncExitStack() as stack:
        ada = await stack.enter_async_context(screen(browser, f"{server.http_url}/#lab"))
        async with friend(server) as program:
            await come_in(ada, "Ada", devices=False)
            await ada.sees("Hello Ada")
            program.send_signal(signal.SIGSTOP)
            for word in ("one", "two", "three"):
                await say(ada, word)
            await ada.until("/has not answered|can’t be reached|does not respond/.test(document.body.innerText)")
            await ada.picture(PICTURES / f"{browser.name}-trouble.png")
            assert await ada.run(
                "const event = new Event('beforeunload', { cancelable: true }); dispatchEvent(event);"
                "return event.defaultPrevented"
            ), "who closes the tab now is warned"
            await ada.press("Leave")
            await ada.sees("3 of your messages", 15)
            await ada.picture(PICTURES / f"{browser.name}-unsent.png")
        await stack.enter_async_context(friend(server))
        await ada.press("Go back and send the 3 unsent messages again")
        for word in ("one", "two", "three"):
            await ada.sees(f"You wrote: {word}")
        assert "Not delivered" not in await ada.run("return document.body.innerText")
        await ada.press("Leave")
        await ada.sees("Everything was delivered, and both sides know it.")


async def test_a_standstill_is_told_and_heals(browser: Any, server: Server) -> None:
    async with friend(server) as program, screen(browser, f"{server.http_url}/#lab") as ada:
        await come_in(ada, "Ada", devices=False)
        await ada.sees("Hello Ada")
        program.send_signal(signal.SIGSTOP)
        await ada.sees("Echo has not answered for a moment")
        program.send_signal(signal.SIGCONT)
        await ada.sees("Connected with Echo.")
        assert await ada.run("return document.querySelector('.state').getAttribute('role')") == "status"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "Your browser blocks"),
        ("NotFoundError", "was found"),
        ("NotReadableError", "Another program uses"),
    ],
)
async def test_without_devices_all_else_works(browser: Any, server: Server, name: str, words: str) -> None:
    async with friend(server), screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.run(REFUSE, name=name)
        await come_in(ada, "Ada")
        await ada.sees(words)
        await ada.sees("Hello Ada")
        await say(ada, "no camera here")
        await ada.sees("You wrote: no camera here")


HEAR_OF_THE_END = """
const add = EventTarget.prototype.addEventListener;
MediaStreamTrack.prototype.addEventListener = function (type, listener, options) {
  if (type === "ended" && this.kind === "video") window.unplug ??= listener;
  add.call(this, type, listener, options);
};
"""


async def test_an_unplugged_camera_is_told_and_comes_back(browser: Any, server: Server) -> None:
    async with together(browser, server, before=HEAR_OF_THE_END) as (ada, ben):
        await ben.until(SEES)
        await ada.run("window.unplug(new Event('ended'))")  # to a made-up event a track of Firefox does not listen
        await ada.sees("Was it unplugged?")
        await ben.until("document.querySelector('friend-tile .initials')")
        await ada.press("Camera")
        await ada.until("!document.body.innerText.includes('unplugged')")
        await ben.until(SEES)


async def test_blocked_storage_is_not_missed(browser: Any, server: Server) -> None:
    async with screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.run(
            "for (const name of ['localStorage', 'sessionStorage'])"
            " Object.defineProperty(window, name, { get() { throw new DOMException('blocked', 'SecurityError') } })"
        )
        await come_in(ada, "Ada", devices=False)
        await ada.sees("Nobody else is here yet.")


async def test_two_tabs_of_one_person(browser: Any, server: Server) -> None:
    async with (
        friend(server),
        screen(browser, f"{server.http_url}/#lab") as first,
        screen(browser, f"{server.http_url}/#lab") as second,
    ):
        await come_in(first, "Ada", devices=False)
        await first.sees("Hello Ada")
        await second.fill("Your name", "Ada")
        await second.press("Come in")
        await second.sees("You are in this room already, in another tab.")
        await second.press("Go on here, leave there")
        await first.sees("You left Echo (went on in another tab).")
        await second.sees("Connected with Echo.")


async def test_a_key_is_asked_for_and_kept_out_of_the_address(browser: Any, caplog: pytest.LogCaptureFixture) -> None:
    secret = "a secret of thirty-two bytes or more"
    token = jwt.encode({"sub": "ada", "room": "lab", "exp": 4_000_000_000}, secret, "HS256")
    caplog.set_level("DEBUG", "adieu")
    async with serve(keys=[secret]) as server, screen(browser, f"{server.http_url}/#lab") as ada:
        await ada.fill("Your name", "Ada")
        await ada.press("Come in")
        await ada.sees("asks for a key")
        await ada.fill("Your key", "nonsense")
        await ada.press("Come in")
        await ada.until(
            "document.querySelector('[role=alert]').textContent && !document.querySelector('button').disabled"
        )
        await ada.fill("Your key", token)
        await ada.press("Come in")
        await ada.sees("Nobody else is here yet.")
        places = await ada.run(
            "return JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, document.cookie])"
        )
    assert token not in places
    assert token not in caplog.text


async def test_a_camera_that_is_off_is_let_go_and_comes_back(browser: Any, server: Server) -> None:
    """Its light goes out: seen by what the browser itself knows. The others are told at once."""
    async with (
        friend(server),
        screen(browser, f"{server.http_url}/#lab") as ada,
        screen(browser, f"{server.http_url.replace('127.0.0.1', 'localhost')}/#lab") as ben,
    ):
        await ada.run("document.querySelector('[name=audio]').checked = false")
        await come_in(ada, "Ada")
        await come_in(ben, "Ben", devices=False)
        await ben.until(SEES)
        assert await browser.capturing(sound=False)
        await ada.press("Camera")
        await ben.until("[...document.querySelectorAll('friend-tile .initials')].length === 2")
        async with asyncio.timeout(20):
            while await browser.capturing(sound=False):
                pass
        # Who comes meanwhile, and a reset, change nothing of it.
        await ben.press("Reset")
        await ben.press("Everything")
        await ben.sees("is new, after")
        assert not await browser.capturing(sound=False)
        await ada.press("Camera")
        await ben.until(SEES)
        assert await browser.capturing(sound=False)
        await ada.press("Camera")
        await ben.until("[...document.querySelectorAll('friend-tile .initials')].length === 2")
        await ada.press("Camera")  # before it was let go
        await ben.until(SEES)


DROP = """
const data = new DataTransfer();
for (const name of names) data.items.add(new File(["abc"], name, { type: "text/plain" }));
const over = new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true });
const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
const place = document.querySelector(where);
place.dispatchEvent(over);
await new Promise((done) => setTimeout(done, 50));
const shown = !!document.querySelector(".drop");
place.dispatchEvent(drop);
return [over.defaultPrevented, shown, drop.defaultPrevented];
"""


async def test_a_file_may_be_dropped_anywhere_and_never_takes_the_page_away(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        for number, where in enumerate((".stage", ".buttons", ".chat", "header")):
            assert await ada.run(DROP, where=where, names=[f"{number}.txt"]) == [True, True, True]
            await ben.sees(f"{number}.txt")
        await ada.until("!document.querySelector('.drop')")
        for person, fate in ((ada, "Delivered"), (ben, "It is here")):  # else who leaves is asked about the files first
            await person.until("document.body.innerText.split(fate).length === 5", fate=fate)
        await ben.press("Leave")
        await ada.press("Leave")
        await ada.sees("Adieu")
        # There is nobody to send it to: but the receipt is not lost for it either.
        assert await ada.run(DROP, where="main", names=["late.txt"]) == [True, False, True]


KEEP_ALL = """
window.KEPT = new Map();
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => { const url = make.call(URL, blob); KEPT.set(url, blob); return url; };
"""
TO_DISK = """
window.disk = [];
window.showSaveFilePicker = async ({ suggestedName }) => {
  const root = await navigator.storage.getDirectory();
  return (window.place = await root.getFileHandle(suggestedName, { create: true }));
};
"""


async def test_a_large_file_goes_straight_to_the_disk_where_the_browser_can(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await ben.run(TO_DISK)
        await ada.run(SEND_FILE, name="film.mp4", size=21_000_000)
        await ben.press("Save to the disk … film.mp4")
        await ben.sees("It is on your disk")
        assert await ben.run("return (await place.getFile()).size") == 21_000_000
        assert not await ben.run("return document.querySelector('a[download]')")
        await ada.until("document.querySelector('.file .fate').textContent.includes('Delivered')")


async def test_files_and_folders_from_the_desktop(server: Server, tmp_path: Path) -> None:
    """As the desktop drops them: onto the picture, a file and a folder at once."""
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.txt").write_text("a")
    (tmp_path / "holiday" / "inner").mkdir()
    (tmp_path / "holiday" / "inner" / "b.txt").write_text("deep down")
    (tmp_path / "notes.txt").write_text("notes")
    async with browsers.chromium() as chromium, together(chromium, server) as (ada, ben):
        await ben.run(KEEP_ALL)
        await ada.drop(400, 300, tmp_path / "notes.txt", tmp_path / "holiday")
        await ben.until("document.querySelectorAll('a[download]').length === 2")
        names = "return [...document.querySelectorAll('a[download]')].map(({ download }) => download).sort()"
        assert await ben.run(names) == ["holiday.zip", "notes.txt"]
        held = (
            "const links = [...document.querySelectorAll('a[download]')];"
            "const link = links.find(({ download }) => download.endsWith('zip'));"
            "return new TextDecoder('latin1').decode(await KEPT.get(link.href).arrayBuffer())"
        )
        held = await ben.run(held)
        for path in ("holiday/a.txt", "holiday/inner/b.txt"):
            assert path in held
        assert "deep down" in held


async def test_an_address_in_the_conversation_is_a_link_and_nothing_else_is(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        await say(ada, "see https://example.org/a_(b). Not javascript:alert(1), <a href='https://x.example'>x</a>")
        await ben.sees("see https://example.org/a_(b).")
        links = (
            "return [...document.querySelectorAll('.log .text a')]"
            ".map(({ href, target, rel, textContent }) => [textContent, href, target, rel])"
        )
        safe = ["_blank", "noopener noreferrer nofollow"]
        expected = [
            ["https://example.org/a_(b)", "https://example.org/a_(b)", *safe],
            ["https://x.example", "https://x.example/", *safe],
        ]
        assert await ben.run(links) == expected
        assert await ada.run(links) == expected


async def test_files_have_a_time_and_the_title_tells_what_was_not_seen(browser: Any, server: Server) -> None:
    async with together(browser, server) as (ada, ben):
        assert await ada.run("return document.title") == "lab – adieu"
        looks = (
            "Object.defineProperty(document, 'visibilityState',"
            " { value: so ? 'visible' : 'hidden', configurable: true });"
            "document.hasFocus = () => so; document.dispatchEvent(new Event('visibilitychange'))"
        )
        await ada.run(looks, so=False)
        await say(ben, "hello")
        await ben.run(SEND_FILE, name="holiday.jpg", size=1000)
        await ada.until("document.title === '(2) lab – adieu'")
        assert await ada.run("return document.querySelector('.file time').dateTime.slice(0, 2)") == "20"
        await ada.run(looks, so=True)
        await ada.until("document.title === 'lab – adieu'")


async def test_the_last_words_of_a_page_are_accepted(
    browser: Any, server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third way of a goodbye, `POST /v1/leave`: from a tab that is closed, and from one that is loaded again."""
    caplog.set_level("INFO", "adieu.server")
    came = asyncio.Event()
    take = Hub.handle_leaving

    def note(hub: Hub, body: bytes, now: float) -> bool:
        came.set()
        return take(hub, body, now)

    monkeypatch.setattr(Hub, "handle_leaving", note)
    async with friend(server), screen(browser, f"{server.http_url}/#lab") as ada:
        for again in (True, False):
            await come_in(ada, "Ada", devices=False)
            await ada.sees("Hello Ada")
            came.clear()
            await (browser.load_again(ada.tab) if again else ada.close())
            await asyncio.wait_for(came.wait(), 10)
    assert server.hub.counters["leaves_bad"] == 0
    assert "refused" not in caplog.text


async def test_by_keyboard_alone(browser: Any, server: Server) -> None:
    async with screen(browser, f"{server.http_url}/") as ada:
        await press_until(ada, "Start a conversation")
        await ada.key("Enter")
        await ada.until("document.activeElement?.id === 'name'")
        await ada.type("Ada")
        await ada.key("Enter")
        await ada.until("document.activeElement?.tagName === 'H1' && document.querySelector('.call #camera.on')")
        for label in ("Microphone", "Camera", "Reset", "Leave"):
            await press_until(ada, label)
        await ada.key("Enter")
        await ada.until("document.activeElement?.textContent === 'Adieu'")


async def press_until(person: Screen, label: str) -> None:
    """Tab until the focus is on what is called so, and visible."""
    for _ in range(20):
        await person.key("Tab")
        focused = await person.run(
            "const one = document.activeElement; return [(one.ariaLabel ?? one.textContent).trim(),"
            " getComputedStyle(one).outlineStyle]"
        )
        if focused[0] == label:
            assert focused[1] != "none", f"the focus on {label} is not to be seen"
            return
    raise AssertionError(f"the keyboard does not reach {label}")
