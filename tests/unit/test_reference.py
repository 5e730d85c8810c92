"""The reference of the SDK: how a page is made from declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import reference

if TYPE_CHECKING:
    from pathlib import Path

INNER = """\
/** A thing. */
export declare class Thing extends Base {
    #private;
    /** Its size, in bytes. */
    get size(): number;
    /** Of no concern. */
    private inner;
    close({ signal }?: {
        signal?: AbortSignal;
    }): void;
}
export interface Silent {
    a: number;
}
/**
 * Two lines,
 * with `code`.
 */
export type Word = "a" | "b";
export declare const MOST: number;
interface Hidden {
    b: number;
}
"""


def test_a_page_has_every_exported_name_with_its_comment_and_nothing_private(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "thing.d.ts").write_text(INNER)
    (tmp_path / "words.d.ts").write_text('export { type Word } from "./inner/thing.js";\n')
    (tmp_path / "index.d.ts").write_text(
        'export { Thing, type Silent, } from "./inner/thing.js";\nexport type * from "./words.js";\n'
    )
    names = {name.name: name for name in reference.exported(tmp_path / "index.d.ts")}
    assert list(names) == ["Thing", "Silent", "Word"]
    assert names["Thing"].comment == "A thing."
    assert names["Silent"].comment == ""
    assert names["Word"].comment == "Two lines,\nwith `code`."
    text = names["Thing"].text
    assert text.startswith("class Thing extends Base {") and text.endswith("}")
    assert "Its size" in text and "signal?: AbortSignal" in text
    assert "private" not in text and "no concern" not in text
    page = reference.page({"adieu-rtc": list(names.values())})
    assert "### Thing\n\nA thing.\n\n```ts\nclass Thing" in page
