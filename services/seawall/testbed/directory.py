"""Where everything of a local network lies below one directory.

genesis.json                what all sites agree on
payloads/<digest>           base models of the tasks, safetensors, named by their digest in hex
keys/root-<i>.key           offline keys that may later enrol and revoke
contributors/<name>.key     one seed for each contributor
<site>/<process>.toml       settings of a process: `site`, or a role where sites are split
<site>/keys                 its private keys
<site>/data                 its data directories
<site>/<process>.log        what its processes log
receipts/<update id>.json   receipts of updates submitted from this directory
run.json                    the processes that run now
holds/<site>@<id>           keeps a site's processes from being started until the file's time
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

GENESIS_NAME: Final = "genesis.json"
DIRECTORY_DEFAULT: Final = "sites"


@dataclass(frozen=True, slots=True)
class NetworkDirectory:
    """Paths of a local network."""

    path: Path

    @property
    def genesis(self) -> Path:
        """The genesis file."""
        return self.path / GENESIS_NAME

    @property
    def run(self) -> Path:
        """The file that names the running processes."""
        return self.path / "run.json"

    @property
    def holds(self) -> Path:
        """Directory of the files that keep sites down; see `testbed.holds`."""
        return self.path / "holds"

    @property
    def supervisor_log(self) -> Path:
        """What a supervisor in the background prints."""
        return self.path / "supervisor.log"

    @property
    def payloads(self) -> Path:
        """Directory of the tasks' base models."""
        return self.path / "payloads"

    @property
    def receipts(self) -> Path:
        """Directory of receipts."""
        return self.path / "receipts"

    def payload(self, digest: bytes) -> Path:
        """Return where the base model of this digest lies."""
        return self.payloads / f"{digest.hex()}.safetensors"

    def root_key(self, index: int) -> Path:
        """Return the key file of a root key."""
        return self.path / "keys" / f"root-{index}.key"

    def contributor_key(self, name: str) -> Path:
        """Return the key file of a contributor."""
        return self.path / "contributors" / f"{name}.key"

    def site(self, name: str) -> Path:
        """Return the directory of a site."""
        return self.path / name

    def settings(self, site: str, process: str = "site") -> Path:
        """Return the settings file of a site's process."""
        return self.site(site) / f"{process}.toml"

    def keys(self, site: str) -> Path:
        """Return the directory of a site's keys."""
        return self.site(site) / "keys"

    def data(self, site: str) -> Path:
        """Return the directory of a site's data."""
        return self.site(site) / "data"

    def log(self, site: str, process: str = "site") -> Path:
        """Return the log file of a site's process."""
        return self.site(site) / f"{process}.log"
