"""The half of tests/e2e that CI runs beside the other one, on a machine that is busy then."""

import re
from pathlib import Path

E2E = Path(__file__).parents[1] / "e2e"
CLOCK = re.compile(r"\b(lab\.figures|slowness|monotonic|perf_counter|loop\.time|performance\.now)\b")


def test_it_reads_no_clock():
    texts = {path: path.read_text() for path in E2E.rglob("test_*.py")}
    beside = {path: text for path, text in texts.items() if "pytest.mark.beside" in text}
    assert 10 < len(beside) < len(texts)
    assert not {path.name: found.group() for path, text in beside.items() if (found := CLOCK.search(text))}
