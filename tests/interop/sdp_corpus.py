"""Ask real browsers what they do with each case of `support.sdp_cases`, and compare adieu with them.

python tests/e2e/lab/namespace.py python tests/interop/sdp_corpus.py            ask them, then write the report
python tests/e2e/lab/namespace.py python tests/interop/sdp_corpus.py --report   the report alone, if adieu has changed

By hand, when there is a new browser or the cases have changed. The verdicts are tests/fixtures/sdp/verdicts.txt, the
report is tests/interop/reports/sdp.md.
"""

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[0] = str(TESTS)  # beside this file there are other modules of the same names

from e2e.lab.pages import Pages  # noqa: E402 the path first
from interop import judge  # noqa: E402
from interop.conftest import Lab  # noqa: E402
from support import sdp_cases as corpus  # noqa: E402

REPORT = TESTS / "interop" / "reports" / "sdp.md"
KINDS = ("offer", "answer", "candidate")
WHO = {(True, True): "both", (True, False): "Chromium alone", (False, True): "Firefox alone", (False, False): "neither"}


async def main():
    async with AsyncExitStack() as stack:
        lab = Lab(stack, await stack.enter_async_context(Pages().serving()))
        if sys.argv[1:] != ["--report"]:
            asked = [await ask(lab, name) for name in corpus.BROWSERS]
            versions = [(await lab.browser(name)).version for name in corpus.BROWSERS]
            corpus.write_verdicts(versions, asked)
        REPORT.write_text(report(await ask(lab, "adieu")))
        print(REPORT)


async def ask(lab, name):
    """All verdicts by the names of the cases."""
    verdicts = await judge.offers(lab, name, corpus.offers())
    for what in corpus.KINDS:
        verdicts |= await judge.answers(lab, name, what)
    return verdicts | await judge.candidates(lab, name, corpus.candidates())


def report(ours):
    """The page."""
    verdicts = corpus.read_verdicts()
    versions = f"Chromium {verdicts.versions[0]} and Firefox {verdicts.versions[1]}"
    counts = Counter()
    for name, mine in ours.items():
        who = WHO[tuple(map(corpus.takes, verdicts.of(name, mine)))]
        counts[name.partition("/")[0], who, corpus.takes(mine)] += 1
    died = [name for name, said in verdicts.said.items() if corpus.DIED in said]
    differences = corpus.differences(ours)
    return "\n".join(
        [
            "# Descriptions and candidates, a little odd: adieu beside two browsers",
            "",
            f"Written by `tests/interop/sdp_corpus.py`: {len(ours)} cases, {versions}, and adieu as it is here.",
            "",
            "Each case is a description that one of the browsers has written, or a candidate of it, with one change: a",
            "line missing, doubled, moved, empty, over-long, with a blank at its end, a word that nobody knows, other",
            "numbers … Offers are set and answered, answers are set, candidates are added. What each of the browsers",
            "did is in `tests/fixtures/sdp/verdicts.txt`; `tests/unit/jsep/test_verdicts.py` holds adieu against it.",
            "",
            "| taken by | " + " | ".join(f"{kind}s | adieu takes" for kind in KINDS) + " |",
            "|---|" + "--:|--:|" * len(KINDS),
            *(
                f"| {who} | "
                + " | ".join(
                    f"{counts[kind, who, True] + counts[kind, who, False]} | {counts[kind, who, True]}"
                    for kind in KINDS
                )
                + " |"
                for who in WHO.values()
            ),
            "",
            "## Taken by both browsers, and not by adieu",
            "",
            *table(differences, taken=False),
            "",
            "## Taken by neither browser, and by adieu",
            "",
            *table(differences, taken=True),
            "",
            "## Cases of which a page of Firefox dies",
            "",
            *(f"- `{name}`" for name in died),
            "",
        ]
    )


def table(differences, *, taken):
    """What is different, by what was changed, with its reason."""
    some = [one for one in differences if corpus.takes(one.browsers[0]) is not taken]
    rows = Counter()
    for one in some:
        name, change = one.case.change
        reason = corpus.TAKEN_HERE[name] if taken else corpus.REFUSED_HERE[name, change]
        rows[name, reason] += 1
    yield "| line | cases | reason |"
    yield "|---|--:|---|"
    for (name, reason), count in sorted(rows.items()):
        yield f"| `{name}` | {count} | {reason} |"


if __name__ == "__main__":
    asyncio.run(main())
