"""The runner itself: what it must see, it sees."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from adieu.events import Event
from adieu.webrtc import RTCPeerConnection
from conformance import expectations, fetch, page
from conformance.backends import BACKENDS, Adieu
from conformance.expectations import Surprise
from conformance.run import Runner, differences

if TYPE_CHECKING:
    from pathlib import Path

FILE = "webrtc/own.html"


class Place:
    """A place with the harness of the W3C, and one test file of our own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("resources", "interfaces"):
            (root / name).symlink_to(fetch.tests() / name)
        (root / "webrtc").mkdir()

    def write(self, script: str) -> None:
        """The file."""
        harness = "".join(
            f"<script src=/resources/{name}.js></script>" for name in ("testharness", "testharnessreport")
        )
        (self.root / FILE).write_text(f"<!doctype html><title>own</title>{harness}<script>{script}</script>")

    def run(self, script: str, backend: str = "adieu", *, lenient: bool = False) -> page.Result:
        """Run it in this process."""
        self.write(script)
        return asyncio.run(page.run(self.root, FILE, backend, lenient=lenient))

    def statuses(self, script: str, backend: str = "adieu", **options: bool) -> dict[str, str]:
        """Subtest → status."""
        return {name: subtest["status"] for name, subtest in self.run(script, backend, **options).subtests.items()}


@pytest.fixture
def own(tmp_path: Path) -> Place:
    if not fetch.CACHE.exists():
        pytest.skip("the W3C's tests are not here: PYTHONPATH=tests python -m conformance.fetch")
    return Place(tmp_path)


# --- results -----------


def test_what_must_fail_fails_and_what_must_pass_passes(own: Place) -> None:
    assert own.statuses("""
        test(() => assert_equals(1, 1), 'right');
        test(() => assert_equals(1, 2), 'wrong');
        test(() => { throw new Error('no'); }, 'throws');
        promise_test(async () => { await Promise.reject(new Error('no')); }, 'rejects');
        promise_test(t => promise_rejects_dom(t, 'InvalidStateError', new RTCPeerConnection().createAnswer()), 'error');
    """) == {"right": "PASS", "wrong": "FAIL", "throws": "FAIL", "rejects": "FAIL", "error": "PASS"}


def test_calls_of_python_are_counted_for_each_subtest(own: Place) -> None:
    result = own.run("""
        test(() => assert_equals(1, 1), 'none');
        test(() => { new RTCPeerConnection().close(); }, 'two');
    """)
    assert [subtest["calls"] for subtest in result.subtests.values()] == [0, 2]


def test_with_nothing_behind_the_bindings_only_the_bindings_pass(own: Place) -> None:
    script = """
        test(() => assert_true('close' in RTCPeerConnection.prototype), 'bindings');
        test(() => { new RTCPeerConnection().close(); }, 'adieu');
    """
    assert own.statuses(script, "nul") == {"bindings": "PASS", "adieu": "FAIL"}
    assert own.statuses(script) == {"bindings": "PASS", "adieu": "PASS"}


def test_a_member_that_is_not_there_is_no_error_of_the_w3c(own: Place) -> None:
    result = own.run("test(() => assert_throws_js(TypeError, () => new RTCPeerConnection().nothing), 'no member');")
    assert result.subtests["no member"]["status"] == "FAIL"
    BACKENDS["without"] = Without
    result = own.run("test(() => assert_throws_js(TypeError, () => new RTCPeerConnection().close()), 'x')", "without")
    assert result.subtests["x"]["status"] == "FAIL"
    assert result.subtests["x"]["missing"] == ["RTCPeerConnection.close"]


def test_subtests_that_never_ran_are_reported(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "IDLE", 0.2)
    assert own.statuses("""
        promise_test(() => new Promise(() => {}), 'hangs');
        promise_test(async () => {}, 'after it');
    """) == {"hangs": "TIMEOUT", "after it": "NOTRUN"}


def test_what_stands_behind_a_subtest_that_hangs_is_run_without_it(own: Place) -> None:
    own.write("""
        promise_test(() => new Promise(() => {}), 'hangs');
        promise_test(async () => {}, 'behind it');
    """)
    subtests = asyncio.run(Runner(own.root, 1).run([FILE], quiet=True))[FILE]["subtests"]
    assert {name: subtest["status"] for name, subtest in subtests.items()} == {"hangs": "TIMEOUT", "behind it": "PASS"}


