from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import suppress
from itertools import permutations
from random import Random

import pytest

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.prompts.wildcards.choosing import SeededChooser
from paintdiff.prompts.wildcards.expansion import (
    MAX_COMBINATIONS,
    Template,
    WildcardMode,
)
from paintdiff.prompts.wildcards.template import blank_templates
from tests.prompts.wildcards.sources import Lines

HATS = ("top hat", "beret", "cap")
WILDCARDS = Lines(
    {
        "hat": ["top hat", "beret", "2::cap"],
        "animals/cat": ["a cat"],
        "nested": ["__hat__ with {a|b}"],
        "taking": ["${colour} coat"],
        "loop": ["a __loop__"],
        "ping": ["__pong__"],
        "pong": ["x __ping__"],
        "rare": ["end", "on __rare__"],
        "bomb": ["{__bomb__ __bomb__|x}"],
        "ink": ["<lora:ink:0.7>", "<lora:oil:0.5>"],
    }
)


def expand(source: str, seed: int = 0, mode: WildcardMode = "random") -> str:
    return Template(source, WILDCARDS, mode).expand(seed)


def every(source: str, seeds: int = 40) -> set[str]:
    template = Template(source, WILDCARDS)
    return {template.expand(seed) for seed in range(seeds)}


def combined(source: str) -> tuple[str, ...]:
    return Template(source, WILDCARDS, "combinatorial").list_combinations(0)


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{1::a|0::b}", {"a"}),
        ("{a|}", {"a", ""}),
        ("__hat__", {"top hat", "beret", "cap"}),
        ("__animals/cat__ __ANIMALS", {"a cat __ANIMALS"}),
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$|$$a|b}", {"a", "b", "a|b", "b|a"}),
        ("{-1$$a|b}", {"a", "b"}),
        ("{9$$a}", {"a"}),
        ("{2$$__hat__}", {f"{one}, {other}" for one, other in permutations(HATS, 2)}),
        ("${c={red|blue}}${c}", {"red", "blue"}),
        ("${c=!{red|blue}}${c} ${c}", {"red red", "blue blue"}),
        ("${c=red}${c?=blue}${c}", {"red"}),
        ("${c:grey}", {"grey"}),
        ("__animals/${kind:cat}__", {"a cat"}),
        ("__taking(colour={red|blue})__", {"red coat", "blue coat"}),
        ("%{(...:1.2)$$a}", {"(a:1.2)"}),
        ("100%{a|b}", {"100%a", "100%b"}),
    ],
)
def test_the_grammar(source: str, texts: set[str]) -> None:
    assert every(source, 200) == texts


@pytest.mark.parametrize(
    "text",
    [
        "a } b | c $5 100% cat__ ______ # // : :)",
        "see https://example.org/#top",
        "(red:1.3) [cat:dog:0.5] [a|b] BREAK x AND y :0.7",
        "<lora:my__lora__v2:0.7>",
        r"\{a\|b\} \__hat__ \${x} \%{a...$$b}",
    ],
)
def test_what_is_no_template_stays(text: str) -> None:
    assert every(text) == {text}


def test_brackets_of_the_prompt_language_stay_whole() -> None:
    assert every("{[a|b]|c}") == {"[a|b]", "c"}
    assert every("({a|b}:1.{1|2})") == {"(a:1.1)", "(a:1.2)", "(b:1.1)", "(b:1.2)"}
    assert every("[{a|b}|c]") == {"[a|c]", "[b|c]"}
    assert every("{a [b|c}") == {"a [b", "c"}


def test_loras_are_chosen() -> None:
    assert every("a __ink__") == {"a <lora:ink:0.7>", "a <lora:oil:0.5>"}
    assert every("<lora:{ink|oil}:{0.5|0.7}>") == {
        f"<lora:{name}:{weight}>" for name in ("ink", "oil") for weight in ("0.5", "0.7")
    }


def test_an_expansion_is_its_own_expansion() -> None:
    for source in (r"{a|\{b\}} \__hat\__ __nested__", "<lora:a__hat__b:1> {[a|b]|c}"):
        for text in every(source):
            assert every(text) >= {text} or "__hat__" in text


def test_choices_are_the_same_everywhere() -> None:
    # SHA-256 alone decides. If this fails, every saved template paints something else.
    chooser = SeededChooser(1, "prompt")
    assert [chooser.draw(1000) for _ in range(8)] == [740, 892, 239, 352, 723, 331, 27, 797]
    template = Template("{a|b|c} {2$$d|e|f} __hat__", WILDCARDS)
    assert [template.expand(seed) for seed in (0, 1, 2**32 - 1)] == [
        "a d, f beret",
        "c f, d beret",
        "a d, e cap",
    ]


def test_weights_are_kept() -> None:
    template = Template("{3::a|b}", WILDCARDS)
    counts = Counter(template.expand(seed) for seed in range(2000))
    assert 1400 < counts["a"] < 1600


def test_prompts_and_negative_prompts_choose_apart() -> None:
    positive, negative = (
        Template("{a|b}", WILDCARDS, field=field) for field in ("prompt", "negative_prompt")
    )
    assert [positive.expand(seed) for seed in range(30)] != [
        negative.expand(seed) for seed in range(30)
    ]


def test_all_combinations() -> None:
    assert combined("{a|{b|c}} {d|e}") == ("a d", "a e", "b d", "b e", "c d", "c e")
    assert combined("{2$$a|b|c}") == ("a, b", "a, c", "b, a", "b, c", "c, a", "c, b")
    assert combined("{0-1$$a|b}") == ("", "a", "b")
    assert combined("{~a|b} {c|d}")[0].split()[1] == "c"
    assert len(combined("{~a|b} {c|d}")) == 2
    assert combined("a cat") == ("a cat",)


