"""The tools of a release: versions, licences, advisories, and the checks of what is published."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import advisories
import dist
import pytest
import third_party
import versions
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ("pyproject.toml", "Cargo.toml", "Cargo.lock", "js/package.json", "js/package-lock.json")


# --- versions -----------


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    for name in (*MANIFESTS, "web/package.json", "web/package-lock.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_all_manifests_have_one_version() -> None:
    assert len(set(versions.versions(ROOT).values())) == 1


@pytest.mark.parametrize("version", ["0.2.0", "1.0.0rc1", "0.3.0a12"])
def test_a_version_is_written_into_all_of_them(manifests: Path, version: str) -> None:
    before = {name: (manifests / name).read_text() for name in MANIFESTS}
    versions.write(manifests, version)
    assert set(versions.versions(manifests).values()) == {version}
    for name, text in before.items():
        changed = list(zip(text.splitlines(), (manifests / name).read_text().splitlines(), strict=True))
        assert all("version" in new for old, new in changed if old != new), name


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_with_another_version_is_found(manifests: Path, name: str) -> None:
    text = (manifests / name).read_text()
    own = r'(name = "adieu-py"\nversion = )"[^"]*"' if name == "Cargo.lock" else r'(version"?(?: =|:) )"[^"]*"'
    (manifests / name).write_text(re.sub(own, r'\1"9.9.9"', text, count=1))
    assert "9.9.9" in versions.versions(manifests).values()


# --- licences -----------


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT/Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only OR (MIT AND LGPL-2.1-or-later)", False),
        ("ISC AND (Apache-2.0 OR ISC) AND BSD-3-Clause AND (Apache-2.0 OR ISC OR MIT-0)", True),
        ("", False),
    ],
)
def test_a_licence_may_be_linked_if_one_of_its_choices_may(expression: str, *, good: bool) -> None:
    assert third_party.may_use(expression, third_party.ALLOWED) is good


def crate(license_: str, **texts: str) -> third_party.Crate:
    return third_party.Crate("some", "1.2.3", license_, source=True, checksum="00", texts=texts)


def test_a_crate_without_a_licence_text_is_a_problem() -> None:
    with pytest.raises(third_party.ProblemError, match=r"some 1\.2\.3 .*rust/py/licenses/some\.txt"):
        third_party.licenses([crate("MIT")], "apache")
    assert "apache" in third_party.licenses([crate("MIT OR Apache-2.0")], "apache")


def test_a_crate_with_a_licence_that_nobody_allowed_is_a_problem() -> None:
    with pytest.raises(third_party.ProblemError, match="GPL-3"):
        third_party.licenses([crate("GPL-3.0-only", COPYING="text")], "apache")


def test_every_crate_that_is_linked_is_in_the_list_with_its_text() -> None:
    crates = third_party.linked(ROOT)
    texts = third_party.licenses(crates, (ROOT / "LICENSE").read_text())
    listed = {component["name"]: component for component in third_party.bill(crates)["components"]}
    assert {"aws-lc-sys", "dcsctp", "dimpl", "is", "libc", "pyo3", "rustls"} <= listed.keys()
    assert "pytest" not in listed
    assert "proptest" not in listed
    for name in listed:
        assert re.search(rf"(?m)^{name}(-patched)? \d", texts), name
    assert str(ROOT) not in json.dumps(listed)


# --- advisories -----------

PACKAGES = [("crates.io", "rustls", "0.23.40"), ("PyPI", "starlette", "1.10.0"), ("npm", "lit", "3.3.3")]


def test_nothing_pinned_has_a_known_vulnerability() -> None:
    snapshot = json.loads(advisories.SNAPSHOT.read_text())
    found = advisories.look_up(advisories.pinned(ROOT), snapshot)
    assert [id_ for _, id_ in found if id_ not in snapshot["accepted"]] == []


def test_the_snapshot_finds_a_version_that_is_affected_and_says_its_date() -> None:
    snapshot = json.loads(advisories.SNAPSHOT.read_text())
    assert advisories.look_up(PACKAGES, snapshot) == [(PACKAGES[0], "RUSTSEC-2026-0285")]
    text = advisories.about(PACKAGES, snapshot)
    assert f"3 pinned packages, by the snapshot of {snapshot['as_of']}" in text
    assert text.endswith("knows nothing about 1 of them")


def test_the_locks_of_all_three_kinds_are_read() -> None:
    found = {package[:2] for package in advisories.pinned(ROOT)}
    assert {("crates.io", "rustls"), ("PyPI", "msgspec"), ("npm", "lit"), ("npm", "typescript")} <= found
    assert ("crates.io", "adieu-engine") not in found


@pytest.mark.parametrize(
    ("version", "span", "inside"),
    [
        ("1.0.0", {"introduced": "0", "fixed": "1.0.1"}, True),
        ("1.0.1", {"introduced": "0", "fixed": "1.0.1"}, False),
        ("1.0", {"introduced": "1.0.0", "fixed": "1.0.1"}, True),
        ("0.9", {"introduced": "1.0.0", "fixed": "1.0.1"}, False),
        ("1.10.0", {"introduced": "0", "fixed": "1.9.0"}, False),
        ("0.104.0-alpha.3", {"introduced": "0.104.0-alpha.1", "fixed": "0.104.0-alpha.6"}, True),
        ("0.104.0", {"introduced": "0.104.0-alpha.1", "fixed": "0.104.0-alpha.6"}, False),
        ("2.0rc1", {"introduced": "0", "fixed": "2.0"}, True),
        ("2.0", {"introduced": "0", "last_affected": "2.0"}, True),
        ("2.0.post1", {"introduced": "0", "last_affected": "2.0"}, False),
        ("3", {"introduced": "2"}, True),
    ],
)
def test_a_version_is_in_a_range_or_not(version: str, span: dict[str, str], *, inside: bool) -> None:
    assert advisories.is_in(version, span) is inside


class _Database(BaseHTTPRequestHandler):
    """OSV's two questions: a batch of versions, and one package."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        self.wfile.write(json.dumps(self.answer(body)).encode())

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if "queries" in body:
            bad = [query["package"]["name"] == "rustls" for query in body["queries"]]
            return {"results": [{"vulns": [{"id": "X-1"}]} if is_bad else {} for is_bad in bad]}
        package = body["package"]
        if package["name"] != "rustls":
            return {}
        git = {"type": "GIT", "events": [{"introduced": "0"}]}
        events = [{"introduced": "0"}, {"fixed": "0.22.0"}, {"introduced": "0.23.0"}, {"fixed": "0.23.45"}]
        affected = [{"package": package, "ranges": [git, {"type": "SEMVER", "events": events}]}]
        return {"vulns": [{"id": "X-1", "affected": affected}]}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), _Database) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(advisories, "DATABASE", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("database")
def test_the_database_is_asked_and_makes_a_snapshot() -> None:
    assert advisories.ask(PACKAGES) == [(PACKAGES[0], "X-1")]
    snapshot = advisories.updated(PACKAGES)
    assert snapshot["packages"]["PyPI/starlette"] == []
    assert advisories.look_up(PACKAGES, snapshot) == [(PACKAGES[0], "X-1")]
    assert advisories.look_up([("crates.io", "rustls", "0.22.5")], snapshot) == []


def test_without_a_network_the_snapshot_is_asked_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "DATABASE", "http://127.0.0.1:1")
    assert advisories.main([]) == 0
    said = capsys.readouterr().out
    assert "did not answer" in said
    assert "by the snapshot of" in said


