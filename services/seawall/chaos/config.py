"""Settings of the fault plane beyond those of the process."""

from seawall.config import Settings


class ChaosSettings(Settings):
    """None yet: whether there is a fault plane, and for whom, is the process's `chaos` table."""
