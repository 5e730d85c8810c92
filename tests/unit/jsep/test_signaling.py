"""RFC 9429 section 3.2: the table, read the other way round."""

from itertools import product
from typing import get_args

import pytest

from adieu.jsep import SdpType, SignalingState, Source, next_signaling_state

LEGAL = """
stable               local  offer     have-local-offer
stable               remote offer     have-remote-offer
have-local-offer     local  offer     have-local-offer
have-local-offer     remote answer    stable
have-local-offer     remote pranswer  have-remote-pranswer
have-local-offer     local  rollback  stable
have-remote-offer    remote offer     have-remote-offer
have-remote-offer    local  answer    stable
have-remote-offer    local  pranswer  have-local-pranswer
have-remote-offer    remote rollback  stable
have-local-pranswer  local  pranswer  have-local-pranswer
have-local-pranswer  local  answer    stable
have-remote-pranswer remote pranswer  have-remote-pranswer
have-remote-pranswer remote answer    stable
"""
TABLE = {tuple(row[:3]): row[3] for line in LEGAL.strip().splitlines() if (row := line.split())}


@pytest.mark.parametrize(
    "case", list(product(get_args(SignalingState), get_args(Source), get_args(SdpType))), ids="-".join
)
def test_every_state_and_description(case):
    assert next_signaling_state(*case) == TABLE.get(case)
