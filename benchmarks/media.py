"""Measure the processor time of sound and pictures, adieu and aiortc in turn: two processes here, over real UDP.

python benchmarks/media.py            three rounds, five minutes: benchmarks/media.md
python benchmarks/media.py --quick    one short round, to see that everything works; writes nothing

One side sends 20 streams of sound, or one of pictures, the other receives them. A figure is the processor time of a
process, all its threads, for each RTP packet that it sent or received. Each round measures every row once, adieu and
aiortc alternating.

    ready      the sender has packets of Opus; in adieu the core keeps their time, in aiortc the program does
    G.711      the sender has samples, and encodes them by a table
    encoding   the sender has samples, and encodes them as Opus
    decoding   the receiver's program reads the frames of all streams
    unread     the receiver's program reads nothing: aiortc decodes nevertheless, adieu does not
    VP8        the sender has frames of 1280x720 that are encoded already, 30 a second, some 4 Mbit/s
    frames     the receiver's program reads the frames as they came; aiortc can only decode them
    nothing    a program that only sleeps as often as the sender of `VP8` does: the part of Python's own clock
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from run import facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).resolve().parent
STREAMS = 20
APART = 7
"""Frames by which each stream is behind the one before: no two have packets of one size at a time, but by chance."""
RATE = 48000
PATIENCE = 120.0
ROWS = (
    ("adieu", "ready", "unread"),
    ("aiortc", "ready", "unread"),
    ("adieu", "G.711", "unread"),
    ("adieu", "encoding", "unread"),
    ("adieu", "encoding", "decoding"),
    ("aiortc", "encoding", "decoding"),
)
PICTURES = (("adieu", "VP8", "frames"), ("aiortc", "VP8", "unread"))
FRAMERATE = 30
BITRATE = 4_000_000
"""Bits a second of the frames, nearly: at this size and motion the encoder makes no fewer."""


def tone(seconds: float) -> bytes:
    """A sound that changes, one channel of int16: a second of it is made, and repeated."""
    from array import array

    once = array("h", (round(9000 * ((n * (3 + n // 6000)) % 200 - 100) / 100) for n in range(RATE)))
    return (once.tobytes() * round(seconds + 1))[: 2 * round(seconds * RATE)]


def opus() -> list[bytes]:
    """A second of packets of Opus, each of 20 ms."""
    import av

    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    payloads = []
    for index in range(50):
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(tone(1.0)[1920 * index : 1920 * index + 1920])
        frame.sample_rate, frame.pts = RATE, 960 * index
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return payloads


def pictures() -> list[tuple[bytes, bool]]:
    """Two seconds of encoded pictures that move, and whether each is a key frame: to be repeated."""
    from adieu.media.encoder import Encoder, Wanted
    from adieu.testing import numbered

    encoder, frames = Encoder(), []
    for number in range(2 * FRAMERATE):
        wanted = Wanted("VP8", "", BITRATE, 1.0, number == 0)
        frames += encoder.encode(numbered(number, 1280, 720, busy=True), number / FRAMERATE, wanted)
    return [(frame.data, frame.key) for frame in frames]


# --- one process: a peer of one library -----------


class Adieu:
    def __init__(self) -> None:
        import adieu

        self.version = adieu.__version__
        self.pc = adieu.RTCPeerConnection()
        self.tasks: list[Any] = []

    def send(self, how: str) -> None:
        from adieu.media import AudioSource, EncodedSource

        if how == "VP8":
            camera = EncodedSource("video/VP8")
            encoding = {"maxBitrate": 2 * BITRATE}  # without it adieu stays below what these frames take
            self.pc.addTransceiver(camera.track, {"sendEncodings": [encoding]})
            self.tasks.append(asyncio.ensure_future(self._show(camera, pictures())))
            return
        if how == "ready":
            payloads = opus()
            for number in range(STREAMS):
                voice = EncodedSource("audio/opus", max_seconds=2.0)
                self.pc.addTrack(voice.track)
                at = APART * number % len(payloads)
                self.tasks.append(asyncio.ensure_future(self._pass_on(voice, payloads[at:] + payloads[:at])))
            return
        for number in range(STREAMS):
            source = AudioSource(RATE, max_seconds=2.0)
            self.pc.addTrack(source.track)
            self.tasks.append(asyncio.ensure_future(self._speak(source, 1920 * APART * number)))
        if how == "G.711":
            for transceiver in self.pc.getTransceivers():
                codecs = transceiver.sender.getCapabilities("audio").codecs
                transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "audio/PCMU"])

    async def _speak(self, source: Any, at: int) -> None:
        once = tone(1.0)
        at %= len(once)
        sound = once[at:] + once[:at]
        while True:
            await source.write(sound)

    async def _pass_on(self, voice: Any, payloads: list[bytes]) -> None:
        while True:
            await voice.write(*payloads)

    async def _show(self, camera: Any, frames: list[tuple[bytes, bool]]) -> None:
        began, at = time.perf_counter(), 0

        def restart(_: Any) -> None:
            nonlocal at
            at = 0  # a key frame

        camera.on("keyframe", restart)
        for count in itertools.count():
            data, key = frames[at % len(frames)]
            at += 1
            camera.send(data, key=key)
            await asyncio.sleep(max(0.0, began + (count + 1) / FRAMERATE - time.perf_counter()))

    def receive(self, how: str) -> None:
        from adieu.media import AudioSink, encoded

        async def pass_on(track: Any) -> None:
            async for _ in encoded(track):
                pass

        async def read(track: Any) -> None:
            async for _ in AudioSink(track, RATE, 2):
                pass

        if how == "frames":
            self.pc.ontrack = lambda event: self.tasks.append(asyncio.ensure_future(pass_on(event.track)))
        if how == "decoding":
            self.pc.ontrack = lambda event: self.tasks.append(asyncio.ensure_future(read(event.track)))

    async def offer(self) -> str:
        await self.pc.setLocalDescription()
        return (await self.pc.gathered()).sdp

    async def answer(self, sdp: str) -> str:
        await self.pc.setRemoteDescription({"type": "offer", "sdp": sdp})
        return await self.offer()

    async def accept(self, sdp: str) -> None:
        await self.pc.setRemoteDescription({"type": "answer", "sdp": sdp})

    async def packets(self) -> int:
        names = {"outbound-rtp": "packetsSent", "inbound-rtp": "packetsReceived"}
        return sum(s[names[s["type"]]] for s in (await self.pc.getStats()).values() if s["type"] in names)


class Aiortc:
    def __init__(self) -> None:
        import aiortc

        self.aiortc = aiortc
        self.version = aiortc.__version__
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.tasks: list[Any] = []

    def send(self, how: str) -> None:
        if how == "VP8":
            self.pc.addTrack(self._pictures()())
            return
        track = self._packets() if how == "ready" else self._frames()
        for number in range(STREAMS):
            self.pc.addTrack(track(APART * number))

    def _frames(self) -> Any:
        import av

        sound = tone(1.0)

        class Frames(self.aiortc.AudioStreamTrack):
            began, count = 0.0, 0

            def __init__(self, first: int) -> None:
                super().__init__()
                self.first = first

            async def recv(self) -> Any:
                self.began = self.began or time.perf_counter()
                await asyncio.sleep(max(0.0, self.began + 0.02 * self.count - time.perf_counter()))
                frame = av.AudioFrame(format="s16", layout="mono", samples=960)
                at = 1920 * ((self.count + self.first) % 50)
                frame.planes[0].update(sound[at : at + 1920])
                frame.sample_rate, frame.pts, frame.time_base = RATE, 960 * self.count, Fraction(1, RATE)
                self.count += 1
                return frame

        return Frames

    def _packets(self) -> Any:
        import av

        payloads = opus()

        class Packets(self.aiortc.MediaStreamTrack):
            kind = "audio"
            began, count = 0.0, 0

            def __init__(self, first: int) -> None:
                super().__init__()
                self.first = first

            async def recv(self) -> Any:
                self.began = self.began or time.perf_counter()
                await asyncio.sleep(max(0.0, self.began + 0.02 * self.count - time.perf_counter()))
                packet = av.Packet(payloads[(self.count + self.first) % len(payloads)])
                packet.pts, packet.time_base = 960 * self.count, Fraction(1, RATE)
                self.count += 1
                return packet

        return Packets

    def _pictures(self) -> Any:
        import av

        frames = pictures()

        class Packets(self.aiortc.MediaStreamTrack):
            kind = "video"
            began, count = 0.0, 0

            async def recv(self) -> Any:
                self.began = self.began or time.perf_counter()
                await asyncio.sleep(max(0.0, self.began + self.count / FRAMERATE - time.perf_counter()))
                packet = av.Packet(frames[self.count % len(frames)][0])
                packet.pts, packet.time_base = 90_000 // FRAMERATE * self.count, Fraction(1, 90_000)
                self.count += 1
                return packet

        return Packets

    def receive(self, how: str) -> None:
        async def read(track: Any) -> None:
            while True:
                await track.recv()

        if how == "decoding":
            self.pc.on("track", lambda track: self.tasks.append(asyncio.ensure_future(read(track))))

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def answer(self, sdp: str) -> str:
        await self.pc.setRemoteDescription(self.aiortc.RTCSessionDescription(sdp, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return self.pc.localDescription.sdp

    async def accept(self, sdp: str) -> None:
        await self.pc.setRemoteDescription(self.aiortc.RTCSessionDescription(sdp, "answer"))

    async def packets(self) -> int:
        names = {"outbound-rtp": "packetsSent", "inbound-rtp": "packetsReceived"}
        found = (await self.pc.getStats()).values()
        return sum(getattr(one, names[one.type]) for one in found if one.type in names)


def switches() -> int:
    """How often the threads of this process were put to sleep or had to wait."""
    texts = [path.read_text() for path in Path("/proc/self/task").glob("*/status")]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if "ctxt_switches" in line)


async def serve(library: str) -> None:
    """Answer each line with a line."""
    peer: Any = {"adieu": Adieu, "aiortc": Aiortc}[library]()
    reader = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        asked = json.loads(line)
        do = asked.pop("do")
        if do == "figures":
            answer: Any = {"cpu": time.process_time(), "packets": await peer.packets(), "switches": switches()}
        elif do == "version":
            answer = peer.version
        elif do in {"send", "receive"}:
            answer = getattr(peer, do)(asked["how"])
        else:
            answer = await getattr(peer, do)(**asked)
        print(json.dumps(answer), flush=True)


# --- the other one: it starts them, and measures -----------


@asynccontextmanager
async def started(library: str) -> AsyncIterator[Any]:
    command = (sys.executable, __file__, "--peer", library)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=1 << 22)
    assert process.stdin is not None
    assert process.stdout is not None
    pipe_in, pipe_out = process.stdin, process.stdout

    async def ask(do: str, **arguments: Any) -> Any:
        pipe_in.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        line = await asyncio.wait_for(pipe_out.readline(), PATIENCE)
        if not line:
            raise RuntimeError(f"{library} ended while asked to {do}")
        return json.loads(line)

    try:
        yield ask
    finally:
        process.kill()
        await process.wait()


async def measured(library: str, sends: str, receives: str, seconds: float) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        sender, receiver = [await stack.enter_async_context(started(library)) for _ in range(2)]
        await sender("send", how=sends)
        await receiver("receive", how=receives)
        await sender("accept", sdp=await receiver("answer", sdp=await sender("offer")))
        while (await receiver("figures"))["packets"] < 50:  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # another process
        await asyncio.sleep(12 if sends == "VP8" else 2)  # a path's estimate grows
        before = [await ask("figures") for ask in (sender, receiver)]
        await asyncio.sleep(seconds)
        after = [await ask("figures") for ask in (sender, receiver)]
        found: dict[str, Any] = {"version": await sender("version")}
        for name, first, last in zip(("out", "in"), before, after, strict=True):
            count = last["packets"] - first["packets"]
            found[name] = 1e6 * (last["cpu"] - first["cpu"]) / count
            found[f"{name} packets"] = count / seconds
            found[f"{name} switches"] = (last["switches"] - first["switches"]) / count
        return found


def datagram(size: int, count: int = 2000) -> float:
    """Return the processor time, in seconds, that the system takes to send a datagram to a socket here."""
    with socket.socket(type=socket.SOCK_DGRAM) as there, socket.socket(type=socket.SOCK_DGRAM) as here:
        there.bind(("127.0.0.1", 0))
        address, data, took = there.getsockname(), bytes(size), 0.0
        for _ in range(count):
            began = time.thread_time()
            here.sendto(data, address)
            took += time.thread_time() - began
            there.recv(size)
        return took / count


async def nothing(seconds: float) -> float:
    """Return the processor time, in seconds a second, of a program that sleeps as often as a picture is sent."""
    began, cpu = time.perf_counter(), time.process_time()
    for count in range(round(seconds * FRAMERATE)):
        await asyncio.sleep(max(0.0, began + (count + 1) / FRAMERATE - time.perf_counter()))
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def report(rows: dict[tuple[str, str, str], list[dict[str, Any]]], seconds: float, idle: float) -> str:
    lines = [
        "# Sound and pictures: processor time",
        "{date}, commit {commit}; {processor}, {cores} cores, {system}, Python {python}.".format(**facts()),
        "",
        (
            f"Sound: {STREAMS} streams, frames of 20 ms. Pictures: a stream of VP8, 1280x720, {FRAMERATE} ready frames"
            f" a second, some {BITRATE / 1e6:.0f} Mbit/s. Two processes on loopback, {seconds:.0f} s in each of"
            f" {len(next(iter(rows.values())))} rounds in turn. `python benchmarks/media.py` makes this page."
        ),
        "",
        (
            "| | sender | receiver | µs a packet, sender | µs a packet, receiver | switches a packet, sender"
            " | switches a packet, receiver | packets a second that arrived |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    shown: dict[tuple[str, str, str], tuple[float, float]] = {}
    for row, figures in rows.items():
        cells = [_spread([one[side] for one in figures]) for side in ("out", "in")]
        cells += [f"{median(one[f'{side} switches'] for one in figures):.2f}" for side in ("out", "in")]
        shown[row] = (median(one["out"] for one in figures), median(one["in"] for one in figures))
        arrived = median(one["in packets"] for one in figures)
        name, sends, receives = row
        lines.append(f"| {name} {figures[0]['version']} | {sends} | {receives} | {' | '.join(cells)} | {arrived:.0f} |")
    ours, others = (shown[row] for row in PICTURES)
    arrived = median(one["out packets"] for one in rows[PICTURES[0]])
    ready, plain, _, coded = (shown[row] for row in ROWS if row[0] == "adieu")
    theirs, theirs_coded = (shown[row] for row in ROWS if row[0] == "aiortc")

    def times(what: str, one: tuple[float, float], other: tuple[float, float], more: str = "") -> str:
        out, into = other[0] / one[0], other[1] / one[1]
        return f"{what}: aiortc takes {out:.1f} times as much to send, {into:.1f} times to receive{more}."

    lines += [
        "",
        times("Ready packets of sound", ready, theirs, "; it decodes them, also if nobody reads"),
        times("G.711 beside aiortc's ready packets", plain, theirs),
        times("Encoding and decoding", coded, theirs_coded),
        times("Ready pictures", ours, others, "; it decodes them"),
        (
            f"Python's part of a picture: a program that only sleeps {FRAMERATE} times a second takes"
            f" {1e6 * idle / FRAMERATE:.0f} µs each time, {1e6 * idle / arrived:.1f} for each packet of these pictures."
        ),
        (
            f"The system's part: a datagram of 100 bytes to a socket here takes {1e6 * datagram(100):.1f} µs,"
            f" one of 1200 bytes {1e6 * datagram(1200):.1f}, if it goes alone. Those of one size that are due together"
            " leave in one call of adieu's."
        ),
        "A switch: a thread goes to sleep, or has to wait.",
        f"The processor time is that of all threads. The load of the computer was {os.getloadavg()[0]:.0f} at the end.",
        "Where less than 1000 packets a second of sound arrived, it was too busy for all of them.",
        (
            "Where fewer packets of pictures arrived than aiortc's, adieu left pictures out, as on a path that is full."
            " aiortc sends all of them."
        ),
    ]
    return "\n".join(lines) + "\n"


def _spread(found: list[float]) -> str:
    return f"**{median(found):.1f}** ({min(found):.1f} – {max(found):.1f})"


async def main(quick: bool) -> None:
    rounds, seconds = (1, 2.0) if quick else (3, 8.0)
    rows: dict[tuple[str, str, str], list[dict[str, Any]]] = {row: [] for row in ROWS + PICTURES}
    for turn in range(rounds):
        for row in ROWS + PICTURES:
            print(f"round {turn + 1}/{rounds}: {' '.join(row)}", flush=True)
            rows[row].append(await measured(*row, seconds))
            print(rows[row][-1], flush=True)
    text = report(rows, seconds, await nothing(seconds))
    print(text)
    if not quick:
        (HERE / "media.md").write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer", choices=["adieu", "aiortc"])
    options = parser.parse_args()
    asyncio.run(serve(options.peer) if options.peer else main(options.quick))
