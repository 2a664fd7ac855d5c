"""Collecting a certificate: attestations of stake V over one batch, from sites that answer.

The own site is asked first, others in rendezvous order. Every wait is bounded: a silent site is
passed over after a while, a failed one is asked last for some time, and one that is behind is asked
again. A site that refuses what this site has accepted is not believed on its word alone: others are
asked, and the refusal counts once it comes from this site, from stake V, or when no certificate can
be had otherwise. So one lying site can neither stop a batch nor cost it an update.
"""

import asyncio

from seawall.codec import attestation_message
from seawall.crypto.signing import verify
from seawall.domain.block import Attestation
from seawall.domain.committee import Committee
from seawall.errors import PeerError, SeawallError
from seawall.ingestion.batch import Attesters, Batch, Certified, Dropped, Offer, Silent, Word
from seawall.ingestion.config import IngestionSettings
from seawall.ingestion.rendezvous import order
from seawall.telemetry.logs import Log

LATER_TRIES_MAX = 3
LATER_PAUSE_SECONDS = 0.1
STALE_PIN = "BATCH_PIN"
GAIN_MEAN = 0.125
GAIN_DEVIATION = 0.25
DEVIATIONS = 4


class Patience:
    """How long an answer may take before one more site is asked: what answers usually take.

    A fixed wait would ask ever more sites the busier all of them are, and so make it worse.

    Source: Jacobson, "Congestion avoidance and control", SIGCOMM 1988; RFC 6298, section 2.
    """

    def __init__(self, least_seconds: float, most_seconds: float) -> None:
        """Wait the most until the first answer is in."""
        self._least = least_seconds
        self._most = most_seconds
        self._mean: float | None = None
        self._deviation = 0.0

    def note(self, seconds: float) -> None:
        """Take note of how long an answer took."""
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
            return
        error = abs(seconds - self._mean)
        self._deviation += GAIN_DEVIATION * (error - self._deviation)
        self._mean += GAIN_MEAN * (seconds - self._mean)

    @property
    def seconds(self) -> float:
        """Return how long to wait."""
        if self._mean is None:
            return self._most
        usual = self._mean + DEVIATIONS * self._deviation
        return min(max(usual, self._least), self._most)


class Certifier:
    """Asks sites for attestations, and remembers for a while which ones fail."""

    def __init__(
        self,
        committee: Committee,
        own_site: int,
        attesters: Attesters,
        settings: IngestionSettings,
        log: Log,
    ) -> None:
        """Ask nobody yet."""
        self.committee = committee
        self.own_site = own_site
        self.settings = settings
        self.log = log
        self.patience = Patience(settings.hedge_seconds_min, settings.hedge_seconds_max)
        self._attesters = attesters
        self._suspected_until: dict[int, float] = {}

    async def certify(self, batch: Batch) -> Certified | Dropped | Silent:
        """Return a certificate, or why there is none; ends within bounded time."""
        return await _Round(self, batch, self._attesters.offer(batch)).run()

    def line(self, batch_root: bytes) -> list[int]:
        """Return all sites in the order in which to ask them."""
        now = asyncio.get_running_loop().time()
        others = [site for site in range(self.committee.size) if site != self.own_site]
        ranked = order(batch_root, others)
        suspected = [site for site in ranked if self._suspected_until.get(site, 0.0) > now]
        return [self.own_site, *(site for site in ranked if site not in suspected), *suspected]

    def suspect(self, site: int, code: str) -> None:
        """Ask a site last for a while."""
        if site not in self._suspected_until:
            self.log.warning("attester_suspected", peer=site, code=code)
        until = asyncio.get_running_loop().time() + self.settings.suspect_seconds
        self._suspected_until[site] = until

    def trust(self, site: int) -> None:
        """Ask a site in its turn again."""
        if self._suspected_until.pop(site, None) is not None:
            self.log.info("attester_back", peer=site)


