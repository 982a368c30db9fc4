"""Writes slowfast.npz and slowfast.pyth: what pytorchvideo's SlowFast makes of given clips.

Run by `make oracle-slowfast`, in an environment of its own. Weights and clips are drawn by NumPy from the names of the
weights, here and in the test, so that only names, shapes and answers are kept. For each case: ``NAME.names`` and
``NAME.shapes`` (0 for no axis) of the state dict, ``NAME.logits``; for ``small`` also those in training, whose batch
norm goes by the batch, and the moving statistics after it, biased as Keras has them.

slowfast.pyth is a checkpoint as training programs leave it, of a network so small that it is kept whole.
"""

import pathlib
import zlib

import numpy as np

CASES = {
    "small": {"depth": 14, "width": 16, "alpha": 8, "lateral_kernel": 5, "classes": 5, "clip": (2, 16, 64, 48)},
    "uneven": {"depth": 14, "width": 8, "alpha": 3, "lateral_kernel": 7, "classes": 4, "clip": (2, 7, 64, 64)},
    "r50": {"depth": 50, "width": 64, "alpha": 8, "lateral_kernel": 5, "classes": 400, "clip": (1, 16, 64, 64)},
    "r101": {"depth": 101, "width": 64, "alpha": 4, "lateral_kernel": 5, "classes": 400, "clip": (1, 8, 64, 64)},
}
"""Networks and the sizes of their clips, (B, T, H, W); r101 is the one of which 6 blocks of a stage span time."""

TEMPORAL_BLOCKS = 6
KEPT = {"depth": 14, "width": 2, "alpha": 4, "lateral_kernel": 5, "classes": 3, "clip": (2, 8, 64, 64)}
_MEAN, _STD = 0.45, 0.225


def clip_of(case, seed=0):
    """Pictures (B, T, H, W, 3) uint8: blurred noise that moves."""
    batch, frames, height, width = case["clip"]
    coarse = np.random.default_rng(seed).integers(0, 256, (batch, frames, height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


def weights_of(names, shapes):
    """Dict of name to array of a state dict, each drawn by its name. shapes: (N, 5), 0 for no axis."""
    arrays = {}
    for name, shape in zip(names, shapes):
        shape = tuple(int(size) for size in shape if size)
        random = np.random.default_rng(zlib.crc32(str(name).encode()))
        if len(shape) > 1:
            values = random.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith("running_var") or (name.endswith("weight") and "norm" in name):
            values = random.uniform(0.5, 1.5, shape)
        else:
            values = 0.1 * random.normal(size=shape)
        arrays[str(name)] = values.astype(np.float32)
    return arrays


def _network(case):
    from pytorchvideo.models.slowfast import create_slowfast

    frames, alpha, width = case["clip"][1], case["alpha"], case["width"]
    # pytorchvideo calls 18 what has 14 layers.
    depth = {14: 18}.get(case["depth"], case["depth"])
    ratio = 2 if width == 2 else 8
    spatial = tuple(-(-size // 32) for size in case["clip"][2:])
    settings = {}
    if case["depth"] == 101:
        third = ((3, 1, 1),) * TEMPORAL_BLOCKS + ((1, 1, 1),) * (23 - TEMPORAL_BLOCKS)
        settings["stage_conv_a_kernel_sizes"] = (
            ((1, 1, 1), (1, 1, 1), third, (3, 1, 1)),
            ((3, 1, 1), (3, 1, 1), third, (3, 1, 1)),
        )
    return create_slowfast(
        model_depth=depth,
        model_num_class=case["classes"],
        slowfast_channel_reduction_ratio=ratio,
        stem_dim_outs=(width, width // ratio),
        slowfast_fusion_conv_kernel_size=(case["lateral_kernel"], 1, 1),
        slowfast_fusion_conv_stride=(alpha, 1, 1),
        head_pool_kernel_sizes=((-(-frames // alpha), *spatial), (frames, *spatial)),
        dropout_rate=0.0,
        **settings,
    )


def _described(network):
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    shapes = np.zeros((len(state), 5), np.int32)
    for row, value in zip(shapes, state.values()):
        row[: value.ndim] = value.shape
    return np.array(list(state)), shapes


def _inputs(case):
    import torch

    values = (clip_of(case).astype(np.float32) / 255 - _MEAN) / _STD
    fast = torch.from_numpy(values.transpose(0, 4, 1, 2, 3).copy())
    return [fast[:, :, :: case["alpha"]], fast]


def _statistics(network, case):
    """(logits of a call in training, the moving statistics after it by name)."""
    import torch

    found, hooks = {}, []
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.BatchNorm3d):

            def keep(layer, inputs, _, name=name):
                axes = (0, 2, 3, 4)
                mean, variance = inputs[0].mean(axes), inputs[0].var(axes, unbiased=False)
                found[f"{name}.running_mean"] = 0.9 * before[f"{name}.running_mean"] + 0.1 * mean
                found[f"{name}.running_var"] = 0.9 * before[f"{name}.running_var"] + 0.1 * variance

            hooks.append(layer.register_forward_hook(keep))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    logits = network.train()(_inputs(case))
    return logits, found


def main():
    import torch

    folder, arrays = pathlib.Path(__file__).parent, {}
    for title, case in (CASES | {"kept": KEPT}).items():
        network = _network(case)
        names, shapes = _described(network)
        state = {name: torch.from_numpy(value) for name, value in weights_of(names, shapes).items()}
        network.load_state_dict(state, strict=False)
        with torch.inference_mode():
            arrays[f"{title}.logits"] = network.eval()(_inputs(case)).numpy()
            if title == "kept":
                optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
                checkpoint = {"epoch": 3, "model_state": network.state_dict(), "cfg": "DATA: kinetics"}
                checkpoint |= {"optimizer_state": optimizer.state_dict(), "scaler_state": {"scale": 65536.0}}
                torch.save(checkpoint, folder / "slowfast.pyth")
                continue
            arrays |= {f"{title}.names": names, f"{title}.shapes": shapes}
            if title == "small":
                logits, found = _statistics(network, case)
                arrays["small.training_logits"] = logits.numpy()
                arrays["small.moving"] = np.concatenate(
                    [found[name].numpy() for name in names if name.endswith(("running_mean", "running_var"))]
                )
    np.savez_compressed(folder / "slowfast.npz", **arrays)


if __name__ == "__main__":
    main()
