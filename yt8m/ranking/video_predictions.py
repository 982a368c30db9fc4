"""Files of whole videos' classes: header ``VideoId,LabelConfidencePairs``, then ``id,class confidence class ...``."""

from collections.abc import Iterable
from typing import Any

from yt8m.runtime.files import atomic_path
from yt8m.types import InputError, StrPath

HEADER = "VideoId,LabelConfidencePairs"


def write_video_predictions(path: StrPath, predictions: Iterable[tuple[str, Any, Any]]) -> int:
    """Writes what prediction.predict_videos yields, atomically; returns the count."""
    count = 0
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{HEADER}\n")
        for video_id, class_ids, confidences in predictions:
            pairs = " ".join(f"{class_id} {score:.6f}" for class_id, score in zip(class_ids, confidences))
            file.write(f"{video_id},{pairs}\n")
            count += 1
    return count


def read_video_predictions(path: StrPath, *, top_n: int) -> dict[str, tuple[int, ...]]:
    """Dict of video id to its ``top_n`` best classes, tuple of int, best first.

    Raises InputError naming file and line of what is malformed, and of a video that lists fewer classes.
    """
    videos = {}
    try:
        with open(path, encoding="utf-8") as file:
            if file.readline().strip() != HEADER:
                raise InputError(f"{path} holds no predictions of videos: its first line is not {HEADER}")
            for number, line in enumerate(file, 2):
                video_id, comma, pairs = line.strip().rpartition(",")
                numbers = pairs.split()
                try:
                    scored = [(-float(score), int(label)) for label, score in zip(numbers[::2], numbers[1::2])]
                except ValueError:
                    scored = []
                if not video_id or len(numbers) % 2 or not scored:
                    raise InputError(f"{path}, line {number}: expected id,class confidence class confidence ...")
                if len(scored) < top_n:
                    raise InputError(
                        f"{path}, line {number}: {len(scored)} classes, and the {top_n} best of each video are wanted: "
                        "ask for fewer, or write it with a greater --top_k"
                    )
                videos[video_id] = tuple(label for _, label in sorted(scored)[:top_n])
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return videos
