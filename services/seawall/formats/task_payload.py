"""The payload of a task: one flat vector of grid integers behind one fixed safetensors header.

All payloads of a task (updates, root updates, model versions) name the same tensors in the same
order, and their header is padded to one length. So chunk i of every payload covers the same
coordinates, and the whole file after the header is one little-endian int32 vector: the tensors in
byte order of their UTF-8 names.
"""

from math import prod
from typing import Final

import numpy as np

from seawall.crypto.hashing import sha256
from seawall.domain.genesis import Task, TensorSpec
from seawall.errors import LocalError, PeerError
from seawall.formats import fxp24, safetensors
from seawall.formats.fxp24 import Integers

HEADER_ALIGNMENT_BYTES: Final = 256
"""A task's header is padded to a multiple of this, so that names of usual length fit twice."""


class Layout:
    """How the payloads of one task look; immutable, built once per task."""

    def __init__(self, tensors: tuple[TensorSpec, ...], header_size_bytes: int) -> None:
        """Derive the header from the tensors.

        Raises:
            LocalError: TASK_HEADER when the header does not fit `header_size_bytes`.

        """
        blank = {spec.name: np.zeros(spec.shape, dtype=np.int32) for spec in tensors}
        try:
            file = safetensors.encode(blank, header_size=header_size_bytes)
        except LocalError as error:
            hint = "give the task a header size that holds its tensors"
            raise LocalError("TASK_HEADER", hint, field="headerSizeBytes") from error
        self.size = sum(prod(spec.shape) for spec in tensors)
        self.header = file[: len(file) - 4 * self.size]
        self.payload_size_bytes = len(file)
        self._tensors = tuple(sorted(tensors, key=lambda spec: spec.name.encode()))

    @classmethod
    def of(cls, task: Task) -> "Layout":
        """Return the layout of a task of genesis.

        Raises:
            LocalError: TASK_HEADER, TASK_PAYLOAD_SIZE.

        """
        layout = cls(task.tensors, task.header_size_bytes)
        if layout.payload_size_bytes != task.payload_size_bytes:
            hint = f"this task's payloads have {layout.payload_size_bytes} bytes"
            raise LocalError("TASK_PAYLOAD_SIZE", hint, field="payloadSizeBytes")
        return layout

    def encode(self, vector: Integers) -> bytes:
        """Return the payload of a vector, int32 of shape (size,).

        Raises:
            LocalError: VAL_SHAPE.

        """
        if vector.shape != (self.size,) or vector.dtype != np.int32:
            raise LocalError("VAL_SHAPE", f"give one int32 vector of {self.size} values")
        return self.header + vector.astype("<i4", copy=False).tobytes()

    def decode(self, payload: bytes | memoryview) -> Integers:
        """Return the vector of a payload, read-only, without a copy.

        Raises:
            PeerError: as `check_header`; VAL_RANGE with the byte offset in the file.

        """
        view = memoryview(payload)
        self.check_header(view, len(view))
        vector = np.frombuffer(view, dtype="<i4", offset=len(self.header))
        check_grid(vector, len(self.header))
        return vector

    def check_header(self, prefix: memoryview, file_size_bytes: int) -> None:
        """Accept the beginning of a file when its header is the task's.

        Args:
            prefix: the first bytes of the file, at least as many as the task's header has, or all.
            file_size_bytes: length of the whole file.

        Raises:
            PeerError: ST_* where the file is not strict safetensors; VAL_NAMES, VAL_DTYPE and
                VAL_SHAPE where its tensors are not the task's, VAL_MANIFEST where only their order,
                the header's length or its metadata differ.

        """
        size = len(self.header)
        if file_size_bytes == self.payload_size_bytes and prefix[:size] == self.header:
            return
        length = int.from_bytes(prefix[: safetensors.LENGTH_BYTES], "little")
        if len(prefix) < min(safetensors.LENGTH_BYTES + length, file_size_bytes):
            hint = f"headers of this task have {size - safetensors.LENGTH_BYTES} bytes"
            raise PeerError("VAL_MANIFEST", hint, field="payload", offset=0)
        found = safetensors.parse_header(bytes(prefix), file_size_bytes)
        names = {tensor.name: tensor for tensor in found.tensors}
        if sorted(names) != sorted(spec.name for spec in self._tensors):
            raise PeerError("VAL_NAMES", "send exactly the task's tensors", field="payload")
        for spec in self._tensors:
            if names[spec.name].dtype != "I32":
                raise PeerError("VAL_DTYPE", "send 32-bit signed integers", field=spec.name)
            if names[spec.name].shape != spec.shape:
                raise PeerError("VAL_SHAPE", f"this tensor has shape {spec.shape}", field=spec.name)
        hint = "send the task's header: sorted by name, its length, no metadata"
        raise PeerError("VAL_MANIFEST", hint, field="payload")

    def arrays(self, vector: Integers) -> dict[str, Integers]:
        """Return the tensors of a vector by name, as views."""
        arrays: dict[str, Integers] = {}
        start = 0
        for spec in self._tensors:
            count = prod(spec.shape)
            arrays[spec.name] = vector[start : start + count].reshape(spec.shape)
            start += count
        return arrays

    def flatten(self, arrays: dict[str, Integers]) -> Integers:
        """Return the vector of tensors by name.

        Raises:
            LocalError: VAL_NAMES, VAL_SHAPE.

        """
        if sorted(arrays) != sorted(spec.name for spec in self._tensors):
            raise LocalError("VAL_NAMES", "give exactly the task's tensors", field="arrays")
        for spec in self._tensors:
            if arrays[spec.name].shape != spec.shape:
                raise LocalError(
                    "VAL_SHAPE", f"this tensor has shape {spec.shape}", field=spec.name
                )
        return np.concatenate([arrays[spec.name].ravel() for spec in self._tensors])


