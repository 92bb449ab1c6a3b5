"""What may follow in a transcript, the way through attention, and forms of transcripts."""

import json

import numpy as np
import pytest

from tallow.errors import ArgumentError
from tallow.models.whisper_vocab import SpeechTokens
from tallow.tasks.speech_rules import Rules
from tallow.tasks.transcript import Segment, Transcription, Word
from tallow.tasks.word_times import median_filter, token_times, warping_path

IDS = SpeechTokens.of(51865)
FIRST = IDS.times
CASES = {
    "nothing": [],
    "a time": [FIRST + 3],
    "a time and text": [FIRST + 3, 400],
    "text and its end": [FIRST, 400, 401, FIRST + 50],
    "two times": [FIRST, 400, FIRST + 50, FIRST + 50],
    "the next text": [FIRST, 400, FIRST + 50, FIRST + 50, 77, 88],
    "text alone": [400, 500],
}


def allowed(said, scores=None, **options):
    found = np.zeros(51865, np.float32) if scores is None else scores.copy()
    Rules(IDS, [5, 7], [220], **{"times": True, **options}).apply(found, said)
    return found


def test_a_transcript_begins_with_a_time_of_the_first_second():
    found = np.flatnonzero(np.isfinite(allowed([])))
    assert found.tolist() == list(range(FIRST, FIRST + 51))
    later = np.flatnonzero(np.isfinite(allowed([], latest=None)))
    assert later.tolist() == list(range(FIRST, 51865))


def test_times_come_in_pairs_and_never_go_back():
    scores = np.zeros(51865, np.float32)
    scores[IDS.end] = 20  # more than all times together
    end = allowed(CASES["text and its end"], scores)
    assert np.isneginf(end[: IDS.end]).all()
    assert np.isfinite(end[IDS.end])
    assert np.flatnonzero(np.isfinite(end[FIRST:]))[0] == 50
    assert np.isneginf(allowed(CASES["two times"])[FIRST:]).all()
    after = allowed(CASES["the next text"], np.arange(51865, dtype=np.float32)[::-1].copy())
    assert np.flatnonzero(np.isfinite(after[FIRST:]))[0] == 51


def test_times_together_beat_each_text():
    scores = np.zeros(51865, np.float32)
    scores[400] = 3.0  # each time is less likely, all of them are more
    assert np.isneginf(allowed([FIRST, 401], scores)[400])
    scores[400] = 9.0
    assert np.isfinite(allowed([FIRST, 401], scores)[400])


def test_without_times_there_is_none():
    found = allowed([400], times=False)
    assert np.isneginf(found[FIRST:]).all()
    assert np.isneginf(found[[5, 7, IDS.start, IDS.no_times, IDS.no_speech]]).all()
    assert np.isfinite(found[[6, 220, IDS.end]]).all()
    assert np.isneginf(allowed([], times=False)[220])


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", CASES)
def test_rules_are_those_of_transformers(name):
    import torch
    from transformers import GenerationConfig
    from transformers.generation import WhisperTimeStampLogitsProcessor

    config = GenerationConfig(eos_token_id=IDS.end)
    config.no_timestamps_token_id = IDS.no_times
    config.max_initial_timestamp_index = 50
    rng = np.random.default_rng(len(name))
    scores = rng.standard_normal(51865).astype(np.float32) * 4
    processor = WhisperTimeStampLogitsProcessor(config, begin_index=1)
    ids = torch.tensor([[IDS.start, *CASES[name]]])
    want = processor(ids, torch.from_numpy(scores)[None])[0].numpy()
    found = allowed(CASES[name], scores)
    never = [5, 7, *range(IDS.translate, IDS.times), IDS.start] + [220] * (not CASES[name])
    want[never] = -np.inf
    np.testing.assert_array_equal(found, want)


