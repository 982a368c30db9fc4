"""Speed of a step of a PyTorch peer, as one line of JSON; called by benchmarks.peers.compare with its interpreter."""

import fcntl
import json
import statistics
import sys
import time

import numpy as np
import torch

from benchmarks.peers.torch_models import MODELS


def measure(*, preset, mode, dtype, batch_size, frames, num_classes, repeats, inner, lock):
    """Dict of rate, examples a second, the median of ``repeats`` turns of ``inner`` steps, timed while holding lock."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("highest" if dtype == "float32" else "high")
    random = np.random.default_rng(0)
    inputs = {
        name: torch.from_numpy(random.integers(0, 256, (batch_size, frames, size), dtype=np.uint8)).to(device)
        for name, size in (("rgb", 1024), ("audio", 128))
    }
    inputs["num_frames"] = torch.full((batch_size,), frames, dtype=torch.int32, device=device)
    labels = torch.from_numpy((random.random((batch_size, num_classes)) < 3 / num_classes).astype(np.float32)).to(
        device
    )
    model = MODELS[preset](num_classes).to(device)
    autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == "bfloat16")
    if mode == "train":
        step = _training(model, inputs, labels, autocast)
    else:
        model.eval()
        scores = torch.compile(model)

        @torch.no_grad()
        def step():
            with autocast:
                return scores(inputs)

    step()
    _wait(device)
    seconds = []
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for _ in range(repeats + 1):
            start = time.perf_counter()
            for _ in range(inner):
                step()
            _wait(device)
            seconds.append((time.perf_counter() - start) / inner)
    return {"rate": batch_size / statistics.median(seconds[1:])}


def _training(model, inputs, labels, autocast):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    @torch.compile
    def loss_of(inputs, labels):
        return model.loss(inputs, labels)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = loss_of(inputs, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def _wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