# --- what is published -----------


def test_links_of_the_readmes_work_elsewhere_too() -> None:
    for page, place in (("README.md", ""), ("js/README.md", "js")):
        text = dist.absolute_links((ROOT / page).read_text(), "https://h/blob/v1", place)
        assert not dist.LINK.search(text)
        for path in re.findall(r"https://h/blob/v1/([^)#\"]+)", text):
            assert (ROOT / path).exists(), path


def test_the_address_of_the_repository_is_in_one_place() -> None:
    places = [
        path
        for name in ("pyproject.toml", "README.md", "RELEASING.md", "js/package.json", "js/README.md", "Cargo.toml")
        if f"/{dist.PLACEHOLDER}/" in (path := ROOT / name).read_text()
    ]
    assert places == [ROOT / "pyproject.toml"]


WHEEL = {
    "adieu/_core.abi3.so": "core",
    "adieu/py.typed": "",
    "adieu/server/static/index.html": "<html>",
    "adieu-1.dist-info/licenses/LICENSE": "Apache",
    "adieu-1.dist-info/licenses/rust/py/third-party/LICENSES.txt": "some 1.2.3 (MIT)\n",
    "adieu-1.dist-info/sboms/adieu.cdx.json": json.dumps({"components": [{"name": "some", "version": "1.2.3"}]}),
    "adieu-1.dist-info/METADATA": "Version: VERSION\n"
    + "".join(f"Project-URL: {name}, https://h\n" for name in ("Repository", "Documentation", "Changelog", "Issues"))
    + "\n[guide](https://h/guide)\n",
}
BAD_WHEELS = {
    "lacks adieu/py.typed": {"adieu/py.typed": None},
    "has no core": {"adieu/_core.abi3.so": None},
    "names folders of this computer": {"adieu/_core.abi3.so": f"{Path.home()}/.cargo/registry"},
    "has the lists of crates": {"adieu-1.dist-info/sboms/other.json": "{}"},
    "lacks the licence of some": {"adieu-1.dist-info/licenses/rust/py/third-party/LICENSES.txt": "other 1 (MIT)"},
    "has paths": {
        "adieu-1.dist-info/sboms/adieu.cdx.json": '{"components": [{"name": "some", "purl": "path+file:///home/me"}]}'
    },
    "works only in the repository": {
        "adieu-1.dist-info/METADATA": WHEEL["adieu-1.dist-info/METADATA"] + "[x](docs/x.md)"
    },
    "has version 9": {"adieu-1.dist-info/METADATA": "Version: 9\n" + WHEEL["adieu-1.dist-info/METADATA"]},
    "has only the addresses": {"adieu-1.dist-info/METADATA": "Version: VERSION\n\ntext"},
}


