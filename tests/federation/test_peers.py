"""Federation with other people's servers, in both modes, in both directions."""

import itertools

import pytest

from tests.conftest import Place
from tests.federation import dialogue
from tests.federation.peers import MODES, PEERS

PAIRS = [
    pytest.param(mode, one, other, id=f"{mode}-{one}-{other}")
    for mode in MODES
    for one, other in itertools.combinations(PEERS, 2)
    if all(mode in PEERS[name].modes for name in (one, other))
]


@pytest.mark.parametrize(("mode", "one", "other"), PAIRS)
def test_they_understand_each_other(mode, one, other, bed, person):
    """The bed itself: what fails here is no fault of ours."""
    peers = bed.peer(one), bed.peer(other)
    a, b = (person(name, Place(peer, peer.domain(mode))) for name, peer in zip("ab", peers, strict=True))
    dialogue.whole(a, b, (peers[0].rooms, peers[1].rooms))
