"""A replica lies on purpose only where chaos is enabled, and only as the table says."""

import asyncio
from pathlib import Path

import pytest

from seawall.consensus import service
from seawall.consensus.config import ConsensusSettings
from seawall.errors import LocalError
from seawall.runtime.serve import Role, serve
from seawall.runtime.service import CONSENSUS
from seawall.telemetry.logs import open_log
from tests.integration.sites import make_sites


@pytest.mark.parametrize(
    ("chaos", "script", "code", "field"),
    [
        (False, {"behaviour": "equivocate"}, "SITE_BYZANTINE", "consensus.byzantine"),
        (True, {"behaviour": "flatter"}, "SITE_CONFIG", "consensus.byzantine.behaviour"),
        (True, {"behaviour": "withhold", "peers": [4]}, "SITE_CONFIG", "consensus.byzantine.peers"),
        (True, {"behaviour": "withhold", "peers": [0]}, "SITE_CONFIG", "consensus.byzantine.peers"),
        (True, {"behaviour": "delay", "rounds": 0}, "SITE_CONFIG", "consensus.byzantine.0.rounds"),
        (True, {"behaviour": "delay", "turns": 1}, "SITE_CONFIG", "consensus.byzantine.0.turns"),
    ],
)
async def test_scripts_that_may_not_or_cannot_be_followed_are_refused(
    tmp_path: Path, script: dict[str, object], code: str, field: str, *, chaos: bool
) -> None:
    config = make_sites(tmp_path).config(
        0,
        roles=(CONSENSUS,),
        chaos={"enabled": chaos},
        consensus={"byzantine": [script]},
    )
    roles = {CONSENSUS: Role(settings=ConsensusSettings, build=service.build)}
    with pytest.raises(LocalError) as refused:
        await serve(config, roles, log=open_log("error"), stop=asyncio.Event())
    assert (refused.value.code, refused.value.field) == (code, field)
