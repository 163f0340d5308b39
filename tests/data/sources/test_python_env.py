from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ance.data.sources.python_env import PythonEnv
from ance.data.sources.python_modules import STDLIB, installed_packages
from ance.errors import AnceError

Install = Callable[[str, Mapping[str, str]], None]


def function(number: int) -> str:
    docstring = f'"""Return the number {"x" * (number + 1)} itself."""'
    return f"def f{number}():\n    {docstring}\n    a = {number}\n    b = a\n    return b\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site-packages"


@pytest.fixture
def install(site: Path) -> Install:
    """Installs a distribution of the given files, as pip records it."""

    def write(name: str, files: Mapping[str, str]) -> None:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file, content in files.items():
            path = site / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


def test_modules_are_those_that_the_distribution_recorded(install: Install, site: Path) -> None:
    files = (
        "big/__init__.py",
        "big/io/read.py",
        "big/data.txt",
        "__editable___big_finder.py",
        "big-tool/run.py",
    )
    left_out = ("big/tests/helper.py", "big/test_io.py", "big/conftest.py", "big/_vendor/other.py")
    install("Big_Package", dict.fromkeys((*files, *left_out), ""))
    (package,) = installed_packages([str(site)]).values()
    assert (package.name, package.version) == ("big-package", "1.0")
    assert [module.name for module in package.modules] == ["big", "big.io.read"]


def test_the_standard_library_is_a_package_of_this_environment() -> None:
    modules = {module.name for module in installed_packages()[STDLIB].modules}
    assert {"json.decoder", "ast"} <= modules
    assert not any(name.startswith(("test.", "site")) and "packages" in name for name in modules)


def test_a_pair_is_a_query_with_one_positive_in_the_same_split(install: Install, site: Path) -> None:
    install("big", {f"big/m{number}.py": function(number) for number in range(40)})
    source = PythonEnv(search_path=[str(site)])
    passages = {located.record.id: located for located in source.passages()}
    assert len(passages) == 40
    assert passages["big.m3.f3"].record.title == "big.m3.f3"
    assert passages["big.m3.f3"].where == "big/m3.py:1"
    found = set()
    for split in source.splits():
        queries = {located.record.id: located.record.text for located in source.queries(split)}
        for judgement, _ in source.judgements(split):
            assert queries.pop(judgement.query_id).startswith("Return the number x")
            found.add(judgement.passage)
        assert queries == {}
    assert found == passages.keys()


def test_a_module_is_in_one_split_only(install: Install, site: Path) -> None:
    modules = {f"big/m{m}.py": "\n".join(function(4 * m + n) for n in range(4)) for m in range(60)}
    install("big", modules)
    source = PythonEnv(search_path=[str(site)])
    splits = {
        split: {judgement.passage.rsplit(".", 1)[0] for judgement, _ in source.judgements(split)}
        for split in source.splits()
    }
    assert set(splits) == {"train", "dev", "test"}
    assert sum(map(len, splits.values())) == len(set.union(*splits.values())) == 60
    assert len(splits["train"]) > 36


def test_a_limited_corpus_is_spread_over_the_packages(install: Install, site: Path) -> None:
    install("big", {f"big/m{number}.py": function(number) for number in range(30)})
    install("small", {f"small/m{number}.py": function(100 + number) for number in range(4)})
    source = PythonEnv(12, search_path=[str(site)])
    given = Counter(located.record.id.split(".")[0] for located in source.passages())
    assert given == {"big": 8, "small": 4}
    assert source.provenance["packages"] == {"big 1.0": 8, "small 1.0": 4}


def test_the_same_packages_give_the_same_corpus(install: Install, site: Path, tmp_path: Path) -> None:
    install("big", {f"big/m{number}.py": function(number) for number in range(30)})
    elsewhere = site.rename(tmp_path / "elsewhere")
    install("big", {f"big/m{number}.py": function(number) for number in reversed(range(30))})
    ours, theirs = (PythonEnv(10, search_path=[str(path)]) for path in (site, elsewhere))
    assert list(ours.passages()) == list(theirs.passages())


def test_no_more_modules_are_parsed_than_are_needed(install: Install, site: Path) -> None:
    install("big", {f"big/m{number}.py": function(number) if number == 7 else "def (" for number in range(200)})
    source = PythonEnv(1, search_path=[str(site)])
    assert len(list(source.passages())) == 1
    assert 0 < len(source.provenance["unreadable"]) < 199


def test_passages_or_queries_that_repeat_are_left_out(install: Install, site: Path) -> None:
    same_query = function(1).replace("f1", "other").replace("b = a", "b = a + 0")
    install("big", {"big/a.py": function(1), "big/b.py": function(1), "big/c.py": same_query})
    assert len(list(PythonEnv(search_path=[str(site)]).passages())) == 1


def test_files_that_this_python_cannot_parse_are_reported(install: Install, site: Path) -> None:
    install("big", {"big/a.py": function(1), "big/old.py": "print 'Python 2'", "big/nul.py": "\0"})
    (site / "big/latin.py").write_bytes(b"name = '\xff'")
    source = PythonEnv(search_path=[str(site)])
    assert len(list(source.passages())) == 1
    assert sorted(source.provenance["unreadable"]) == ["big/nul.py", "big/old.py"]


def test_packages_can_be_chosen(install: Install, site: Path) -> None:
    install("one", {"one.py": function(1)})
    install("two", {"two.py": function(2)})
    source = PythonEnv(packages=["two"], search_path=[str(site)])
    assert [located.record.id for located in source.passages()] == ["two.f2"]
    with pytest.raises(AnceError, match="no source of package 'three'; there is: one, two"):
        PythonEnv(packages=["three"], search_path=[str(site)])
