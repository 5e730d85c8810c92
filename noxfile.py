"""The checks. `make` sets up .venv and calls them here; there are no other environments.

nox -s check              checks that run no tests
nox -s test               check, then all tests; with CI=true nothing may be left out
nox -s test -- unit sim   only these parts of tests/
nox -s matrix             pages and programs in every pairing, in real browsers: reports/matrix.md
nox -s soak               thousands of resets in one page: reports/soak.md
nox -s conformance        the W3C's tests, all of them: reports/conformance.md
nox -s mutations          breaks closing rules and bounds: do the tests notice? reports/mutations.md
nox -s bench -- --quick   speed compared with others
nox -s bench_links        lossy links in virtual time, and 10 000 links at random: benchmarks/links.md
nox -s bench_lossy        real senders and browsers over an emulated link that loses: benchmarks/lossy.md
nox -s bench_sending      adieu send beside croc, and through kills and a cut: benchmarks/sending.md
nox -s docs               the pages of docs/ as a site: docs/_build/index.html
nox -s package            what is published, into dist/: made, checked, installed and used; first-minute.md
nox -s lock               renew requirements/*.txt
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]

ROOT = Path(__file__).parent
BIN = Path(sys.executable).parent
os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", ""), "/usr/local/go/bin"])
os.environ["VIRTUAL_ENV"] = str(BIN.parent)
PARTS = ("unit", "sim", "property", "interop", "e2e", "conformance")
MATRIX = (
    "tests/e2e/sdk",
    "tests/e2e/goodbye",
    "tests/e2e/compat",
    "tests/e2e/web",
    "tests/e2e/session/test_media_growth.py",
    "tests/interop/test_sound.py",
    "tests/interop/test_pictures.py",
    "tests/interop/test_pictures_loss.py",
    "tests/sim/stack/test_channels.py",
    "tests/unit/core/test_shared_port.py",
)
IN_NAMESPACE = {"interop", "e2e", "conformance"}
BESIDE = {"sim", "property"}
"""Parts whose clock is virtual: they run at low priority beside those that wait for browsers, networks and deaths."""
IN_REAL_TIME = IN_NAMESPACE | {"unit"}
"""Parts that wait for clocks, processes, networks and browsers. On a busy machine a few of them may fail by the clock:
what fails is run once more, alone, and is named as unsteady if it passes. Many failures are no accident."""
MOST_UNSTEADY = 3
SOME_FAILED = 1
"""pytest's exit status when all ran, and some failed."""
FOUND_NO_PROGRAM = 127
LAST_LINES = 40
"""How many lines of a failed step are said again at the end, where a reader of a long log looks first."""
NAMESPACE = ("python", "tests/e2e/lab/namespace.py")
# One profile for build, lint and test, so that nothing is compiled twice.
CARGO = ("--release", "--workspace", "--locked")
LOCKS = {
    "requirements/run": "3.11",
    "requirements/dev": "3.11",
    "benchmarks/peers/libdatachannel": "3.12",
    "tests/e2e/compat/examples": "3.11",
}

DOCS = ("sphinx-build", "-q", "-W", "--keep-going", "-j", "auto", "-b", "html", "docs", "docs/_build")

SDK_PAGE = {"page of the SDK": ("python", "tools/reference.py")}

CHECKS: dict[str, tuple[str, ...]] = {
    "ruff": ("ruff", "check", "--output-format=concise"),
    "format": ("ruff", "format", "--check", "--quiet"),
    "mypy": ("mypy",),
    "pyright": ("pyright", "--warnings"),
    "types": ("pyright", "--verifytypes", "adieu", "--ignoreexternal"),  # fails below 100 %
    "layers": ("lint-imports",),
    "schema": ("python", "tools/schema.py", "--check"),
    "page": ("python", "tools/page.py", "--check"),
    "words": ("python", "tools/words.py"),
    "versions": ("python", "tools/versions.py"),
    "licences": ("python", "tools/third_party.py"),
    "advisories": ("python", "tools/advisories.py", "--offline"),
    **SDK_PAGE,
    "docs": DOCS,
    "structure": ("python", "tools/structure.py"),
    "boundary": ("python", "tools/boundary.py", "--check"),
    "stub": ("python", "-m", "mypy.stubtest", "adieu._core"),
    "rustfmt": ("cargo", "fmt", "--all", "--check"),
    "clippy": ("cargo", "clippy", "--quiet", *CARGO, "--all-targets", "--", "-D", "warnings"),
}

