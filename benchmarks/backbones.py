"""Time of backbones for a picture, or for a second of clips, beside that of the first one named, in one run.

.venv/bin/python -m benchmarks.backbones --backbones=efficientnet-lite0,keras:MobileNetV2=mobilenet_v2.h5
"""

import dataclasses
import statistics
import time

from yt8m.commands import command_line
from yt8m.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(command_line.Options):
    """Which backbones, how often."""

    backbones: str = option("efficientnet-lite0", "Specs of backbones of pictures and clips, with commas between them.")
    pictures: int = option(32, "Pictures of a batch; of clips, as many as have so many frames.", low=1)
    rounds: int = option(5, "Batches of each backbone, in turns; the median counts.", low=1)


def main(options):
    """Prints a table."""
    import numpy as np

    from yt8m.features.backbones import load_backbone

    backbones = [load_backbone(spec) for spec in options.backbones.split(",")]
    batches = []
    for backbone in backbones:
        clip = (backbone.input.frames,) if backbone.input.frames > 1 else ()
        shape = (max(1, options.pictures // backbone.input.frames), *clip, *(backbone.input.size or (360, 480)), 3)
        batches.append(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        backbone.features(batches[-1])
    times = [[] for _ in backbones]
    for _ in range(options.rounds):
        for backbone, batch, taken in zip(backbones, batches, times):
            start = time.perf_counter()
            backbone.features(batch)
            taken.append((time.perf_counter() - start) / len(batch) * 1000)
    first = statistics.median(times[0])
    print("| backbone | features | input | ms each | of the first |\n| --- | --- | --- | --- | --- |")
    for backbone, batch, taken in zip(backbones, batches, times):
        middle = statistics.median(taken)
        size = " x ".join(map(str, batch.shape[1:-1]))
        print(f"| {backbone.spec} | {backbone.size:,} | {size} | {middle:.1f} | {middle / first:.2f} |")


if __name__ == "__main__":
    command_line.run(main, BenchmarkOptions)
