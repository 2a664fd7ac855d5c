"""The schema of an experiment. The simulator, a laptop and a cluster read the same file.

What only one backend can do something with stands in a part of that backend's name.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from seawall.chaos.experiment.faults import Fault, Part, Share
from seawall.chaos.experiment.units import Duration, Rate, Size
from seawall.chaos.experiment.zones import ZONES, ZoneMatrix

SITES_MAX: Final = 100
FAULTS_MAX: Final = 64

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
ZoneName = Annotated[str, Field(pattern=r"^[a-z0-9]{1,20}$")]


class InlineZones(Part):
    """A matrix of one's own."""

    names: Annotated[list[ZoneName], Field(min_length=1, max_length=32)]
    """The zones; sites stand in them in turn."""
    inside: Duration
    """Round trip within a zone."""
    rtt: dict[str, Duration] = Field(default_factory=dict)
    """Round trip between two zones, `a-b` in the order of `names`; every pair of them."""


def _named(value: object) -> str | InlineZones:
    if isinstance(value, dict):
        return InlineZones.model_validate(value)
    if isinstance(value, str) and value in ZONES:
        return value
    raise ValueError(f"name one of {', '.join(ZONES)}, or write a matrix of your own")


_ZONES: Final[dict[str, Any]] = {
    "oneOf": [
        {"type": "string", "enum": list(ZONES)},
        InlineZones.model_json_schema(),
    ]
}
Zones = Annotated[str | InlineZones, PlainValidator(_named), WithJsonSchema(_ZONES)]


class Metadata(Part):
    """What the experiment is called."""

    name: Name
    labels: dict[str, str] = Field(default_factory=dict)
    description: str = ""
    """What it shows, in a sentence."""


class Topology(Part):
    """How many sites, and how far apart."""

    sites: Annotated[int, Field(ge=1, le=SITES_MAX)]
    zones: Zones = "lan"
    """A named matrix of round trips, or one of your own."""


class Engine(Part):
    """What the sites run."""

    name: Name = "seawall"
    mode: Literal["sync", "async"] = "sync"
    """Leaders foreseen and waited for (partial synchrony), or from a common coin (asynchrony)."""
    wave_length: Annotated[int, Field(ge=3, le=5)] | None = None
    """Rounds of a wave: 3 with `sync`, 4 or 5 with `async`."""


class ByzantineContributors(Part):
    """Contributors who cheat."""

    share: Share
    """How many of them."""
    attack: Literal[
        "equivocate",
        "replay",
        "tampered_hash",
        "bad_signature",
        "oversize",
        "signflip",
        "stale_base",
    ]
    """What they do."""


class Workload(Part):
    """What contributors hand in, in an open loop."""

    task: Name = "digits"
    contributors: Annotated[int, Field(ge=1, le=100_000)] = 20
    rate: Rate = 50.0
    """Updates of all contributors together."""
    arrival: Literal["poisson", "constant"] = "poisson"
    payload: Size = 16_384
    """Bytes of one update's tensors."""
    byzantine: ByzantineContributors | None = None


class Phases(Part):
    """How long each part of the run is; faults happen in `hold`, and end with it."""

    baseline: Duration
    hold: Duration
    recover: Duration


class Liveness(Part):
    """Whether the order goes on."""

    hold: Literal["progress", "halt"] = "progress"
    """What is expected under the faults; more of them than can be tolerated halt it."""
    resumes_within: Duration | None = None
    """When every site that runs has ordered an update that came after the faults."""


class Slo(Part):
    """Service levels under the faults."""

    final_p95: Duration | None = None
    """Handed in to final at its site, of updates handed in under the faults."""
    committed_p95: Duration | None = None
    """Handed in to committed at its site, of updates handed in under the faults."""
    throughput_retained: Share | None = None
    """Committed updates a second, under the faults in proportion to before."""


class Expect(Part):
    """How the run is judged."""

    safety: Literal["always"] = "always"
    liveness: Liveness = Field(default_factory=Liveness)
    slo: Slo = Field(default_factory=Slo)


class Simulator(Part):
    """What only the simulator has a use for."""

    jitter_sigma: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.1
    """Spread of delays: sigma of log time around the zone's median."""
    sync: Duration = 2_000
    """What a sync of a healthy disk takes."""
    ledger: Duration = 3_000
    """What the ledger takes to append a commit."""
    batch_window: Duration = 5_000
    """How long a site gathers updates before it has them attested."""
    bytes_per_second: Annotated[int, Field(ge=1)] = 12_500_000
    """Speed at which payloads reach other sites."""
    blocks: Literal["always", "once", "reference"] = "once"
    """Whether the bytes of blocks are verified: at every arrival, once each, or never."""
    coin: Literal["keyed_hash", "threshold_bls"] = "keyed_hash"
    """The common coin of `async`: a hash that stands for it, or the true one."""


class Spec(Part):
    """What is run and how it is judged."""

    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    topology: Topology
    engine: Engine = Field(default_factory=Engine)
    workload: Workload = Field(default_factory=Workload)
    phases: Phases
    faults: Annotated[list[Fault], Field(max_length=FAULTS_MAX)] = Field(default_factory=list)
    expect: Expect = Field(default_factory=Expect)
    positive_control: bool = False
    """Faults beyond what can be tolerated, to see the checkers catch them: UNSAFE is expected."""
    simulator: Simulator = Field(default_factory=Simulator)


class Experiment(Part):
    """An experiment of Seawall."""

    api_version: Literal["seawall.dev/v1"] = Field(alias="apiVersion")
    kind: Literal["Experiment"]
    metadata: Metadata
    spec: Spec

    @property
    def zone_matrix(self) -> ZoneMatrix:
        """Return the round trips, whether named or written out."""
        zones = self.spec.topology.zones
        if isinstance(zones, str):
            return ZONES[zones]
        return ZoneMatrix(names=tuple(zones.names), inside_us=zones.inside, rtt_us=zones.rtt)

    @property
    def site_zones(self) -> tuple[str, ...]:
        """Return the zone of each site."""
        matrix = self.zone_matrix
        return tuple([matrix.zone_of(site) for site in range(self.spec.topology.sites)])

    @property
    def faulty_max(self) -> int:
        """Return f: how many faulty sites are tolerated."""
        return (self.spec.topology.sites - 1) // 3


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema, by which editors complete and check a file."""
    schema = Experiment.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
