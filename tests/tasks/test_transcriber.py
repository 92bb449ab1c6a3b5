"""Transcriber on a tiny Whisper with drawn weights, on made transcripts, and with tiny.en."""

import numpy as np
import pytest

import tallow as tl
from speech_made import make_vad
from speech_text import WINDOW, make_whisper
from tallow.audio import save_audio
from tallow.errors import ArgumentError, FormatError, ModelError, TallowError
from tallow.tasks.speech_decoding import Decoded, SpeechOptions
from tallow.tasks.speech_reading import Reading
from tallow.tasks.speech_sound import RATE, Spoken, speech_samples

SOUNDS = "pypi:moonshine-voice==0.1.5#moonshine_voice/assets/"
TINY = "whisper-tiny.en"
BECKETT = "Ever tried, ever failed. No matter, try again. Fail again. Fail better."

# As openai-whisper writes it with 5 beams.
BEAMED = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tl.Transcriber(make_whisper(tmp_path_factory.mktemp("whisper")))


def sound(seconds, seed=0):
    rng = np.random.default_rng(seed)
    at = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * (200 + 50 * np.floor(2 * at)) * at)
    return (0.2 * tone + 0.01 * rng.standard_normal(len(at))).astype(np.float32)


def plain(found):
    return [(s.tokens, round(s.start, 6), round(s.end, 6)) for s in found.segments]


def test_long_sounds_are_read_to_the_end(tiny):
    told = []
    found = tiny.transcribe(
        sound(7), progress=lambda done, whole: told.append((done, whole)), temperature=0.0
    )
    assert told[-1] == (7.0, 7.0)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert found.duration == 7
    assert found.language in tiny.tokens.languages
    assert 0 < found.language_probability < 1
    assert all(0 <= s.start <= s.end <= 7 for s in found.segments)
    again = tiny.transcribe(sound(7), temperature=0.0)
    assert plain(again) == plain(found)  # kept states and plans change nothing


def test_a_batch_equals_its_sounds(tiny):
    sounds = [sound(5, 1), sound(2.5, 2), sound(6, 3)]
    options = {"language": "en", "temperature": (0.0, 0.7), "condition_on_previous_text": False}
    alone = [plain(tiny.transcribe(each, **{**options, "temperature": 0.0})) for each in sounds]
    whole = tiny.transcribe(sounds, **{**options, "temperature": 0.0}, batch_size=3)
    assert [plain(each) for each in whole] == alone
    drawn = [tiny.transcribe(sounds[0], **options, seed=seed) for seed in (1, 1)]
    assert plain(drawn[0]) == plain(drawn[1])


def test_states_are_the_models_own_answer(tiny):
    """Greedy choices equal those of whole passes without state and plan."""
    found = tiny.transcribe(
        sound(1.5), language="en", timestamps=False, temperature=0.0, no_speech_threshold=None
    )
    decoder, mel = tiny._decoder, tiny._mel(tl.from_numpy(sound(1.5)))
    features = tl.cat([mel, tl.zeros(80, WINDOW - mel.shape[1])], 1).unsqueeze(0)
    options = SpeechOptions(timestamps=False)
    said, ids = [], decoder.begin("en", options)
    from tallow.tasks.speech_rules import Rules

    rules = Rules(decoder.ids, decoder._never, decoder._first, times=False)
    for _ in range(32):
        given = tl.tensor([[*ids, *said]])
        scores = tiny.model(features, decoder_input_ids=given).logits[0, -1].numpy().copy()
        rules.apply(scores, said)
        token = int(scores.argmax())
        if token == decoder.ids.end:
            break
        said.append(token)
    assert found.segments[0].tokens == tuple(said)


def test_beams_and_draws_of_a_batch_equal_those_of_its_sounds(tiny):
    sounds = [sound(2, 1), sound(5, 2), sound(3, 3)]
    rules = {"language": "en", "condition_on_previous_text": False, "logprob_threshold": None}
    rules |= {"beam_size": 3, "patience": 1.5, "no_speech_threshold": None, "temperature": 0.0}
    alone = [plain(tiny.transcribe(each, **rules)) for each in sounds]
    assert [plain(each) for each in tiny.transcribe(sounds, **rules, batch_size=3)] == alone
    greedy = {"language": "en", "temperature": 0.0}
    one = tiny.transcribe(sounds[0], **greedy, beam_size=1)
    assert plain(one) == plain(tiny.transcribe(sounds[0], **greedy))
    drawn = {"language": "en", "temperature": 0.9, "no_speech_threshold": None, "seed": 4}
    several, single = (tiny.transcribe(sounds[0], **drawn, best_of=count) for count in (6, None))
    assert several.segments[0].avg_logprob > single.segments[0].avg_logprob
    assert plain(tiny.transcribe(sounds[0], **drawn, best_of=6)) == plain(several)


