"""Named matrices of round-trip times between zones.

The numbers are of the order of public measurements between cloud regions (medians of inter-region
pings as cloudping.co and the providers' own pages publish them, rounded), and of metropolitan
fibre: light takes about 5 us for a kilometre of it, and routes are half as long again as the
map. An experiment that needs the numbers of one real network writes its own matrix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MILLISECOND_US: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneMatrix:
    """Zones, the median round trip within one, and between each two; microseconds.

    Keys of `rtt_us` are `a-b` with the zones in the order of `names`.
    """

    names: tuple[str, ...]
    inside_us: int
    rtt_us: Mapping[str, int]

    def one_way_us(self) -> dict[str, int]:
        """Return half a round trip by `source>target`, both ways."""
        found: dict[str, int] = {}
        for key, rtt_us in self.rtt_us.items():
            a, _, b = key.partition("-")
            found[f"{a}>{b}"] = found[f"{b}>{a}"] = rtt_us // 2
        return found

    def zone_of(self, site: int) -> str:
        """Return where a site stands: sites go to the zones in turn."""
        return self.names[site % len(self.names)]


def _matrix(inside_us: int, names: str, **rtt_ms: int) -> ZoneMatrix:
    pairs = {key.replace("_", "-"): value * MILLISECOND_US for key, value in rtt_ms.items()}
    return ZoneMatrix(names=tuple(names.split()), inside_us=inside_us, rtt_us=pairs)


ZONES: Final[Mapping[str, ZoneMatrix]] = MappingProxyType(
    {
        # One building: a switch or two between any two sites.
        "lan": _matrix(300, "lan"),
        # One city: edge sites on fibre within some 50 km, each two zones over one exchange.
        "metro": _matrix(1_000, "north south west", north_south=3, north_west=2, south_west=3),
        # Three regions of one continent: Frankfurt, Dublin, Stockholm.
        "edge-three-regions": _matrix(
            1_500, "central west north", central_west=25, central_north=22, west_north=38
        ),
        # Five regions of four continents: Frankfurt, Virginia, Oregon, Singapore, Sao Paulo.
        "edge-five-regions": _matrix(
            1_500,
            "eu use usw ap sa",
            eu_use=90,
            eu_usw=150,
            eu_ap=160,
            eu_sa=205,
            use_usw=65,
            use_ap=220,
            use_sa=115,
            usw_ap=165,
            usw_sa=175,
            ap_sa=320,
        ),
    }
)
