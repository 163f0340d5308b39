from ance.retrieval.analyser import english_analyser


def test_terms_are_lower_case_stems_without_stop_words() -> None:
    assert english_analyser()("The Running of the DOGS") == ["run", "dog"]


def test_single_characters_and_signs_are_no_terms() -> None:
    assert english_analyser()("a + b == c; x") == []


def test_an_identifier_stays_whole() -> None:
    assert english_analyser()("torch.nn.parse_args(42)") == ["torch", "nn", "parse_arg", "42"]


def test_stop_words_are_removed_before_stemming() -> None:
    assert english_analyser()("not notes") == ["note"]
