"""Speed of a step of pytorchvideo's SlowFast, as a line of JSON; benchmarks.clip_speed calls it."""

import json
import statistics
import sys
import time

import numpy as np
import torch
from pytorchvideo.models.slowfast import create_slowfast

NUM_CLASSES = 400
_DEPTHS = {14: 18}
"""What pytorchvideo calls a network of so many layers, where it is another number."""


def measure(*, model, mode, dtype, batch_size, side, frames, config, repeats, inner, compiles):
    """Dict of rate, clips a second, the median of ``repeats`` timings of ``inner`` steps on uint8 clips."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    width, alpha, depth = config.get("width", 64), config.get("alpha", 8), config.get("depth", 50)
    spatial = (-(-side // 32),) * 2
    network = create_slowfast(
        model_depth=_DEPTHS.get(depth, depth),
        model_num_class=NUM_CLASSES,
        stem_dim_outs=(width, width // 8),
        slowfast_fusion_conv_kernel_size=(5, 1, 1),
        slowfast_fusion_conv_stride=(alpha, 1, 1),
        head_pool_kernel_sizes=((-(-frames // alpha), *spatial), (frames, *spatial)),
    ).to(device, memory_format=torch.channels_last_3d)
    random = np.random.default_rng(0)
    clip = torch.from_numpy(random.integers(0, 256, (batch_size, frames, side, side, 3), dtype=np.uint8)).to(device)
    labels = torch.from_numpy((random.random((batch_size, NUM_CLASSES)) < 1 / NUM_CLASSES).astype(np.float32))
    step = _step(network, clip, labels.to(device), alpha, mode == "train", _autocast(device, dtype), compiles)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        for _ in range(inner):
            step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / inner)
    return {"rate": batch_size / statistics.median(seconds[1:])}


def _autocast(device, dtype):
    return torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == "bfloat16")


def _step(network, clip, labels, alpha, training, autocast, compiles):
    def logits(clip):
        fast = ((clip.permute(0, 4, 1, 2, 3).float() / 255 - 0.45) / 0.225).contiguous(
            memory_format=torch.channels_last_3d
        )
        return network([fast[:, :, ::alpha], fast])

    if compiles:
        logits = torch.compile(logits)

    if not training:
        network.eval()

        @torch.inference_mode()
        def inference():
            with autocast:
                return logits(clip).sigmoid()

        return inference
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            scores = logits(clip)
        torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), labels, reduction="sum").backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
