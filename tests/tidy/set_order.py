"""Finds iteration over sets in Python source: order that depends on the hash seed."""

import ast
import re
from collections.abc import Iterator

# What is allowed to see a set: the result does not depend on the order of the elements.
ORDERLESS = frozenset({"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"})
# What fixes an order, so must not be given a set.
ORDERING = frozenset({"dict", "enumerate", "filter", "iter", "join", "list", "map", "tuple", "zip"})
SET_METHODS = frozenset({"difference", "intersection", "symmetric_difference", "union"})


class SetOrder(ast.NodeVisitor):
    """Finds iteration over sets within one function (or the body of a module or class).

    Knows literals, `set(...)`, set operations, and names or attributes that the module annotates
    or assigns as sets.
    """

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        self.findings: list[str] = []

    def is_set(self, node: ast.expr) -> bool:
        """Tell whether an expression is certainly a set."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in SET_METHODS:
                return self.is_set(value)
            case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
                return self.is_set(left)
            case ast.Name() | ast.Attribute():
                return ast.unparse(node) in self.known
            case _:
                return False

    def refuse(self, node: ast.expr) -> None:
        """Note that `node` is iterated, when it is a set."""
        if self.is_set(node):
            self.findings.append(f"line {node.lineno}: a set has no order; sort it")

    def visit_For(self, node: ast.For) -> None:
        """Check the iterable of a loop."""
        self.refuse(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        """Check what is unpacked."""
        self.refuse(node.value)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Check the iterable of a comprehension."""
        self.refuse(node.iter)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        """Let a set be built from a set: no order is fixed."""
        self.descend(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Check what is handed a set; popping an arbitrary element is iteration too."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if name in ORDERING:
            for argument in node.args:
                self.refuse(argument)
        if isinstance(node.func, ast.Attribute) and name == "pop" and not node.args:
            self.refuse(node.func.value)
        for argument in node.args:
            if name in ORDERLESS and isinstance(argument, ast.GeneratorExp):
                self.descend(argument)
            else:
                self.visit(argument)
        self.visit(node.func)
        for keyword in node.keywords:
            self.visit(keyword.value)

    def descend(self, node: ast.SetComp | ast.GeneratorExp) -> None:
        """Check the parts of a comprehension, but not that it iterates over a set."""
        self.visit(node.elt)
        for generator in node.generators:
            self.generic_visit(generator)


def known_sets(tree: ast.AST) -> frozenset[str]:
    """Return the names and attributes that are annotated or assigned as sets below `tree`."""
    probe = SetOrder(frozenset())
    known: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation):
                if is_set_type(annotation):
                    known.append(ast.unparse(target))
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                if is_set_type(annotation):
                    known.append(name)
            case ast.Assign(targets=targets, value=value) if probe.is_set(value):
                known += [ast.unparse(target) for target in targets]
            case _:
                pass
    return frozenset(known)


def is_set_type(annotation: ast.expr) -> bool:
    """Tell whether an annotation is a set type."""
    text = ast.unparse(annotation)
    return re.match(r"(?:frozenset|set|AbstractSet|MutableSet)\b", text) is not None


def set_order(text: str) -> Iterator[str]:
    """Yield iterations over sets: equal within a process, different under another hash seed."""
    tree = ast.parse(text)
    shared = frozenset(name for name in known_sets(tree) if "." in name or name.isupper())
    shared |= frozenset(f"self.{name}" for name in declared_sets(tree))
    for scope in outer_functions(tree):
        visitor = SetOrder(shared | known_sets(scope))
        visitor.visit(scope)
        yield from visitor.findings


def declared_sets(tree: ast.Module) -> list[str]:
    """Return the attributes that a class of the module declares as sets."""
    return [
        ast.unparse(node.target)
        for home in ast.walk(tree)
        if isinstance(home, ast.ClassDef)
        for node in home.body
        if isinstance(node, ast.AnnAssign) and is_set_type(node.annotation)
    ]


def outer_functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions and methods that are not inside another function."""
    nodes = ast.walk(tree)
    found = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {id(child) for node in found for child in ast.walk(node) if child is not node}
    return [node for node in found if id(node) not in inner]
