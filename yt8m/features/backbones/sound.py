"""Backbones of sound: what they share, VGGish's log-mel spectrogram, and the statistics of it that need no weights."""

import abc

import numpy as np

from yt8m.features.backbones.base import SOUND_RATE, Backbone, SoundInput
from yt8m.features.backbones.registry import BACKBONES
from yt8m.types import InputError

MEL_BANDS = 64
_LOWEST, _HIGHEST = 125.0, 7500.0
"""Hertz at the outer edges of the bands."""

_WINDOW, _HOP, _FFT = SOUND_RATE // 40, SOUND_RATE // 100, 512
_LOG_OFFSET = 0.01
_BATCH = 64


def samples_of_frames(frames: int) -> int:
    """Samples that as many frames of log_mel are made of."""
    return (frames - 1) * _HOP + _WINDOW


class SoundBackbone(Backbone):
    """A backbone of sound; subclasses give the vectors of one batch of at most 64 windows."""

    input: SoundInput

    @abc.abstractmethod
    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, samples) float32 -> (N, D)."""

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """(N, samples) float32 in [-1, 1] -> (N, D). ValueError for others."""
        if inputs.dtype != np.float32 or inputs.shape[1:] != (self.input.samples,) or not len(inputs):
            raise ValueError(f"{self.spec} takes float32 (N, {self.input.samples}), not {inputs.dtype} {inputs.shape}")
        return np.concatenate([self.vectors(inputs[k : k + _BATCH]) for k in range(0, len(inputs), _BATCH)])


def log_mel(sound: np.ndarray) -> np.ndarray:
    """Log-mel spectrogram of VGGish, float32 (N, frames, 64), of sound (N, samples) float32 at SOUND_RATE.

    Magnitudes of windows of 25 ms each 10 ms (periodic Hann window, 512 points) in 64 triangular bands between 125 and
    7500 Hz, evenly spaced in mel; log(band + 0.01). Source: ``mel_features.py`` of VGGish, AudioSet.
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW, axis=1)[:, ::_HOP]
    magnitudes = np.abs(np.fft.rfft(frames * _HANN, _FFT)).astype(np.float32)
    return np.log(magnitudes @ _MEL_WEIGHTS + np.float32(_LOG_OFFSET))


def _mel(hertz):
    return 1127 * np.log1p(np.asarray(hertz) / 700)


def _mel_weights():
    """(257, 64): the share of each frequency in each band."""
    edges = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), MEL_BANDS + 2)
    mels = _mel(np.linspace(0, SOUND_RATE / 2, _FFT // 2 + 1))[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


_MEL_WEIGHTS = _mel_weights()
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)


@BACKBONES.register("logmel")
class LogMel(SoundBackbone):
    """128 features of a second without any weights: mean and deviation of each of VGGish's 64 log-mel bands.

    argument: must be empty.
    """

    def __init__(self, argument: str):
        if argument:
            raise InputError(f"logmel:{argument}: logmel has no file; write logmel")
        self.input = SoundInput(samples=samples_of_frames(100))
        self.size = 2 * MEL_BANDS

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, samples) float32 -> (N, 128) float32, the means first."""
        bands = log_mel(batch)
        return np.concatenate([bands.mean(axis=1), bands.std(axis=1)], axis=1)