# Fetched where there is a network, run where there is none.
IN_TESTS = ("env", f"PYTHONPATH={ROOT / 'tests'}")
FETCH = {"W3C's tests, fetched": (*IN_TESTS, "python", "-m", "conformance.fetch")}
PION = {"pion, built": (*IN_TESTS, "python", "-m", "interop.peers.programs")}
AIORTC = {"aiortc's examples, fetched": (*IN_TESTS, "python", "-m", "e2e.compat.fetch")}
AIORTC_NEEDS = {"packages of aiortc's examples": (*IN_TESTS, "python", "-m", "e2e.compat.fetch", "--needs")}
PREVIOUS = {"the version before, built": ("python", "tools/previous.py")}
BUNDLE = {"sdk": ("python", "tools/sdk.py", "--build")}
CONFORMANCE = (*IN_TESTS, *NAMESPACE, "python", "-m", "conformance.run")


@nox.session
def check(session: nox.Session) -> None:
    """Lint, types, layers, generated files, words."""
    _all(session, CHECKS)


@nox.session
def test(session: nox.Session) -> None:
    """Everything, or the parts of tests/ that are named."""
    parts = {part: _pytest(part) for part in session.posargs or PARTS}
    if session.posargs:
        needed = {"conformance": FETCH, "e2e": PREVIOUS | AIORTC, "interop": PION}
        first = {name: command for part, steps in needed.items() if part in parts for name, command in steps.items()}
        _all(session, first | parts)
        return
    system = {"system packages": ("python", "tools/system.py")}
    cargo = {"cargo test": ("cargo", "test", "--quiet", *CARGO)}
    sdk = {"sdk": ("python", "tools/sdk.py")}
    _all(
        session, system | FETCH | CHECKS | cargo | sdk | PREVIOUS | AIORTC | PION | parts | {"W3C's tests": CONFORMANCE}
    )


@nox.session
def matrix(session: nox.Session) -> None:
    """Pages and programs in every pairing, in real browsers; what a run measures is added to the commit's report.

    `-- --rounds 5` runs it five times. pytest takes all other words: `-k`, or paths in place of all.
    """
    options = argparse.ArgumentParser(usage="nox -s matrix -- [--rounds N] [what pytest takes]")
    options.add_argument("--rounds", type=int, default=1)
    asked, words = options.parse_known_args(session.posargs)
    paths = () if any(word.startswith("tests/") for word in words) else MATRIX
    pairs = (*NAMESPACE, "python", "-m", "pytest", "-q", *paths, *words)
    rounds = {f"matrix, round {number}": pairs for number in range(1, asked.rounds + 1)}
    _all(session, BUNDLE | AIORTC_NEEDS | rounds)


@nox.session
def nat(session: nox.Session) -> None:
    """Two programs through every pair of NATs; writes tests/e2e/reports/nat.md. It needs root."""
    _all(session, {"nat": (*IN_TESTS, "python", "-m", "e2e.nat.run")})


@nox.session
def soak(session: nox.Session) -> None:
    """Thousands of resets in one page; `-- --cycles 200 firefox` for a look."""
    _all(session, BUNDLE | {"soak": (*IN_TESTS, *NAMESPACE, "python", "-m", "e2e.sdk.soak", *session.posargs)})


@nox.session
def conformance(session: nox.Session) -> None:
    """The W3C's tests against their expected results."""
    _all(session, FETCH | {"W3C's tests": (*CONFORMANCE, *session.posargs)})


@nox.session
def mutations(session: nox.Session) -> None:
    """Break closing rules and bounds one by one: those of sessions for adieu's own tests, the others for the W3C's.

    `-- S4 ranges` takes only those with one of the words.
    """
    words = session.posargs
    own = {"sessions": (*IN_TESTS, *NAMESPACE, "python", "-m", "mutations", *words)}
    w3c = {"W3C's": (*IN_TESTS, *NAMESPACE, "python", "-m", "conformance.mutations", *words)}
    _all(session, own | FETCH | w3c)


