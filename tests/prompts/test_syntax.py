"""Schedules, alternation and AND; the first table is A1111's own published examples."""

import random

import pytest

from paintdiff.prompts.attention import list_words, parse_attention
from paintdiff.prompts.syntax import (
    MAX_DEPTH,
    count_subprompts,
    find_mistakes,
    list_texts,
    parse_prompt,
    schedule,
)


def schedule_one(text: str, steps: int = 10) -> list[tuple[int, str]]:
    (only,) = schedule(parse_prompt(text), steps)
    return list(only)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [{b|d{:.5] c", [(5, "a  c"), (10, "a {b|d{ c")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("[cat::0.5] sun", [(5, "cat sun"), (10, " sun")]),
        ("a [b:0] c", [(10, "a b c")]),
        ("a [b:-1] c", [(10, "a b c")]),
        ("a [b:1.5] c", [(10, "a  c")]),
        ("a [b:99] c", [(10, "a  c")]),
        (r"a \[b:3\]", [(10, r"a \[b:3\]")]),
        ("<lora:ink:0.7> [<lora:x:1>cat:2]", [(2, ""), (10, "cat")]),
        ("", [(10, "")]),
    ],
)
def test_schedules(text: str, expected: list[tuple[int, str]]) -> None:
    assert schedule_one(text) == expected


def test_alternation_takes_its_options_in_turn() -> None:
    assert schedule_one("[a|(b:1.1)]", 3) == [(1, "a"), (2, "(b:1.1)"), (3, "a")]
    assert [text for _, text in schedule_one("[fe|||]male", 5)] == [
        "female",
        "male",
        "male",
        "male",
        "female",
    ]


def test_and_divides_a_prompt_into_weighted_ones() -> None:
    prompt = parse_prompt("a cat AND a dog :0.7 AND [sun:moon:2] : -1 AND BAND")
    assert [part.weight for part in prompt.subprompts] == [1, 0.7, -1, 1]
    assert [texts[-1][1] for texts in schedule(prompt, 4)] == ["a cat ", " a dog", " moon", " BAND"]


def test_nodes_know_their_place() -> None:
    text = "a [cat:dog:0.5] [x|y]"
    places = [text[node.start : node.end] for node in parse_prompt(text).subprompts[0].nodes]
    assert places == ["a ", "[cat:dog:0.5]", " ", "[x|y]"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a [b:c] d", 2, "[from:to:0.5]"),
        ("a [b:c:d:3] d", 2, "[from:to:0.5]"),
        ("(x [b:3]", 0, "never closed"),
        ("b AND a :" + "9" * 400, 7, "at most 1000"),
        ("[" * (MAX_DEPTH + 1) + "a" + ":1]" * (MAX_DEPTH + 1), MAX_DEPTH, "deeper than 64"),
    ],
)
def test_mistakes_have_a_place_and_a_message(text: str, place: int, words: str) -> None:
    (mistake,) = find_mistakes(text)
    assert mistake.start == place
    assert words in mistake.message


def test_a_good_prompt_has_no_mistakes() -> None:
    assert not find_mistakes(
        "(masterpiece:1.2), [cat:dog:0.5] BREAK {red|blue} __hat__ <lora:ink:0.7>"
    )


def test_mutated_prompts_never_raise() -> None:
    chosen = random.Random(7)
    seeds = [
        "(masterpiece:1.2), [cat:dog:0.5] BREAK {red|blue} <lora:ink:0.7>",
        r"a [b|c|] AND (d\(e\):.5) :0.7 [[x:3]::1e3]",
    ]
    letters = "()[]:|\\<>{}. 0159eE+-\n\0ANDBREAKé٣😀"
    for number in range(10_000):
        text = list(seeds[number % 2])
        for _ in range(chosen.randint(1, 12)):
            place = chosen.randrange(len(text) + 1)
            text[place : place + chosen.randint(0, 3)] = chosen.choices(
                letters, k=chosen.randint(0, 3)
            )
        prompt = parse_prompt("".join(text))
        for texts in schedule(prompt, 7):
            assert texts[-1][0] == 7
            parse_attention(texts[-1][1])
        find_mistakes(prompt.source)


@pytest.mark.parametrize(
    "piece",
    ["(", "()", "[a|", "]", "[a:b:0.5]", "AND ", "<lora:", ":1", "[" * 9, "\\", "1", "BREAK ", " "],
)
def test_long_and_deep_prompts_end(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    prompt = parse_prompt("[" + text)
    repr(prompt.subprompts[0])
    hash(prompt)
    find_mistakes(text)


def test_only_beside_another_prompt_has_one_a_weight() -> None:
    (alone,) = parse_prompt("a wide picture of 16:9").subprompts
    assert alone.weight == 1
    assert schedule_one("a wide picture of 16:9") == [(10, "a wide picture of 16:9")]
    assert [each.weight for each in parse_prompt("a:2 AND b:3").subprompts] == [2, 3]


def test_and_is_a_word_in_a_negative_prompt() -> None:
    (only,) = parse_prompt("fog AND rain :2", divided=False).subprompts
    assert (only.weight, only.end) == (1, len("fog AND rain :2"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a:b:0.5]", [(10, "b")]),
        ("[a:b:1.5]", [(5, "a"), (10, "b")]),
        ("[a:b:1.0]", [(10, "b")]),
        ("[a:b:10]", [(10, "b")]),
        ("[a:b:23]", [(3, "a"), (10, "b")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:2.0]", [(10, "a")]),
    ],
)
def test_a_second_pass_counts_on(text: str, expected: list[tuple[int, str]]) -> None:
    (only,) = schedule(parse_prompt(text), 10, steps_before=20)
    assert list(only) == expected


def test_all_that_a_prompt_says() -> None:
    said = list_texts(parse_prompt("a [red:(blue:1.2):0.5] [cat|dog] <lora:x:1> AND sea :0.5"))
    assert said.split() == ["a", "red", "(blue:1.2)", "cat", "dog", "sea"]
    assert list_words(said).split() == ["a", "red", "blue", "cat", "dog", "sea"]


@pytest.mark.parametrize("text", ["", "a", "a AND b AND c", "ANDROID a\nAND\nb", "[a AND b] AND"])
def test_subprompts_are_counted_in_the_language_alone(text: str) -> None:
    assert count_subprompts(text, "a1111") == len(parse_prompt(text).subprompts)
    assert count_subprompts(text, "plain") == 1
