"""Files of this package's models, and of what they are trained in."""

import keras

from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.models.learner import Learner
from yt8m.models.pair_learner import PairLearner
from yt8m.runtime import keras_files
from yt8m.types import StrPath

_KINDS = (VideoModel, Learner, PairLearner)


def load_model_file(path: StrPath, *, compile: bool = False) -> keras.Model:
    """The VideoModel of a file, or the learner around one. Raises InputError where it is damaged or holds no such."""
    MODELS.load()
    return keras_files.load_model_file(path, _KINDS, compile=compile)
