"""Makes what is published: the source distribution, wheels, the npm package; each made from the commit alone.

python tools/dist.py sdist [--draft]              the sources, with the licence texts of all crates and their list
python tools/dist.py wheel SDIST [-- OPTIONS]     a wheel from it; the options are maturin's, such as --zig
python tools/dist.py npm [--draft]                the package for npm
python tools/dist.py check FILE ...               are these files as they must be?

All of them write into dist/, or into the folder after --out. `--draft`: the address of the repository in
pyproject.toml may still be the placeholder. The uploads are in .github/workflows/release.yml.
"""

from __future__ import annotations

import argparse
import email
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import npm
import third_party

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "OWNER"
"""Part of the address in `[project.urls]` of pyproject.toml, and of nothing else, until there is an owner."""
THIRD_PARTY = "rust/py/third-party"
LINK = re.compile(r"(\]\(|(?:href|src)=\")(?!https?:|mailto:|#)([^)\"#]+)")
NO_LIST = "include = []"
"""The line of pyproject.toml in which the list of crates gets its name."""


class ProblemError(Exception):
    """Something that must not be published as it is."""


def main(arguments: list[str]) -> int:
    """Do what is asked for; return 1 and say why if it may not be published."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sdist", "wheel", "npm", "check"))
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--draft", action="store_true")
    given = parser.parse_args(arguments[:cut])
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    try:
        if given.what == "check":
            for file in given.files:
                check(file)
                print(f"{file.name}: as it must be")
            return 0
        if given.what == "wheel":
            made = build_wheel(given.files[0].resolve(), out, arguments[cut + 1 :])
        else:
            make = make_sdist if given.what == "sdist" else make_npm
            made = make(out, draft=given.draft)
        check(made)
    except (ProblemError, third_party.ProblemError) as problem:
        print(f"tools/dist.py: {problem}", file=sys.stderr)
        return 1
    print(made)
    return 0


# --- the stage: a copy of the commit, with what is only in the published files -----------


def stage(folder: Path, *, draft: bool) -> None:
    """Put the commit into an empty folder, and complete it: addresses, licences, the list of crates.

    Raises:
        ProblemError: the repository still has no address.
    """
    archive = subprocess.run(["git", "archive", "--format=tar", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    home = project["urls"]["Repository"].rstrip("/")
    if PLACEHOLDER in home and not draft:
        raise ProblemError(
            f"the repository has no address yet: write it into [project.urls] of pyproject.toml, in place of {home}"
        )
    texts = f"{home}/blob/v{project['version']}"
    _complete_pyproject(folder / "pyproject.toml", home, project["version"])
    _complete_package(folder / "js" / "package.json", home)
    shutil.copy(folder / "LICENSE", folder / "js" / "LICENSE")
    for page, place in (("README.md", ""), ("js/README.md", "js")):
        path = folder / page
        path.write_text(absolute_links(path.read_text("utf-8"), texts, place), "utf-8")


def absolute_links(text: str, home: str, place: str) -> str:
    """Return a page whose links work elsewhere too, such as on the page of an index."""

    def whole(match: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join(place, match[2])).replace(os.sep, "/")  # noqa: PTH118 `..` is resolved
        return f"{match[1]}{home}/{path}"

    return LINK.sub(whole, text)


def _complete_pyproject(path: Path, home: str, version: str) -> None:
    text = path.read_text("utf-8")
    urls = (
        f'Documentation = "{home}/tree/v{version}/docs"\n'
        f'Changelog = "{home}/blob/v{version}/CHANGELOG.md"\n'
        f'Issues = "{home}/issues"\n'
    )
    text = re.sub(r"(?m)^\[project\.urls\].*$", lambda head: f"{head[0]}\n{urls.rstrip()}", text, count=1)
    if text.count(NO_LIST) != 1:
        raise ProblemError(f"pyproject.toml must have the line {NO_LIST!r} once, in [tool.maturin.sbom]")
    path.write_text(text.replace(NO_LIST, f'include = ["{THIRD_PARTY}/adieu.cdx.json"]'), "utf-8")


def _complete_package(path: Path, home: str) -> None:
    package: dict[str, Any] = json.loads(path.read_text("utf-8"))
    package["repository"] = {"type": "git", "url": f"git+{home}.git", "directory": "js"}
    package["homepage"] = f"{home}/tree/main/js#readme"
    package["bugs"] = f"{home}/issues"
    path.write_text(json.dumps(package, indent=2) + "\n", "utf-8")


# --- what is made from it -----------


def make_sdist(out: Path, *, draft: bool) -> Path:
    """Make the source distribution. It holds all that a wheel of it needs, also the licences of the crates."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "adieu"
        stage(folder, draft=draft)
        crates = third_party.linked(ROOT)
        texts = third_party.licenses(crates, (ROOT / "LICENSE").read_text("utf-8"))
        place = folder / THIRD_PARTY
        place.mkdir(parents=True)
        (place / "LICENSES.txt").write_text(texts, "utf-8")
        (place / "adieu.cdx.json").write_text(json.dumps(third_party.bill(crates), indent=1) + "\n", "utf-8")
        for old in out.glob("adieu-*.tar.gz"):
            old.unlink()
        _run("maturin", "sdist", f"--out={out}", cwd=folder)
    [made] = out.glob("adieu-*.tar.gz")
    return made


