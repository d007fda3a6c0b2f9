"""A module's code without what only readers and type checkers need: docstrings and annotations.

Half of what a start reads of our modules is that. Lines keep their numbers, so tracebacks stay true.
"""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType


def lean_code(source: bytes, path: str) -> CodeType:
    """Compile a source; raises `SyntaxError` as `compile`."""
    tree = _Stripper().visit(ast.parse(source, path))
    return compile(tree, path, "exec", dont_inherit=True)


class _Stripper(ast.NodeTransformer):
    """Nothing at run time looks at docstrings and annotations; without these no `annotations` is imported either."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._without_docstring(self._without_annotations(node))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._without_docstring(self._without_annotations(node))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value, lineno=node.lineno), node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.copy_location(ast.Pass(), node)]
        self.generic_visit(node)
        return node

    def _without_annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        arguments = node.args
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ):
            if argument is not None:
                argument.annotation = None
        return node

    def _without_docstring(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = node.body  # type: ignore[attr-defined]  # all that come here have one
        # Those of attributes are expressions too.
        body[:] = [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
        if not body and not isinstance(node, ast.Module):
            body.append(ast.Pass(lineno=node.lineno, col_offset=0, end_lineno=node.lineno, end_col_offset=0))  # type: ignore[attr-defined]
        return node
