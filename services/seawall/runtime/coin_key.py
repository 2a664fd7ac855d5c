"""A site's share of the common coin's key: `coin.key` in its key directory, where there is a coin.

Apart from `seawall.runtime.keys`, which contributors use too: they need no pairings.
"""

from pathlib import Path
from typing import Final

from seawall.crypto.coin import SECRET_SIZE_BYTES, check_keys, public_key
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError
from seawall.formats.genesis_consensus import COIN_FIELD
from seawall.runtime.keys import read_secret, write_secret

COIN_KEY: Final = "coin.key"


def write_coin_secret(directory: Path, secret: bytes) -> None:
    """Write a site's secret, 32 bytes, to a file of mode 0600.

    Raises:
        LocalError: KEY_FILE_EXISTS.

    """
    assert public_key(secret) is not None, "a dealt secret is a scalar other than 0"
    write_secret(directory / COIN_KEY, secret.hex().encode() + b"\n")


def read_coin_secret(directory: Path, genesis: Genesis, site: int) -> bytes:
    """Return a site's secret, compared with what genesis says; empty without a coin.

    Raises:
        PeerError: KEY_COIN, KEY_COIN_SHARES when genesis has no keys of one dealing.
        OperationalError: KEY_FILE_READ.
        LocalError: KEY_FILE_MODE; KEY_FILE_FORMAT when it is not 64 hex digits of a scalar and a
            newline; KEY_FILE_MISMATCH when it is not the secret of this site.

    """
    if genesis.coin is None:
        return b""
    check_keys(genesis.coin, field=COIN_FIELD)
    path = directory / COIN_KEY
    text = read_secret(path)
    try:
        secret = bytes.fromhex(text.decode("ascii").removesuffix("\n"))
    except ValueError:
        secret = b""
    public = public_key(secret) if len(secret) == SECRET_SIZE_BYTES else None
    if public is None:
        raise LocalError("KEY_FILE_FORMAT", f"{path} must hold 64 hex digits and a newline")
    if public != genesis.coin.share_keys[site]:
        hint = f"{path} is not the key of site {site} in genesis"
        raise LocalError("KEY_FILE_MISMATCH", hint)
    return secret
