"""One process's side of bench/transcribe.py: files of sound to text, from path to text.

    python bench/_transcribe_side.py tallow[-DTYPE]|transformers|faster-whisper-TYPE|export MODEL THREADS [FOLDER]

A line on standard input is the path of a sound; the answer has the text, the seconds of a run and
the processor's seconds. `export` writes the CTranslate2 model as a folder for transformers.
"""  # noqa: E501  (the line of the usage)

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Reader = Callable[[str], str]
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def tallow(model: str, threads: int, dtype: str | None) -> Reader:
    """Tallow's Transcriber, with the file's floats or blocks of `dtype`."""
    import tallow as tl

    tl.set_num_threads(threads)
    owner = tl.Transcriber(model, dtype=dtype)
    return lambda path: owner.transcribe(path, language="en").text


def faster_whisper(model: str, threads: int, kind: str) -> Reader:
    """faster-whisper without beams, as the others."""
    from faster_whisper import WhisperModel

    owner = WhisperModel(model, device="cpu", compute_type=kind, cpu_threads=threads)

    def read(path: str) -> str:
        segments, _ = owner.transcribe(path, language="en", beam_size=1, best_of=1)
        return "".join(segment.text for segment in segments)

    return read


def transformers(folder: str, threads: int) -> Reader:
    """PyTorch by transformers, with the same thresholds; its compression is of ids, not of text."""
    import soundfile
    import soxr
    import torch
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
    from transformers import WhisperTokenizerFast as Tokenizer

    torch.set_num_threads(threads)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = Tokenizer(tokenizer_file=str(Path(folder) / "tokenizer.json"))
    extractor = WhisperFeatureExtractor(model.config.num_mel_bins)

    def read(path: str) -> str:
        samples, rate = soundfile.read(path, dtype="float32")
        samples = samples if rate == 16000 else soxr.resample(samples, rate, 16000)
        long = len(samples) > 480000
        more = {"truncation": False, "padding": "longest"} if long else {}
        made = extractor(
            samples, sampling_rate=16000, return_tensors="pt", return_attention_mask=True, **more
        )
        rules = {
            "condition_on_prev_tokens": True, "temperature": TEMPERATURES,
            "compression_ratio_threshold": 1.35, "logprob_threshold": -1.0,
            "no_speech_threshold": 0.6,
        } if long else {}  # fmt: skip
        torch.manual_seed(0)
        with torch.inference_mode():
            ids = model.generate(
                made.input_features, attention_mask=made.attention_mask, return_timestamps=True,
                **rules,
            )  # fmt: skip
        return str(tokenizer.decode(ids[0], skip_special_tokens=True))

    return read


def export(model: str, folder: str) -> None:
    """Write the model, its config and what transformers asks of a generation config."""
    import shutil

    import tallow as tl
    from tallow.models.whisper_vocab import SpeechTokens

    owner = tl.models.load(model, dtype="f32")
    ids, values = SpeechTokens.of(owner.config.vocab_size), dict(owner.config_values)
    never, first = values.pop("suppress_ids"), values.pop("suppress_ids_begin")
    heads = values.pop("alignment_heads")
    values.pop("lang_ids", None)
    owner.config_values, source = values, Path(owner.folder)
    owner.folder = None
    owner.save_pretrained(folder)
    shutil.copy(source / "tokenizer.json", folder)
    settings = {
        "alignment_heads": heads, "suppress_tokens": never, "begin_suppress_tokens": first,
        "no_timestamps_token_id": ids.no_times, "prev_sot_token_id": ids.previous,
        "max_initial_timestamp_index": 50, "is_multilingual": ids.multilingual,
        "decoder_start_token_id": ids.start, "bos_token_id": ids.end, "eos_token_id": ids.end,
        "pad_token_id": ids.end, "max_length": 448, "return_timestamps": False,
    }  # fmt: skip
    (Path(folder) / "generation_config.json").write_text(json.dumps(settings))


def main() -> None:
    """Answer lines with JSON."""
    library, model, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if library == "export":
        export(model, sys.argv[4])
        return
    read: Reader
    if library.startswith("tallow"):
        read = tallow(model, threads, library.partition("-")[2] or None)
    elif library == "transformers":
        read = transformers(sys.argv[4], threads)
    else:
        read = faster_whisper(model, threads, library.rpartition("-")[2])
    for line in sys.stdin:
        begin, spent = time.perf_counter(), time.process_time()
        text = read(line.strip())
        row: dict[str, Any] = {
            "seconds": time.perf_counter() - begin, "cpu": time.process_time() - spent,
            "text": text,
        }  # fmt: skip
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
