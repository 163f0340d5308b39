"""Documented functions and classes of a Python source, as pairs of a query and a document.

The recipe is that of CodeSearchNet (Husain et al. 2019, section 2): the documentation asks, the code answers,
and the code does not contain the documentation.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from itertools import takewhile
from typing import NamedTuple

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

MIN_QUERY_WORDS = 3
MIN_BODY_LINES = 3

WORD = re.compile(r"[A-Za-z]+")
SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)[.!?](?=\s|$)")
NO_SENTENCE = re.compile(r"(:param|:return|:type|:raise|@|>>>|\.\. |Args:|Arguments:|Parameters\b|Returns:)")


class Definition(NamedTuple):
    """A documented function, method or class."""

    name: str
    """Qualified within its module, e.g. `Ragged.open`."""
    query: str
    """First sentence of the docstring, markup included."""
    code: str
    """Signature and body, without decorators and without any docstring."""
    line: int


def find_definitions(source: str) -> Iterator[Definition]:
    """Definitions at module and class level that have a usable docstring and body, in source order.

    Left out: tests, dunder methods, docstrings whose first sentence has fewer than 3 words or is not ASCII
    (most are then not English), and bodies of fewer than 3 lines.

    Raises:
        SyntaxError, ValueError, RecursionError: this Python cannot parse the source.
    """
    with warnings.catch_warnings():
        # Invalid escapes and the like in code that is not ours.
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    lines = source.encode().split(b"\n")
    for name, node in _defined(tree.body, ""):
        query = first_sentence(ast.get_docstring(node, clean=False) or "")
        if not query:
            continue
        code = _without_docstrings(node, lines)
        signature_lines = node.body[0].lineno - node.lineno
        body_lines = sum(1 for line in code.split("\n")[signature_lines:] if line.strip())
        if body_lines >= MIN_BODY_LINES:
            yield Definition(name, query, code, node.lineno)


def first_sentence(docstring: str) -> str:
    """First sentence of a docstring on one line, empty if it does not serve as a query."""
    lines = takewhile(lambda line: line and not NO_SENTENCE.match(line), cleandoc(docstring).split("\n"))
    paragraph = " ".join(" ".join(lines).split())
    end = SENTENCE_END.search(paragraph)
    sentence = paragraph[: end.end()] if end else paragraph
    usable = sentence.isascii() and len(WORD.findall(sentence)) >= MIN_QUERY_WORDS
    return sentence if usable else ""


def _defined(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, Defined]]:
    for node in body:
        if isinstance(node, Defined):
            name = f"{prefix}{node.name}"
            if not _is_left_out(node.name):
                yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _defined(node.body, f"{name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _defined(node.body, prefix)
            yield from _defined(getattr(node, "orelse", []), prefix)


def _is_left_out(name: str) -> bool:
    return name.startswith(("test", "Test")) or (name.startswith("__") and name.endswith("__"))


def _without_docstrings(node: Defined, lines: Sequence[bytes]) -> str:
    """Source of a definition, dedented; its docstring and those of all definitions inside are cut out."""
    first = node.lineno - 1
    kept: list[bytes | None] = list(lines[first : node.end_lineno])
    # From the last to the first, so that columns of an earlier one on the same line stay true.
    for docstring in sorted(_docstrings(node), key=lambda found: found.lineno, reverse=True):
        start, stop = docstring.lineno - 1 - first, (docstring.end_lineno or 0) - 1 - first
        before = (kept[start] or b"")[: docstring.col_offset]
        after = (kept[stop] or b"")[docstring.end_col_offset :]
        kept[start : stop + 1] = [None] * (stop + 1 - start)
        if (before + after).strip(b" \t;"):
            kept[start] = before + after
    indent = b" " * node.col_offset
    return b"\n".join(line.removeprefix(indent) for line in kept if line is not None).decode()


def _docstrings(node: Defined) -> Iterator[ast.stmt]:
    for inner in ast.walk(node):
        if isinstance(inner, Defined) and ast.get_docstring(inner, clean=False) is not None:
            yield inner.body[0]
