"""Seawall: a blockchain for decentralised AI at the edge, and its testbed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    """Return the client when it is first asked for: `import seawall.errors` must stay light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seawall import client  # noqa: PLC0415 - only programs that want it load gRPC

    return getattr(client, name)
