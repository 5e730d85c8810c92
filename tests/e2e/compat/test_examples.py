"""aiortc's own examples, with nothing changed but the import lines."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import pytest

from conftest import missing
from e2e.compat.fetch import HERE, NEEDS, changed, examples
from e2e.lab import browsers
from e2e.web.screen import screen

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from e2e.web.screen import Screen

pytestmark = pytest.mark.anyio
FETCH = "PYTHONPATH=tests python -m e2e.compat.fetch"


@pytest.fixture(autouse=True)
def fetched() -> None:
    if not examples().exists():
        missing("the source of aiortc", FETCH)


@pytest.fixture
def with_packages() -> None:
    if not NEEDS.exists():
        missing("aiohttp and OpenCV", f"{FETCH} --needs")


@asynccontextmanager
async def running(script: Path, *arguments: str) -> AsyncIterator[Process]:
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(NEEDS)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", str(script), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": path},
        cwd=script.parent,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(process: Process, text: str) -> str:
    """Read its lines until one has the text; return that one."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(30):
        while line := (await process.stdout.readline()).decode():
            lines.append(line)
            if text in line:
                return line
    pytest.fail(f"ended without {text!r}: {''.join(lines)}")


async def ended(process: Process) -> str:
    """Wait for its end, and return the rest of its output."""
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode()
    assert b"Traceback" not in output, output.decode()
    return output.decode()


async def test_datachannel_cli_measures_the_round_trip_until_it_is_interrupted(tmp_path: Path) -> None:
    script = changed("datachannel-cli", tmp_path) / "cli.py"
    by = ("-s", "unix-socket", "--signaling-path", str(tmp_path / "socket"))
    async with running(script, "offer", *by) as offer:
        await until(offer, "created by local party")
        while not (tmp_path / "socket").exists():
            await asyncio.sleep(0.01)
        async with running(script, "answer", *by) as answer:
            await until(answer, "channel(chat) > pong 0")
            await until(offer, "RTT")
            assert float((await until(offer, "RTT")).split()[1]) < 1000
            offer.send_signal(signal.SIGINT)
            await ended(offer)
            assert "Exiting" in await ended(answer)


async def test_datachannel_filexfer_sends_a_file(tmp_path: Path) -> None:
    script = changed("datachannel-filexfer", tmp_path) / "filexfer.py"
    data = os.urandom(3_000_000)
    (tmp_path / "in").write_bytes(data)
    by = ("-s", "unix-socket", "--signaling-path", str(tmp_path / "socket"))
    async with running(script, "send", str(tmp_path / "in"), *by) as sender:
        while not (tmp_path / "socket").exists():
            await asyncio.sleep(0.01)
        async with running(script, "receive", str(tmp_path / "out"), *by) as receiver:
            said = await ended(receiver)
        await ended(sender)
    assert "received 3000000 bytes" in said
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.matrix
async def test_pipecats_transport_runs_as_it_is(tmp_path: Path, with_packages: None) -> None:
    """No import of it is changed: `install_aiortc()` gives them adieu."""
    async with running(HERE / "pipecat_call.py") as call:
        output = (await asyncio.wait_for(call.communicate(), 60))[0].decode()
        assert call.returncode == 0, output
    assert 'client: {"echo": "hello"}' in output
    assert "server: 20 frames of 48000" in output
    assert "client: the track has ended" in output
    loud = re.search(r"loud frames (\d+)", output)
    assert loud is not None
    assert 40 <= int(loud[1]) <= 60, "a second was spoken"


# --- with a page: `make matrix` -----------


@pytest.fixture(params=["chromium", "firefox"])
async def browser(request: Any) -> AsyncIterator[Any]:
    async with {"chromium": browsers.chromium, "firefox": browsers.firefox}[request.param]() as started:
        yield started


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


PLAYS = """
const found = [...(await pc.getStats()).values()];
const stats = found.find((one) => one.type === "inbound-rtp" && one.kind === kind);
const { totalAudioEnergy: energy = 0, framesDecoded: frames = 0, packetsReceived: packets = 0 } = stats ?? {};
return { energy, frames, packets };
"""


async def plays(page: Screen, kind: str, **least: float) -> None:
    """Wait until the page's connection has received as much."""
    figures: dict[str, float] = {}
    try:
        async with asyncio.timeout(30):
            while not all(figures.get(name, 0) >= value for name, value in least.items()):
                figures = await page.run(PLAYS, kind=kind)
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"{kind}: {figures}, not {least}")