def test_what_is_expected_to_hang_does_not_hold_up_the_others(own: Place) -> None:
    own.write("""
        promise_test(async () => {}, 'passes by now');
        promise_test(async () => {}, 'quick');
        promise_test(() => new Promise(() => {}), 'hangs');
        promise_test(() => new Promise(() => {}), 'hangs too');
    """)
    hanging = ["passes by now", "hangs", "hangs too"]
    result = asyncio.run(Runner(own.root, 1, hanging=lambda _: hanging).run([FILE], quiet=True))[FILE]
    statuses = {name: subtest["status"] for name, subtest in result["subtests"].items()}
    assert statuses == {"passes by now": "PASS", "quick": "PASS", "hangs": "TIMEOUT", "hangs too": "TIMEOUT"}
    assert result["status"] == "TIMEOUT"


def test_an_exception_in_a_listener_is_seen(own: Place) -> None:
    result = own.run("""
        const pc = new RTCPeerConnection();
        pc.onnegotiationneeded = () => { setTimeout(done); throw new Error('in a listener'); };
        setup({explicit_done: true});
        pc.createDataChannel('x');
    """)
    assert result.status == "ERROR"
    assert "in a listener" in result.message


# --- tasks -----------


def test_what_awaits_promises_runs_after_each_listener(own: Place) -> None:
    assert own.statuses("""
        promise_test(async () => {
          const pc = new RTCPeerConnection(), seen = [];
          const both = new Promise(resolve => {
            pc.addEventListener('negotiationneeded', () => {
              seen.push('first');
              Promise.resolve().then(() => seen.push('between'));
            });
            pc.addEventListener('negotiationneeded', () => { seen.push('second'); resolve(); });
          });
          pc.createDataChannel('x');
          assert_array_equals(seen, [], 'no event inside the call');
          await both;
          assert_array_equals(seen, ['first', 'between', 'second']);
          pc.close();
        }, 'order');
    """) == {"order": "PASS"}


def test_a_promise_that_is_rejected_at_once_is_rejected_in_the_same_task(own: Place) -> None:
    assert own.statuses("""
        promise_test(async () => {
          const pc = new RTCPeerConnection();
          let task = 'same';
          setTimeout(() => task = 'later');
          pc.close();
          await pc.createOffer().catch(() => {});
          assert_equals(task, 'same');
        }, 'task');
    """) == {"task": "PASS"}


# --- values -----------


def test_values_are_checked_as_web_idl_says(own: Place) -> None:
    script = """
        const pc = new RTCPeerConnection(), refused = (make) => assert_throws_js(TypeError, make);
        test(() => refused(() => pc.createDataChannel('x', {id: -1})), 'range');
        test(() => refused(() => new RTCPeerConnection({bundlePolicy: 'none'})), 'enumeration');
        test(() => refused(() => new RTCDataChannelEvent('x', {})), 'required member');
        test(() => refused(() => RTCPeerConnection.prototype.close.call({})), 'brand');
        test(() => refused(() => pc.createDataChannel()), 'number of arguments');
        test(() => assert_equals(pc.createDataChannel({toString: () => 'text'}).label, 'text'), 'string');
        test(() => assert_equals(pc.createDataChannel('a').binaryType, 'arraybuffer'), 'attribute');
        pc.close();
    """
    assert set(own.statuses(script).values()) == {"PASS"}
    assert set(own.statuses(script, lenient=True).values()) == {"PASS"}, "adieu checks by itself"


def test_the_same_object_of_python_is_the_same_object_of_the_page(own: Place) -> None:
    assert own.statuses("""
        promise_test(async () => {
          const pc = new RTCPeerConnection();
          pc.createDataChannel('x');
          await pc.setLocalDescription();
          assert_equals(pc.localDescription, pc.localDescription);
          assert_equals(pc.localDescription.toJSON().sdp, pc.localDescription.sdp);
          pc.close();
        }, 'same');
    """) == {"same": "PASS"}


