"""From a delta to signed bytes: quantise, encode, bind, sign. Nothing here talks to a site."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from seawall.client.chain import Chain
from seawall.client.values import Base, Prepared
from seawall.crypto.hashing import sha256
from seawall.crypto.signing import SigningKey, key_id
from seawall.errors import LocalError, PeerError
from seawall.formats import dsse, oms, submission
from seawall.formats.fxp24 import Integers, check_values, quantise
from seawall.formats.submission import Submission

Values: TypeAlias = npt.NDArray[Any]
Delta: TypeAlias = Values | Mapping[str, Values]
"""A change of the model: one flat vector of shape (d,), or tensors by name; real numbers, or
integers (int32) that are on the task's grid already."""

PAYLOAD_NAME = "update.safetensors"
"""Name of the payload in its chunk list."""


class Sealer:
    """Makes signed updates of one contributor for one task."""

    def __init__(
        self, chain: Chain, task: str, key: SigningKey, *, expires_commits: int = 20_000
    ) -> None:
        """Look the task up.

        Raises:
            LocalError: TASK_UNKNOWN, TASK_HEADER, TASK_PAYLOAD_SIZE.

        """
        self.task = chain.task(task)
        self.layout = chain.layouts[task]
        self.contributor = key_id(key.public)
        self._origin = chain.origin
        self._key = key
        self._expires_commits = min(
            expires_commits, chain.genesis.admission.expires_height_ahead_max
        )

    def vector(self, delta: Delta) -> Integers:
        """Return a delta in grid units, int32 of shape (d,).

        Raises:
            LocalError: FXP_DTYPE, FXP_NON_FINITE, VAL_NAMES, VAL_RANGE, VAL_SHAPE.

        """
        if isinstance(delta, Mapping):
            return self.layout.flatten({name: self._grid(part) for name, part in delta.items()})
        vector = self._grid(np.asarray(delta))
        if vector.shape != (self.layout.size,):
            raise LocalError("VAL_SHAPE", f"give {self.layout.size} values", field="delta")
        return vector

    def seal(
        self,
        delta: Delta,
        *,
        base: Base,
        seq: int,
        num_examples: int,
        metrics: Mapping[str, int] | None = None,
        kind: str = "delta",
        provenance: bytes = b"",
    ) -> Prepared:
        """Return the signed update.

        Args:
            delta: what training from `base` changed.
            base: the version that was trained from.
            seq: a number that this contributor has never used.
            num_examples: training examples, claimed.
            metrics: further claims, integers by name.
            kind: `delta`, or `root` for a reference update by a key with that role.
            provenance: SLSA statement to bind, empty for none.

        Raises:
            LocalError: as `vector`, and SUB_* for claims that no site would accept.

        """
        payload = self.layout.encode(self.vector(delta))
        return self.seal_payload(
            payload,
            base=base,
            seq=seq,
            num_examples=num_examples,
            metrics=metrics,
            kind=kind,
            provenance=provenance,
        )

    def seal_payload(
        self,
        payload: bytes,
        *,
        base: Base,
        seq: int,
        num_examples: int,
        metrics: Mapping[str, int] | None = None,
        kind: str = "delta",
        provenance: bytes = b"",
    ) -> Prepared:
        """Return the signed update with this payload, whatever it holds; else as `seal`."""
        manifest = b""
        if len(payload) > oms.CHUNK_SIZE:
            manifest = oms.manifest(PAYLOAD_NAME, oms.chunk_digests(payload), len(payload))
        claim = Submission(
            origin=self._origin,
            task=self.task.name,
            kind=kind,
            base_version=base.version,
            base_digest=base.digest,
            contributor=self.contributor,
            seq=seq,
            expires_height=base.checkpoint.height + self._expires_commits,
            checkpoint_size=base.checkpoint.size,
            checkpoint_root=base.checkpoint.root,
            payload_digest=sha256(payload),
            payload_size=len(payload),
            manifest_digest=sha256(manifest) if manifest else None,
            provenance_digest=sha256(provenance) if provenance else None,
            num_examples=num_examples,
            metrics=tuple(sorted((metrics or {}).items())),
        )
        envelope = submission.seal(claim, self._key)
        return Prepared(
            update_id=submission.update_id(envelope.payload),
            seq=seq,
            envelope=dsse.encode(envelope),
            manifest=manifest,
            provenance=provenance,
            payload=payload,
        )

    def _grid(self, values: Values) -> Integers:
        """Return one array in grid units."""
        if values.dtype == np.int32:
            flat = values.ravel()
            try:
                check_values(flat, flat.size)
            except PeerError as fault:
                raise LocalError(fault.code, fault.hint, field=fault.field) from None
            return values.astype(np.int32, copy=False)
        return quantise(values, self.task.grid_bits)[0]
