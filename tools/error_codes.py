"""Write `docs/errors.md`: every error code of the source, by area. `--check` only compares.

A code is an UPPER_CASE string literal whose first word is an area of the table below. Where it
stands as the first argument of a call (`PeerError("ST_HEADER_SIZE", "hint", ...)`, or a helper
that builds the error) the hint and the fault are read from there as well.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "services" / "seawall"
PAGE = ROOT / "docs" / "errors.md"

AREAS = {
    "AGG": "Aggregation and versions",
    "ATTEST": "Attestations and batch certificates",
    "BATCH": "Batches and their certificates",
    "BLOCK": "Block codec and DAG rules",
    "CALLER": "Who may call what",
    "CHAOS": "Runs of experiments on real sites",
    "CHUNK": "Chunks of a payload",
    "CLI": "Command line",
    "CLIENT": "The client library",
    "CLUSTER": "Kubernetes clusters",
    "CODEC": "Canonical bytes",
    "CONFIG": "Settings and files that people write",
    "CRASH": "Crash points",
    "CUT": "Cuts and their policy",
    "DATA": "Data directories",
    "DEADLINE": "Answers that do not come in time",
    "DSSE": "Envelopes",
    "ENTRY": "Ledger entries",
    "EXPERIMENT": "Experiment files",
    "FAULT": "Injected faults",
    "FXP": "Fixed-point numbers",
    "GENESIS": "Genesis and committee",
    "HELLO": "Hellos between sites",
    "HTTP": "Requests over HTTP",
    "INCOMPLETE": "Uploads with chunks missing",
    "INGEST": "Admission: quotas, limits, deadlines",
    "JOURNAL": "The replica's journal",
    "JSON": "JSON text",
    "KEY": "Keys and identities",
    "LEDGER": "The ledger of a site",
    "LENGTH": "Payloads that are too short or too long",
    "LINK": "Links between sites",
    "LOG": "Notes, checkpoints, proofs, tiles",
    "OWNER": "Uploads of somebody else",
    "PAYLOAD": "The payload store",
    "PKI": "Keys and genesis of a cluster",
    "QUOTA": "Limits on how much at once",
    "RECEIPT": "Receipts",
    "MODEL": "Models",
    "RECORD": "Records inside blocks and journals",
    "REPLAY": "Freshness and uniqueness",
    "RPC": "Requests between processes",
    "RULE": "Aggregation rules",
    "SHARED": "State that several ingestion workers share",
    "SIM": "The simulator",
    "SITE": "Processes of a site",
    "SPLIT": "Data sets and their split",
    "ST": "Safetensors files",
    "STMT": "Statements: manifest and provenance",
    "STORE": "Stores, disks and data directories",
    "STREAM": "Upload sessions and streams",
    "SUB": "Submissions",
    "SUBMISSION": "What is kept beside updates",
    "SUBMIT": "Messages of the Submit stream",
    "SYNC": "Messages between replicas",
    "TASK": "Tasks",
    "TOO": "Limits on sizes",
    "TRACE": "Traces of real sites",
    "TWINS": "Evidence against validators",
    "TX": "Ordered transactions",
    "UPDATE": "Updates that are asked for by id",
    "UPLOAD": "Uploads chunk by chunk",
    "VAL": "Values of tensors",
    "VERDICT": "Verdicts on updates",
    "VERSION": "Model versions at a site",
    "WATCH": "Watching updates",
}
WHOLE = ("DEADLINE", "INCOMPLETE", "LENGTH", "OWNER")
"""Codes that are one word: each is an area of its own."""
FAULTS = {
    "LocalError": "caller",
    "PeerError": "input",
    "OperationalError": "operation",
}
CODE = re.compile(rf"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|{'|'.join(WHOLE)}")


@dataclass(slots=True)
class Code:
    """What the source says about one error code."""

    name: str
    faults: set[str] = field(default_factory=set)
    hints: set[str] = field(default_factory=set)

    @property
    def area(self) -> str:
        """The prefix before the first underscore."""
        return self.name.partition("_")[0]


def text_of(node: ast.expr | None) -> str | None:
    """Return the text of a string literal; what an f-string fills in reads `…`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body) or '…'} / {text_of(node.orelse) or '…'}"
    return None


