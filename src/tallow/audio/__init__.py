"""Sound: samples from files and arrays, and back into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.audio.files import Sound, load_audio, save_audio
    from tallow.audio.resampling import Resampler, resample
    from tallow.audio.samples import as_mono, as_pcm

__all__ = ["Sound", "load_audio", "save_audio", "as_mono", "as_pcm", "resample", "Resampler"]

_HOMES = {
    "Sound": "files",
    "load_audio": "files",
    "save_audio": "files",
    "as_mono": "samples",
    "as_pcm": "samples",
    "resample": "resampling",
    "Resampler": "resampling",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
