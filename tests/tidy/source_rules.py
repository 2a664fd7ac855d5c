"""Rules for Python source. Each takes text and yields findings, so each can be tried on a plant."""

import ast
import re
from collections.abc import Iterator

MODULE_LINES_MAX = 450
FUNCTION_LINES_MAX = 50
LINE_COLUMNS_MAX = 100

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

SILENCED = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b(?P<rest>[^\n]*)")
SILENCED_WITH_REASON = re.compile(r"(?::\s*[A-Z0-9, ]+|\[[a-z-, ]+\])\s*(?:#|--?|—|\()\s*\w+")


def too_long(text: str) -> Iterator[str]:
    """Yield when a module, or one of its lines, is longer than allowed.

    As in the linter, what silences a rule and says why does not count as part of its line.
    """
    lines = text.splitlines()
    if len(lines) > MODULE_LINES_MAX:
        yield f"{len(lines)} lines: split it by idea"
    for number, line in enumerate(lines, 1):
        columns = len(SILENCED.sub("", line).rstrip())
        if columns > LINE_COLUMNS_MAX:
            yield f"line {number} has {columns} columns"


def documentation(node: Definition | ast.Module) -> ast.Expr | None:
    """Return the docstring's statement."""
    first = node.body[0] if node.body else None
    return first if isinstance(first, ast.Expr) and ast.get_docstring(node) else None


def long_functions(text: str) -> Iterator[str]:
    """Yield functions that are too long; docstrings do not count."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            page = documentation(node)
            saved = 0 if page is None else (page.end_lineno or 0) - page.lineno + 1
            length = (node.end_lineno or 0) - node.lineno + 1 - saved
            if length > FUNCTION_LINES_MAX:
                yield f"{node.name} has {length} lines"


def undocumented(text: str) -> Iterator[str]:
    """Yield public modules, classes and functions without a docstring."""
    tree = ast.parse(text)
    if documentation(tree) is None:
        yield "the module has no docstring"
    scopes: list[ast.Module | ast.ClassDef] = [tree]
    while scopes:
        for node in scopes.pop().body:
            if not isinstance(node, Definition) or node.name.startswith("_"):
                continue
            overload = any("overload" in ast.unparse(item) for item in node.decorator_list)
            if documentation(node) is None and not overload:
                yield f"{node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                scopes.append(node)


def silent(text: str) -> Iterator[str]:
    """Yield switched-off checks that name no rule, or give no reason beside it."""
    for number, line in enumerate(text.splitlines(), 1):
        found = SILENCED.search(line)
        if found and not SILENCED_WITH_REASON.match(found["rest"]):
            yield f"line {number}: name the rule and the reason"


def excluded_from_coverage(text: str) -> Iterator[str]:
    """Yield lines that are taken out of the coverage report."""
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"#\s*pragma:\s*no\s*(?:cover|branch)", line):
            yield f"line {number}: test it, or remove it"


def imitations(text: str) -> Iterator[str]:
    """Yield what a test must not do: mock our code, or wait by sleeping."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names) if any("mock" in name.name for name in names):
                yield f"line {node.lineno}: use the simulator, or a fake that the contract checks"
            case ast.ImportFrom(module=str(module)) if "mock" in module:
                yield f"line {node.lineno}: use the simulator, or a fake that the contract checks"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr="sleep")):
                yield f"line {node.lineno}: wait for what happens, not for time"
            case _:
                pass
