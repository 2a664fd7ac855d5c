import base64

import pytest

from bench.comet import TRANSACTION_BYTES, _encoded, configured

FILE = """\
[rpc]
laddr = "tcp://127.0.0.1:26657"
[p2p]
laddr = "tcp://0.0.0.0:26656"
timeout_commit = "1s"
"""


def test_settings_and_ports_are_replaced() -> None:
    changed = configured(FILE, {"timeout_commit": '"0s"'}, 21_700)
    assert 'timeout_commit = "0s"' in changed
    assert '[rpc]\nladdr = "tcp://127.0.0.1:21701"' in changed
    assert '[p2p]\nladdr = "tcp://127.0.0.1:21700"' in changed


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no setting mempool_size"):
        configured(FILE, {"mempool_size": "1"}, 21_700)


def test_transactions_have_their_size_and_their_number() -> None:
    first, second = (base64.b64decode(_encoded(number)) for number in (7, 255))
    assert len(first) == len(second) == TRANSACTION_BYTES
    assert (int(first[:15], 16), int(second[:15], 16)) == (7, 255)
