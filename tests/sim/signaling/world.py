"""A hub and its clients in one virtual time, joined by links that lose sockets at any moment.

A cut takes what is in flight with it. Each end notices it after a delay of its own, or not at all until the other
comes again: that is what a half-open socket is.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adieu.protocol.signaling import Join, PeerLeft
from adieu.protocol.words import Wait
from adieu.server.hub import Close, Hub, Send, Settings
from adieu.signaling.events import Ended, Moved, Undelivered, Up
from adieu.signaling.machine import Machine
from adieu.signaling.policy import Policy
from adieu.signaling.states import Answer, Refusal, Want

if TYPE_CHECKING:
    from collections.abc import Callable

LATENCY = 0.01
NEVER = float("inf")


@dataclass(eq=False)
class Socket:
    client: Client
    hub: Hub
    connection: int = 0
    open_at_client: bool = True
    open_at_server: bool = True
    cut: bool = False


@dataclass(frozen=True)
class Sent:
    """What was sent to which peer, after how many events."""

    text: str
    to: str
    after: int


@dataclass(eq=False)
class Client:
    world: World
    index: int
    machine: Machine
    events: list[Any] = field(default_factory=list)
    answers: list[Answer | Refusal] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    socket: Socket | None = None
    dialing: bool = False
    reachable: bool = True
    sent: list[Sent] = field(default_factory=list)

    def got(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def words(self) -> list[tuple[str, str]]:
        """(peer, text) of what was relayed to us."""
        return [(event.from_, event.reason) for event in self.got(Wait)]

    def send(self, to: Client | str) -> str:
        text = f"{self.index}:{len(self.sent) + 1}"
        peer = to if isinstance(to, str) else to.machine.peer
        self.sent.append(Sent(text, peer, len(self.events)))
        self.machine.send(Wait(to=peer, session="s", reason=text, eta_ms=1))
        self.world.pump(self)
        return text

    def join(self, room: str = "lab", **meta: Any) -> None:
        self.machine.request(Join(room=room, meta=meta), self.world.now)
        self.world.pump(self)

    def quit(self) -> None:
        self.machine.quit("done", self.world.now)
        self.world.pump(self)


class World:
    def __init__(self, settings: Settings | None = None, *, policy: Policy | None = None, seed: int = 0) -> None:
        self.now = 1000.0
        self.settings = settings or Settings()
        self.policy = policy or Policy()
        self.random = random.Random(seed)
        self.hub = self._new_hub()
        self.clients: list[Client] = []
        self.sockets: dict[int, Socket] = {}
        self.owners: dict[str, int] = {}
        """Peer id to client index."""
        self.steps = 0
        self.on_step: Callable[[int], None] = lambda step: None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def _new_hub(self) -> Hub:
        return Hub(self.settings, random=self.random.randbytes)

    def client(self, name: str = "") -> Client:
        client = Client(self, len(self.clients), Machine(self.policy, name=name, random=self.random.random))
        self.clients.append(client)
        client.machine.start(self.now)
        self.pump(client)
        return client

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), what))

    # --- time -------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (due := self._next()) <= end:
            self.now = max(self.now, due)
            self._step()
        self.now = end

    def _next(self) -> float:
        times = [self._queue[0][0] if self._queue else NEVER]
        hub = self.hub.poll_timeout()
        times.append(NEVER if hub is None else hub)
        for client in self.clients:
            timeout = client.machine.poll_timeout()
            times.append(NEVER if timeout is None else timeout)
        return min(times)

    def _step(self) -> None:
        self.steps += 1
        assert self.steps < 200_000, "time stands still"
        self.on_step(self.steps)
        while self._queue and self._queue[0][0] <= self.now:
            heapq.heappop(self._queue)[2]()
        hub = self.hub.poll_timeout()
        if hub is not None and hub <= self.now:
            self.hub.handle_timeout(self.now)
            self.pump_hub()
        for client in self.clients:
            timeout = client.machine.poll_timeout()
            if timeout is not None and timeout <= self.now:
                client.machine.handle_timeout(self.now)
                self.pump(client)

    # --- the client's end -------------------------------------------------------------------------------------

    def pump(self, client: Client) -> None:
        machine = client.machine
        while (text := machine.poll_transmit(self.now)) is not None:
            self._carry_up(client.socket, text)
        while (event := machine.poll_event()) is not None:
            if isinstance(event, (Answer, Refusal)):
                client.answers.append(event)
            else:
                client.events.append(event)
            if isinstance(event, Up):
                self.owners[event.peer] = client.index
                client.peers.append(event.peer)
        if machine.want is Want.DIAL and not client.dialing:
            client.dialing = True
            self.at(self.now + LATENCY, lambda: self._opened(client))
        if machine.want is not Want.TALK and client.socket is not None:
            self._hang_up(client)

    def _opened(self, client: Client) -> None:
        client.dialing = False
        if not client.reachable:
            client.machine.handle_lost("unreachable", self.now)
        elif client.machine.want is Want.DIAL:
            socket = client.socket = Socket(client, self.hub)
            socket.connection = self.hub.handle_connect("127.0.0.1", self.now)
            self.sockets[socket.connection] = socket
            client.machine.handle_open(None)
            self.pump_hub()
        self.pump(client)

    def _carry_up(self, socket: Socket | None, text: str) -> None:
        if socket is None or socket.cut:
            return

        def arrive() -> None:
            if not socket.cut and socket.open_at_server and socket.hub is self.hub:
                self.hub.handle_message(socket.connection, text, self.now)
                self.pump_hub()

        self.at(self.now + LATENCY, arrive)

    def _hang_up(self, client: Client) -> None:
        socket, client.socket = client.socket, None
        if socket is not None:
            socket.open_at_client = False
            if not socket.cut:
                self.at(self.now + LATENCY, lambda: self._server_notices(socket))

    def _client_notices(self, socket: Socket, code: int | None = None, reason: str = "reset") -> None:
        if socket.open_at_client:
            socket.open_at_client = False
            socket.client.socket = None
            socket.client.machine.handle_lost(reason, self.now, code=code)
            self.pump(socket.client)

    # --- the server's end -------------------------------------------------------------------------------------

    def pump_hub(self) -> None:
        while (output := self.hub.poll_output()) is not None:
            socket = self.sockets[output.connection]
            match output:
                case Send(text=text):
                    self._carry_down(socket, text)
                case Close(code=code, reason=reason):
                    socket.open_at_server = False
                    self._close_down(socket, int(code), reason)

    def _carry_down(self, socket: Socket, text: str) -> None:
        def arrive() -> None:
            if not socket.cut and socket.open_at_client:
                socket.client.machine.handle_frame(text, self.now)
                self.pump(socket.client)

        if not socket.cut:
            self.at(self.now + LATENCY, arrive)

    def _close_down(self, socket: Socket, code: int, reason: str) -> None:
        if not socket.cut:
            self.at(
                self.now + LATENCY,
                lambda: None if socket.cut else self._client_notices(socket, code, reason or "closed"),
            )

    def _server_notices(self, socket: Socket) -> None:
        if socket.open_at_server and socket.hub is self.hub:
            socket.open_at_server = False
            self.hub.handle_disconnect(socket.connection, self.now)
            self.pump_hub()

    # --- trouble ----------------------------------------------------------------------------------------------

    def cut(self, client: Client, *, client_after: float = 0.0, server_after: float = 0.0) -> None:
        """What is in flight is lost; each end notices after so many seconds (or never)."""
        socket = client.socket
        if socket is None:
            return
        socket.cut = True
        if client_after < NEVER:
            self.at(self.now + client_after, lambda: self._client_notices(socket))
        if server_after < NEVER:
            self.at(self.now + server_after, lambda: self._server_notices(socket))

    def restart(self) -> None:
        """The server process dies and a new one starts at once: nothing of the old is known."""
        sockets = [client.socket for client in self.clients if client.socket is not None]
        self.hub = self._new_hub()
        self.hub._last_connection = 10_000 * (1 + max(self.sockets, default=0) // 10_000)  # numbers of sockets differ
        for socket in sockets:
            socket.cut = True
            self._client_notices(socket)

    # --- what must hold ---------------------------------------------------------------------------------------

    def check_promises(self) -> None:
        """Of all that was sent: nothing twice, in order; each arrived, or its sender was told something."""
        for receiver in self.clients:
            for sender in self.clients:
                numbers = [
                    int(text.partition(":")[2])
                    for peer, text in receiver.words
                    if self.owners[peer] == sender.index and text.startswith(f"{sender.index}:")
                ]
                assert numbers == sorted(set(numbers)), f"{sender.index} -> {receiver.index}: {numbers}"
        arrived = {text for client in self.clients for _, text in client.words}
        for client in self.clients:
            for sent in client.sent:
                assert sent.text in arrived or self._was_told(client, sent), f"{sent} is lost in silence"

    def _was_told(self, sender: Client, sent: Sent) -> bool:
        for event in sender.events[sent.after :]:
            match event:
                case Undelivered(message=Wait(reason=reason)) if reason == sent.text:
                    return True
                case Moved() | Ended():
                    return True
                case PeerLeft(peer=peer) if peer == sent.to:
                    return True
                case _:
                    pass
        return False
