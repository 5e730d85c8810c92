"""A user's project with the npm package: installed, built by Vite, and a plain page beside it.

    python tests/install/npm_project.py dist/adieu-rtc-*.tgz FOLDER

test_npm.py looks at what this has made, without a network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MAIN = """\
import { join } from "%s";

const url = new URLSearchParams(location.search).get("url")!;
const room = await join(url, { room: "lab", name: "page" });
const session = await room.session();
const chat = await session.open("chat");
await chat.send("hello from a page");
for await (const message of chat) {
  if (message === "goodbye") await session.close({ reason: "done" });
}
"""
PAGE = '<!doctype html><meta charset="utf-8"><title>try</title><script type="module" src="%s"></script>\n'
NODE = """\
import { CAUSES, join, memorySignaling } from "adieu-rtc";
import { goodbye } from "adieu-rtc/goodbye";

const [here] = memorySignaling();
const error = await join("ws://127.0.0.1:1/ws", { room: "lab" }).catch((error) => error);
console.log(JSON.stringify([Object.keys(CAUSES).length > 5, typeof goodbye, typeof here.send, error.message]));
process.exit(0);
"""
TYPES = """\
import { type CloseReceipt, join, type Room, type Session } from "adieu-rtc";
import { goodbye } from "adieu-rtc/goodbye";

const room: Room = await join("ws://127.0.0.1:1/ws", { room: "lab" });
const session: Session = await room.session();
const receipt: CloseReceipt = await session.close({ reason: "done", timeout: 5000 });
const notice: string = receipt.notice;
// @ts-expect-error: a wrong option is noticed
await session.close({ raeson: "done" });
export { goodbye, notice };
"""


def main(arguments: list[str]) -> int:
    """Make the project."""
    package, folder = Path(arguments[0]).resolve(), Path(arguments[1])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    wanted = json.loads((ROOT / "web" / "package.json").read_text("utf-8"))["devDependencies"]
    project = {"name": "try", "private": True, "type": "module", "scripts": {"build": "vite build --outDir built"}}
    (folder / "package.json").write_text(json.dumps(project))
    (folder / "index.html").write_text(PAGE % "/src/main.ts")
    (folder / "src" / "main.ts").write_text(MAIN % "adieu-rtc")
    plain = MAIN % "/node_modules/adieu-rtc/dist/adieu-rtc.min.js"
    (folder / "plain.html").write_text(PAGE % "/plain.js")
    (folder / "plain.js").write_text(plain.replace(")!;", ");"))
    (folder / "node.mjs").write_text(NODE)
    (folder / "types.ts").write_text(TYPES)
    tools = [f"{name}@{wanted[name]}" for name in ("vite", "typescript")]
    for command in (["install", "--silent", "--no-audit", str(package), *tools], ["run", "--silent", "build"]):
        if subprocess.run(["npm", *command], cwd=folder, check=False).returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
