"""Fetches the W3C's tests. Run it before the network is taken away:  PYTHONPATH=tests python -m conformance.fetch

They come out of Debian's source package of Firefox, which has a copy of web-platform-tests: one download of about
700 MB, of which the few megabytes that are needed are kept in `.cache/`. They are 3-clause BSD and not committed here.
Whichever package they come from, they must be these, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMIT = "faf875d9b84f4319ac950cd51ef03a3dcf466a7f"
"""Of web-platform-tests."""

SHA256 = "ece6485633b910468cd63a66ea07e99b48e129d3e7578932d9beed03b1be06c9"
"""Of the kept files: see `digest`."""

PACKAGE = "firefox-esr"
VERSION = "140.12.0esr-1~deb12u1"
ATTEMPTS = 3
"""Other versions that are tried when this one is gone."""

TREES = (
    "tests/LICENSE.md",
    "tests/common",
    "tests/interfaces",
    "tests/mediacapture-streams/permission-helper.js",
    "tests/resources",
    "tests/webrtc",
    "meta/mozilla-sync",
)

CACHE = Path(__file__).parent.parent.parent / ".cache" / f"wpt-{COMMIT[:12]}"


class FetchError(Exception):
    """The tests are not to be had."""


def tests() -> Path:
    """Where they are; they are fetched when they are not there."""
    if not CACHE.exists():
        _fetch(CACHE)
    return CACHE / "tests"


def digest(root: Path) -> str:
    """One hash of the names and contents of all files below."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root).as_posix()}\n"
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check(root: Path) -> None:
    """Are these the tests?

    Raises:
        FetchError: no.
    """
    commit = (root / "meta" / "mozilla-sync").read_text().split()[-1]
    if commit != COMMIT:
        raise FetchError(f"these are the tests of {commit}")
    if (found := digest(root)) != SHA256:
        raise FetchError(f"these are other files: sha256 {found}")


def _fetch(target: Path) -> None:
    if missing := [tool for tool in ("apt-get", "apt-cache", "tar", "xz") if shutil.which(tool) is None]:
        raise FetchError(f"{', '.join(missing)} not found: the tests are fetched from Debian's source packages")
    failures: list[str] = []
    # Beside the target, so that it can be moved there in one step.
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="wpt-") as directory:
        apt = _Apt(Path(directory))
        for version in apt.versions():
            print(f"fetching {PACKAGE} {version}, about 700 MB", file=sys.stderr, flush=True)
            try:
                root = apt.unpack(version)
                check(root)
            except (FetchError, subprocess.CalledProcessError, OSError) as error:
                failures.append(f"{version}: {error}")
                continue
            root.rename(target)
            return
    raise FetchError(
        f"no source package of {PACKAGE} has web-platform-tests {COMMIT}:\n  "
        + "\n  ".join(failures or ["there is no such package here"])
        + "\nPin another one in tests/conformance/fetch.py (VERSION, COMMIT, SHA256), then look at the expectations."
    )


class _Apt:
    """apt with lists of its own: what the machine has installed and listed stays as it is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("lists/partial", "sources"):
            (directory / name).mkdir(parents=True)
        # Without the machine's own settings: those of containers make an update delete what others are installing.
        config = directory / "apt.conf"
        config.write_text('Dir::Etc::parts "/dev/null";\n')
        self._environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C"}
        self._options = [
            *("-o", "Dir::Etc::sourcelist=/dev/null"),
            *("-o", f"Dir::Etc::sourceparts={directory / 'sources'}"),
            *("-o", f"Dir::State::lists={directory / 'lists'}"),
            *("-o", "APT::Sandbox::User=root"),
        ]
        self._write_sources(Path("/etc/apt"))
        self._run("apt-get", "--quiet=2", "update")

    def _write_sources(self, etc: Path) -> None:
        """The machine's sources, asked for source packages."""
        lists = [path for path in (etc / "sources.list", *etc.glob("sources.list.d/*.list")) if path.exists()]
        lines = [line for path in lists for line in path.read_text().splitlines()]
        wanted = [re.sub(r"^deb\s", "deb-src ", line) for line in lines if re.match(r"deb\s", line)]
        (self._directory / "sources" / "all.list").write_text("\n".join(wanted) + "\n")
        for path in etc.glob("sources.list.d/*.sources"):
            text = re.sub(r"(?m)^Types:.*", "Types: deb-src", path.read_text())
            (self._directory / "sources" / path.name).write_text(text)

    def versions(self) -> list[str]:
        """The pinned one first, then those that are as near as can be."""
        listed = self._run("apt-cache", "showsrc", "--only-source", PACKAGE)
        there = list(dict.fromkeys(re.findall(r"(?m)^Version: (\S+)", listed)))
        series = VERSION.partition(".")[0]
        near = [version for version in there if version.partition(".")[0] == series and version != VERSION]
        return [version for version in (VERSION,) if version in there] + near[:ATTEMPTS]

    def unpack(self, version: str) -> Path:
        """Download it and take out what is needed."""
        place = self._directory / re.sub(r"\W", "-", version)
        place.mkdir()
        self._run("apt-get", "--quiet=2", "source", "--download-only", "--tar-only", f"{PACKAGE}={version}", cwd=place)
        archive = next(place.glob("*.orig.tar.xz"))
        # All members have one directory above them, named for the version.
        patterns = [f"*/testing/web-platform/{tree}" for tree in TREES]
        subprocess.run(
            ["tar", "-xJf", archive.name, "--wildcards", "--strip-components=3", "--one-top-level=root", *patterns],
            cwd=place,
            check=True,
        )
        archive.unlink()
        return place / "root"

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        command = [program, *self._options, *arguments]
        done = subprocess.run(command, cwd=cwd, env=self._environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout


if __name__ == "__main__":
    try:
        print(tests())
    except FetchError as error:
        sys.exit(str(error))