class Scan:
    """Checks header and values of one payload as its bytes go by, in order.

    Memory is bounded by the task's header: nothing else is kept.
    """

    __slots__ = ("_at", "_head", "_layout", "_zero")

    def __init__(self, layout: Layout) -> None:
        """Start before the first byte."""
        self._layout = layout
        self._head = b""
        self._at = 0
        self._zero = True

    def feed(self, piece: bytes | memoryview) -> None:
        """Take the next bytes: all of the file, or a multiple of 4 of them.

        Raises:
            PeerError: as `Layout.check_header`; VAL_RANGE with the byte offset in the file.

        """
        view = memoryview(piece)
        start = self._at
        self._at += len(view)
        header_size = len(self._layout.header)
        if start < header_size:
            if self._head:
                view = memoryview(self._head + view)
            if self._at < header_size:
                self._head = bytes(view)
                return
            self._layout.check_header(view, self._layout.payload_size_bytes)
            self._head, view, start = b"", view[header_size:], header_size
        vector = np.frombuffer(view, dtype="<i4")
        if vector.size == 0:
            return
        # Two passes say all there is to say of a good piece; only a bad one is looked at closely.
        low, high = vector.min(), vector.max()
        if low < -fxp24.VALUE_MAX or high > fxp24.VALUE_MAX:
            check_grid(vector, start)
        self._zero = self._zero and low == high == 0

    def finish(self) -> None:
        """Accept the end of the file.

        Raises:
            PeerError: LENGTH when bytes are missing or too many; VAL_ZERO.

        """
        if self._at != self._layout.payload_size_bytes:
            hint = f"payloads of this task have {self._layout.payload_size_bytes} bytes"
            raise PeerError("LENGTH", hint, field="payload", offset=self._at)
        if self._zero:
            raise PeerError("VAL_ZERO", "send an update that changes the model", field="payload")


def check_grid(vector: Integers, offset: int) -> None:
    """Accept values within the grid's range; `offset` is where the vector begins in the file.

    Raises:
        PeerError: VAL_RANGE with the byte offset of the first bad value in the file.

    """
    try:
        fxp24.check_values(vector, len(vector), field="payload")
    except PeerError as error:
        at = offset + (error.offset or 0)
        raise PeerError("VAL_RANGE", error.hint, field="payload", offset=at) from None


def header_size_for(tensors: tuple[TensorSpec, ...]) -> int:
    """Return the least header length for these tensors that leaves no odd alignment."""
    blank = {spec.name: np.zeros(spec.shape, dtype=np.int32) for spec in tensors}
    size = sum(prod(spec.shape) for spec in tensors)
    shortest = len(safetensors.encode(blank)) - 4 * size
    return -(-shortest // HEADER_ALIGNMENT_BYTES) * HEADER_ALIGNMENT_BYTES


def payload_digest(payload: bytes | memoryview) -> bytes:
    """Return the name of a payload: SHA-256 of the file."""
    return sha256(payload)
