"""Speech to text by Whisper tiny.en beside transformers (PyTorch) and faster-whisper, end to end.

Each gets the path of a sound and gives its text: a recording of 10 seconds, one of 44 at 48000 Hz,
and all of a package's recordings in a row up to five minutes. Decoding is greedy with the same
thresholds and temperatures. Each library runs in a process of its own, with the model loaded; the
processes take turns, a ratio is the median over the pairs of neighbouring runs, of elapsed time and
of the processor's time (the better measure where other programs run). `tallow` has the floats of
the file, as faster-whisper's float32 has, `tallow-q8_0` blocks of 8-bit weights, beside its int8.
The word error rate is of each one's text by Tallow's.

    python bench/transcribe.py [--peer-python …/bin/python] [--threads 2] [--sounds beckett …]
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import _common as common
from _limits import limits

SCRIPT = str(Path(__file__).with_name("_transcribe_side.py"))
OURS = ("tallow", "tallow-q8_0")
GOALS = {"transformers": 2.0, "faster-whisper": 1.1}
ASSETS = "pypi:moonshine-voice==0.1.5#moonshine_voice/assets/"
NAMES = ("two_cities", "beckett", "endgame_nagg_nell", "clone-test")


def sounds(work: Path) -> dict[str, Path]:
    """Paths of the sounds by name."""
    import tallow as tl
    from tallow.audio import load_audio, save_audio

    found = {name: Path(tl.hub.resolve(f"{ASSETS}{name}.wav")) for name in NAMES}
    five = work / "five_minutes.wav"
    if not five.exists():
        parts = [load_audio(path, 16000).samples for path in found.values()]
        once = tl.cat([each for part in parts for each in (part, tl.zeros(8000))])
        count = 300 * 16000
        save_audio(five, once.tile(-(-count // once.shape[0]))[:count].contiguous(), 16000)
    return {"beckett": found["beckett"], "two_cities": found["two_cities"], "five": five}


def words(text: str) -> list[str]:
    """Words without signs and capitals."""
    return re.sub(r"[^\w' ]", "", text.lower().replace("-", " ")).split()


def error_rate(wanted: str, found: str) -> float:
    """Words to change, add and leave out, by the number of words."""
    a, b = words(wanted), words(found)
    costs = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, costs = costs, [i]
        for j, y in enumerate(b, 1):
            costs.append(min(before[j] + 1, costs[-1] + 1, before[j - 1] + (x != y)))
    return costs[-1] / max(len(a), 1)


def open_sides(given: Any, folder: Path, work: Path) -> dict[str, common.Side]:
    """A process for each library that is there."""
    commands = {
        name: [sys.executable, SCRIPT, name, str(folder), str(given.threads)] for name in OURS
    }
    peer = common.interpreter(given.peer_python, "torch", "transformers", "soundfile", "soxr")
    if peer is not None:
        hf = work / "whisper-hf"
        if not (hf / "generation_config.json").exists():
            command = [sys.executable, SCRIPT, "export", str(folder), "1", str(hf)]
            subprocess.run(command, check=True, env=common.environment())
        row = [peer, SCRIPT, "transformers", str(folder), str(given.threads), str(hf)]
        commands["transformers"] = row
    peer = common.interpreter(given.peer_python, "faster_whisper")
    if peer is not None:
        for kind in ("float32", "int8"):
            name = f"faster-whisper-{kind}"
            commands[name] = [peer, SCRIPT, name, str(folder), str(given.threads)]
    return {name: common.Side(name, command) for name, command in commands.items()}


def measure(sides: dict[str, common.Side], name: str, path: Path, pairs: int) -> dict[str, Any]:
    """Seconds, ratios and error rates of one sound."""
    texts = {side: call(str(path))["text"] for side, call in sides.items()}
    runs = common.alternate(
        {side: lambda call=call: call(str(path)) for side, call in sides.items()}, pairs, name
    )
    row: dict[str, Any] = {"sound": name}
    for side, found in runs.items():
        row[side] = {"seconds": statistics.median(each["seconds"] for each in found)}
        row[side]["error_rate"] = error_rate(texts[side], texts["tallow"])
        if side in OURS:
            continue
        for own in OURS:
            for kind in ("seconds", "cpu"):
                theirs, ours = ([each[kind] for each in run] for run in (found, runs[own]))
                row[side][f"{kind}_by_{own}"] = common.ratio(theirs, ours)
    return row


def comparisons(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each other library beside each form of Tallow's weights: seconds and their ratio."""
    for side in row:
        if side in ("sound", *OURS):
            continue
        for own in OURS:
            yield {
                "name": f"{row['sound']} beside {side}",
                "dtype": own.partition("-")[2] or "floats",
                "peer": side,
                "tallow": row[own]["seconds"],
                side: row[side]["seconds"],
                "ratio": row[side][f"seconds_by_{own}"],
            }