def build_wheel(sdist: Path, out: Path, options: list[str]) -> Path:
    """Build a wheel from the source distribution, and from nothing else in this checkout."""
    place = ROOT / "target" / "package"
    source = place / "source"
    fresh = Path(tempfile.mkdtemp(dir=_made(place)))
    try:
        with tarfile.open(sdist) as tar:
            tar.extractall(fresh, filter="data")
        [unpacked] = fresh.iterdir()
        # # Always the same place: it is in the compiler's flags, and with other flags everything is compiled again.
        shutil.rmtree(source, ignore_errors=True)
        unpacked.rename(source)
        for path in source.rglob("*"):  # an archive's files are old: cargo would take those of the last build for them
            os.utime(path)
    finally:
        shutil.rmtree(fresh)
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    flags = f"{os.environ.get('RUSTFLAGS', '')} --remap-path-prefix={cargo}=/cargo --remap-path-prefix={source}=/adieu"
    environment = dict(os.environ, RUSTFLAGS=flags.strip(), CARGO_TARGET_DIR=str(place))
    for name in ("CFLAGS", "CXXFLAGS"):  # of the C in some crates, whose checks name their files
        environment[name] = f"{os.environ.get(name, '')} -ffile-prefix-map={cargo}=/cargo".strip()
    wheels = Path(tempfile.mkdtemp(dir=place))
    try:
        command = ("maturin", "build", "--release", "--locked", f"--out={wheels}", *options)
        _run(*command, cwd=source, environment=environment)
        [wheel] = wheels.glob("*.whl")
        return Path(shutil.move(wheel, out / wheel.name))
    finally:
        shutil.rmtree(wheels)


def make_npm(out: Path, *, draft: bool) -> Path:
    """Build the SDK in a clean copy, and pack it."""
    program = npm.find()
    if program is None:
        raise ProblemError("npm is missing: the SDK is built with Node 20 or newer")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "adieu"
        stage(folder, draft=draft)
        npm.prepare(program, folder / "js")
        npm.run(program, folder / "js", "run", "--silent", "build")
        for old in out.glob("adieu-rtc-*.tgz"):
            old.unlink()
        npm.run(program, folder / "js", "pack", "--silent", f"--pack-destination={out}")
    [made] = out.glob("adieu-rtc-*.tgz")
    return made


# --- the checks -----------


def check(file: Path) -> None:
    """Check a published file.

    Raises:
        ProblemError: something in it is missing, or must not be there.
    """
    if file.suffix == ".whl":
        _check_wheel(file)
    elif file.name.endswith(".tar.gz"):
        _check_sdist(file)
    elif file.suffix == ".tgz":
        _check_npm(file)
    else:
        raise ProblemError(f"{file.name} is no wheel, source distribution or npm package")


