"""Operators on texts against onnxruntime, whose patterns are RE2's."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onnx_graphs import agree, by_reference, by_runtime, info, model, ours
from tallow.errors import ArgumentError, DTypeError, ModelError

pytestmark = pytest.mark.needs_formats


def texts(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


def one(op, inputs, outputs, opset=20, **attributes):
    from onnx import helper

    node = helper.make_node(op, [v.name for v in inputs], [v.name for v in outputs], **attributes)
    return model([node], inputs, outputs, opset=opset)


# --- StringConcat, StringSplit, StringNormalizer --------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (texts("a", "b"), texts("c", "é")),
        (texts("a", "b"), texts("!")),
        (texts("a", "b")[:, None], texts("c", "d", "e")),
        (np.array("x", object), texts("1", "2")),
        (np.array("x", object), np.array("y", object)),
        (texts(), texts("a")),
    ],
    ids=str,
)
def test_string_concat(x, y):
    inputs = [info("x", "str", [None] * x.ndim), info("y", "str", [None] * y.ndim)]
    given = one("StringConcat", inputs, [info("z", "str", None)])
    agree(given, {"x": x, "y": y})


@pytest.mark.parametrize("delimiter", [None, "", ",", "ab", " "])
@pytest.mark.parametrize("maxsplit", [None, 1, 2])
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_string_split(delimiter, maxsplit, shape):
    x = texts("a,b, c", "", " one  two three ", "abcabab", ",,", "x").reshape(shape)
    attributes = {"delimiter": delimiter, "maxsplit": maxsplit}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    outputs = [info("y", "str", None), info("n", "int64", None)]
    given = one("StringSplit", [info("x", "str", [None] * x.ndim)], outputs, **attributes)
    # onnxruntime says that an empty text has no parts, the standard's evaluator one.
    agree(given, {"x": x}, reference=by_reference if delimiter else by_runtime)


@pytest.mark.parametrize("shape", [(5,), (1, 5)])
@pytest.mark.parametrize("action", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("sensitive", [0, 1])
@pytest.mark.parametrize("stop", [[], ["monday"], ["Monday", "tuesday"]])
def test_string_normalizer(shape, action, sensitive, stop):
    x = texts("Monday", "tuesday", "WEDNESDAY", "monday", "élan").reshape(shape)
    given = one(
        "StringNormalizer",
        [info("x", "str", [*shape])],
        [info("y", "str", None)],
        opset=10,
        case_change_action=action,
        is_case_sensitive=sensitive,
        **({"stopwords": stop} if stop else {}),
    )
    out = {
        ("monday", 0): {0, 3},
        ("monday", 1): {3},
        ("Monday", 0): {0, 1, 3},
        ("Monday", 1): {0, 1},
    }
    left = [i for i in range(5) if not stop or i not in out[stop[0], sensitive]]
    written = {
        "NONE": ["Monday", "tuesday", "WEDNESDAY", "monday", "élan"],
        "LOWER": ["monday", "tuesday", "wednesday", "monday", "élan"],
        "UPPER": ["MONDAY", "TUESDAY", "WEDNESDAY", "MONDAY", "ÉLAN"],
    }
    [[found]] = ours(given, {"x": x})
    assert found.reshape(-1).tolist() == [written[action][i] for i in left]
    assert found.shape == (*shape[:-1], len(left))


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_where_all_words_are_left_out_one_empty_text_is_left(shape):
    x = texts("a", "A").reshape(shape)
    given = one("StringNormalizer", [info("x", "str", [None] * x.ndim)], [info("y", "str", None)],
                opset=10, stopwords=["a"])  # fmt: skip
    [[found]] = ours(given, {"x": x})
    assert found.reshape(-1).tolist() == [""] and found.ndim == x.ndim


def test_what_is_no_text_is_refused():
    given = one(
        "StringNormalizer", [info("x", "float32", [None])], [info("y", "str", None)], opset=10
    )
    with pytest.raises(DTypeError, match="expected texts"):
        ours(given, {"x": np.zeros(2, "float32")})
    given = one("StringNormalizer", [info("x", "str", None)], [info("y", "str", None)], opset=10)
    with pytest.raises(ValueError, match=r"texts of shape"):
        ours(given, {"x": texts("a", "b").reshape(2, 1)})


# --- RegexFullMatch -------------------------------------------------------------------------------

WORDS = texts(
    "", "a", "ab", "abc", "ABC", "aaa", "a\n", "a\nb", "\n", "foo.bar", "x1y2", "_", "é", "É", "ß",
    "kK\u212a", "s\u017f", " ", "\t", "\x0b", "12", "1a", "a-b", "[x]", "{1}", "a{,2}", "a|b", "\\",
    "σς",
    "aab", "abab", "日本", "A_b9", "^a$", "0", "\x07", "٣",
)  # fmt: skip
PATTERNS = [
    "", "a*", "a+b?", "(a|b)*", "(?i)abc", "a(?i)BC", "(?i:a)BC", "(a(?i)b|C)c", ".", "(?s).",
    ".*", "(?s).*", "a$", "^a", "(?m)a$\n^b", "a\\n?", r"\d+", r"\D", r"\w*", r"\W", r"\s",
    r"\S+", r"\bfoo\b.*", r".*\B.*", "[abc]+", "[^a]", "[^a-c]*", "[a-]+b*", "[]x]+|.*]",
    "[[:alpha:]]+", "[[:^alpha:]]", "[[:digit:]a]*", r"[\d\-a]+", r"[^\d]+", r"[\W]", r"\pL+",
    r"\p{Lu}+", r"\P{L}+", r"\p{^L}", r"[\pN]+", r"\PN*", "a{2}", "a{2,}", "a{0,2}", "(ab){1,2}",
    "a{,2}", "{,1}", "{x}", r"\{1\}", r"\Qa|b\E", r"\Qa-b", r"\x61", r"\x{e9}", r"\141", r"\07",
    r"\a", r"\t", r"\v", "a*?", "a+?b", "a??", "(?U)a+", "(?P<n>a)b", "(?<n>a)b", "(?:ab)*",
    "(|a)b*", "a||b", "()", "(?i)É", "(?i)[k]+", "(?i)s+", "(?i)[^k]*", "(?i)σ+", r"\Aa\z",
    "(?-s).", "(?i-i)a", "[a-c&&b]", r"\|", "a\\|b", "]", "}", "a]", "(?i)\\x{e9}", "x*y*",
    "(a*)*", "(a*)+", "((a|b)*c)?", "(?m)^$", "^*", "[\\]x\\[]+", r"[\n]", r"\\",
]  # fmt: skip


def match(pattern):
    return one(
        "RegexFullMatch", [info("x", "str", [None])], [info("y", "bool", None)], pattern=pattern
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_regex_full_match(pattern):
    agree(match(pattern), {"x": WORDS})


REFUSED = [
    "(", ")", "[", "[b-a]", "a**", "a{2}{3}", "*a", "(?=a)", "(?!a)", "(?<=a)b", r"(a)\1", r"\Z",
    "(?z)a", r"\p{Zzz}", "a{1001}", "[[:foo:]]", "\\", r"\x{110000}", r"\xg0", "(?P<n", "(?",
    "a{3,2}", "+", "(*)", "{1}", "a|{2}", r"\8", "(?>a)", "(?#a)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_re2_refuses_is_refused(pattern):
    with pytest.raises(Exception, match="(?i)regex|pattern|RE2"):
        by_runtime(match(pattern), {"x": WORDS})
    with pytest.raises(ArgumentError, match="RegexFullMatch: expected"):
        ours(match(pattern), {"x": WORDS})


@pytest.mark.parametrize("pattern", [r"\p{Greek}", r"\C"])
def test_what_re2_has_and_we_have_not_is_refused(pattern):
    with pytest.raises(ArgumentError, match="RegexFullMatch: expected"):
        ours(match(pattern), {"x": WORDS})


def test_patterns_on_which_searches_go_back_and_forth_take_linear_time():
    given = match("(a|aa)*(a*)*b")
    [[found]] = ours(given, {"x": texts("a" * 5000, "a" * 5000 + "b")})
    assert found.tolist() == [False, True]


def test_patterns_that_grow_too_large_are_refused():
    with pytest.raises(ArgumentError, match="a smaller pattern"):
        ours(match("((a{100}){100}){100}"), {"x": WORDS})
    with pytest.raises(ArgumentError, match="groups in one another"):
        ours(match("(" * 500 + "a" + ")" * 500), {"x": WORDS})


PIECES = [
    "a",
    "b",
    "A",
    ".",
    "\\d",
    "\\w",
    "\\b",
    "^",
    "$",
    "[ab]",
    "[^a]",
    "(?i)",
    "(?m)",
    "(?s)",
    "\n",
    "1",
    "é",
]


@settings(max_examples=150, deadline=None)
@given(st.recursive(
    st.sampled_from(PIECES),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: "(" + "|".join(parts) + ")"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
    ),
    max_leaves=8,
), st.lists(st.text("abA1é\n _", max_size=6), min_size=1, max_size=8))  # fmt: skip
def test_patterns_composed_at_random(pattern, words):
    try:
        [[want]] = by_runtime(match(pattern), {"x": texts(*words)})
    except Exception:
        assume(False)
    [[found]] = ours(match(pattern), {"x": texts(*words)})
    assert found.tolist() == want.tolist()


# --- TfIdfVectorizer ------------------------------------------------------------------------------

POOL = {"ngram_counts": [0, 4], "ngram_indexes": [0, 1, 2, 3, 4, 5, 6]}
TOKENS = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7]


def vectorizer(dtype, shape, **attributes):
    return one(
        "TfIdfVectorizer",
        [info("x", dtype, shape)],
        [info("y", "float32", None)],
        opset=9,
        **attributes,
    )


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize(("least", "most"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("skip", [0, 1, 5])
@pytest.mark.parametrize("dtype", ["int64", "int32", "str"])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]])
def test_tf_idf_vectorizer(mode, least, most, skip, dtype, weights):
    rng = np.random.default_rng(0)
    x = rng.integers(2, 9, (3, 12))
    pool = {"pool_int64s": TOKENS}
    if dtype == "str":
        x, pool = x.astype(str).astype(object), {"pool_strings": [*map(str, TOKENS)]}
    x = x.astype(dtype) if dtype != "str" else x
    options = {**POOL, **pool, "mode": mode, "min_gram_length": least, "max_gram_length": most}
    if weights:
        options["weights"] = weights
    agree(vectorizer(dtype, [None, None], max_skip_count=skip, **options), {"x": x})
    agree(vectorizer(dtype, [None], max_skip_count=skip, **options), {"x": x[0]})


def test_pools_that_do_not_fit_are_refused():
    for wrong in ({"ngram_counts": [0, 3]}, {"ngram_counts": [0, 40]}, {"ngram_indexes": [0, 1]}):
        options = {
            **POOL,
            "pool_int64s": TOKENS,
            "mode": "TF",
            "min_gram_length": 1,
            "max_gram_length": 2,
        }
        given = vectorizer("int64", [None], max_skip_count=0, **{**options, **wrong})
        with pytest.raises(ModelError, match="TfIdfVectorizer"):
            ours(given, {"x": np.array([2, 3])})
