"""A data set read whole."""

import collections

import numpy as np

from tests.helpers.records import CONFIG
from yt8m.data.pipeline import make_dataset
from yt8m.models.targets import dense_targets


def read(files, config=CONFIG, **options):
    """All batches as one: a tuple of dicts of arrays, with dense targets."""

    def items(part):
        return (dense_targets(part, num_classes=config.num_classes) if "classes" in part else part).items()

    batches = [tuple(map(items, element)) for element in make_dataset(files, config, **options)]
    parts = []
    for position in range(len(batches[0])):
        arrays = collections.defaultdict(list)
        for element in batches:
            for name, value in element[position]:
                arrays[name].append(value.numpy())
        parts.append({name: np.concatenate(values) for name, values in arrays.items()})
    return tuple(parts)