def test_bytes_cross_in_both_directions(own: Place) -> None:
    assert own.statuses("""
        promise_test(async () => {
          const pcs = [new RTCPeerConnection(), new RTCPeerConnection()];
          pcs.forEach((pc, i) => pc.onicecandidate = ({candidate}) => pcs[1 - i].addIceCandidate(candidate));
          const [a, b] = pcs.map(pc => pc.createDataChannel('x', {negotiated: true, id: 0}));
          await pcs[0].setLocalDescription();
          await pcs[1].setRemoteDescription(pcs[0].localDescription);
          await pcs[1].setLocalDescription();
          await pcs[0].setRemoteDescription(pcs[1].localDescription);
          await new Promise(resolve => a.onopen = resolve);
          const next = () => new Promise(resolve => b.onmessage = ({data}) => resolve(data));
          a.send(new Uint8Array([0, 128, 255]));
          assert_array_equals(new Uint8Array(await next()), [0, 128, 255]);
          b.binaryType = 'blob';
          a.send(new Blob(['text']));
          assert_equals(await (await next()).text(), 'text');
          pcs.forEach(pc => pc.close());
        }, 'bytes');
    """) == {"bytes": "PASS"}


# --- what must never happen -----------


class Without(Adieu):
    """A connection that has no close()."""

    def member(self, subject: Any, name: str) -> Any:
        if name == "close":
            raise AttributeError(name=name, obj=subject)
        return super().member(subject, name)


def leaky(leave: Any) -> type[Adieu]:
    """A backend that leaves something behind with each connection."""

    class Leaky(Adieu):
        def interface(self, name: str) -> Any:
            leave()
            return super().interface(name)

    return Leaky


kept: list[Any] = []


def leave_task() -> None:
    kept.append(asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="left"))


def leave_socket() -> None:
    kept.append(socket.socket())


def leave_thread() -> None:
    kept.append(threading.Event())
    threading.Thread(target=kept[-1].wait, daemon=True).start()


def leave_connection() -> None:
    kept.append(RTCPeerConnection())


@pytest.mark.parametrize(
    ("leave", "what"),
    [
        (leave_task, "task left"),
        (leave_socket, "descriptor"),
        (leave_thread, "1 threads"),
        (leave_connection, "1 RTCPeer"),
    ],
)
def test_what_is_left_behind_is_seen(own: Place, monkeypatch: pytest.MonkeyPatch, leave: Any, what: str) -> None:
    monkeypatch.setattr("conformance.teardown.PATIENCE", 0.1)
    BACKENDS["leaky"] = leaky(leave)
    try:
        result = own.run("test(() => { new RTCPeerConnection().close(); }, 'x')", "leaky")
        assert any(line.startswith(what) or what in line for line in result.left), result.left
    finally:
        for thing in kept:
            getattr(thing, "set", getattr(thing, "close", getattr(thing, "cancel", None)))()
        kept.clear()


def test_a_page_that_closes_nothing_leaves_nothing(own: Place) -> None:
    result = own.run("""
        promise_test(async () => {
          const pc = new RTCPeerConnection();
          pc.createDataChannel('x').onclose = () => {};
          await pc.setLocalDescription();
          setInterval(() => {}, 10);
        }, 'x');
    """)
    assert result.left == []


def test_an_event_inside_a_call_and_one_after_the_close_are_counted(own: Place) -> None:
    BACKENDS["early"] = Early
    result = own.run(
        """
        promise_test(async () => {
          new RTCPeerConnection().close();
          await new Promise(resolve => setTimeout(resolve));
        }, 'x');
        """,
        "early",
    )
    assert result.events_in_calls == {"RTCPeerConnection.close: signalingstatechange": 1}
    assert result.events_after_close == {"connectionstatechange": 1}


class Early(Adieu):
    """Fires while it closes, and afterwards."""

    def interface(self, name: str) -> Any:
        def close(connection: RTCPeerConnection) -> None:
            if connection.connectionState != "closed":
                connection.dispatchEvent(Event("signalingstatechange"))
                RTCPeerConnection.close(connection)
                asyncio.get_running_loop().call_soon(connection.dispatchEvent, Event("connectionstatechange"))

        return type("RTCPeerConnection", (RTCPeerConnection,), {"close": close, "__slots__": ()})


def test_an_endless_loop_is_killed(own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "TIMEOUTS", {"normal": 1.0, "long": 1.0})
    own.write("for (;;);")
    results = asyncio.run(Runner(own.root, 1, grace=2.0).run([FILE], quiet=True))
    assert results[FILE]["status"] == "CRASH"