@nox.session
def bench(session: nox.Session) -> None:
    """Throughput, messages, round trip and setup beside the peers; writes benchmarks/report.md."""
    session.run("python", "benchmarks/run.py", *session.posargs, external=True)


@nox.session
def bench_links(session: nox.Session) -> None:
    """Lossy links in virtual time; writes benchmarks/links.md. Then try 10 000 links at random."""
    session.run("python", "benchmarks/links.py", external=True)
    stall = ("cargo", "test", *CARGO[::2], "--package", "adieu-links", "--test", "stall")
    session.run(*stall, env={"STALL_LINKS": "10000"}, external=True)


@nox.session
def bench_lossy(session: nox.Session) -> None:
    """Libraries and the kernel's TCP over a link that loses, into real browsers; writes benchmarks/lossy.md."""
    measure = ("python", "benchmarks/lossy.py")
    _all(
        session,
        {
            "prepared": (*IN_TESTS, *measure, "--prepare"),
            "measured": (*IN_TESTS, *NAMESPACE, *measure, *session.posargs),
        },
    )


@nox.session
def bench_sending(session: nox.Session) -> None:
    """`adieu send` beside croc, and 2 GB through kills and a cut; writes benchmarks/sending.md. It needs Go."""
    measure = ("python", "benchmarks/sending.py")
    _all(
        session,
        {
            "prepared": (*IN_TESTS, *measure, "--prepare"),
            "measured": (*IN_TESTS, *NAMESPACE, *measure, "--write", *session.posargs),
        },
    )


@nox.session
def docs(session: nox.Session) -> None:
    """The pages of docs/ as a site. A warning is an error: also a dead link."""
    _all(session, SDK_PAGE | {"docs": DOCS})