def film(path: Path, seconds: int = 30) -> Path:
    """Write pictures that move, as H264 with a key frame each second."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 30, 0
        stream.options = {"profile": "baseline", "preset": "ultrafast"}
        for number in range(30 * seconds):
            picture = av.VideoFrame(320, 240, "yuv420p")
            for plane in picture.planes:
                line = bytes((number * 3 + column) % 256 for column in range(plane.line_size))
                plane.update(line * plane.height)
            picture.pts, picture.time_base = number, Fraction(1, 30)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


async def whole(recording: Path) -> None:
    """Wait until a film can be read: its end is written a moment after the end of its tracks."""
    async with asyncio.timeout(20):
        while True:
            with suppress(av.error.InvalidDataError), av.open(str(recording)):
                return
            await asyncio.sleep(0.1)


@pytest.mark.matrix
@pytest.mark.browser
async def test_server_speaks_to_a_page_shows_it_its_pictures_and_records_it(
    browser: Any, tmp_path: Path, with_packages: None
) -> None:
    script, port, recorded = changed("server", tmp_path) / "server.py", free_port(), tmp_path / "page.mp4"
    by = ("--host", "127.0.0.1", "--port", port, "--record-to", str(recorded))
    async with running(script, *by) as server:
        await until(server, "Running on")
        async with screen(browser, f"http://127.0.0.1:{port}/") as page:
            await page.run("document.getElementById('use-video').checked = true")
            await page.run("document.getElementById('video-transform').value = 'edges'")
            await page.press("Start")
            await page.sees("< pong")
            await plays(page, "audio", packets=100, energy=0.001)
            await plays(page, "video", frames=60)
            await page.until("document.getElementById('video').videoWidth > 0")
            await page.press("Stop")
            await until(server, "Connection state is closed")
            await whole(recorded)
        server.send_signal(signal.SIGINT)
        await ended(server)
    with av.open(str(recorded)) as file:
        loudest = max(max(memoryview(frame.planes[0]).cast("B").cast("f")) for frame in file.decode(audio=0))
        assert loudest > 0.01, "a browser's test device beeps"
    with av.open(str(recorded)) as file:
        times = [frame.time for frame in file.decode(video=0)]
        assert len(times) > 40
        assert times == sorted(times)
        assert times[-1] - times[0] > 1.5


@pytest.mark.matrix
@pytest.mark.browser
async def test_webcam_plays_a_file_with_a_chosen_codec(browser: Any, tmp_path: Path, with_packages: None) -> None:
    script, port = changed("webcam", tmp_path) / "webcam.py", free_port()
    sound = examples() / "server" / "demo-instruct.wav"
    by = ("--host", "127.0.0.1", "--port", port, "--play-from", str(sound), "--audio-codec", "audio/PCMU")
    async with running(script, *by) as server:
        await until(server, "Running on")
        async with screen(browser, f"http://127.0.0.1:{port}/") as page:
            await page.press("Start")
            await plays(page, "audio", packets=100, energy=0.001)
            assert "PCMU/8000" in await page.run("return pc.remoteDescription.sdp")
            await page.press("Stop")
            await until(server, "Connection state is closed")
        server.send_signal(signal.SIGINT)
        await ended(server)


@pytest.mark.matrix
@pytest.mark.browser
@pytest.mark.parametrize("way", ["decoded", "as it is, of MPEG-TS", "as it is, of MP4"])
async def test_webcam_plays_a_film(browser: Any, way: str, tmp_path: Path, with_packages: None) -> None:
    if way != "decoded" and browser.name == "firefox":
        pytest.skip("elsewhere: this Firefox has no H264")
    script, port = changed("webcam", tmp_path) / "webcam.py", free_port()
    path = film(tmp_path / ("film.mp4" if "MP4" in way else "film.ts"))
    by: tuple[str, ...] = ("--host", "127.0.0.1", "--port", port, "--play-from", str(path))
    if way != "decoded":
        by += ("--play-without-decoding", "--video-codec", "video/H264")
    async with running(script, *by) as server:
        await until(server, "Running on")
        async with screen(browser, f"http://127.0.0.1:{port}/") as page:
            await page.press("Start")
            await plays(page, "video", frames=90)
            await page.until("document.getElementById('video').videoWidth === 320")
            await page.press("Stop")
            await until(server, "Connection state is closed")
        server.send_signal(signal.SIGINT)
        await ended(server)


@pytest.mark.matrix
async def test_videostream_cli_shows_a_flag_and_records_the_other_one(tmp_path: Path, with_packages: None) -> None:
    script = changed("videostream-cli", tmp_path) / "cli.py"
    by = ("-s", "unix-socket", "--signaling-path", str(tmp_path / "socket"))
    async with running(script, "offer", *by, "--record-to", str(tmp_path / "offer.mp4")) as offer:
        while not (tmp_path / "socket").exists():
            await asyncio.sleep(0.01)
        async with running(script, "answer", *by, "--record-to", str(tmp_path / "answer.mp4")) as answer:
            await until(answer, "Receiving video")
            await until(offer, "Receiving video")
            await asyncio.sleep(5)
            offer.send_signal(signal.SIGINT)
            await ended(offer)
            await ended(answer)
    for name in ("offer.mp4", "answer.mp4"):
        with av.open(str(tmp_path / name)) as file:
            pictures = list(file.decode(video=0))
            assert len(pictures) > 60, name
            assert (pictures[-1].width, pictures[-1].height) == (640, 480)
            assert len({bytes(frame.planes[1]) for frame in pictures[-15:]}) > 5, "it waves"
