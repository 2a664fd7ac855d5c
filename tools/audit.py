"""Audit what a chain has exported, with nothing of Seawall: python tools/audit.py DIRECTORY.

There: genesis.json; per site ledgers/NAME.jsonl, one entry a line, and ledgers/NAME.note, the
checkpoint over them; payloads/DIGEST.safetensors; receipts/*.json. Formats: ledger.md, receipt.md
and learning.md in docs, RFC 6962, DSSE, C2SP notes and proofs.
"""

import base64
import json
import sys
from hashlib import sha256
from math import isqrt
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from nacl.signing import VerifyKey

LIMIT, ONE, STEP = 2**23 - 1, 2**16, 2**14
Json: TypeAlias = dict[str, Any]
Vector: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def need(holds: object, claim: str) -> None:
    """Raise when a claim does not hold."""
    if not holds:
        raise ValueError(f"does not hold: {claim}")


def sha(data: bytes) -> bytes:
    """Return SHA-256."""
    return sha256(data).digest()


def load(text: str) -> Json:
    """Return the spec of a document in canonical JSON of strings and integers."""
    tree: Json = json.loads(text)
    again = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    need(again == text, "JSON is canonical")
    return {"kind": tree["kind"], **tree["spec"]}


def tree_root(entries: list[str]) -> bytes:
    """Return the RFC 6962 root of a log."""
    level = [sha(b"\0" + entry.encode()) for entry in entries]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha(b"\1" + a + b) for a, b in pairs] + level[len(level) & ~1 :]
    return level[0]


