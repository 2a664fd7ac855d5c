from collections import Counter

from seawall.codec import decode_block
from seawall.consensus.byzantine.table import Script
from seawall.consensus.engine import Blocks, Message
from seawall.consensus.verification import verify_block
from seawall.errors import PeerError
from tests.unit.consensus.byzantine.scripts import ScriptedCluster

SECOND_US = 1_000_000


def test_beside_each_own_block_goes_an_invalid_one_of_each_kind_in_turn() -> None:
    cluster = ScriptedCluster({3: [Script(behaviour="forge")]})
    codes: Counter[str] = Counter()

    def look(source: int, _target: int, message: Message) -> bool:
        if source != 3 or not isinstance(message, Blocks):
            return True
        try:
            for block in message.blocks:
                verify_block(decode_block(block.raw), cluster.committee, cluster.parameters)
        except PeerError as fault:
            codes[fault.code] += 1
            return False
        codes["valid"] += 1
        return True

    cluster.filter = look
    cluster.run(SECOND_US)
    forged = codes.total() - codes["valid"]
    assert forged > 30
    assert {"BLOCK_PARENT_FIRST", "BLOCK_PARENT_STAKE"} <= set(codes)
    assert min(cluster.heights()) > 20
