"""The client library: pull proven models, push signed updates, keep receipts."""

from seawall.client.aio import AsyncClient, AsyncReceipt
from seawall.client.chain import Chain
from seawall.client.client import Client, PendingReceipt
from seawall.client.limits import Limits
from seawall.client.sealing import Delta, Sealer
from seawall.client.values import Base, Event, Head, Prepared, SeenCheckpoint, Stage

__all__ = [
    "AsyncClient",
    "AsyncReceipt",
    "Base",
    "Chain",
    "Client",
    "Delta",
    "Event",
    "Head",
    "Limits",
    "PendingReceipt",
    "Prepared",
    "Sealer",
    "SeenCheckpoint",
    "Stage",
]