def cheapest(costs):
    """Sums of the cheapest ways by the definition."""
    n, m = costs.shape
    sums = np.full((n + 1, m + 1), np.inf)
    sums[0, 0] = 0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            least = min(sums[i - 1, j - 1], sums[i - 1, j], sums[i, j - 1])
            sums[i, j] = costs[i - 1, j - 1] + least
    return sums[n, m]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (5, 9), (12, 30)], ids=str)
def test_the_way_is_the_cheapest(shape):
    costs = np.random.default_rng(sum(shape)).standard_normal(shape)
    rows, columns = warping_path(costs)
    assert (rows[0], columns[0]) in {(0, j) for j in range(shape[1])} | {(i, 0) for i in range(9)}
    assert (rows[-1], columns[-1]) == (shape[0] - 1, shape[1] - 1)
    steps = {(b - a, d - c) for a, b, c, d in zip(rows, rows[1:], columns, columns[1:])}  # noqa: B905
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    total = sum(costs[i, j] for i, j in zip(rows, columns, strict=True))
    np.testing.assert_allclose(total, cheapest(costs), rtol=1e-12)


@pytest.mark.parametrize("length", [1, 3, 4, 20])
def test_median(length):
    x = np.random.default_rng(length).standard_normal((2, length))
    around = np.pad(x, [(0, 0), (3, 3)], mode="reflect") if length > 3 else None
    want = x if around is None else np.stack(
        [np.median(around[:, at : at + 7], axis=1) for at in range(length)], 1
    )  # fmt: skip
    np.testing.assert_array_equal(median_filter(x), want)


def test_times_follow_the_attention():
    weights = np.full((2, 6, 40), 1e-3)
    for row, place in enumerate((0, 3, 10, 20, 28, 39)):
        weights[:, row, max(0, place - 3) : place + 4] = 1
    assert token_times(weights, 1) == pytest.approx([0.02 * at for at in (0, 7, 17, 25)], abs=0.09)


WORDS = (Word(" Fish", 0.1, 0.4, 0.9), Word(" & chips", 0.4, 1.25, 0.5))
MADE = Transcription(
    "Fish & chips\n--> ok",
    (
        Segment(0.1, 1.25, " Fish & chips", (1, 2), -0.25, 0.01, 1.5, 0.0, WORDS),
        Segment(3661.5, 3662.0, " --> <ok>\n", (3,), -0.5, 0.02, 1.0, 0.2),
    ),
    "en",
    3700.0,
)


def test_forms():
    assert MADE.to_text() == "Fish & chips\n-> <ok>\n"
    assert MADE.to_text("srt") == (
        "1\n00:00:00,100 --> 00:00:01,250\nFish & chips\n\n"
        "2\n01:01:01,500 --> 01:01:02,000\n-> <ok>\n"
    )
    assert MADE.to_text("vtt") == (
        "WEBVTT\n\n00:00:00.100 --> 00:00:01.250\nFish &amp; chips\n"
        "\n01:01:01.500 --> 01:01:02.000\n-&gt; &lt;ok&gt;\n"
    )
    assert MADE.to_text("tsv").splitlines()[1] == "100\t1250\tFish & chips"
    row = json.loads(MADE.to_text("json"))["segments"][0]
    assert row["words"][1] == {"word": " & chips", "start": 0.4, "end": 1.25, "probability": 0.5}
    assert (row["id"], row["tokens"], row["avg_logprob"]) == (0, [1, 2], -0.25)
    assert MADE.words == WORDS
    with pytest.raises(ArgumentError, match="format: expected one of txt, srt, vtt, json, tsv"):
        MADE.to_text("pdf")


@pytest.mark.parametrize(
    ("given", "code"), [("de", "de"), ("German", "de"), (" EN ", "en"), ("castilian", "es")]
)
def test_languages(given, code):
    assert IDS.code(given) == code


@pytest.mark.parametrize("given", ["xx", "", "klingon", 5, None])
def test_unknown_languages(given):
    with pytest.raises(ArgumentError, match="language: expected one of en, zh, de"):
        IDS.code(given)
    with pytest.raises(ArgumentError, match="language: expected one of en, got"):
        SpeechTokens.of(51864).code("de")