def test_consecutive_seeds_give_all_combinations() -> None:
    template = Template("{a|b|c} {d|e}", WILDCARDS, "combinatorial")
    texts = [template.expand(seed) for seed in range(123, 129)]
    assert sorted(texts) == ["a d", "a e", "b d", "b e", "c d", "c e"]
    assert template.expand(123) == template.expand(129)
    assert not template.has_more


def test_one_choice_may_combine_or_take_turns() -> None:
    assert [expand("{!a|b}{@c|d|e}", seed) for seed in range(6)] == [
        "ac",
        "bd",
        "ae",
        "bc",
        "ad",
        "be",
    ]


def test_combinations_are_counted_up_to_a_limit() -> None:
    template = Template("{a|b|c|d|e|f|g|h}" * 5, WILDCARDS, "combinatorial")
    assert len(template.list_combinations(0)) == MAX_COMBINATIONS
    assert template.has_more
    long = Template("{a|b|c|d|e|f|g|h}, " * 60, WILDCARDS, "combinatorial")
    assert 1 < len(long.list_combinations(0)) < MAX_COMBINATIONS
    assert long.has_more


def test_a_long_wildcard_can_be_used_for_many_pictures() -> None:
    template = Template("__many__ {3$$__many__}", Lines({"many": [str(n) for n in range(20_000)]}))
    assert len({template.expand(seed) for seed in range(64)}) == 64


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("a {red|blue", '"{red|blue" is never closed'),
        ("a {b|{c|d}", '"{b|{c|d}" is never closed'),
        ("${x}", 'The variable "x"'),
        ("${x=", "never closed"),
        ("${5}", "isn't a variable"),
        ("__taking(red)__", "isn't a wildcard's variable"),
        ("__loop__", "loop, then loop"),
        ("__ping__", "ping, then pong, then ping"),
        ("{" * 30 + "}" * 30, "nested deeper than 24"),
        ("{9999999::a|b}", "above 1000000"),
        ("${a=xxxxxxxxxx}" + "${a=!${a}${a}}" * 12 + "${a}", "longer than 10000 characters"),
    ],
)
def test_mistakes_say_where(source: str, says: str) -> None:
    with pytest.raises(RequestError, match=re.escape(says)) as caught:
        expand(source)
    assert caught.value.field == "prompt"


def test_an_unknown_wildcard_suggests_others() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean __hat__") as caught:
        expand("a __hats__")
    assert (caught.value.field, caught.value.suggestion) == ("prompt", "hat")


def test_a_wildcard_may_name_itself_if_it_ends() -> None:
    assert every("__rare__", 20) >= {"end", "on end"}


def test_growing_without_end_is_refused_quickly() -> None:
    began = time.process_time()
    for source in ("__bomb__", "{!__bomb__}", "__rare__ " * 8):
        for mode in ("random", "combinatorial"):
            with suppress(RequestError):
                Template(source, WILDCARDS, mode).expand(5)
    assert time.process_time() - began < 20


def test_words_keep_their_places_without_a_templates_syntax() -> None:
    source = r"a {2::red|blue} __animals/cat__ ${x=!dog} {2$$ and $$cat|\{b\}} %{(...:1.2)$$c}"
    blanked = blank_templates(source)
    assert len(blanked) == len(source)
    assert blanked.split() == ["a", "red", "blue", "dog", "cat", r"\{b\}", "(...:1.2)", "c"]
    for word in ("red", "dog", "cat|"):
        assert blanked[source.index(word) :].startswith(word.rstrip("|"))
    assert blank_templates("a | b : c") == "a | b : c"


def test_off_changes_nothing() -> None:
    assert expand("{a|b} __hat__ {", mode="off") == "{a|b} __hat__ {"


_PIECES = (
    *(
        "{",
        "}",
        "|",
        "$$",
        "::",
        "__",
        "${",
        "%{",
        "[",
        "]",
        "(",
        ")",
        "\\",
        "!",
        "~",
        "@",
        "...",
        "\u2026",
    ),
    *(
        "hat",
        "loop",
        "rare",
        "bomb",
        "a",
        "2",
        "0.5",
        "1-2",
        "=",
        ":",
        ",",
        " ",
        "<lora:",
        ">",
        "\0",
        "\U0001f431",
    ),
)
_GOOD = "{2$$ and $$__hat__|${c={red|blue}}${c}|[a|b]} %{(...:1.2)$$x} <lora:{a|b}:0.5> {3::a|b}"


def test_ten_thousand_mutated_templates_end_in_a_text_or_an_error() -> None:
    random = Random(7)
    for number in range(10_000):
        source = list(_GOOD) if number % 2 else [random.choice(_PIECES) for _ in range(25)]
        for _ in range(random.randrange(6)):
            place = random.randrange(len(source))
            source[place : place + random.randrange(3)] = random.choice(_PIECES)
        text = "".join(source)
        mode: WildcardMode = "combinatorial" if number % 5 == 0 else "random"
        try:
            made = Template(text, WILDCARDS, mode).expand(number)
        except RequestError as error:
            assert error.field == "prompt"
        else:
            assert len(made) <= 10_000


@pytest.mark.parametrize(
    "piece", ["{", "%{", "${", "__{a", "[", "__a ", "\\", "{a|b}, ", "a", "%{...", "<lora:"]
)
def test_long_templates_take_time_in_proportion(piece: str) -> None:
    began = time.process_time()
    with suppress(RequestError):
        expand((piece * 100_000)[:100_000])
    assert time.process_time() - began < 5
