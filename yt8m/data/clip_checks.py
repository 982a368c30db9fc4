"""Checks of one clip record, picture by picture: what is wrong with it, in words."""

import math
from typing import Any

import tensorflow as tf

from yt8m.data.clip_records import LONGEST, MICROSECONDS, RATE, TIME_LIST
from yt8m.data.pictures import decode_picture
from yt8m.data.tfrecord import PICTURE_LIST


def check_clip(example: tf.train.SequenceExample) -> tuple[str | None, int]:
    """(problem as half a sentence, None if it is good; seconds of the clip). Decodes every picture."""
    lists, context = example.feature_lists.feature_list, example.context.feature
    if PICTURE_LIST not in lists or not lists[PICTURE_LIST].feature:
        return f"{PICTURE_LIST} is missing; the record has {', '.join(sorted(lists) or sorted(context))}", 0
    pictures = [feature.bytes_list.value for feature in lists[PICTURE_LIST].feature]
    problem, times = _times(lists, context, len(pictures))
    if problem:
        return problem, 0
    for number, values in enumerate(pictures):
        if len(values) != 1:
            return f"frame {number} of {PICTURE_LIST} has {len(values)} byte strings, not one", 0
        if not _can_be_decoded(values[0]):
            said = f"its {len(values[0]):,} bytes are no JPEG or PNG that can be decoded"
            return f"frame {number} of {PICTURE_LIST} is broken: {said}", 0
    return None, (times[-1] - times[0]) // MICROSECONDS + 1


def _times(lists: Any, context: Any, count: int) -> tuple[str | None, list[int]]:
    """(problem or None, microseconds of each picture)."""
    features = lists[TIME_LIST].feature if TIME_LIST in lists else ()
    rates = context[RATE].float_list.value if RATE in context else ()
    if RATE in context and len(rates) != 1:
        return f"{RATE} is not one float", []
    if not features:
        if not rates or not 0 < rates[0] < math.inf:
            return f"it has neither {TIME_LIST} nor an {RATE} above 0", []
        times = [int(number * MICROSECONDS / rates[0]) for number in range(count)]
    else:
        if len(features) != count:
            return f"{PICTURE_LIST} and {TIME_LIST} have {count} and {len(features)} values", []
        if any(len(feature.int64_list.value) != 1 for feature in features):
            return f"{TIME_LIST} has a value that is not one whole number", []
        times = [feature.int64_list.value[0] for feature in features]
    for number, (before, now) in enumerate(zip(times, times[1:]), 1):
        if now < before:
            return f"frame {number} of {TIME_LIST} is at {now} microseconds, before the frame before it", []
    if times[-1] - times[0] > LONGEST * MICROSECONDS:
        return (
            f"{TIME_LIST} goes over {(times[-1] - times[0]) // MICROSECONDS:,} s, and a clip has at most {LONGEST:,}",
            [],
        )
    return None, times


def _can_be_decoded(encoded):
    try:
        decode_picture(encoded)
    except tf.errors.InvalidArgumentError:
        return False
    return True
