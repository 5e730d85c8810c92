"""The TypeScript on the pages compiles, strictly, against the SDK's own types; the JavaScript is JavaScript."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "js" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(ts|js)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TSC = ROOT / "js" / "node_modules" / ".bin" / "tsc"
GIVEN = {
    "join": 'import { join } from "adieu-rtc";',
    "session": 'declare const session: import("adieu-rtc").Session;',
    "room": 'declare const room: import("adieu-rtc").Room;',
    "file": "declare const file: File;",
    "chat": "declare const chat: RTCDataChannel;",
    "pc": "declare const pc: RTCPeerConnection;",
    "stream": "declare const stream: MediaStream;",
    "show": "declare function show(text: string): void;",
    "showDirectoryPicker": "declare function showDirectoryPicker(): Promise<FileSystemDirectoryHandle>;",
}
"""Names that a fragment takes as given; they are declared only where a block does not make them itself."""


def blocks() -> Iterator[tuple[str, str, str]]:
    """Yield each block: its page and line, its language, its text."""
    for page in PAGES:
        if "news" in page.parts or page.name == "typescript.md":
            continue
        text = page.read_text("utf-8")
        for match in BLOCK.finditer(text):
            yield f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2]


def test_each_block_of_typescript_compiles(tmp_path: Path) -> None:
    if not TSC.exists():
        missing("the TypeScript compiler", "npm ci, in js/")
    names: dict[str, str] = {}
    for number, (place, language, code) in enumerate(blocks()):
        made = re.findall(r"(?:const|let|function|class|import) (\w+|[\[{][^\]}]*[\]}])", code)
        own = {name for names_made in made for name in re.findall(r"\w+", names_made)}
        given = (
            []
            if language == "js"
            else [text for name, text in GIVEN.items() if re.search(rf"\b{name}\b", code) and name not in own]
        )
        file = f"block{number}.{language}"
        names[file] = place
        (tmp_path / file).write_text("\n".join([*given, code, "export {};"]), "utf-8")
    assert len(names) >= 6
    options = {
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "lib": ["es2023", "dom", "dom.iterable", "dom.asynciterable"],
        "types": [],
        "strict": True,
        "noEmit": True,
        "allowJs": True,
        "skipLibCheck": True,
        "paths": {
            "adieu-rtc": [str(ROOT / "js" / "src" / "index.ts")],
            "adieu-rtc/goodbye": [str(ROOT / "js" / "src" / "goodbye" / "index.ts")],
            "adieu-rtc/testing": [str(ROOT / "js" / "src" / "testing" / "index.ts")],
        },
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.ts", "*.js"]}))
    ran = subprocess.run([str(TSC), "-p", str(tmp_path)], capture_output=True, text=True, timeout=100, check=False)
    said = re.sub(r"(?:\S*/)?(block\d+\.[tj]s)", lambda match: f"{match[1]} ({names[match[1]]})", ran.stdout)
    assert ran.returncode == 0, said