class _Round:
    """One batch's way through the line of sites."""

    def __init__(self, certifier: Certifier, batch: Batch, offer: Offer) -> None:
        self._certifier = certifier
        self._committee = certifier.committee
        self._batch = batch
        self._offer = offer
        self._line = certifier.line(batch.root)
        self._spare = certifier.settings.attest_spare
        self._open: dict[asyncio.Task[Word | SeawallError], int] = {}
        self._signed: dict[int, bytes] = {}
        self._refused: dict[int, dict[int, PeerError]] = {}
        self._later: dict[int, int] = {}
        self._message = attestation_message(
            certifier.committee.origin,
            certifier.committee.epoch,
            certifier.own_site,
            batch.number,
            batch.pinned_height,
            batch.root,
        )

    async def run(self) -> Certified | Dropped | Silent:
        """Ask until the outcome is clear."""
        async with asyncio.TaskGroup() as group:
            try:
                return await self._collect(group)
            finally:
                for task in self._open:
                    task.cancel()

    async def _collect(self, group: asyncio.TaskGroup) -> Certified | Dropped | Silent:
        while True:
            self._ask_missing(group)
            if not self._open:
                return self._last_resort()
            done, _ = await asyncio.wait(
                tuple(self._open),
                timeout=self._certifier.patience.seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                self._pass_over(group)
            for task in done:
                self._take(self._open.pop(task), task.result())
            outcome = self._outcome()
            if outcome is not None:
                return outcome

    def _ask_missing(self, group: asyncio.TaskGroup) -> None:
        """Ask as many sites as a certificate still needs, and the spare ones."""
        while self._line:
            stake = self._committee.stake_of((*self._signed, *self._open.values()))
            if stake >= self._committee.validity:
                if not self._spare:
                    return
                self._spare -= 1
            self._ask_next(group)

    def _ask_next(self, group: asyncio.TaskGroup) -> None:
        if self._line:
            site = self._line.pop(0)
            self._open[group.create_task(self._ask(site))] = site

    def _pass_over(self, group: asyncio.TaskGroup) -> None:
        """Ask one more site besides the silent ones, and those last for a while."""
        for site in self._open.values():
            self._certifier.suspect(site, "DEADLINE")
        self._ask_next(group)

    async def _ask(self, site: int) -> Word | SeawallError:
        if site in self._later:
            await asyncio.sleep(LATER_PAUSE_SECONDS)
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            word = await self._offer.ask(site)
        except SeawallError as failure:
            return failure
        if site != self._certifier.own_site:
            self._certifier.patience.note(loop.time() - start)
        return word

    def _take(self, site: int, word: Word | SeawallError) -> None:
        """Take note of what a site said."""
        certifier = self._certifier
        if isinstance(word, SeawallError):
            certifier.suspect(site, word.code)
            return
        if word.later:
            self._later[site] = self._later.get(site, 0) + 1
            if self._later[site] < LATER_TRIES_MAX:
                self._line.append(site)
            return
        if word.refused:
            # A pin too far back is this site's lag and no update's fault: another batch pins anew.
            of_updates = {
                position: refusal
                for position, refusal in word.refused.items()
                if refusal.code != STALE_PIN
            }
            if of_updates:
                self._refused[site] = of_updates
            codes = sorted({refusal.code for refusal in word.refused.values()})
            certifier.log.warning(
                "attester_refused", peer=site, batch=self._batch.number, codes=codes
            )
            return
        key = self._committee.members[site].consensus_key
        if verify(key, self._message, word.signature):
            self._signed[site] = word.signature
            certifier.trust(site)
        else:
            certifier.suspect(site, "BATCH_SIGNATURE")

    def _outcome(self) -> Certified | Dropped | None:
        """Return what is certain by now."""
        if self._committee.stake_of(self._signed) >= self._committee.validity:
            signed = sorted(self._signed.items())
            return Certified(tuple([Attestation(site, value) for site, value in signed]))
        own = self._refused.get(self._certifier.own_site)
        if own is not None:
            return Dropped(own)
        agreed = {
            position: refusal
            for position, refusal in self._union().items()
            if self._committee.stake_of(
                [site for site, refused in self._refused.items() if position in refused]
            )
            >= self._committee.validity
        }
        return Dropped(agreed) if agreed else None

    def _last_resort(self) -> Dropped | Silent:
        """Return what is left when nobody else can be asked."""
        refused = self._union()
        return Dropped(refused) if refused else Silent()

    def _union(self) -> dict[int, PeerError]:
        """Return every refused position with the first reason for it."""
        refused: dict[int, PeerError] = {}
        for site in sorted(self._refused):
            for position, refusal in self._refused[site].items():
                refused.setdefault(position, refusal)
        return refused
