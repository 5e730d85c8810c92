"""adieu in this process under the hand of a test: the commands and events of tests/e2e/lab/peer.py."""

from __future__ import annotations

import asyncio
import base64
import time
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import adieu
from adieu.media import AudioSink, AudioSource, VideoSink, VideoSource
from adieu.testing import Heard, ToneReader, number_of, numbered, tones
from e2e.lab.peer import PATIENCE, Peer, RefusedError
from support.media import track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATES = {
    "connection": "connectionState",
    "ice": "iceConnectionState",
    "gathering": "iceGatheringState",
    "signaling": "signalingState",
}


class AdieuPeer(Peer):
    """Commands are done one after the other, as they were given, by one task."""

    def __init__(self) -> None:
        super().__init__("adieu", adieu.__version__)
        self.pc: Any = None
        self.channels: dict[str, Any] = {}
        self._turns: asyncio.Queue[tuple[str, dict[str, Any], asyncio.Future[Any] | None]] = asyncio.Queue()
        self._watched: Any = None
        self.speech: Any = None
        self.voice: Any = None
        self.ears: list[asyncio.Task[None]] = []
        self.tones: list[Heard] = []
        self.ahead = float("inf")
        """What the time of a frame is behind the time of day, in seconds."""
        self.camera: Any = None
        self.stream = adieu.MediaStream()  # pages keep the sound and the pictures of one stream together
        self.shown: list[tuple[int, float]] = []
        """The pictures that were pushed, and when, in milliseconds since 1970."""
        self.pictures_seen: list[tuple[int | None, float, int, int, float]] = []
        """The pictures that came: number, milliseconds since 1970, width, height, and their own time in seconds."""
        self.eyes: list[asyncio.Task[None]] = []
        self.moving = asyncio.Event()
        self.moving.set()

    async def call(self, command: str, **arguments: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._turns.put_nowait((command, arguments, answer))
        async with asyncio.timeout(PATIENCE):
            return await answer

    def post(self, command: str, **arguments: Any) -> None:
        self._turns.put_nowait((command, arguments, None))

    async def run(self) -> None:
        while True:
            command, arguments, answer = await self._turns.get()
            try:
                result = await getattr(self, f"do_{command}")(**arguments)
            except Exception as error:  # noqa: BLE001 the test decides what it means
                name = getattr(error, "name", type(error).__name__)
                if answer is None:
                    self.hear({"event": "fault", "command": command, "name": name, "message": str(error)})
                elif not answer.done():
                    answer.set_exception(RefusedError(name, str(error)))
            else:
                if answer is not None and not answer.done():
                    answer.set_result(result)

    async def do_new(
        self,
        configuration: dict[str, Any] | None = None,
        rsa: bool = False,
        settings: dict[str, Any] | None = None,
    ) -> None:
        assert not rsa, "adieu makes ECDSA certificates only"
        self.pc = pc = adieu.RTCPeerConnection(configuration or {}, settings=settings)
        pc.onicecandidate = lambda event: self.tell(
            "candidate", candidate=event.candidate.toJSON() if event.candidate else None
        )
        for kind, attribute in STATES.items():
            pc.addEventListener(
                f"{attribute.lower()}change",
                lambda _, kind=kind, attribute=attribute: self.tell("state", kind=kind, state=getattr(pc, attribute)),
            )
        pc.ondatachannel = self._arrived

    async def do_channel(self, label: str, init: dict[str, Any] | None = None) -> None:
        self.watch(self.pc.createDataChannel(label, **(init or {})))

    async def do_media(
        self, kinds: tuple[str, ...] = ("audio", "video"), tracks: bool = False, rids: tuple[str, ...] = ()
    ) -> None:
        for kind in kinds:
            made = track(kind) if tracks else None
            streams = [adieu.MediaStream([made])] if made else []
            if made and not rids:
                self.pc.addTrack(made, *streams)
            else:
                encodings = [{"rid": rid} for rid in rids if kind == "video"]
                self.pc.addTransceiver(made or kind, streams=streams, sendEncodings=encodings)

    async def do_listen(self) -> None:
        """Hear the tones of each remote track from now on."""
        self.pc.addEventListener("track", self._track_came)

    def _track_came(self, event: Any) -> None:
        track = event.track
        for name in ("mute", "unmute", "ended"):
            track.addEventListener(name, lambda _, name=name: self.tell("track", kind=track.kind, state=name))
        track.addEventListener("tone", lambda event: self.tell("tone", tone=event.tone, duration=event.duration))
        if track.kind == "audio":
            self.ears.append(asyncio.create_task(self._hear(AudioSink(track, sample_rate=8000))))
        self.tell("track", kind=track.kind, state="added", muted=track.muted)

    async def _hear(self, sink: AudioSink) -> None:
        reader = ToneReader()
        async for frame in sink:
            end = frame.time + frame.duration
            # When the core gave it, whatever this busy program was doing then: the earliest reading shows that.
            self.ahead = min(self.ahead, time.time() - end)
            self.tones += reader.feed(frame.data, end)

    @property
    def heard(self) -> list[tuple[int, float]]:
        """The tones so far, and when each was given by the core, in milliseconds since 1970."""
        return [(tone.number, 1000 * (tone.time + self.ahead)) for tone in self.tones]

    async def do_speak(self, count: int = 2500, at_once: bool = False) -> None:
        """Speak tones, as an audio track that is sent."""
        self.speech = AudioSource(max_seconds=60.0)
        self.pc.addTrack(self.speech.track, self.stream)
        self.voice = asyncio.create_task(self.speech.write(tones(count)))

    async def do_heard(self, end: bool = False) -> dict[str, Any]:
        return {"heard": self.heard, "played": [], "lastSound": None, "now": 1000 * time.time(), "live": True}

    async def do_see(self, wide: int = 640) -> None:
        """Read the numbers of each remote picture from now on."""

        def came(event: Any) -> None:
            if event.track.kind != "video":
                return
            track = event.track
            for name in ("mute", "unmute", "ended"):
                track.addEventListener(name, lambda _, name=name: self.tell("track", kind="video", state=name))
            self.eyes.append(asyncio.create_task(self._see(VideoSink(track, format="gray", queue=60), wide)))
            self.tell("track", kind="video", state="added", muted=track.muted)

        self.pc.addEventListener("track", came)

    async def _see(self, sink: VideoSink, wide: int) -> None:
        async for frame in sink:
            number = number_of(frame.data, frame.width, frame.width / wide)
            self.pictures_seen.append((number, 1000 * time.time(), frame.width, frame.height, frame.time))

    async def do_show(self, width: int = 640, height: int = 480, rate: float = 30) -> None:
        """Show numbered pictures, as a video track that is sent."""
        self.camera = VideoSource()
        self.pc.addTrack(self.camera.track, self.stream)
        self.eyes.append(asyncio.create_task(self._show(width, height, rate)))

    async def _show(self, width: int, height: int, rate: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in range(1_000_000):
            await self.moving.wait()
            self.shown.append((number, 1000 * time.time()))
            self.camera.push(numbered(number, width, height))
            due = max(due + 1 / rate, loop.time())  # late is late: two at once would be one
            await asyncio.sleep(due - loop.time())

    async def do_hold(self, still: bool) -> None:
        """Show no new picture, or go on."""
        (self.moving.clear if still else self.moving.set)()

    async def do_prefer(self, codec: str) -> None:
        """Use this codec before all others, of the transceivers so far."""
        for transceiver in self.pc.getTransceivers():
            if transceiver.receiver.track.kind == "video":
                codecs = adieu.RTCRtpReceiver.getCapabilities("video").codecs
                wanted = [known for known in codecs if known.mimeType.lower() == f"video/{codec}".lower()]
                helpers = [known for known in codecs if known.mimeType.lower() in {"video/rtx", "video/red"}]
                transceiver.setCodecPreferences([*wanted, *helpers])

    async def do_pictures(self) -> dict[str, Any]:
        return {"seen": self.pictures_seen, "shown": self.shown, "gone": 0, "now": 1000 * time.time()}

    async def do_restart(self) -> None:
        self.pc.restartIce()

    async def do_rollback(self) -> None:
        await self.pc.setLocalDescription({"type": "rollback"})

    async def do_offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.watch_transports()
        return self.pc.localDescription.sdp

    async def do_answer(self, sdp: str) -> str:
        await self.pc.setRemoteDescription({"type": "offer", "sdp": sdp})
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        self.watch_transports()
        return self.pc.localDescription.sdp

    async def do_accept(self, sdp: str) -> None:
        await self.pc.setRemoteDescription({"type": "answer", "sdp": sdp})
        self.watch_transports()

    async def do_local(self) -> str:
        return self.pc.localDescription.sdp

    async def do_candidate(self, candidate: dict[str, Any] | None) -> None:
        await self.pc.addIceCandidate(candidate)

    async def do_send(self, label: str, **data: str) -> None:
        self.channels[label].send(data["text"] if "text" in data else base64.b64decode(data["base64"]))

    async def do_flood(self, label: str, size: int, count: int) -> None:
        for index in range(count):
            self.channels[label].send(index.to_bytes(4, "big") + bytes(size - 4))

    async def do_close_channel(self, label: str) -> None:
        self.channels[label].close()

    async def do_close(self) -> None:
        self.pc.close()

    async def do_close_both(self, label: str) -> None:
        self.channels[label].close()
        self.pc.close()

    async def do_stats(self) -> list[dict[str, Any]]:
        return list((await self.pc.getStats()).values())

    async def do_look(self) -> dict[str, Any]:
        sctp = self.pc.sctp
        return {
            **{kind: getattr(self.pc, attribute) for kind, attribute in STATES.items()},
            "sctp": sctp.state if sctp else None,
            "dtls": sctp.transport.state if sctp else None,
            "maxMessageSize": sctp.maxMessageSize if sctp else None,
            "channels": {
                label: {**options(c), "readyState": c.readyState, "bufferedAmount": c.bufferedAmount}
                for label, c in self.channels.items()
            },
        }

    async def do_judge_offers(self, texts: list[str]) -> list[str]:
        verdicts: list[str] = []
        for text in texts:
            one, where = adieu.RTCPeerConnection(), "set"
            try:
                await one.setRemoteDescription({"type": "offer", "sdp": text})
                where = "answer"
                await one.setLocalDescription()
                verdicts.append(one.localDescription.sdp)
            except adieu.DOMException as error:
                verdicts.append(f"{where}:{error.name}")
            one.close()
        return verdicts

    async def do_judge_answers(self, kinds: list[str], texts: list[str]) -> list[str]:
        verdicts: list[str] = []
        for text in texts:
            one = adieu.RTCPeerConnection()
            one.createDataChannel("chat")
            for kind in kinds:
                one.addTransceiver(kind)
            await one.setLocalDescription()
            verdicts.append(await _verdict(one.setRemoteDescription({"type": "answer", "sdp": text})))
            one.close()
        return verdicts

    async def do_judge_candidates(self, offer: str, texts: list[str]) -> list[str]:
        one = adieu.RTCPeerConnection()
        await one.setRemoteDescription({"type": "offer", "sdp": offer})
        await one.setLocalDescription()
        verdicts = [
            await _verdict(one.addIceCandidate({"candidate": text, "sdpMid": "0", "sdpMLineIndex": 0}))
            for text in texts
        ]
        one.close()
        return verdicts

    async def do_settle(self) -> None:
        await asyncio.sleep(0.15)

    def _arrived(self, event: Any) -> None:
        self.watch(event.channel)
        self.tell("datachannel", **options(event.channel))

    def watch(self, channel: Any) -> None:
        label = channel.label
        self.channels[label] = channel
        channel.onopen = lambda _: self.tell("open", label=label, id=channel.id)
        channel.onclosing = lambda _: self.tell("closing", label=label, readyState=channel.readyState)
        channel.onclose = lambda _: self.tell("close", label=label, readyState=channel.readyState)
        channel.onerror = lambda event: self.tell(
            "error",
            label=label,
            detail=event.error.errorDetail,
            cause=event.error.sctpCauseCode,
            message=event.error.message,
        )
        channel.onmessage = lambda event: self._message(label, event.data)

    def watch_transports(self) -> None:
        sctp = self.pc.sctp
        if sctp is None or sctp is self._watched:
            return
        self._watched = sctp
        dtls = sctp.transport
        sctp.onstatechange = lambda _: self.tell("state", kind="sctp", state=sctp.state)
        dtls.onstatechange = lambda _: self.tell("state", kind="dtls", state=dtls.state)
        dtls.onerror = lambda event: self.tell(
            "error",
            of="dtls",
            detail=event.error.errorDetail,
            message=event.error.message,
            sent=event.error.sentAlert,
            received=event.error.receivedAlert,
        )

    def _message(self, label: str, data: str | bytes) -> None:
        raw = data.encode() if isinstance(data, str) else data
        kind = "text" if isinstance(data, str) else "binary"
        text = {"text": data} if kind == "text" and len(raw) < 200 else {}
        self.tell("message", label=label, kind=kind, size=len(raw), crc=zlib.crc32(raw), **text)

    def tell(self, event: str, **detail: Any) -> None:
        self.hear({"event": event, "at": time.time() * 1e3, **detail})


async def _verdict(step: Any) -> str:
    try:
        await step
    except adieu.DOMException as error:
        return f"set:{error.name}"
    return "+"


def options(channel: Any) -> dict[str, Any]:
    names = ("label", "id", "ordered", "maxRetransmits", "maxPacketLifeTime", "protocol", "negotiated")
    return {name: getattr(channel, name) for name in names}


@asynccontextmanager
async def adieu_peer() -> AsyncIterator[AdieuPeer]:
    """A connection of this process; at the end it is closed, and nothing of it is left."""
    peer = AdieuPeer()
    turns = asyncio.create_task(peer.run())
    try:
        yield peer
    finally:
        tasks = [turns, *peer.eyes]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if peer.pc is not None:
            peer.pc.close()
            async with asyncio.timeout(PATIENCE):
                left = await peer.pc.wait_closed()
            assert not left, f"after the close something is left: {left}"