def called(node: ast.Call) -> str:
    """Return the last name of what a call calls."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def bases_of(trees: dict[str, ast.Module]) -> dict[str, str]:
    """Map every class of the error tree to the fault that it stands for."""
    classes = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    faults = dict(FAULTS)
    while True:
        added = {
            name: faults[base]
            for name, bases in classes.items()
            for base in bases
            if name not in faults and base in faults
        }
        if not added:
            return faults
        faults |= added


def builders_of(tree: ast.Module, faults: dict[str, str]) -> dict[str, str]:
    """Map functions of one module that build an error to the fault of that error."""
    return {
        node.name: faults[called(inner)]
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and called(inner) in faults
    }


def first_arguments(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call whose first argument is a literal shaped like a code, with the literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            text = text_of(node.args[0])
            if text is not None and CODE.fullmatch(text):
                yield node, text


def hints_of(call: ast.Call, tree: ast.Module) -> Iterator[str]:
    """Yield the hint of a call that names a code: its next text, or what is called `hint`.

    A name stands for the text last assigned to it above the call.
    """
    assigned = {
        target.id: node.value
        for node in sorted(
            (node for node in ast.walk(tree) if isinstance(node, ast.Assign)),
            key=lambda node: node.lineno,
        )
        for target in node.targets
        if isinstance(target, ast.Name) and node.lineno < call.lineno
    }
    named = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
    values = [*call.args[1:], *named]
    texts = [text_of(assigned.get(v.id) if isinstance(v, ast.Name) else v) for v in values]
    yield from [text for text in texts if text][:1]


def literals(tree: ast.Module) -> Iterator[str]:
    """Yield every literal of a module that is a code of a known area, wherever it stands."""
    for node in ast.walk(tree):
        literal = text_of(node) if isinstance(node, ast.Constant) else None
        if literal and CODE.fullmatch(literal) and literal.partition("_")[0] in AREAS:
            yield literal


def collect(source: Path = SOURCE) -> dict[str, Code]:
    """Return every code of the source, by name.

    Raises:
        ValueError: an error is raised with codes of areas that are not in the table.

    """
    paths = [path for path in sorted(source.rglob("*.py")) if "_pb2" not in path.name]
    trees = {
        ".".join(path.relative_to(source.parent).with_suffix("").parts): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in paths
    }
    faults = bases_of(trees)
    codes: dict[str, Code] = {}
    unknown = set()
    for module, tree in trees.items():
        makers = builders_of(tree, faults) | faults
        for call, name in first_arguments(tree):
            if name.partition("_")[0] not in AREAS:
                unknown |= {f"{name} in {module}"} if called(call) in faults else set()
                continue
            code = codes.setdefault(name, Code(name))
            if called(call) in makers:
                code.faults.add(makers[called(call)])
            code.hints |= set(hints_of(call, tree))
        for literal in literals(tree):
            codes.setdefault(literal, Code(literal))
    if unknown:
        raise ValueError(f"add areas to tools/error_codes.py for: {', '.join(sorted(unknown))}")
    return codes


def render(codes: dict[str, Code]) -> str:
    """Return the page."""
    lines = [
        "# Error codes",
        "",
        "Generated from the source by `make format`; `make check` compares. A code is stable: it",
        "may be matched on. An error also names the field or the byte offset at fault, and never",
        "repeats the input. *Fault*: **input** (bytes or behaviour of somebody else), **caller**",
        "(our own side misused an interface), **operation** (disk, network, another process).",
    ]
    for prefix, title in sorted(AREAS.items()):
        members = [codes[name] for name in sorted(codes) if codes[name].area == prefix]
        if not members:
            continue
        lines += ["", f"## {prefix}: {title}", "", "| code | fault | what to do |", "|---|---|---|"]
        for code in members:
            hints = "; ".join(sorted(code.hints)).replace("|", "\\|") or "see the message"
            lines.append(f"| `{code.name}` | {', '.join(sorted(code.faults))} | {hints} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or compare it and exit 1 when it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    page = render(collect())
    if not parser.parse_args().check:
        PAGE.write_text(page, encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)}: written")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        sys.exit(f"{PAGE.relative_to(ROOT)} is out of date; run: make format")


if __name__ == "__main__":
    main()
