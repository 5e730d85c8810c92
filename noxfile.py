"""The checks. `make` sets up .venv and calls them here; there are no other environments.

nox -s check              checks that run no tests
nox -s test               check, then all tests; with CI=true nothing may be left out
nox -s test -- unit sim   only these parts of tests/
nox -s matrix             pages and programs in every pairing, in real browsers: reports/matrix.md
nox -s soak               thousands of resets in one page: reports/soak.md
nox -s conformance        the W3C's tests, all of them: reports/conformance.md
nox -s mutations          breaks closing rules and bounds: do the tests notice? reports/mutations.md nox -s bench --
--quick   speed compared with others
nox -s package            the source distribution, a wheel built from it offline, and tests of that wheel
nox -s lock               renew requirements/*.txt
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]

ROOT = Path(__file__).parent
BIN = Path(sys.executable).parent
os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", ""), "/usr/local/go/bin"])
os.environ["VIRTUAL_ENV"] = str(BIN.parent)
PARTS = ("unit", "sim", "property", "interop", "e2e", "conformance")
MATRIX = ("tests/e2e/sdk", "tests/e2e/web")
IN_NAMESPACE = {"interop", "e2e", "conformance"}
NAMESPACE = ("python", "tests/e2e/lab/namespace.py")
# One profile for build, lint and test, so that nothing is compiled twice.
CARGO = ("--release", "--workspace", "--locked")
LOCKS = {"requirements/run": "3.11", "requirements/dev": "3.11", "benchmarks/peers/libdatachannel": "3.12"}

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
        needed = {"conformance": FETCH, "e2e": PREVIOUS, "interop": PION}
        first = {name: command for part, steps in needed.items() if part in parts for name, command in steps.items()}
        _all(session, first | parts)
        return
    system = {"system packages": ("python", "tools/system.py")}
    cargo = {"cargo test": ("cargo", "test", "--quiet", *CARGO)}
    sdk = {"sdk": ("python", "tools/sdk.py")}
    _all(session, system | FETCH | CHECKS | cargo | sdk | PREVIOUS | PION | parts | {"W3C's tests": CONFORMANCE})


@nox.session
def matrix(session: nox.Session) -> None:
    """Pages and programs in every pairing, in real browsers."""
    pairs = (*NAMESPACE, "python", "-m", "pytest", "-q", *MATRIX, *session.posargs)
    _all(session, BUNDLE | {"matrix": pairs})


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
def package(session: nox.Session) -> None:
    """The published package: the sources are complete, build without a network, and the wheel works."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session.run("maturin", "sdist", f"--out={folder}", external=True)
        [archive] = folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, folder, filter="data")
        source = folder / archive.name.removesuffix(".tar.gz")
        session.run("cargo", "fetch", "--locked", f"--manifest-path={source}/Cargo.toml", external=True)
        env = {"CARGO_TARGET_DIR": str(ROOT / "target" / "package")}
        with session.chdir(source):
            session.run(
                "maturin", "build", "--release", "--locked", "--offline", f"--out={folder}", env=env, external=True
            )
        [wheel] = folder.glob("*.whl")
        site = folder / "site"
        session.run(
            "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"--target={site}", str(wheel)
        )
        licenses = {path.name for path in site.glob("*.dist-info/licenses/**/*") if path.is_file()}
        if licenses != {"LICENSE", "NOTICE"}:
            session.error(f"the wheel has the licences {sorted(licenses)}")
        installed = f"import adieu._core; assert adieu._core.__file__.startswith({str(site)!r}), adieu._core.__file__"
        session.run("python", "-c", installed, env={"PYTHONPATH": str(site)})
        session.run("python", "-m", "pytest", "-q", "tests/unit/core", env={"PYTHONPATH": str(site)})


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
    command = ("python", "-m", "pytest", "-q", "-m", "not matrix", f"tests/{part}")
    return (*NAMESPACE, *command) if part.partition("/")[0] in IN_NAMESPACE else command


def _all(session: nox.Session, steps: dict[str, tuple[str, ...]]) -> None:
    """Run every step, also after one has failed; then say which ones and how long each took."""
    outcome: list[tuple[str, bool, float]] = []
    for name, command in steps.items():
        session.log(f"--- {name}")
        start = time.monotonic()
        try:
            session.run(*command, external=True)
            outcome.append((name, True, time.monotonic() - start))
        except CommandFailed:
            outcome.append((name, False, time.monotonic() - start))
    for name, passed, seconds in outcome:
        session.log(f"{'ok    ' if passed else 'FAILED'} {seconds:6.1f} s  {name}")
    failed = [name for name, passed, _ in outcome if not passed]
    if failed:
        session.error(f"failed: {', '.join(failed)}")
