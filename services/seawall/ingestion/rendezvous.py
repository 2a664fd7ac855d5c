"""Which sites to ask for attestations of a batch: an order that nobody chose.

Every site has a weight that depends on the batch; the heaviest are asked first. So the work and
the copies spread evenly, and a site that leaves moves only its own share.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM
Transactions on Networking 6(1), 1998.
"""

from collections.abc import Iterable
from typing import Final

from seawall.crypto.hashing import tagged

_TAG: Final = b"seawall/rendezvous"


def order(batch_root: bytes, sites: Iterable[int]) -> list[int]:
    """Return the sites, heaviest for this batch first."""
    return sorted(sites, key=lambda site: (tagged(_TAG, batch_root, _index(site)), site))


def _index(site: int) -> bytes:
    return site.to_bytes(8, "big")
