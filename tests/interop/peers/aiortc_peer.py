"""aiortc under the hand of a test: the commands and events of tests/e2e/lab/peer.py as lines of JSON."""

import asyncio
import base64
import contextlib
import json
import sys
import time
import zlib

import aiortc
from aiortc.sdp import candidate_from_sdp


class AiortcPeer:
    def __init__(self):
        self.pc = None
        self.channels = {}

    async def do(self, command, **arguments):
        return await getattr(self, f"do_{command}")(**arguments)

    async def do_new(self, configuration=None, rsa=False):
        self.pc = pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        for kind, attribute in {
            "connection": "connectionState",
            "ice": "iceConnectionState",
            "gathering": "iceGatheringState",
            "signaling": "signalingState",
        }.items():
            pc.on(
                f"{attribute.lower()}change",
                lambda kind=kind, attribute=attribute: tell("state", kind=kind, state=getattr(pc, attribute)),
            )

        @pc.on("datachannel")
        def _(channel):
            self.watch(channel)
            tell("datachannel", **options(channel))
            tell("open", label=channel.label, id=channel.id)  # aiortc gives it open, without the event

    async def do_channel(self, label, init=None):
        self.watch(self.pc.createDataChannel(label, **(init or {})))

    async def do_media(self, kinds=("audio", "video"), tracks=False, rids=()):
        assert not rids, "aiortc sends no simulcast"
        made = {"audio": aiortc.mediastreams.AudioStreamTrack, "video": aiortc.mediastreams.VideoStreamTrack}
        for kind in kinds:
            if tracks:
                self.pc.addTrack(made[kind]())
            else:
                self.pc.addTransceiver(kind)

    async def do_offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def do_answer(self, sdp):
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return self.pc.localDescription.sdp

    async def do_accept(self, sdp):
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer"))

    async def do_local(self):
        return self.pc.localDescription.sdp

    async def do_candidate(self, candidate):
        if candidate is None or not candidate["candidate"]:
            await self.pc.addIceCandidate(None)
            return
        parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
        parsed.sdpMid, parsed.sdpMLineIndex = candidate["sdpMid"], candidate["sdpMLineIndex"]
        await self.pc.addIceCandidate(parsed)

    async def do_send(self, label, **data):
        self.channels[label].send(data["text"] if "text" in data else base64.b64decode(data["base64"]))

    async def do_flood(self, label, size, count):
        for index in range(count):
            self.channels[label].send(index.to_bytes(4, "big") + bytes(size - 4))

    async def do_close_channel(self, label):
        self.channels[label].close()

    async def do_close(self):
        await self.pc.close()

    async def do_close_both(self, label):
        self.channels[label].close()
        await self.pc.close()

    async def do_look(self):
        sctp = self.pc.sctp
        return {
            "connection": self.pc.connectionState,
            "ice": self.pc.iceConnectionState,
            "signaling": self.pc.signalingState,
            "sctp": sctp.state if sctp else None,
            "dtls": sctp.transport.state if sctp else None,
            "channels": {
                label: {**options(c), "readyState": c.readyState, "bufferedAmount": c.bufferedAmount}
                for label, c in self.channels.items()
            },
        }

    async def do_settle(self):
        await asyncio.sleep(0.15)

    def watch(self, channel):
        label = channel.label
        self.channels[label] = channel
        channel.on("open", lambda: tell("open", label=label, id=channel.id))
        channel.on("close", lambda: tell("close", label=label, readyState=channel.readyState))
        channel.on("error", lambda error: tell("error", label=label, message=str(error)))

        @channel.on("message")
        def _(data):
            raw = data.encode() if isinstance(data, str) else data
            kind = "text" if isinstance(data, str) else "binary"
            text = {"text": data} if kind == "text" and len(raw) < 200 else {}
            tell("message", label=label, kind=kind, size=len(raw), crc=zlib.crc32(raw), **text)


def options(channel):
    names = ("label", "id", "ordered", "maxRetransmits", "maxPacketLifeTime", "protocol", "negotiated")
    return {name: getattr(channel, name) for name in names}


def tell(event, **detail):
    write({"event": event, "at": time.time() * 1e3, **detail})


def write(said):
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def main():
    lines = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    write({"event": "hello", "version": aiortc.__version__})
    peer = AiortcPeer()
    while line := await lines.readline():
        command = json.loads(line)
        number = command.pop("id")
        try:
            write({"id": number, "result": await peer.do(**command)})
        except Exception as error:  # noqa: BLE001 the test decides what it means
            write({"id": number, "error": {"name": type(error).__name__, "message": str(error)}})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(main())