# --- expectations -----------


def a_result(**statuses: str) -> dict[str, Any]:
    subtests = {name: {"status": status, "message": "", "missing": [], "calls": 0} for name, status in statuses.items()}
    nothing: dict[str, Any] = {"left": [], "events_in_calls": {}, "events_after_close": {}, "bugs": []}
    return {"file": FILE, "status": "OK", "message": "", "subtests": subtests, "seconds": 0.0, **nothing}


def surprises(result: dict[str, Any], **expected: str) -> list[str]:
    known = {"a": {"chromium156": "PASS"}}
    wanted = {name: (status, "a reason") for name, status in expected.items()}
    return [surprise.what.partition(" (")[0] for surprise in expectations.surprises(result, known, wanted)]


def test_a_pass_that_was_not_expected_is_as_wrong_as_a_failure() -> None:
    assert surprises(a_result(a="FAIL")) == ["FAIL, expected PASS"]
    assert surprises(a_result(a="PASS"), a="FAIL") == ["PASS, expected FAIL"]
    assert surprises(a_result(a="FAIL"), a="TIMEOUT") == []
    assert surprises(a_result(a="PASS"), a="FLAKY") == surprises(a_result(a="FAIL"), a="FLAKY") == []


def test_a_subtest_that_does_not_come_and_one_that_is_no_more_are_seen() -> None:
    assert surprises(a_result()) == ["MISSING, expected PASS"]
    assert surprises(a_result(a="PASS"), gone="FAIL") == ["is expected, and does not exist"]


def test_what_is_left_and_events_inside_calls_are_never_expected() -> None:
    never = {"left": ["a task"], "events_in_calls": {"x": 1}, "events_after_close": {"x": 1}, "bugs": ["KeyError"]}
    assert len(surprises(a_result(a="PASS") | never)) == len(never)


def test_what_comes_once_is_a_busy_machine_unless_it_must_never_be() -> None:
    late, left = (
        Surprise(FILE, "a", "TIMEOUT, expected PASS ()"),
        Surprise(FILE, "", "left behind: 1 threads", never=True),
    )
    other = Surprise(FILE, "b", "FAIL, expected PASS ()")
    assert expectations.confirmed([late, left], []) == [left]
    assert expectations.confirmed([late, other], [other]) == [other]
    assert expectations.confirmed([late], [left]) == [left]


def test_expectations_are_written_with_a_reason_that_stays(tmp_path: Path) -> None:
    result = a_result(a="FAIL", b="PASS")
    expectations.rebaseline(result, {}, tmp_path)
    path = next(tmp_path.glob("*.json"))
    assert list(json.loads(path.read_text())) == ["a"]
    path.write_text(json.dumps({"a": ["FAIL", "by hand"]}))
    expectations.rebaseline(result, {}, tmp_path)
    assert json.loads(path.read_text()) == {"a": ["FAIL", "by hand"]}
    expectations.rebaseline(a_result(a="PASS"), {}, tmp_path)
    assert not path.exists()


def test_rebaselining_is_not_for_ci() -> None:
    environment = {**os.environ, "CI": "true", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "conformance.run", "--rebaseline", "nothing"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--rebaseline is for people" in done.stderr


def test_two_runs_that_differ_are_seen() -> None:
    first, second = {FILE: a_result(a="PASS")}, {FILE: a_result(a="FAIL")}
    assert differences(first, first) == []
    assert differences(first, second) == [f"{FILE}: a: PASS, then FAIL"]


def test_other_tests_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "mozilla-sync").write_text(f"upstream: {fetch.COMMIT}")
    with pytest.raises(fetch.FetchError, match="other files"):
        fetch.check(tmp_path)
    (tmp_path / "meta" / "mozilla-sync").write_text("upstream: 0000")
    with pytest.raises(fetch.FetchError, match="0000"):
        fetch.check(tmp_path)


def test_the_clock_of_a_page_stands_still_while_it_waits_for_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "SCHEDULER", tmp_path / "schedstat")
    began = page.own_time()
    (tmp_path / "schedstat").write_text("7 900000000000 3")  # it had to wait for 900 seconds
    assert page.own_time() - began < -800
