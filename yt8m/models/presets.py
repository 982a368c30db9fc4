"""The nine models of the paper's Table 3, by name, and two of texts beside frames.

What a name carries beside the architecture, and where it comes from: the authors' published table gives the range
of temporal shifts at inference; their training commands give 5 contiguous frames for the BERT models and 5 random ones
for GatedNetVLAD; "iter" is the number of random frames that MixNeXtVLAD sees of a video in pre-training.

The two others are BERT base and large (Devlin et al. 2019) over texts and up to 32 frames, as a 2021 challenge of
multimodal similarity was won with: the deeper one was better there.
"""

import dataclasses

from yt8m.config import Config
from yt8m.registry import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset(Config):
    """A model with the way it is pre-trained and applied.

    model: registered name; hyperparameters: its constructor's arguments.
    num_frames, sampling: frames of a video in pre-training, see DataConfig.
    tta: first and last temporal shift at inference, in frames, both included.
    """

    model: str
    hyperparameters: dict
    num_frames: int
    sampling: str
    tta: tuple[int, int]


PRESETS = Registry("preset")


def _add(name, *, model, num_frames, sampling, tta, **hyperparameters):
    preset = Preset(model=model, hyperparameters=hyperparameters, num_frames=num_frames, sampling=sampling, tta=tta)
    PRESETS.register(name)(preset)


def _add_bert(name, *, tta, **hyperparameters):
    _add(name, model="frame_bert", num_frames=5, sampling="sequence", tta=tta, **hyperparameters)


_add_bert("BERT_L2h12", tta=(-1, 1), num_layers=2, num_heads=12, pooling="concat")
_add_bert("BERT_L3h12", tta=(-1, 1), num_layers=3, num_heads=12, pooling="concat")
_add_bert("BERTFirst_L2h12", tta=(-2, 1), num_layers=2, num_heads=12, pooling="first")
_add_bert("BERTMean_L2h12", tta=(-2, 1), num_layers=2, num_heads=12, pooling="mean")
_add_bert("BERTCrossMean_L2h8", tta=(-1, 1), num_layers=2, num_heads=8, pooling="mean", cross_modal=True)
_add_bert("BERTCrossAttn_L2h8", tta=(-1, 1), num_layers=2, num_heads=8, pooling="attention", cross_modal=True)
_add("GatedNetVLAD_H1024C16", model="gated_netvlad", num_frames=5, sampling="random", tta=(-1, 1))
_add("MixNeXtVLAD_iter60", model="mix_nextvlad", num_frames=60, sampling="random", tta=(0, 2))
_add("MixNeXtVLAD_iter300", model="mix_nextvlad", num_frames=300, sampling="random", tta=(-1, 1))

PAPER_PRESETS = tuple(PRESETS)
"""Those of the paper."""


def _add_multimodal(name, **hyperparameters):
    _add(name, model="multimodal_bert", num_frames=32, sampling="uniform", tta=(0, 0), **hyperparameters)


_add_multimodal("MultimodalBERT_L12h12", num_layers=12, num_heads=12, hidden_size=768)
_add_multimodal("MultimodalBERT_L24h16", num_layers=24, num_heads=16, hidden_size=1024, feed_forward_size=4096)
