"""Sound: samples from files and arrays, and back into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.audio.files import Sound, load_audio, save_audio
    from tallow.audio.resampling import Resampler, resample
    from tallow.audio.samples import as_mono, as_pcm
    from tallow.audio.spectrogram import LogMel, PowerSpectrum, mel_filters

__all__ = [
    "Sound", "load_audio", "save_audio", "as_mono", "as_pcm", "resample", "Resampler", "LogMel",
    "PowerSpectrum", "mel_filters",
]  # fmt: skip

_HOMES = {
    "Sound": "files",
    "load_audio": "files",
    "save_audio": "files",
    "as_mono": "samples",
    "as_pcm": "samples",
    "resample": "resampling",
    "Resampler": "resampling",
    "LogMel": "spectrogram",
    "PowerSpectrum": "spectrogram",
    "mel_filters": "spectrogram",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
