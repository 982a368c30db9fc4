"""Tiny folders of transformers, timm and torchvision with random weights; each function skips where its package is missing."""

import json

import pytest

from yt8m.features.backbones.torch_network import needed
from yt8m.types import InputError

SIDE = 32
_TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
}
_NAMES = {0: "cat", 1: "dog", 2: "crowd cheering", 3: "guitar"}
_CLASSES = {"id2label": _NAMES, "label2id": {name: number for number, name in _NAMES.items()}}
_WORDS = [
    "a",
    "photo",
    "of",
    "video",
    "person",
    "doing",
    ".",
    "the",
    *"abcdefghijklmnopqrstuvwxyz",
    "cat",
    "dog",
    "guitar",
]


def needs(*modules):
    """The modules, or a skip."""
    try:
        return [needed(module, "the test") for module in modules]
    except InputError as error:
        pytest.skip(f"{error}, or run make test-torch", allow_module_level=True)


def _clip(transformers):
    text = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64,
            "max_position_embeddings": 20, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 2}  # fmt: skip
    config = transformers.CLIPConfig(text_config=text, vision_config=_TINY | {"patch_size": 16}, projection_dim=12)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": SIDE, "width": SIDE})
    return transformers.CLIPModel(config), processor


def _siglip(transformers):
    text = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64,
            "max_position_embeddings": 20, "projection_size": 16, "pad_token_id": 2, "eos_token_id": 1, "bos_token_id": 0}  # fmt: skip
    config = transformers.SiglipConfig(text_config=text, vision_config=_TINY | {"patch_size": 16})
    network = transformers.SiglipModel(config)
    network.logit_bias.data.fill_(-1.5)
    network.logit_scale.data.fill_(1.2)
    return network, transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE})


def _deit(transformers):
    config = transformers.DeiTConfig(**_TINY, patch_size=16, **_CLASSES)
    crop = {"height": SIDE, "width": SIDE}
    return transformers.DeiTForImageClassification(config), transformers.DeiTImageProcessor(
        size={"height": 36, "width": 36}, crop_size=crop
    )


def _vit(transformers):
    config = transformers.ViTConfig(**_TINY, patch_size=16)
    return transformers.ViTModel(config), transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})


def _swin(transformers):
    config = transformers.SwinConfig(
        image_size=SIDE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, **_CLASSES
    )
    return transformers.SwinForImageClassification(config), transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})  # fmt: skip


def _dinov2(transformers):
    tiny = {name: value for name, value in _TINY.items() if name != "intermediate_size"}
    config = transformers.Dinov2Config(**tiny, patch_size=16)
    processor = transformers.BitImageProcessor(size={"shortest_edge": 40}, crop_size={"height": SIDE, "width": SIDE})
    return transformers.Dinov2Model(config), processor


def _timesformer(transformers):
    config = transformers.TimesformerConfig(**_TINY, patch_size=16, num_frames=4, **_CLASSES)
    processor = transformers.VideoMAEImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})  # fmt: skip
    return transformers.TimesformerForVideoClassification(config), processor


def _videomae(transformers):
    config = transformers.VideoMAEConfig(**_TINY, patch_size=16, num_frames=4, tubelet_size=2)
    processor = transformers.VideoMAEImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})  # fmt: skip
    return transformers.VideoMAEModel(config), processor


def _vivit(transformers):
    config = transformers.VivitConfig(**_TINY, num_frames=4, tubelet_size=[2, 16, 16], **_CLASSES)
    processor = transformers.VivitImageProcessor(size={"shortest_edge": 40}, crop_size={"height": SIDE, "width": SIDE})
    return transformers.VivitForVideoClassification(config), processor


KINDS = {
    "clip": _clip,
    "siglip": _siglip,
    "deit": _deit,
    "vit": _vit,
    "swin": _swin,
    "dinov2": _dinov2,
    "timesformer": _timesformer,
    "videomae": _videomae,
    "vivit": _vivit,
}


def hf_folder(kind, folder, seed=0):
    """(network, image processor, tokenizer or None) of a tiny network that is saved to ``folder``."""
    torch, transformers, _ = needs("torch", "transformers", "safetensors")
    torch.manual_seed(seed)
    network, processor = KINDS[kind](transformers)
    stir(network)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    tokenizer = None
    if kind in ("clip", "siglip"):
        tokenizer = _tokenizer(transformers)
        tokenizer.save_pretrained(folder)
    return network.eval(), processor, tokenizer


def stir(network):
    """Weights large enough that outputs of different pictures differ."""
    import torch

    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1 or "bias" in name and "logit" not in name:
                weight.add_(torch.randn_like(weight) * (0.15 if weight.ndim > 1 else 0.1))


def _tokenizer(transformers):
    (tokenizers,) = needs("tokenizers")
    vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "<pad>", "<unk>", *dict.fromkeys(_WORDS)])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Whitespace(), tokenizers.pre_tokenizers.Punctuation()]
    )
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_input_names=["input_ids"],
    )  # fmt: skip


def timm_folder(folder, seed=0, *, name="resnet10t", **arguments):
    """The network of timm that is saved to ``folder`` as timm does for a hub."""
    torch, timm, _ = needs("torch", "timm", "safetensors")
    from timm.models import save_for_hf

    torch.manual_seed(seed)
    network = timm.create_model(name, pretrained=False, **({"num_classes": 5} | arguments)).eval()
    save_for_hf(network, str(folder), model_config={"label_names": list("abcde")}, safe_serialization=True)
    return network


def torchvision_file(name, path, seed=0, **arguments):
    """The network of torchvision whose weights are saved to ``path``."""
    torch, models = needs("torch", "torchvision.models")
    torch.manual_seed(seed)
    network = models.get_model(name, weights=None, **arguments).eval()
    torch.save(network.state_dict(), path)
    return network


def edit_json(path, **changes):
    """Changes fields of a JSON file; None takes one away."""
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
