from textwrap import dedent, indent

import pytest

from ance.data.sources.python_definitions import find_definitions, first_sentence

BODY = "    one = 1\n    two = 2\n    return one + two\n"


def names(source: str) -> list[str]:
    return [definition.name for definition in find_definitions(source)]


def function(name: str = "add", docstring: str = '"""Add one and two."""') -> str:
    return f"def {name}():\n    {docstring}\n{BODY}"


def test_a_definition_is_its_first_sentence_and_its_source_without_the_docstring() -> None:
    source = dedent('''\
        @decorated
        def add(one,
                two):
            """Add `one` and :attr:`two`
            to a sum. Then rest.

            More.
            """
            # a comment stays
            total = one + two  # é

            print(total)
            return total
        ''')
    (definition,) = find_definitions(source)
    assert definition.query == "Add `one` and :attr:`two` to a sum."
    assert definition.line == 2
    assert definition.code == dedent("""\
        def add(one,
                two):
            # a comment stays
            total = one + two  # é

            print(total)
            return total""")


def test_methods_are_dedented_and_named_after_their_class() -> None:
    method = indent(function(), "    ")
    source = indent(f'class Sum:\n    """Sums of two numbers."""\n\n{method}', "    ")
    definitions = {found.name: found.code for found in find_definitions(f"if True:\n{source}")}
    assert definitions["Sum.add"].startswith("def add():\n    one = 1\n")
    assert definitions["Sum"].startswith("class Sum:\n")


def test_docstrings_of_inner_definitions_are_cut_out_of_the_outer_one() -> None:
    source = dedent('''\
        class Outer:
            """An outer class here."""
            def inner(self):
                """Return the secret of life."""
                def innermost(): "Hidden in one line."; return 42
                one = innermost()
                return one
        ''')
    for definition in find_definitions(source):
        assert "secret" not in definition.code
        assert "Hidden" not in definition.code
        assert "return 42" in definition.code


@pytest.mark.parametrize("name", ["test_add", "TestAdd", "__add__"])
def test_tests_and_dunder_methods_are_left_out(name: str) -> None:
    assert names(function(name)) == []


def test_short_bodies_and_undocumented_definitions_are_left_out() -> None:
    assert names('def add():\n    """Add one and two."""\n    one = 1\n\n    return one\n') == []
    assert names(f"def add():\n{BODY}") == []
    assert names(function()) == ["add"]


def test_definitions_under_a_condition_count_and_those_inside_functions_do_not() -> None:
    tried, other = indent(function(), "    "), indent(function("other"), "    ")
    conditional = f"try:\n{tried}except ImportError:\n    pass\nelse:\n{other}"
    assert names(conditional) == ["add", "other"]
    assert names(f"def outer():\n{tried}") == []


def test_invalid_escapes_in_foreign_code_raise_no_warning() -> None:
    assert names(function() + '\nescape = "\\d"\n') == ["add"]


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Return the sum. And more.", "Return the sum."),
        ("Return the sum", "Return the sum"),
        ("Return\n    the sum\n\n    of two numbers.", "Return the sum"),
        ("Use e.g. version 3.11 of it. More.", "Use e.g. version 3.11 of it."),
        ("Is it a sum? Yes.", "Is it a sum?"),
        ("Make many scripts\n    :param specifications: what to make", "Make many scripts"),
        ("Two words.", ""),
        ("", ""),
        (":param x: the first number", ""),
        (">>> add(1, 2) is not None", ""),
        ("Gibt die Größe der Menge aus.", ""),
        ("1 2 3 4 5", ""),
    ],
)
def test_the_first_sentence_of_a_docstring(docstring: str, sentence: str) -> None:
    assert first_sentence(docstring) == sentence