def test_words_are_those_of_the_segments(tiny):
    found = tiny.transcribe(sound(4), language="en", word_timestamps=True, temperature=0.0)
    for segment in found.segments:
        starts = [word.start for word in segment.words]
        assert starts == sorted(starts)
        assert all(0 <= word.probability <= 1 for word in segment.words)
        if segment.words:
            assert "".join(word.text for word in segment.words).strip() == segment.text.strip()


def test_streams_give_what_is_sure_once(tiny):
    x = sound(5)
    chunks = [x[at : at + 3000] for at in range(0, len(x), 3000)]
    events = list(tiny.stream(chunks, language="en", every=0.7))
    assert events[-1].time == pytest.approx(5)
    assert events[-1].pending == ""
    segments = [segment for event in events for segment in event.segments]
    starts = [segment.start for segment in segments]
    assert starts == sorted(starts)
    assert all(segment.end <= 5.01 for segment in segments)


def test_voice_activity_restores_times(tiny, tmp_path):
    vad = make_vad(tmp_path / "loud_16k.onnx")
    owner = tl.Transcriber(tiny.model.folder, vad=vad)
    x = np.concatenate([np.zeros(5 * RATE, np.float32), sound(1), np.zeros(5 * RATE, np.float32)])
    found = owner.transcribe(x, language="en", vad=True, temperature=0.0)
    assert found.duration == 11
    assert all(4 <= s.start <= 7 for s in found.segments)
    together = owner.transcribe(x, language="en", vad=True, temperature=0.0, batch_size=4)
    assert plain(together) == plain(found)
    silent = owner.transcribe(np.zeros(RATE, np.float32), vad=True)
    assert (silent.text, silent.segments) == ("", ())


def test_spoken_parts_and_their_times():
    x = tl.arange(100).to(tl.f32)
    spoken = Spoken(x, [(10, 20), (50, 55), (90, 100)])
    assert spoken.samples.shape[0] == 25
    for at in range(25):
        assert spoken.time((at + 0.5) / RATE) * RATE == pytest.approx(
            spoken.samples[at].item(), abs=0.6
        )
    assert spoken.groups(15) == [(0, 15), (15, 25)]
    assert spoken.groups(4) == [
        (0, 4),
        (4, 8),
        (8, 10),
        (10, 14),
        (14, 15),
        (15, 19),
        (19, 23),
        (23, 25),
    ]


# --- windows --------------------------------------------------------------------------------------


def reading(tiny, seconds=10, **options):
    features = tl.zeros(80, seconds * 100)
    given = SpeechOptions(**options)
    return Reading(features, tiny._decoder, "en", given, window=WINDOW)


def decoded(tokens, **values):
    row = {"avg_logprob": -0.3, "no_speech_prob": 0.1, "compression_ratio": 1.2, "temperature": 0.0}
    return Decoded(tokens, "", **{**row, **values})


def test_windows_go_on_behind_the_last_pair_of_times(tiny):
    first = tiny.tokens.times
    job = reading(tiny)
    a, b, c = 97, 98, 99
    (one, two) = job.take(
        decoded([first, a, first + 30, first + 30, b, first + 70, first + 70, c]), None
    )
    assert (one.start, one.end, one.text) == (0, 0.6, "a")
    assert (two.start, two.end, two.text) == (0.6, pytest.approx(1.4), "b")
    assert job.seek == 140
    (three,) = job.take(decoded([first, c, first + 50]), None)  # nothing behind the last time
    assert (three.start, three.end) == pytest.approx((1.4, 2.4))
    assert job.seek == 340
    (four,) = job.take(decoded([first + 10, a]), None)
    assert (four.start, four.end) == pytest.approx((3.4, 3.6))
    assert job.take(decoded([a], no_speech_prob=0.9, avg_logprob=-2.0), None) == []
    assert job.seek == 740


