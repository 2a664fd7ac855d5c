"""What was measured in a run, wherever it ran: every update, and where each site stood when."""

from dataclasses import dataclass, field

import msgspec

from seawall.errors import LocalError


@dataclass(slots=True, kw_only=True)
class Update:
    """One update at one site; microseconds since the run's start, None for what never happened.

    `final_us` is when the site stated FINAL, `committed_us` when it had accepted it in a certified
    commit; on real sites, when a contributor was told so. `is_honest` means that its contributor
    does not cheat.
    """

    site: int
    submitted_us: int
    is_honest: bool
    final_us: int | None = None
    committed_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Samples:
    """The samples of one run.

    Attributes:
        updates: every update that reached a site, in that order.
        handed_in_us: when each update was handed in, those that no site took included.
        heights: (time, site, commits) whenever a site was seen to have another number of them.
        resumed_us: by site, when it first ordered an update from after the faults.

    """

    updates: list[Update] = field(default_factory=list)
    handed_in_us: list[int] = field(default_factory=list)
    heights: list[tuple[int, int, int]] = field(default_factory=list)
    resumed_us: dict[int, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return them as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Samples":
        """Return what `encode` gave.

        Raises:
            LocalError: CHAOS_RUN.

        """
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as fault:
            hint = "this is no file of samples: name the directory of a run"
            raise LocalError("CHAOS_RUN", hint) from fault
