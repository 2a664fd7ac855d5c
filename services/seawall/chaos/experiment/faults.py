"""The faults of an experiment: when each begins, how long it lasts, what it is, whom it hits."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from seawall.chaos.experiment.targets import Selector, Targets
from seawall.chaos.experiment.units import Drift, Duration, Offset, Rate

Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Shape = Literal[
    "one",
    "minority",
    "minority_third",
    "majority",
    "majorities_ring",
    "bridge",
    "primaries",
    "groups",
]
BehaviourName = Literal[
    "censor",
    "delay",
    "equivocate",
    "forge",
    "garbage_shares",
    "reject_all",
    "selective",
    "stale_parents",
    "twins",
    "two_chains",
    "withhold",
]


class Part(BaseModel):
    """Base of all parts of the schema: nothing unknown is let by, nothing is converted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


def _between(value: object) -> tuple[str, ...]:
    if value in ("zones", "sites"):
        return (str(value),)
    if isinstance(value, list) and len(value) == 2 and all(type(one) is str for one in value):  # noqa: PLR2004 - the two ends
        return tuple(value)
    raise ValueError("write zones, sites, or two zones, as [west, north]")


_BETWEEN: Final[dict[str, Any]] = {
    "oneOf": [
        {"type": "string", "enum": ["zones", "sites"]},
        {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
    ]
}
Between = Annotated[tuple[str, ...], PlainValidator(_between), WithJsonSchema(_BETWEEN)]


class Links(Part):
    """Which links a fault hits: `between`, or `from` and `to`."""

    between: Between | None = None
    """All links between different zones (`zones`), all links (`sites`), or those of two zones."""
    source: Targets | None = Field(default=None, alias="from")
    """Links that start at these sites."""
    target: Targets | None = Field(default=None, alias="to")
    """Links that end at these sites; all others where only `from` is named."""
    direction: Literal["forward", "both"] | None = None
    """`forward`: from source to target only, the default of `from` and `to`. `between` is both."""


class Partition(Part):
    """Cut links, so that only some sites reach each other."""

    shape: Shape
    """Which sites are on the other side: one, a minority (fewer than half), a third of them less,
    a majority, the leaders of the moment (`primaries`), or `groups`. In a `majorities_ring` every
    site sees a majority, no two the same; a `bridge` is one site that sees both halves."""
    groups: list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]] | None = None
    """Sites that stay together, with shape `groups`; those not named form one more group."""
    direction: Literal["both", "outbound", "inbound"] = "both"
    """`outbound`: nothing leaves the cut side, what others send still arrives; `inbound`: the
    reverse. Streams end when one direction has been silent for 10 s."""


class Delay(Links):
    """Slow links: a fixed part, jitter around it, and segments that overtake each other."""

    add: Duration
    """What every message takes longer."""
    jitter: Duration = 0
    """How far that varies, up and down, evenly distributed."""
    reorder: Share = 0.0
    """Share of segments that later ones overtake; a stream waits for them."""
    reorder_by: Duration = 0
    """How long a stream waits for a segment that was overtaken."""


class Loss(Links):
    """Lost segments. Streams lose nothing: each loss is a wait until the segment is sent again."""

    share: Share
    """Chance of each further wait (200 ms, doubling)."""


class Gray(Links):
    """A link that works badly in one direction: slow and lossy, yet never down."""

    add: Duration
    """What every message takes longer."""
    jitter: Duration = 0
    """How far that varies."""
    loss: Share
    """Chance of each further wait for a lost segment."""


class Crash(Part):
    """End processes as a power cut does."""

    targets: Targets
    """Whom it hits."""
    restart: bool = True
    """Whether they start again when the fault ends."""
    every: Duration | None = None
    """One after the other, each this long after the one before (a rolling crash); each is down
    for just as long, and `for` covers them all."""
    disk: Literal["intact", "torn", "lost"] = "torn"
    """What a crash does to what was not synced: `intact` loses it, `torn` keeps a random part of
    it, `lost` loses the whole disk."""


class Disk(Part):
    """Disks that are slow, that lie, or that are full."""

    targets: Targets
    """Whom it hits."""
    sync_add: Duration = 0
    """What a sync takes longer, in the median of a log-normal distribution."""
    sync_sigma: Annotated[float, Field(ge=0, le=3, strict=False)] = 0.5
    """Its spread: sigma of log time."""
    lying: bool = False
    """A sync answers and keeps nothing; a crash loses what it took since."""
    full: bool = False
    """Nothing can be written: the process ends when it tries, and is started again."""


class Clock(Part):
    """Clocks that are wrong."""

    targets: Targets
    """Whom it hits."""
    offset: Offset = 0
    """How far the wall clock is off."""
    drift: Drift = 0
    """How much too fast the clocks run."""


class Byzantine(Part):
    """Sites that lie in a scripted way."""

    behaviour: BehaviourName
    """A behaviour of `seawall.consensus.byzantine`, or `twins`: a second process with the site's
    keys and a copy of its disk talks to `peers`, while the first one talks to all others."""
    targets: Targets
    """Who lies: at most f sites in the whole experiment, unless it is a positive control."""
    peers: Targets | None = None
    """Whom the behaviour is about: who gets blocks (`withhold`) or the second ones (`equivocate`,
    `two_chains`), or who is censored."""
    rounds: Annotated[int, Field(ge=1, le=1000)] = 1
    """How long blocks are held back (`delay`), or how old parents are (`stale_parents`)."""


class Flood(Part):
    """Far more updates than usual, all of them well made, from contributors of their own."""

    rate: Rate
    """Of all of them together."""
    targets: Targets
    """Whom they are handed to."""
    contributors: Annotated[int, Field(ge=1, le=64)] = 4
    """How many hand them in."""


KINDS: Final = (
    "partition",
    "delay",
    "loss",
    "gray",
    "crash",
    "disk",
    "clock",
    "byzantine",
    "flood",
)
FaultKind = Partition | Delay | Loss | Gray | Crash | Disk | Clock | Byzantine | Flood


class Fault(Part):
    """One fault: exactly one kind, from `at` for as long as `for` says."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]},
    )

    at: Duration = 0
    """When it begins, after the beginning of the hold phase."""
    lasting: Duration | None = Field(default=None, alias="for")
    """How long it lasts; to the end of the hold phase when it is not said."""
    partition: Partition | None = None
    delay: Delay | None = None
    loss: Loss | None = None
    gray: Gray | None = None
    crash: Crash | None = None
    disk: Disk | None = None
    clock: Clock | None = None
    byzantine: Byzantine | None = None
    flood: Flood | None = None

    @property
    def kind(self) -> str:
        """Return the name of its kind."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def detail(self) -> FaultKind:
        """Return what the kind says."""
        found: FaultKind = getattr(self, self.kind)
        return found

    def ends_us(self, hold_us: int) -> int:
        """Return when it ends, after the beginning of the hold phase."""
        return hold_us if self.lasting is None else self.at + self.lasting

    @property
    def selectors(self) -> dict[str, Selector]:
        """Return the selectors of its kind, by field."""
        return {
            name: value
            for name in ("targets", "peers", "source", "target")
            if isinstance(value := getattr(self.detail, name, None), Selector)
        }