def path_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that an RFC 6962 inclusion path leads to."""
    need(index < size and (size > 1) == bool(path), "an inclusion path has its length")
    if size == 1:
        return leaf
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        return sha(b"\1" + path_root(leaf, index, left, path[:-1]) + path[-1])
    return sha(b"\1" + path[-1] + path_root(leaf, index - left, size - left, path[:-1]))


def divide(a: Vector, b: int) -> Vector:
    """Return a / b to the nearest integer, halves to even."""
    down, twice = a // b, 2 * (a % b)
    return np.where((twice > b) | ((twice == b) & (down % 2 == 1)), down + 1, down)


def product(a: Vector, b: Vector) -> int:
    """Return the exact inner product."""
    return sum(int((a[i : i + STEP] * b[i : i + STEP]).sum()) for i in range(0, len(a), STEP))


def scale(values: Vector, weight: int) -> Vector:
    """Return values * weight / 2^16 within the range of the number format."""
    return divide(values * weight, ONE).clip(-LIMIT, LIMIT)


def root_gate(ds: list[Vector], stale: list[int], gate: Vector) -> tuple[Vector, int]:
    """Return dividend and divisor of the change under the root gate."""
    norm, total, trusts = product(gate, gate), np.zeros_like(gate), 0
    for d, s in zip(ds, stale, strict=True):
        own = product(d, d)
        trust = isqrt((max(0, product(d, gate)) ** 2 << 32) // (own * norm))
        total += divide(np.array([trust * s]), ONE) * scale(d, isqrt((norm << 32) // own))
        trusts += trust
    return total, max(trusts, 1)


def clip_nnm_median(ds: list[Vector], stale: list[int], f: int) -> Vector:
    """Return the change under clip + NNM + median."""
    n, f = len(ds), min(f, (len(ds) - 1) // 2)
    ds = [scale(d, s) for d, s in zip(ds, stale, strict=True)]
    norms = [max(product(d, d), 1) for d in ds]
    bound = sorted(norms)[(n - 1) // 2]
    ds = [scale(d, min(ONE, isqrt((bound << 32) // m))) for d, m in zip(ds, norms, strict=True)]
    near = [sorted((product(d - e, d - e), at) for at, e in enumerate(ds))[: n - f] for d in ds]
    mixed = [divide(np.sum([ds[at] for _, at in row], axis=0), n - f) for row in near]
    ordered = np.sort(np.stack(mixed), axis=0)
    return divide(ordered[(n - 1) // 2] + ordered[n // 2], 2)


def next_head(rule: Json, head: Vector, chosen: list[Any], gate: Vector | None) -> Vector:
    """Return the model after `head`; `chosen` has (staleness, examples, delta) by update id."""
    ds, stale = [one[2] for one in chosen], [isqrt(2**32 // (1 + one[0])) for one in chosen]
    usual = {"f": 0, "examples_cap": 1, "eta_numerator": 1, "eta_denominator": 1}
    given = usual | rule["parameters"]
    if rule["name"] == "fedavg":
        claims = [min(max(one[1], 1), given["examples_cap"]) for one in chosen]
        parts = [m * s * d for m, s, d in zip(claims, stale, ds, strict=True)]
        total, divisor = np.sum(parts, axis=0), ONE * sum(claims)
    elif rule["name"] == "root-gate" and gate is not None:
        total, divisor = root_gate(ds, stale, gate)
    else:
        total, divisor = clip_nnm_median(ds, stale, given["f"]), 1
    change = divide(total * given["eta_numerator"], divisor * given["eta_denominator"])
    return (head + change).clip(-LIMIT, LIMIT)


class Audit:
    """The audit of one exported chain; each public method without arguments is one verdict."""

    def __init__(self, home: Path) -> None:
        """Read genesis and ledgers."""
        text = (home / "genesis.json").read_text("utf-8")
        self.home, self.spec = home, load(text)
        self.origin = "seawall/" + sha(text.encode()).hex()[:16]
        self.sites, people = self.spec["sites"], self.spec["contributors"]
        total = sum(site["stake"] for site in self.sites)
        self.quorum, self.validity = 2 * total // 3 + 1, total - 2 * total // 3
        self.tasks = {task["name"]: task for task in self.spec["tasks"]}
        self.heads = {name: (0, task["basePayloadDigest"]) for name, task in self.tasks.items()}
        self.updates: dict[str, Json] = {}
        self.people = {sha(bytes.fromhex(one["publicKey"])).hex(): one for one in people}
        texts = {s["name"]: (home / f"ledgers/{s['name']}.jsonl").read_text() for s in self.sites}
        self.logs = {name: text.splitlines() for name, text in texts.items()}
        self.log = max(self.logs.values(), key=len)

    def cosigned(self, note: str) -> tuple[int, bytes]:
        """Return size and root of a checkpoint that the log and stake Q have signed."""
        body, _, lines = note.partition("\n\n")
        origin, size, root = body.split("\n")
        raw = [(n, base64.b64decode(b)) for _, n, b in map(str.split, lines.splitlines())]
        signers = [(origin, b"\1", self.spec["logKey"], 0)]
        signers += [(s["cosignerName"], b"\4", s["cosignerKey"], s["stake"]) for s in self.sites]
        stake, found = 0, {(name, blob[:4]): blob[4:] for name, blob in raw}
        for name, kind, key, weight in signers:
            blob = found.get((name, sha(name.encode() + b"\n" + kind + bytes.fromhex(key))[:4]))
            if blob is not None:
                time = f"cosignature/v1\ntime {int.from_bytes(blob[:8])}\n" if weight else ""
                VerifyKey(bytes.fromhex(key)).verify(f"{time}{body}\n".encode(), blob[-64:])
                stake += weight
            need(weight or blob, "the log signed")
        need(origin == self.origin and stake >= self.quorum, "stake Q cosigned for this chain")
        return int(size), base64.b64decode(root)

    def ledgers(self) -> str:
        """Each ledger hashes to a checkpoint of stake Q, and all are equal entry by entry."""
        for name, log in self.logs.items():
            size, root = self.cosigned((self.home / "ledgers" / f"{name}.note").read_text("utf-8"))
            need(size == len(log) and tree_root(log) == root, f"{name} hashes to its checkpoint")
            need(log == self.log[:size], f"{name} has the same entries as the longest ledger")
        return f"{len(self.logs)} ledgers of {min(map(len, self.logs.values()))} entries or more"

    def receipts(self) -> str:
        """Each receipt verifies offline, and every ledger has what it acknowledges."""
        texts = [path.read_text("utf-8") for path in (self.home / "receipts").glob("*.json")]
        for text in texts:
            self._receipt(load(text))
        return f"{len(texts)} receipts"

    def _receipt(self, spec: Json) -> None:
        need(spec["origin"] == self.origin, "a receipt is of this chain")
        for one in spec["entries"]:
            head, _, note = one["proof"].partition("\n\n")
            first, index, *path = head.split("\n")
            size, root = self.cosigned(note)
            place, leaf = int(index.removeprefix("index ")), sha(b"\0" + one["entry"].encode())
            reached = path_root(leaf, place, size, [base64.b64decode(step) for step in path])
            need(first == "c2sp.org/tlog-proof@v1" and reached == root, "a proof leads to its root")
            need(all(log[place] == one["entry"] for log in self.logs.values()), "nothing is lost")
        update, envelope = load(spec["entries"][0]["entry"]), json.loads(spec["envelope"])
        body, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
        message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
        key = VerifyKey(bytes.fromhex(self.people[update["contributor"]]["publicKey"]))
        key.verify(message, base64.b64decode(envelope["signatures"][0]["sig"]))
        need(sha(body).hex() == update["updateId"] == spec["updateId"], "it proves its own update")
        need(json.loads(body)["payloadDigest"] == update["payload"], "it proves what was signed")

    def _payload(self, digest: str) -> tuple[bytes, Vector]:
        data = (self.home / "payloads" / f"{digest}.safetensors").read_bytes()
        need(sha(data).hex() == digest, "a payload has its digest")
        start = 8 + int.from_bytes(data[:8], "little")
        return data[:start], np.frombuffer(data, "<i4", offset=start).astype(np.int64)

    def convictions(self) -> str:
        """Each validator in the evidence has signed two blocks of one round."""
        entries, found = [load(entry) for entry in self.log], list[str]()
        epoch = next(entry["epoch"] for entry in entries if entry["kind"] == "epoch").to_bytes(8)
        for entry in [one for one in entries if one["kind"] == "twins"]:
            name, digests = entry["subject"], (entry["first"], entry["second"])
            author = [site["name"] for site in self.sites].index(name)
            need(digests[0] != digests[1] and name not in found, "two blocks, once a validator")
            key = VerifyKey(bytes.fromhex(self.sites[author]["consensusKey"]))
            for digest, signature in zip(digests, entry["signatures"], strict=True):
                ref = entry["number"].to_bytes(8) + author.to_bytes(2) + bytes.fromhex(digest)
                parts = (b"seawall/block-signature/v2", self.origin.encode(), epoch, ref)
                message = sha(b"".join(len(part).to_bytes(4) + part for part in parts))
                key.verify(message, bytes.fromhex(signature))
            found.append(name)
        return f"twins of {', '.join(found) or 'nobody'}"

    def models(self) -> str:
        """Every version follows from the entries before it, to the same bytes."""
        made, once = dict[tuple[str, int], str](), set[tuple[str, object]]()
        for entry in map(load, self.log):
            if "updateId" in entry:
                owner, role = entry["contributor"], entry["kind"].replace("delta", "contributor")
                number, payload, taint = (
                    (owner, entry["seq"]),
                    (owner, entry["payload"]),
                    entry["taint"],
                )
                need(number not in once, "a seq counts once for each contributor")
                need(payload not in once or "REPLAY_PAYLOAD" in taint, "a payload counts once")
                enrolled = role in self.people[owner]["roles"]
                need(enrolled or "KEY_ROLE" in taint, "an update is of an enrolled key")
                once |= {number, payload}
                self.updates |= {} if taint else {entry["updateId"]: entry}
            elif entry["kind"] == "cut":
                made[entry["task"], entry["version"]] = self._next(entry)
            elif entry["kind"] == "version":
                task, version, payload = entry["task"], entry["version"], entry["payload"]
                stake = sum(self.sites[site]["stake"] for site in {*entry["votes"]})
                need(stake >= self.validity, "a version has votes of stake V")
                need(made[task, version] == payload, f"{task} v{version} has the same bytes here")
                self.heads[task] = max(self.heads[task], (version, payload))
        return ", ".join(f"{name} v{v} is {head[:16]}" for name, (v, head) in self.heads.items())

    def _next(self, cut: Json) -> str:
        version, digest = self.heads[cut["task"]]
        need((version, digest) == (cut["base"], cut["basePayload"]), "a cut follows the head")
        need(cut["rule"] == self.tasks[cut["task"]]["rule"], "a cut names the task's rule")
        chosen = []
        for one in sorted(cut["updates"], key=lambda one: str(one["updateId"])):
            update = self.updates.pop(one["updateId"])
            need(one["staleness"] == cut["base"] - update["baseVersion"] >= 0, "staleness")
            delta = self._payload(update["payload"])[1]
            chosen.append((one["staleness"], update["numExamples"], delta))
        root = self.updates.pop(cut["root"]) if cut["root"] else None
        need(root is None or (root["kind"], root["baseVersion"]) == ("root", version), "the root")
        header, head = self._payload(digest)
        gate = self._payload(root["payload"])[1] if root else None
        model = next_head(cut["rule"], head, chosen, gate).astype("<i4").tobytes()
        return sha(header + model).hex()


def main() -> int:
    """Print one verdict a line: ok or FAIL, claim, observed; return 0 only if all hold."""
    audit, failed = Audit(Path(sys.argv[1])), 0
    for verdict in (audit.ledgers, audit.receipts, audit.convictions, audit.models):
        try:
            mark, observed = "ok  ", verdict()
        except Exception as fault:  # noqa: BLE001 - whatever goes wrong, the verdict is no
            mark, observed, failed = "FAIL", f"{type(fault).__name__}: {fault}", 1
        print(mark, verdict.__doc__, observed, sep=" | ")
    return failed


if __name__ == "__main__":
    sys.exit(main())