@nox.session
def package(session: nox.Session) -> None:
    """Make into dist/ all that is published, from the commit alone; check it, install it, use it as a stranger would.

    The wheel is built without a network. It fits Linux with glibc 2.28 or newer if the Python package ziglang is here.
    """
    dist, project = ROOT / "dist", ROOT / "target" / "package" / "npm"
    shutil.rmtree(dist, ignore_errors=True)
    make = ("python", "tools/dist.py")
    session.run(*make, "sdist", "--draft", external=True)
    [sdist] = dist.glob("*.tar.gz")
    session.run("cargo", "fetch", "--locked", external=True)
    zig = importlib.util.find_spec("ziglang") is not None
    old_glibc = ("--zig", "--compatibility", "manylinux_2_28", f"--target={platform.machine()}-unknown-linux-gnu")
    options = ("--offline", *(old_glibc if zig and sys.platform == "linux" else ()))
    session.run(*make, "wheel", str(sdist), "--", *options, external=True)
    [wheel] = dist.glob("*.whl")
    session.run(*make, "npm", "--draft", external=True)
    [archive] = dist.glob("*.tgz")
    with tempfile.TemporaryDirectory() as site:
        install = ("python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"--target={site}")
        session.run(*install, str(wheel), external=True)
        installed = f"import adieu._core; assert adieu._core.__file__.startswith({site!r}), adieu._core.__file__"
        session.run("python", "-c", installed, env={"PYTHONPATH": site}, external=True)
        session.run("python", "-m", "pytest", "-q", "tests/unit/core", env={"PYTHONPATH": site}, external=True)
    session.run("python", "tests/install/first_minute.py", str(wheel), external=True)
    session.run("python", "tests/install/npm_project.py", str(archive), str(project), external=True)
    session.run(*NAMESPACE, "python", "-m", "pytest", "-q", "tests/install", external=True)


@nox.session
def lock(session: nox.Session) -> None:
    """Pin what the .in files name, with hashes, for all platforms; `-- --upgrade` takes what is newest."""
    where = ROOT / ".cache" / "uv"
    session.run("python", "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(where), "uv", external=True)
    for name, python in LOCKS.items():
        session.run(
            *(str(where / "bin" / "uv"), "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--no-header", "--no-emit-index-url", "--no-emit-find-links", f"--python-version={python}"),
            *(*session.posargs, f"{name}.in", f"--output-file={name}.txt"),
            external=True,
        )


def _pytest(part: str) -> tuple[str, ...]:
    """A part of tests/, without what only `nox -s matrix` has the time for."""
    cache = f"cache_dir={_cache(part)}"
    command = ("python", "-m", "pytest", "-q", "--durations=10", "-o", cache, "-m", "not matrix", f"tests/{part}")
    return (*NAMESPACE, *command) if part.partition("/")[0] in IN_NAMESPACE else command


def _cache(part: str) -> Path:
    """Return where pytest keeps which tests of a part failed; two parts may run at a time."""
    return ROOT / ".pytest_cache" / part.replace("/", "-")


def _failed_tests(part: str) -> list[str]:
    """Return the tests of a part that failed when it ran last."""
    try:
        return list(json.loads((_cache(part) / "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        return []


def _once_more(session: nox.Session, part: str, command: tuple[str, ...], first: Ended) -> Ended:
    """Run the tests that failed once more, if they are few; what fails twice has failed."""
    tests = _failed_tests(part) if first.status == SOME_FAILED else []
    if not 0 < len(tests) <= MOST_UNSTEADY:
        return first
    session.log(f"--- {part}: once more what failed")
    second = _ended((*command, "--last-failed"), show=True)
    unsteady = tuple(tests) if second.passed else ()
    return Ended(second.status, first.seconds + second.seconds, first.output + second.output, unsteady)


def _all(session: nox.Session, steps: dict[str, tuple[str, ...]]) -> None:
    """Run every step, also after one has failed; then say how each ended, and the last lines of those that failed."""
    outcome: dict[str, Ended] = {}
    beside: dict[str, Future[Ended]] = {}
    with ThreadPoolExecutor(1) as lane:
        for name, command in steps.items():
            if name in BESIDE:
                session.log(f"--- {name}: beside the next steps")
                beside[name] = lane.submit(_ended, ("nice", *command))
                continue
            session.log(f"--- {name}")
            outcome[name] = _on_terminal(command) if sys.stdout.isatty() else _ended(command, show=True)
            if name.partition("/")[0] in IN_REAL_TIME:
                outcome[name] = _once_more(session, name, command, outcome[name])
        for name, future in beside.items():
            outcome[name] = future.result()
            session.log(f"--- {name}")
            print(outcome[name].output, end="", flush=True)
    failed = {name: ended for name, ended in outcome.items() if not ended.passed}
    for name, ended in failed.items():
        session.log(f"--- {name} failed; its last lines:")
        print("\n".join(ended.output.splitlines()[-LAST_LINES:]), flush=True)
    for name, ended in outcome.items():
        session.log(
            f"{'ok    ' if ended.passed else 'FAILED'} {ended.seconds:6.1f} s  {name}"
            f"{', beside' if name in BESIDE else ''}"
        )
        for test in ended.unsteady:
            session.log(f"UNSTEADY {test}: failed, then passed. A fault of the test or of adieu: find it")
    if failed:
        session.error(f"failed: {', '.join(failed)}")


class Ended(NamedTuple):
    """How a step ended, what it printed, and the tests that passed only when run once more."""

    status: int
    seconds: float
    output: str
    unsteady: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.status == 0


def _on_terminal(command: tuple[str, ...]) -> Ended:
    """Run a step that may ask; its output stays on the terminal."""
    start = time.monotonic()
    try:
        status = subprocess.run(command, check=False).returncode
    except OSError as error:
        return Ended(FOUND_NO_PROGRAM, 0.0, str(error))
    return Ended(status, time.monotonic() - start, "")


def _ended(command: tuple[str, ...], *, show: bool = False) -> Ended:
    """Run a step and keep what it prints; show: pass it on meanwhile.

    By a file and not by a pipe: a process that a step has left behind would keep a pipe open forever.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            return Ended(FOUND_NO_PROGRAM, 0.0, str(error))
        passed_on = 0
        running = True
        while running:
            try:
                process.wait(0.2)
                running = False
            except subprocess.TimeoutExpired:
                pass
            if show:
                new = os.pread(output.fileno(), 1 << 30, passed_on)
                passed_on += len(new)
                sys.stdout.buffer.write(new)
                sys.stdout.buffer.flush()
        text = os.pread(output.fileno(), 1 << 30, 0).decode(errors="replace")
    return Ended(process.returncode, time.monotonic() - start, text)
