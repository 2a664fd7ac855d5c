"""A demo runs on the protocol that was asked for."""

import msgspec
import pytest

from seawall.testbed.demo.settings import DemoSettings, full, short


@pytest.mark.parametrize("planned", [full(3), short(3)])
def test_the_protocol_is_part_of_the_parameters(planned: DemoSettings) -> None:
    assert planned.consensus.protocol == "sync"
    other = msgspec.structs.replace(planned, protocol="async")
    assert other.consensus == planned.consensus.asynchronous(5)
