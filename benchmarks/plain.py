"""The plain loops that benchmarks and tests hold the package's fusion and scoring against: slow and easy to check."""

import collections
import csv
import itertools
import math


def read(path):
    """{class id: list of "video_id:start"} of a text submission, each segment at its first place only."""
    rankings = {}
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            name, _, segments = line.rstrip("\r\n").partition(",")
            if name != "Class" and line.strip():
                rankings[int(name)] = list(dict.fromkeys(segments.split()))
    return rankings


def segment_key(text):
    """What ties are broken by: video id, then start time as a number."""
    video_id, _, start = text.rpartition(":")
    return video_id, int(start)


def fuse_rankings(rankings, *, weights, w0=None, w0_share=0.2, method="reciprocal_rank", top_n=100_000):
    """{class id: list of segments} fused by weight * w0 / (rank + w0), or Borda counts; as fusion.Fusion says."""
    fused = {}
    for class_id in sorted(set().union(*rankings)):
        longest = max(len(ranking.get(class_id, ())) for ranking, weight in zip(rankings, weights) if weight)
        constant = w0_share * longest if w0 is None else w0
        sums = collections.defaultdict(float)
        for ranking, weight in zip(rankings, weights):
            if weight:
                for rank, segment in enumerate(ranking.get(class_id, ())):
                    share = (
                        weight * constant / (rank + constant)
                        if method == "reciprocal_rank"
                        else weight * (longest - rank)
                    )
                    sums[segment] += share
        # Segments are parsed for ties only, which makes the loop as fast as one that leaves ties to chance.
        ordered = itertools.groupby(sorted(sums, key=sums.get, reverse=True), key=sums.get)
        runs = (list(run) for _, run in ordered)
        fused[class_id] = [s for run in runs for s in (sorted(run, key=segment_key) if len(run) > 1 else run)][:top_n]
    return fused


def write(path, rankings):
    """Writes {class id: list of segments} as text."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("Class,Segments\n")
        for class_id, segments in sorted(rankings.items()):
            file.write(f"{class_id},{' '.join(segments)}\n")


def fuse(paths, output, **options):
    """Reads, fuses and writes, all classes in memory."""
    write(output, fuse_rankings([read(path) for path in paths], **options))


def read_labels(path):
    """{class id: {segment: bool}} of a labels CSV."""
    labels = collections.defaultdict(dict)
    with open(path, newline="", encoding="utf-8") as file:
        for segment, class_id, score in csv.reader(file):
            labels[int(class_id)][segment] = float(score) >= 0.5
    return labels


def score_rankings(rankings, labels, *, top_n=100_000):
    """(MAP@K, {class id: average precision}) by the definition: cut, drop the unrated, sum precisions at hits."""
    precisions = {}
    for class_id, rated in labels.items():
        positives = sum(rated.values())
        if not positives:
            continue
        hits = seen = 0
        total = 0.0
        for segment in rankings.get(class_id, ())[:top_n]:
            if segment in rated:
                seen += 1
                if rated[segment]:
                    hits += 1
                    total += hits / seen
        precisions[class_id] = total / positives
    return math.fsum(precisions.values()) / len(precisions), precisions
