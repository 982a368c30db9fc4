"""Folder of a run that trains a super-resolution network: its settings, its checkpoints, the network itself.

run_dir/
  super_resolution.json     the settings
  best.keras                the network, with the best holdout score, or the last one where nothing is held out
  checkpoint-<step>.keras, state.json, metrics.jsonl    as in the folder of a training run, see yt8m.models.checkpoints
"""

import os

from yt8m.runtime.files import file_digest
from yt8m.runtime.keras_files import load_model_file
from yt8m.super_resolution import RESOLVERS
from yt8m.super_resolution.base import SuperResolver
from yt8m.types import InputError, StrPath

SETTINGS = "super_resolution.json"
_NETWORK = "best.keras"


def load_resolver(run_dir: StrPath) -> SuperResolver:
    """The network of a run. Raises InputError where there is none, or its file is damaged."""
    RESOLVERS.load()
    model = load_model_file(_network_path(run_dir), (SuperResolver,))
    assert isinstance(model, SuperResolver)
    return model


def resolver_digest(run_dir: StrPath) -> str:
    """SHA-256 in hex of the network of a run. Raises InputError where there is none."""
    return file_digest(_network_path(run_dir))


def _network_path(run_dir):
    path = os.path.join(run_dir, _NETWORK)
    if not os.path.isfile(path):
        raise InputError(f"{run_dir} is not the folder of yt8m-super-resolve: it has no {_NETWORK}")
    return path
