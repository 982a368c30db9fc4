"""Writes basicvsr.npz: outputs of BasicSR's BasicVSR in PyTorch for a given clip and seeded weights.

Run by `make oracle-basicvsr`, with the folder of BasicSR's source. ``clip`` is (1, 3, 3, H, W) float32 in [0, 1]; ``enlarged`` the (1, 3, 3, 4 H, 4 W) output
of a network of 64 channels and 2 blocks; ``flow`` SPyNet's of the first picture to the second, (1, 2, H, W). The weights
are what ``seeded`` gives for each name and shape, so that they need not be stored.
"""

import importlib
import pathlib
import sys
import types
import zlib

import numpy as np

BLOCKS = 2


def seeded(name, shape):
    """Weights of He's variance for a name and a shape in PyTorch's order; biases are small."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    inputs = int(np.prod(shape[1:])) if len(shape) > 1 else 400
    return (random.standard_normal(shape) / np.sqrt(inputs)).astype(np.float32)


def _original(folder):
    """BasicSR's BasicVSR, out of its unpacked source, without the packages that the rest of it needs."""
    for name in ("basicsr", "basicsr.archs", "basicsr.utils", "basicsr.ops"):
        module = types.ModuleType(name)
        module.__path__ = [f"{folder}/{name.replace('.', '/')}"]
        sys.modules[name] = module
    sys.modules["basicsr.utils"].get_root_logger = None
    sys.modules["basicsr.ops.dcn"] = types.SimpleNamespace(ModulatedDeformConvPack=object, modulated_deform_conv=None)
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    return importlib.import_module("basicsr.archs.basicvsr_arch").BasicVSR


def main():
    import torch

    network = _original(sys.argv[1])(num_feat=64, num_block=BLOCKS).eval()
    state = network.state_dict()
    constants = ("spynet.mean", "spynet.std")
    made = {
        name: values if name in constants else torch.from_numpy(seeded(name, tuple(values.shape)))
        for name, values in state.items()
    }
    network.load_state_dict(made)
    random = np.random.default_rng(0)
    # Blocks that move, and a size that 32 does not divide but that SPyNet's coarsest level survives.
    picture = random.random((3, 12, 14)).repeat(6, axis=1).repeat(6, axis=2)
    clip = np.stack([picture[:, step : step + 66, 2 * step : 2 * step + 76] for step in range(3)])[None]
    clip = torch.from_numpy(clip.astype(np.float32))
    with torch.inference_mode():
        enlarged = network(clip).numpy()
        flow = network.spynet(clip[:, 0], clip[:, 1]).numpy()
    # A part of each output, because the whole is large.
    np.savez_compressed(
        pathlib.Path(__file__).with_name("basicvsr.npz"),
        clip=clip.numpy(),
        enlarged=enlarged[..., ::7, ::7],
        flow=flow,
    )


if __name__ == "__main__":
    main()