def show(rows: list[dict[str, Any]], sides: list[str], threads: int) -> None:
    """A table of all libraries and sounds."""
    columns = ["sound", "library", "s", "words that differ"]
    columns += [f"its {kind} / {own}'s" for own in OURS for kind in ("s", "cpu")]
    made = common.table(f"Whisper tiny.en, {threads} threads", *columns)
    for row in rows:
        for side in sides:
            found = row[side]
            cells = [f"{found['seconds']:.2f}", f"{found['error_rate']:.1%}"]
            if side not in OURS:
                kinds = (f"{kind}_by_{own}" for own in OURS for kind in ("seconds", "cpu"))
                cells += [common.shown(found[each]) for each in kinds]
            made.add_row(row["sound"], side, *cells)
    common.show(made)


def encoder_shares(
    limit: dict[str, float], rows: list[dict[str, Any]], paths: dict[str, Path]
) -> dict[str, float]:
    """What part of our time with floats an encoder of Whisper tiny at the FMA peak would take.

    No library can be faster than this part with floats: each window of 30 s is encoded whole.
    """
    import soundfile

    width, inner, layers, places = 384, 1536, 4, 1500
    conv = 2 * 2 * places * 80 * 3 * width + 2 * places * 3 * width**2
    layer = 2 * places * (4 * width**2 + 2 * width * inner) + 4 * places**2 * width
    seconds = (conv + layers * layer) / limit["flops_per_s"]
    found = {}
    for row in rows:
        windows = ceil(soundfile.info(str(paths[row["sound"]])).duration / 30)
        found[row["sound"]] = windows * seconds / row["tallow"]["seconds"]
    return found


def main() -> None:
    """Measure each sound, print a table."""
    options = common.parser(__doc__, pairs=7)
    options.add_argument("--threads", type=int, default=2, help="of each library")
    options.add_argument("--model", default="whisper-tiny.en", help="alias or CTranslate2 folder")
    every = ["beckett", "two_cities", "five"]
    options.add_argument("--sounds", nargs="+", default=every, choices=every, help="some of them")
    given = options.parse_args()
    work = common.work_folder(None)
    paths = sounds(work)
    sides = open_sides(given, common.model_path(given.model), work)
    rows = [measure(sides, name, paths[name], given.pairs) for name in given.sounds]
    for side in sides.values():
        side.close()
    show(rows, list(sides), given.threads)
    limit = limits(work, given.threads)
    shares = {} if limit is None else encoder_shares(limit, rows, paths)
    for name, share in shares.items():
        print(f"{name}: an encoder at the multiply-add peak would take {share:.0%} of our time")
    result = {
        "limits": limit,
        "encoder_at_peak": shares,
        "pairs": given.pairs,
        "threads": given.threads,
        "goals": GOALS,
        "rows": [each for row in rows for each in comparisons(row)],
        "error_rates": {
            row["sound"]: {side: row[side]["error_rate"] for side in sides} for row in rows
        },
    }
    common.finish("transcribe", result, record=given.record)


if __name__ == "__main__":
    main()
