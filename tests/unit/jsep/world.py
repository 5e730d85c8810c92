"""Two sides that negotiate by values alone."""

from dataclasses import dataclass, field
from itertools import count

from adieu import jsep
from adieu.jsep import Capabilities, IceCredentials, LocalParameters, Negotiation
from adieu.sdp.attributes import Fingerprint

FINGERPRINT = {side: ":".join([side * 2] * 32) for side in "ABC"}
HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@dataclass
class Side:
    name: str
    data: bool = True
    capabilities: Capabilities = jsep.NEGOTIABLE
    now: Negotiation = field(default_factory=Negotiation)
    actions: list = field(default_factory=list)
    _numbers: count = field(default_factory=lambda: count(1))

    def parameters(self, **changes):
        number = next(self._numbers)
        return LocalParameters(
            session_id="7",
            fingerprints=(Fingerprint("sha-256", FINGERPRINT[self.name]),),
            fresh=IceCredentials(f"{self.name}uf{number:02}", f"{self.name}pwd{number:02}".ljust(24, "x")),
            **{"capabilities": self.capabilities, "data": self.data, **changes},
        )

    def take(self, plan):
        self.now = plan.after
        self.actions = list(plan.actions)
        return self.actions

    def offer(self, **changes):
        """Create an offer and set it."""
        return self.local("offer", jsep.create_offer(self.now, self.parameters(**changes)))

    def answer(self, type_="answer"):
        return self.local(type_, jsep.create_answer(self.now, self.parameters()))

    def local(self, type_, text):
        state = jsep.require_state(self.now, "local", type_)
        self.take(jsep.plan_local(self.now, jsep.parse_description(type_, text), state))
        return text

    def remote(self, type_, text):
        state = jsep.require_state(self.now, "remote", type_)
        return self.take(jsep.plan_remote(self.now, jsep.parse_description(type_, text), state))

    def rollback(self, source="local"):
        jsep.require_state(self.now, source, "rollback")
        return self.take(jsep.plan_rollback(self.now))


def negotiate(a, b, **changes):
    """One whole negotiation; the actions of both."""
    b.remote("offer", a.offer(**changes))
    begun = a.actions
    answer = b.answer()
    theirs = b.actions
    return begun + a.remote("answer", answer), theirs


def kinds(actions):
    return [type(action).__name__ for action in actions]


def swap(text, old, new):
    assert old in text
    return text.replace(old, new)
