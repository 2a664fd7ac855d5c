"""Why state rules and verdicts refuse an update: one table of codes, hints and fields."""

from typing import Final

from seawall.errors import PeerError

KEY_UNKNOWN: Final = "KEY_UNKNOWN"
KEY_ROLE: Final = "KEY_ROLE"
REPLAY_TASK: Final = "REPLAY_TASK"
REPLAY_SEQ: Final = "REPLAY_SEQ"
REPLAY_PAYLOAD: Final = "REPLAY_PAYLOAD"
REPLAY_BASE: Final = "REPLAY_BASE"
REPLAY_EXPIRED: Final = "REPLAY_EXPIRED"
REPLAY_EXPIRY_AHEAD: Final = "REPLAY_EXPIRY_AHEAD"
REPLAY_CHECKPOINT: Final = "REPLAY_CHECKPOINT"
VERDICT_OUTVOTED: Final = "VERDICT_OUTVOTED"
VERDICT_CONTESTED: Final = "VERDICT_CONTESTED"
VERDICT_UNDECIDED: Final = "VERDICT_UNDECIDED"

CODE_OF_RULE: Final = {2: VERDICT_OUTVOTED, 3: VERDICT_CONTESTED, 4: VERDICT_UNDECIDED}
"""What a REJECT by each of the finaliser's rules is called; see docs/protocol.md."""

_FACTS: Final = {
    KEY_UNKNOWN: ("enrol this key first, or sign with an enrolled one", "contributor"),
    KEY_ROLE: ("this key may not send this kind of update", "kind"),
    REPLAY_TASK: ("name a task of genesis", "task"),
    REPLAY_SEQ: (
        "use each number once, within the window around the highest accepted one",
        "seq",
    ),
    REPLAY_PAYLOAD: ("this contributor's payload is in the ledger already", "payloadDigest"),
    REPLAY_BASE: ("train from a usable version that is not too old", "baseVersion"),
    REPLAY_EXPIRED: ("sign again with a later expiry and a new number", "expiresHeight"),
    REPLAY_EXPIRY_AHEAD: ("choose an earlier expiry", "expiresHeight"),
    VERDICT_OUTVOTED: (
        "sites of quorum stake voted against it: sign it anew, under a new number",
        "seq",
    ),
    VERDICT_CONTESTED: (
        "two updates were signed under this number: use each number for one update only",
        "seq",
    ),
    VERDICT_UNDECIDED: ("it was not decided in time: send the same bytes again", "update_id"),
    REPLAY_CHECKPOINT: ("name a checkpoint of this log, or size 0", "checkpointSize"),
}


def refusal(code: str) -> PeerError:
    """Return the error that a code of this table stands for."""
    hint, field = _FACTS[code]
    return PeerError(code, hint, field=field)
