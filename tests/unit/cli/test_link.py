"""Links, their proof, and the digest of a list, as vectors that the page replays too (web/test/receive.test.ts).

`python tests/unit/cli/test_link.py` writes the vectors.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import segno

from adieu.cli.sending import link as links
from adieu.cli.sending import listing, proof, qr
from adieu.cli.sending.messages import Entry

VECTORS = Path(__file__).parents[3] / "vectors" / "sending" / "link.json"
LINK = links.Link("http://192.0.2.7:41234/", "k3fp", bytes(range(16)))
FINGERPRINTS = {"sender": "0f" * 32, "receiver": "a0" * 32}
ODD = 'odd "\\/\b\f\n\r\t\x01\x1f'
PATHS = ["folder", "folder/a.txt", "folder/ä ö\u2028\u2029\u007f.txt", ODD, "emoji 🎉", "empty"]
SIZES = [listing.FOLDER, 3, 2**53, 10, 1, 0]
"""Each kind of character that JSON may write in two ways: both sides must write it in the same one."""


def made() -> dict[str, object]:
    """The vectors, from this code."""
    both = (FINGERPRINTS["sender"], FINGERPRINTS["receiver"])
    proofs = {number: f"{number:064x}" for number in range(1, len(PATHS) - 1)}
    entries = [Entry(path, size) for path, size in zip(PATHS, SIZES, strict=True)]
    return {
        "link": str(LINK),
        "room": LINK.room,
        "key": LINK.key.hex(),
        "fingerprints": FINGERPRINTS,
        "macs": {who: proof._link_mac(LINK, who.encode(), *both).hex() for who in ("sender", "receiver")},
        "entries": [[entry.path, entry.size] for entry in entries],
        "proofs": {str(number): each for number, each in proofs.items()},
        "digest": listing.digest(entries, proofs),
    }


def test_the_vectors_are_of_this_code():
    assert json.loads(VECTORS.read_text("utf-8")) == made()


def test_what_a_link_is():
    made = links.make("wss://example.org/adieu/ws", "k3fp")
    assert str(made).startswith("https://example.org/adieu/#receive/k3fp/")
    assert links.parse(f" {made}\n") == made
    assert made.server == "wss://example.org/adieu/ws"
    assert len(made.key) == 16 and made.key != links.make("wss://example.org/adieu/ws", "k3fp").key
    assert links.make("ws://[fd00::1]:80/ws", "a").server == "ws://[fd00::1]:80/ws"
    assert str(made).rpartition("/")[2] not in repr(made)
    for wrong in ("https://example.org/", "https://example.org/#lab", "https://example.org/#receive/a/short",
                  "https://a@example.org/#receive/a/" + "A" * 22, "https://e.org/x#receive/a/" + "A" * 22):  # fmt: skip
        with pytest.raises(ValueError, match="not a link"):
            links.parse(wrong)
    with pytest.raises(ValueError, match="no page beside"):
        links.make("wss://example.org/signaling", "a")


def test_a_qr_code_in_a_terminal_is_the_link(monkeypatch):
    """Its modules, read back from the text, are those of the code."""
    made = qr.lines(str(LINK))
    upper = [[character in "█▀" for character in line] for line in made]
    lower = [[character in "█▄" for character in line] for line in made]
    rows = [row for pair in zip(upper, lower, strict=True) for row in pair]
    wanted = [[not module for module in row] for row in segno.make_qr(str(LINK), error="l").matrix_iter(border=2)]
    assert rows[: len(wanted)] == wanted
    assert {len(line) for line in made} == {len(wanted[0])}
    monkeypatch.setenv("COLUMNS", "20")
    assert qr.shown(str(LINK)) == [], "a part of it is of no use"


if __name__ == "__main__":
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(json.dumps(made(), indent=2, ensure_ascii=False) + "\n", "utf-8")