def test_prompts_hold_what_was_said(tiny):
    ids = tiny.tokens
    begin = [ids.start, ids.languages["en"], ids.transcribe]
    job = reading(tiny, initial_prompt="hi")
    assert job.prompt() == [ids.previous, *b" hi", *begin]
    job.take(decoded([ids.times, 97, ids.times + 99]), None)
    assert job.prompt() == [ids.previous, *b" hi", ids.times, 97, ids.times + 99, *begin]
    job.take(decoded([98], temperature=0.8), None)  # too warm to be a help
    assert job.prompt() == begin
    job = reading(tiny, condition_on_previous_text=False)
    job.take(decoded([97]), None)
    assert job.prompt() == begin
    job = reading(tiny)
    job.take(decoded([97] * 60), None)
    assert len(job.prompt()) == 1 + 31 + 3


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "rate", "said"),
    [
        (np.zeros(0, np.float32), None, "at least one sample, got an empty one"),
        (np.array([0, np.nan], np.float32), None, "finite samples, got nan at 0.000 s"),
        (np.array([0, np.inf] * 9, np.float32), 8000, "finite samples, got inf"),
        (np.zeros((2, 3, 4), np.float32), None, "samples"),
        (np.zeros(9, np.float32), 0, "rate above 0"),
        (np.zeros(9, np.float32), "16k", "rate above 0"),
        (np.zeros(RATE * 9, np.float32), 1 / 3600, "rate above 0"),
        (np.zeros(90000, np.float32), 1, "at most 24 hours of sound, got 25"),
    ],
    ids=["empty", "nan", "inf", "axes", "rate 0", "rate text", "rate float", "hours"],
)
def test_sounds_that_are_none(given, rate, said):
    with pytest.raises(TallowError, match=said):
        speech_samples(given, rate)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\x10\0\0\0WAVEfmt ")
    with pytest.raises(FormatError, match=r"a\.wav"):
        speech_samples(path)
    save_audio(path, tl.zeros(0), 16000)
    with pytest.raises(ArgumentError, match=r"a\.wav: Transcriber: expected a sound of at least"):
        speech_samples(path)
    with pytest.raises(ArgumentError, match="no rate beside a file"):
        speech_samples(path, 16000)


def test_channels_and_rates(tmp_path):
    x = sound(0.5)
    eight = tl.from_numpy(np.stack([x] * 8))
    assert np.allclose(speech_samples(eight).numpy(), x, atol=1e-6)
    save_audio(tmp_path / "b.wav", eight, 16000)
    assert np.allclose(speech_samples(tmp_path / "b.wav").numpy(), x, atol=1e-4)
    assert speech_samples(x, 48000).shape[0] == pytest.approx(len(x) / 3, abs=2)
    wide = (x * 32767).astype(np.int16)
    assert np.allclose(speech_samples(wide).numpy(), x, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "xx"}, "language: expected one of en, zh"),
        ({"task": "sing"}, "task one of transcribe, translate, got 'sing'"),
        ({"temperature": ()}, "temperatures from 0 to 2"),
        ({"temperature": [-1.0]}, "temperatures from 0 to 2"),
        ({"batch_size": 0}, "batch_size of at least 1"),
        ({"beam_size": 0}, "beam_size from 1 to 64, got 0"),
        ({"best_of": 65}, "best_of from 1 to 64, got 65"),
        ({"patience": 2.0}, "patience only beside beam_size, got 2.0"),
        ({"patience": -1.0, "beam_size": 2}, "patience above 0"),
        ({"length_penalty": 1.5}, "length_penalty from 0 to 1"),
        ({"length_penalty": "long"}, "length_penalty from 0 to 1, got 'long'"),
        ({"temperature": "warm"}, "temperatures from 0 to 2"),
        ({"seed": -1}, "a seed of at least 0, got -1"),
    ],
    ids=[
        "language",
        "task",
        "none",
        "cold",
        "batch",
        "beams",
        "draws",
        "no beams",
        "patience",
        "penalty",
        "text",
        "warm",
        "seed",
    ],
)
def test_options_out_of_range(tiny, options, said):
    with pytest.raises(ArgumentError, match=said):
        tiny.transcribe(sound(1), **options)


def test_other_models_and_closed_ones(tmp_path):
    from models.golden_families import ROOT

    with pytest.raises(ModelError, match="expected"):
        tl.Transcriber(ROOT / "bart_generation")
    owner = tl.Transcriber(make_whisper(tmp_path / "w"))
    with owner:
        assert "Whisper" in repr(owner)
    with pytest.raises(ModelError, match="closed"):
        owner.transcribe(sound(1))


# --- the real one ---------------------------------------------------------------------------------


@pytest.mark.needs_network
def test_real_speech(model_cache):
    owner = tl.Transcriber(TINY)
    beckett = tl.hub.resolve(SOUNDS + "beckett.wav")
    assert owner.transcribe(beckett, timestamps=False).text == BECKETT
    found = owner.transcribe(beckett, word_timestamps=True)
    assert found.text == BECKETT
    assert owner.transcribe(beckett, beam_size=5).text == BEAMED
    assert len(found.words) == len(BECKETT.split())
    with pytest.raises(ArgumentError, match="several languages for translate"):
        owner.transcribe(beckett, task="translate")
