import json

from seawall.testbed.export import payloads_of
from seawall.testbed.tasks import digits_task
from tests.unit.testbed.demo.test_bad_input import genesis


def entry(kind: str, **spec: object) -> bytes:
    return json.dumps({"apiVersion": "seawall.dev/v1", "kind": kind, "spec": spec}).encode()


def test_versions_are_made_of_bases_selected_updates_and_references() -> None:
    entries = [
        entry("update", updateId="u1", payload="p1"),
        entry("update", updateId="u2", payload="p2"),
        entry("update", updateId="r1", payload="p3"),
        entry("cut", updates=[{"payload": "p1"}], root="r1"),
        entry("cut", updates=[{"payload": "p1"}], root=""),
        entry("version", payload="v1"),
    ]
    base = digits_task(1).task.base_payload_digest.hex()
    assert payloads_of(entries, genesis()) == sorted(["p1", "p3", "v1", base])