def wheel(folder: Path, changes: dict[str, str | None]) -> Path:
    version = versions.versions(ROOT)["pyproject.toml"]
    path = folder / "adieu-1-cp311-abi3-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path, "w") as file:
        for name, text in {**WHEEL, **changes}.items():
            if text is not None:
                file.writestr(name, text.replace("VERSION", version))
    return path


def test_a_good_wheel_passes(tmp_path: Path) -> None:
    dist.check(wheel(tmp_path, {}))


@pytest.mark.parametrize("problem", BAD_WHEELS)
def test_a_bad_wheel_is_refused(tmp_path: Path, problem: str) -> None:
    with pytest.raises(dist.ProblemError, match=problem):
        dist.check(wheel(tmp_path, BAD_WHEELS[problem]))


def test_an_npm_package_without_the_file_of_an_entry_is_refused(tmp_path: Path) -> None:
    package = json.loads((ROOT / "js" / "package.json").read_text()) | {"repository": {}}
    files = {
        "package.json": json.dumps(package),
        "LICENSE": "",
        "README.md": "",
        "dist/index.js": "",
        "dist/index.d.ts": "",
    }
    path = tmp_path / "adieu-rtc.tgz"
    with tarfile.open(path, "w:gz") as file:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            file.addfile(member, io.BytesIO(text.encode()))
    with pytest.raises(dist.ProblemError, match=r"lacks dist/adieu-rtc\.min\.js"):
        dist.check(path)


# --- workflows -----------

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_what_is_there(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    names = set(workflow["jobs"])
    for job in workflow["jobs"].values():
        needs = job.get("needs", [])
        assert {needs} if isinstance(needs, str) else set(needs) <= names
        assert "timeout-minutes" in job or "id-token" in job["permissions"]
        for step in job["steps"]:
            assert "@" in step.get("uses", "@")
            for file in re.findall(r"(?:tools|tests|packaging)/[\w/.]+\.\w+|\.ci/run", str(step)):
                assert (ROOT / file).exists(), file


def test_the_container_is_healthy_as_the_server_says(tmp_path: Path) -> None:
    text = (ROOT / "packaging" / "Dockerfile").read_text()
    [command] = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", text)
    code = json.loads(command)[2]
    compile(code, "<healthcheck>", "exec")
    assert "/healthz" in code
    assert "USER nobody" in text
