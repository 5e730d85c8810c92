"""What a peer does with the cases of `support.sdp_cases`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from support import sdp_cases as corpus

if TYPE_CHECKING:
    from support.sdp_cases import Case

AT_ONCE = 20
A_PAGE = 200
"""A page judges this many and goes: Chromium lets a page have 500 connections."""


async def offers(lab: Any, name: str, cases: list[Case]) -> dict[str, str]:
    """Its verdicts by the names of the cases."""
    return await _asked(lab, name, "judge_offers", cases)


async def answers(lab: Any, name: str, what: str, chosen: set[str] | None = None) -> dict[str, str]:
    """Its verdicts on answers to its own offer of what is asked for; on all of them, or on those of these names."""
    kinds = list(corpus.KINDS[what])
    async with lab.peer(name) as peer:
        await peer.call("new")
        await peer.call("channel", label="chat")
        await peer.call("media", kinds=kinds)
        offer = await peer.call("offer")
    cases = [case for case in corpus.answers(what, offer) if chosen is None or case.name in chosen]
    return await _asked(lab, name, "judge_answers", cases, kinds=kinds)


async def candidates(lab: Any, name: str, cases: list[Case]) -> dict[str, str]:
    """See `offers`."""
    return await _asked(lab, name, "judge_candidates", cases, offer=corpus.CANDIDATE_BASE)


async def _asked(lab: Any, name: str, command: str, cases: list[Case], **arguments: Any) -> dict[str, str]:
    verdicts: list[str] = []
    while len(verdicts) < len(cases):
        verdicts += await _by_one_page(lab, name, command, cases[len(verdicts) :][:A_PAGE], arguments)
        print(name, command, len(verdicts), "of", len(cases), flush=True)
    return {case.name: corpus.outcome(verdict) for case, verdict in zip(cases, verdicts, strict=True)}


async def _by_one_page(lab: Any, name: str, command: str, cases: list[Case], arguments: dict[str, Any]) -> list[str]:
    """If the page dies of a case, those around it are judged one by one, and that one by nobody."""
    verdicts: list[str] = []
    with suppress(ConnectionError):
        async with lab.peer(name) as peer:
            while len(verdicts) < len(cases):
                texts = [case.text for case in cases[len(verdicts) :][:AT_ONCE]]
                verdicts += await peer.call(command, texts=texts, **arguments)
        return verdicts
    for case in cases[len(verdicts) :][:AT_ONCE]:
        try:
            async with lab.peer(name) as peer:
                verdicts += await peer.call(command, texts=[case.text], **arguments)
        except ConnectionError:
            print(name, "dies of", case.name, flush=True)
            verdicts.append(corpus.DIED)
    return verdicts
