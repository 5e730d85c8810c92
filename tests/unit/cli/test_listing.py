"""The list of what is sent, from a folder that changes meanwhile."""

import pytest

from adieu.cli.sending import listing


@pytest.mark.parametrize("vanishes", ["b", "folder"])
def test_what_vanishes_while_a_folder_is_listed_is_left_out(tmp_path, vanishes):
    """A live folder has temporary files."""
    root = tmp_path / "live"
    (root / "folder").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (root / name).write_text(name)

    def looked_at(below, *, folder):
        if below == "a":
            (root / "b").unlink()
        elif below == "folder" == vanishes:
            (root / "folder").rmdir()
        return False

    made = listing.Listing(looked_at)
    made.add(root)
    assert {entry.path for entry in made.entries if entry.size != listing.FOLDER} == {"live/a", "live/c"}
    assert str(root / vanishes) in made.left_out
    with pytest.raises(FileNotFoundError):
        made.add(tmp_path / "nothing")
