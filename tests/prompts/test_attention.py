"""Emphasis: weights by hand, and against a plain transcription of A1111's published rules."""

import random
import re

import pytest

from paintdiff.prompts.attention import MAX_MISTAKES, Break, Span, parse_attention, read_attention

UP, DOWN = 1.1, 1 / 1.1

REALISTIC = [
    ("a red house", [("a red house", 1)]),
    ("(masterpiece:1.2), best quality", [("masterpiece", 1.2), (", best quality", 1)]),
    ("((best quality)), 1girl", [("best quality", 1.21), (", 1girl", 1)]),
    ("portrait, [blurry]", [("portrait, ", 1), ("blurry", DOWN)]),
    ("[[text]], sky", [("text", DOWN * DOWN), (", sky", 1)]),
    ("a (red:1.4) house", [("a ", 1), ("red", 1.4), (" house", 1)]),
    ("(moon:.5) at night", [("moon", 0.5), (" at night", 1)]),
    (r"miku \(vocaloid\), smile", [("miku (vocaloid), smile", 1)]),
    (r"(saber \(fate\):1.3)", [("saber (fate)", 1.3)]),
    ("(a (b:2) c:0.5)", [("a ", 0.5), ("b", 1), (" c", 0.5)]),
    ("castle, (fog", [("castle, ", 1), ("fog", UP)]),
    ("castle) in fog", [("castle) in fog", 1)]),
    ("trees, [leaves", [("trees, ", 1), ("leaves", DOWN)]),
    ("8k, ratio 16:9, (film)", [("8k, ratio 16:9, ", 1), ("film", UP)]),
    ("cat BREAK dog", [("cat", 1), None, ("dog", 1)]),
    ("(cat:1.2)\nBREAK\n(dog:0.8)", [("cat", 1.2), None, ("dog", 0.8)]),
    ("(cat BREAK dog:1.5)", [("cat", 1.5), None, ("dog", 1.5)]),
    ("BREAKFAST (egg)", [("BREAKFAST ", 1), ("egg", UP)]),
    ("((sun [sets]))", [("sun ", 1.21), ("sets", 1.1)]),
    ("(smile: 1.25 ) teeth", [("smile", 1.25), (" teeth", 1)]),
]


@pytest.mark.parametrize(("text", "expected"), REALISTIC)
def test_realistic_prompts_have_the_weights_that_the_rules_define(
    text: str, expected: list[tuple[str, float] | None]
) -> None:
    spans = parse_attention(text)
    assert [span.text if isinstance(span, Span) else None for span in spans] == [
        pair and pair[0] for pair in expected
    ]
    weights = [span.weight for span in spans if isinstance(span, Span)]
    assert weights == pytest.approx([pair[1] for pair in expected if pair])


def weigh_characters(text: str) -> list[tuple[str, float]]:  # noqa: C901
    """Weigh each character by the published rules, without tokens: quadratic, and simple."""
    made: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def multiply(start: int, factor: float) -> None:
        made[start:] = [(character, weight * factor) for character, weight in made[start:]]

    place = 0
    while place < len(text):
        character = text[place]
        number = re.match(r":\s*([+-]?[.\d]+)\s*\)", text[place:]) if character == ":" else None
        if character == "\\":
            if text[place + 1 : place + 2] in ("(", ")", "[", "]", "\\"):
                place += 1
                made.append((text[place], 1.0))
        elif character in "([":
            opened[character].append(len(made))
        elif number is not None and opened["("]:
            multiply(opened["("].pop(), float(number[1]))
            place += len(number[0]) - 1
        elif character == ")" and opened["("]:
            multiply(opened["("].pop(), UP)
        elif character == "]" and opened["["]:
            multiply(opened["["].pop(), DOWN)
        else:
            made.append((character, 1.0))
        place += 1
    for kind, factor in (("(", UP), ("[", DOWN)):
        for start in opened[kind]:
            multiply(start, factor)
    return made


def test_weights_equal_an_independent_reading_of_the_rules() -> None:
    chosen = random.Random(5)
    pieces = [
        "(",
        ")",
        "[",
        "]",
        ":1.3)",
        ":.5)",
        ": 2 )",
        "\\",
        "\\(",
        "\\\\",
        "a",
        " cat",
        ",",
        ":",
    ]
    for _ in range(3000):
        text = "".join(chosen.choices(pieces, k=chosen.randint(0, 14)))
        expected = weigh_characters(text)
        got = [
            (c, span.weight)
            for span in parse_attention(text)
            if isinstance(span, Span)
            for c in span.text
        ]
        assert [c for c, _ in got] == [c for c, _ in expected], text
        assert [w for _, w in got] == pytest.approx([w for _, w in expected]), text


def test_spans_know_their_place() -> None:
    text = "a (red:1.4) BREAK house"
    places = [text[span.start : span.end] for span in parse_attention(text)]
    assert places == ["a ", "red", " BREAK ", "house"]
    assert isinstance(parse_attention(text)[2], Break)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a (b", 2, "never closed"),
        ("a b]", 3, "no opening"),
        ("a b:1.2)", 7, "no opening"),
        ("(a:1.2.3)", 3, "isn't a weight"),
        ("(a:99999)", 3, "beyond 1000"),
    ],
)
def test_mistakes_have_a_place_and_a_message(text: str, place: int, words: str) -> None:
    (mistake,) = read_attention(text).mistakes
    assert mistake.start == place
    assert words in mistake.message


def test_weights_and_mistakes_are_limited() -> None:
    read = read_attention("(" * 20_000 + "a:" + "9" * 400 + ")")
    assert [span.weight for span in read.spans if isinstance(span, Span)] == [1000]
    assert len(read.mistakes) == MAX_MISTAKES


def test_an_empty_text_is_one_empty_span() -> None:
    assert parse_attention("") == (Span("", 1.0, 0, 0),)