def _check_wheel(file: Path) -> None:
    with zipfile.ZipFile(file) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    info = next(name.partition("/")[0] for name in files if ".dist-info/" in name)
    core = next((name for name in files if name.startswith("adieu/_core.") and not name.endswith(".pyi")), None)
    needed = ("adieu/py.typed", "adieu/server/static/index.html", f"{info}/licenses/LICENSE")
    _need(file, files, *needed)
    if core is None:
        raise ProblemError(f"{file.name} has no core")
    _check_metadata(file, files[f"{info}/METADATA"])
    texts = files.get(f"{info}/licenses/{THIRD_PARTY}/LICENSES.txt", b"").decode()
    bills = [name for name in files if name.startswith(f"{info}/sboms/")]
    if bills != [f"{info}/sboms/adieu.cdx.json"]:
        raise ProblemError(f"{file.name} has the lists of crates {bills}: one is right, tools/dist.py makes it")
    _check_bill(file, files[bills[0]], texts)
    home = str(Path.home()).encode()
    if home != b"/" and re.search(re.escape(home) + rb"/[\w.]", files[core]):
        raise ProblemError(f"the core in {file.name} names folders of this computer: build it with tools/dist.py")


def _check_metadata(file: Path, text: bytes) -> None:
    metadata = email.message_from_bytes(text)
    urls = dict(url.split(", ", 1) for url in metadata.get_all("Project-URL", []))
    if not set(urls) >= {"Repository", "Documentation", "Changelog", "Issues"}:
        raise ProblemError(f"{file.name} has only the addresses {sorted(urls)}")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if metadata["Version"] != version:
        raise ProblemError(f"{file.name} has version {metadata['Version']}, and this checkout has {version}")
    if dead := LINK.search(str(metadata.get_payload())):
        raise ProblemError(f"the description in {file.name} has a link that works only in the repository: {dead[2]}")


def _check_bill(file: Path, text: bytes, licenses: str) -> None:
    if re.search(rb"file:|(?<![\w:])/(?:home|root|tmp|Users|io|github)/", text):
        raise ProblemError(f"the list of crates in {file.name} has paths of the computer that built it")
    components = json.loads(text)["components"]
    if not components:
        raise ProblemError(f"the list of crates in {file.name} is empty")
    for component in components:
        if not re.search(
            rf"(?m)^{re.escape(component['name'])}(?:-patched)? {re.escape(component['version'])} \(", licenses
        ):
            raise ProblemError(f"{file.name} lacks the licence of {component['name']}")


def _check_sdist(file: Path) -> None:
    with tarfile.open(file) as tar:
        root = file.name.removesuffix(".tar.gz")
        names = {member.name.removeprefix(f"{root}/") for member in tar.getmembers()}
        description = tar.extractfile(f"{root}/PKG-INFO")
        text = b"" if description is None else description.read()
    texts = (f"{THIRD_PARTY}/LICENSES.txt", f"{THIRD_PARTY}/adieu.cdx.json")
    _need(file, names, "pyproject.toml", "Cargo.lock", "LICENSE", "python/adieu/py.typed", *texts)
    _check_metadata(file, text)


def _check_npm(file: Path) -> None:
    with tarfile.open(file) as tar:
        files: dict[str, bytes] = {}
        for member in tar.getmembers():
            content = tar.extractfile(member)
            files[member.name.removeprefix("package/")] = b"" if content is None else content.read()
    package = json.loads(files["package.json"])
    _need(file, files, "LICENSE", "README.md", "dist/index.js", "dist/index.d.ts")
    exported = [path for entry in package["exports"].values() for path in _strings(entry)]
    _need(file, files, *(path.removeprefix("./") for path in exported))
    if not package.get("repository") or package.get("dependencies"):
        raise ProblemError(f"{file.name} has no repository, or has dependencies")
    if dead := LINK.search(files["README.md"].decode()):
        raise ProblemError(f"README.md in {file.name} has a link that works only in the repository: {dead[2]}")


def _strings(entry: object) -> list[str]:
    if isinstance(entry, dict):
        return [text for value in entry.values() for text in _strings(value)]
    return [str(entry)]


def _need(file: Path, names: object, *needed: str) -> None:
    missing = [name for name in needed if name not in names]  # type: ignore[operator]
    if missing:
        raise ProblemError(f"{file.name} lacks {', '.join(missing)}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(*command: str, cwd: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=environment, check=False)
    if done.returncode:
        raise ProblemError(f"{command[0]} ended with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
