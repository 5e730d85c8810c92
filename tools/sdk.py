"""The SDK for browsers, `js/`: its generated files, lint, types, build and tests; and its examples, `examples/web`.

python tools/sdk.py           check, build and test it
python tools/sdk.py --build   only build it, its tests and its examples

Without Node it is left out; with CI=true that is a failure.
"""

from __future__ import annotations

import sys

import npm

JS = npm.ROOT / "js"
EXAMPLES = npm.ROOT / "examples" / "web"


def main(arguments: list[str]) -> int:
    program = npm.find()
    if program is None:
        print("No npm: the SDK for browsers is left out.", file=sys.stderr)
        return 0
    npm.prepare(program, JS)
    npm.run(program, JS, "run", "--silent", "build")
    npm.prepare(program, EXAMPLES)
    npm.run(program, EXAMPLES, "run", "--silent", "build")
    if arguments == ["--build"]:
        npm.run(program, JS, "run", "--silent", "compile")
    else:
        npm.run(program, JS, "run", "--silent", "check")
        npm.run(program, JS, "test", "--silent")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
