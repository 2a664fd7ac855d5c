"""Contributors of a `Load`: an open loop of updates, gathered and attested at their sites."""

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from seawall.consensus.engine import Submitted
from seawall.domain.block import UpdateRecord
from seawall.sim.network import MILLISECOND_US, SECOND_US
from seawall.sim.plan import Arrival, Conflict, Load, Surge
from seawall.sim.workload import certified_batch, update_record

if TYPE_CHECKING:
    from seawall.sim.seat import Seat
    from seawall.sim.world import World

RETRY_US: Final = 100 * MILLISECOND_US
"""How long a site waits that finds too few others to attest its batch."""


class Contributors:
    """Hands updates in, whatever becomes of them: nobody waits for an answer or sends again."""

    def __init__(self, world: "World", load: Load) -> None:
        """Draw from generators of the plan's seed, apart from all others."""
        self._world = world
        self._load = load
        self._random = Random(f"{world.plan.seed}/contributors")
        surging = sum(surge.contributors for surge in load.surges)
        self._sequence = [0] * (load.contributors + surging)
        self._numbers = [0] * world.committee.size
        self._gathered: dict[tuple[int, int], list[UpdateRecord]] = {}

    def begin(self) -> None:
        """Schedule the first update."""
        self._world.at(self._wait_us(), self._submit)
        first = self._load.contributors
        for number, surge in enumerate(self._load.surges):
            random = Random(f"{self._world.plan.seed}/surge/{number}")
            begin = partial(self._surge, surge, range(first, first + surge.contributors), random)
            self._world.at(surge.begin_us, begin)
            first += surge.contributors

    def _surge(self, surge: Surge, owners: range, random: Random) -> None:
        """Hand in one update of a surge, and come again."""
        world = self._world
        owner = random.choice(owners)
        self._sequence[owner] += 1
        record = update_record(owner, self._sequence[owner], self._load.payload_size_bytes)
        self._hand_in(owner, random.choice(surge.sites), record)
        mean_us = SECOND_US / surge.updates_per_second
        later_us = world.now_us + 1 + int(random.expovariate(1.0 / mean_us))
        if later_us < min(surge.end_us, self._load.until_us):
            world.at(later_us, partial(self._surge, surge, owners, random))

    def _wait_us(self) -> int:
        """Return the time until the next update, at least 1 us."""
        mean_us = SECOND_US / self._load.updates_per_second
        if self._load.arrival is Arrival.CONSTANT:
            return max(1, int(mean_us))
        return 1 + int(self._random.expovariate(1.0 / mean_us))

    def _submit(self) -> None:
        world, load = self._world, self._load
        owner = self._random.randrange(load.contributors)
        self._sequence[owner] += 1
        number, size = self._sequence[owner], load.payload_size_bytes
        record = update_record(owner, number, size)
        home = owner % world.committee.size
        self._hand_in(owner, home, record)
        if owner < load.cheats and load.conflict is not Conflict.NONE:
            if load.conflict is Conflict.EQUIVOCATE:
                record = update_record(owner, number, size, variant=1)
            self._hand_in(owner, home + 1, record)
        later_us = world.now_us + self._wait_us()
        if later_us < load.until_us:
            world.at(later_us, self._submit)

    def _hand_in(self, owner: int, first: int, record: UpdateRecord) -> None:
        """Give an update to the first site from `first` on that runs, if there is any."""
        world = self._world
        for checker in world.checkers:
            checker.on_update(world, owner, record)
        size = world.committee.size
        for place in range(size):
            site = (first + place) % size
            if world.seats[site].replica is not None:
                self._gather(world.seats[site], record)
                return

    def _gather(self, seat: "Seat", record: UpdateRecord) -> None:
        gathered = self._gathered.setdefault((seat.index, seat.incarnation), [])
        gathered.append(record)
        if len(gathered) == 1:
            world = self._world
            later_us = world.now_us + self._load.batch_window_us
            world.at(later_us, partial(self._attest, seat, seat.incarnation))

    def _attest(self, seat: "Seat", incarnation: int) -> None:
        """Send the batch's bytes to sites of stake V and wait for their signatures.

        A site that has stopped meanwhile has lost what it gathered.
        """
        key = seat.index, incarnation
        if seat.incarnation != incarnation:
            del self._gathered[key]
            return
        world = self._world
        trip_us = self._attestation_us(seat)
        if trip_us is None:
            again_us = world.now_us + RETRY_US
            world.at(again_us, partial(self._attest, seat, incarnation))
            return
        records = self._gathered.pop(key)
        bytes_sent = sum(record.payload_size_bytes for record in records)
        done_us = world.now_us + trip_us + bytes_sent * SECOND_US // self._load.bytes_per_second
        world.at(done_us, partial(self._hand_over, seat, incarnation, tuple(records)))

    def _attestation_us(self, seat: "Seat") -> int | None:
        """Draw the round trip to as many of the nearest sites as make stake V with this one."""
        world = self._world
        trips = [
            (trip_us, other)
            for other in range(world.committee.size)
            if other != seat.author
            and (trip_us := world.network.round_trip_us(seat.index, other, self._random))
            is not None
        ]
        stake = world.committee.members[seat.author].stake
        for trip_us, other in [(0, seat.author), *sorted(trips)]:
            stake += world.committee.members[other].stake * (other != seat.author)
            if stake >= world.committee.validity:
                return trip_us
        return None

    def _hand_over(self, seat: "Seat", incarnation: int, records: tuple[UpdateRecord, ...]) -> None:
        if seat.incarnation != incarnation:
            return
        world = self._world
        self._numbers[seat.author] += 1
        number = self._numbers[seat.author]
        batch = certified_batch(world.committee, seat.author, number, records)
        for checker in world.checkers:
            checker.on_batch(world, seat, batch)
        world.push(seat, Submitted(batches=(batch,)))
