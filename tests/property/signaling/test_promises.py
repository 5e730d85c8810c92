"""Whatever happens to links, clients and servers: nothing twice, in order, and nothing lost in silence."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adieu.server.hub import Settings
from adieu.signaling.events import Ended, Up
from adieu.signaling.policy import Policy
from adieu.signaling.states import Greeting, Refusal, Want
from sim.signaling.world import NEVER, Client, World

DELAYS = st.sampled_from([0.0, 0.005, 0.02, 0.3, 3.0, NEVER])
SOME_TIME = st.sampled_from([0.0, 0.004, 0.011, 0.025, 0.2, 1.0, 5.0, 30.0, 80.0])
MAX_CLIENTS = 4
WHICH = st.integers(0, MAX_CLIENTS - 1)
MOMENT = st.sampled_from([0.0, 0.004, 0.011, 0.015, 0.021, 0.031])


class Signaling(RuleBasedStateMachine):
    """Clients of one room over links that are cut at any moment, at a server with narrow limits."""

    @initialize(seed=st.integers(0, 2**32), narrow=st.booleans())
    def begin(self, seed: int, narrow: bool) -> None:
        # Narrow: queues fill within a few messages. Else: nothing but cuts can go wrong.
        limits = Settings(queue_bytes=500, kept_bytes=6000) if narrow else Settings()
        policy = Policy(outbox_messages=8, outbox_bytes=4000) if narrow else Policy()
        self.world = World(limits, policy=policy, seed=seed)
        for _ in range(2):
            self._come()
        self.world.run(1)

    def _come(self) -> None:
        client = self.world.client()
        client.join()

    def _alive(self) -> list[Client]:
        return [client for client in self.world.clients if client.machine.want is not Want.NOTHING]

    @rule(sender=WHICH, receiver=WHICH, count=st.sampled_from([1, 2, 6]))
    def send(self, sender: int, receiver: int, count: int) -> None:
        clients = self.world.clients
        one, other = clients[sender % len(clients)], clients[receiver % len(clients)]
        if one is other or one.machine.want is Want.NOTHING or not other.peers or not one.peers:
            return
        for _ in range(count):
            one.send(other.peers[-1])

    @rule(seconds=SOME_TIME)
    def let_time_pass(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(which=WHICH, client_after=DELAYS, server_after=DELAYS)
    def cut(self, which: int, client_after: float, server_after: float) -> None:
        client = self.world.clients[which % len(self.world.clients)]
        # Both ends ping: each does notice.
        self.world.cut(client, client_after=min(client_after, 10.0), server_after=min(server_after, 20.0))

    @rule(which=WHICH, to=WHICH, pause=MOMENT, server_after=DELAYS)
    def cut_in_the_middle_of_a_message(self, which: int, to: int, pause: float, server_after: float) -> None:
        self.send(which, to, 2)
        self.world.run(pause)
        self.cut(which, 0.0, server_after)

    @rule(which=WHICH, pause=MOMENT, server_after=DELAYS)
    def cut_in_the_middle_of_a_resume(self, which: int, pause: float, server_after: float) -> None:
        self.cut(which, 0.0, server_after)
        client = self.world.clients[which % len(self.world.clients)]
        for _ in range(40):
            if isinstance(client.machine.state, Greeting):
                break
            self.world.run(0.005)
        self.world.run(pause)
        self.cut(which, 0.0, server_after)

    @rule(which=WHICH, reachable=st.booleans())
    def change_network(self, which: int, reachable: bool) -> None:
        client = self.world.clients[which % len(self.world.clients)]
        client.reachable = reachable
        if not reachable:
            self.world.cut(client, client_after=0.0, server_after=20.0)

    @rule()
    def restart_the_server(self) -> None:
        self.world.restart()

    @precondition(lambda self: len(self.world.clients) < MAX_CLIENTS)
    @rule()
    def another_comes(self) -> None:
        self._come()

    @rule(which=WHICH)
    def one_quits(self, which: int) -> None:
        alive = self._alive()
        if len(alive) > 1:
            alive[which % len(alive)].quit()

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        if hasattr(self, "world"):
            limits = self.world.settings
            for seat in self.world.hub._state.seats.values():
                assert seat.outgoing.size <= 2 * limits.queue_bytes

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for client in self.world.clients:
            client.reachable = True
        self.world.run(200)
        self.world.check_promises()
        for client in self.world.clients:
            assert [ended.error for ended in client.got(Ended)] in ([], [None])
            assert client.machine.bad_frames == 0
        alive = self._alive()
        for client in alive:
            assert client.machine.up
            assert client.machine.rooms == {"lab"} or any(isinstance(answer, Refusal) for answer in client.answers)
            assert client.machine.leftovers["frames"] == 0
            assert client.machine.leftovers["messages"] == 0
            assert client.got(Up)
        # Every seat is somebody's, and everybody has one.
        assert set(self.world.hub._state.seats) == {client.machine.peer for client in alive}
        gauges = self.world.hub.gauges()
        seats = self.world.hub._state.seats.values()
        assert gauges["kept_bytes"] == sum(m.size for seat in seats for m in seat.rooms.values()) + sum(
            seat.outgoing.size for seat in seats
        )
        assert gauges["departed"] == 0


TestSignaling = Signaling.TestCase
TestSignaling.settings = settings(
    max_examples=500, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
