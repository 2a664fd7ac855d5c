"""Key files of a site: one seed in hex a file, readable by its owner alone.

consensus.key   blocks, attestations, transactions
cosigner.key    checkpoints
log.key         the log line of checkpoints, common to all sites
tls.key         TLS private key, PEM
tls.crt         TLS certificate, PEM, pinned by genesis
coin.key        share of the common coin's key, only with a coin (see `seawall.runtime.coin_key`)
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.crypto.signing import SEED_BYTES, SigningKey
from seawall.domain.genesis import Genesis
from seawall.errors import LocalError, OperationalError
from seawall.runtime.locks import write_durably

CONSENSUS_KEY: Final = "consensus.key"
COSIGNER_KEY: Final = "cosigner.key"
LOG_KEY: Final = "log.key"
TLS_KEY: Final = "tls.key"
TLS_CERTIFICATE: Final = "tls.crt"

KEY_SIZE_BYTES_MAX: Final = 16_384
ROOT_UID: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSecrets:
    """Everything in a site's key directory."""

    consensus: SigningKey
    cosigner: SigningKey
    log: SigningKey
    tls_key_pem: bytes
    tls_certificate_pem: bytes


def write_seed(path: Path, seed: bytes) -> SigningKey:
    """Write a seed of 32 bytes to a key file of mode 0600 and return its key.

    Raises:
        LocalError: KEY_FILE_EXISTS; a key is never overwritten.

    """
    key = SigningKey.from_seed(seed)
    write_secret(path, seed.hex().encode() + b"\n")
    return key


def write_secret(path: Path, data: bytes) -> None:
    """Write a private file of mode 0600.

    Raises:
        LocalError: KEY_FILE_EXISTS.

    """
    if path.exists():
        raise LocalError("KEY_FILE_EXISTS", f"remove {path} first, if it is not needed any more")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(path, data)


def is_exposed(mode: int, *, owner: int, reader: int) -> bool:
    """Say whether others than the owner of a private file may touch it.

    A file of root may be readable by its group when the reader is not root: that is how a system
    hands a secret to a process without rights, as Kubernetes does in a volume with a group.
    """
    handed = 0o040 if owner == ROOT_UID != reader else 0
    return bool(mode & 0o077 & ~handed)


def read_secret(path: Path) -> bytes:
    """Return the content of a private file.

    Raises:
        OperationalError: KEY_FILE_READ.
        LocalError: KEY_FILE_MODE when it `is_exposed`.

    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            data = file.read(KEY_SIZE_BYTES_MAX)
    except OSError as fault:
        hint = f"cannot read {path}: {fault.strerror}"
        raise OperationalError("KEY_FILE_READ", hint) from fault
    if is_exposed(mode, owner=status.st_uid, reader=os.geteuid()):
        raise LocalError("KEY_FILE_MODE", f"{path} has mode {mode:04o}: run chmod 600 {path}")
    return data


def read_key(path: Path) -> SigningKey:
    """Return the key in a seed file.

    Raises:
        OperationalError: KEY_FILE_READ.
        LocalError: KEY_FILE_MODE, or KEY_FILE_FORMAT when it is not 64 hex digits and a newline.

    """
    text = read_secret(path)
    try:
        seed = bytes.fromhex(text.decode("ascii").removesuffix("\n"))
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        hint = f"{path} must hold 64 hex digits and a newline"
        raise LocalError("KEY_FILE_FORMAT", hint)
    return SigningKey.from_seed(seed)


def write_site_secrets(
    directory: Path, seeds: Mapping[str, bytes], tls_key_pem: bytes, tls_certificate_pem: bytes
) -> None:
    """Write all files of a site's key directory.

    `seeds` has one seed of 32 bytes for each of `consensus.key`, `cosigner.key` and `log.key`.
    """
    for name in (CONSENSUS_KEY, COSIGNER_KEY, LOG_KEY):
        write_seed(directory / name, seeds[name])
    write_secret(directory / TLS_KEY, tls_key_pem)
    write_secret(directory / TLS_CERTIFICATE, tls_certificate_pem)


def read_site_secrets(directory: Path, genesis: Genesis, site: int) -> SiteSecrets:
    """Return the keys of a site, each compared with what genesis says.

    Raises:
        OperationalError: KEY_FILE_READ.
        LocalError: KEY_FILE_MODE, KEY_FILE_FORMAT; KEY_FILE_MISMATCH naming the file whose
            public half is not the one in genesis.

    """
    member = genesis.sites[site]
    secrets = SiteSecrets(
        consensus=read_key(directory / CONSENSUS_KEY),
        cosigner=read_key(directory / COSIGNER_KEY),
        log=read_key(directory / LOG_KEY),
        tls_key_pem=read_secret(directory / TLS_KEY),
        tls_certificate_pem=read_secret(directory / TLS_CERTIFICATE),
    )
    pairs = (
        (CONSENSUS_KEY, secrets.consensus.public, member.consensus_key),
        (COSIGNER_KEY, secrets.cosigner.public, member.cosigner_key),
        (LOG_KEY, secrets.log.public, genesis.log_key),
        (TLS_CERTIFICATE, secrets.tls_certificate_pem, member.tls_certificate_pem.encode()),
    )
    for name, found, wanted in pairs:
        if found != wanted:
            hint = f"{directory / name} is not the key of site {site} in genesis"
            raise LocalError("KEY_FILE_MISMATCH", hint)
    return secrets
