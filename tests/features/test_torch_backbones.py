"""Networks in PyTorch from local folders and files, against what transformers, timm and torchvision say themselves."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.backbones import STAND_INS, inputs_for
from tests.helpers.torch_folders import KINDS, edit_json, hf_folder, needs, timm_folder, torchvision_file
from yt8m.features.backbones import load_backbone
from yt8m.types import DataWarning, InputError

(torch,) = needs("torch")
CLIPS = {"timesformer": (4, 30 / 32), "videomae": (4, 7.5), "vivit": (4, 12.5)}
PAIRS = ["clip", "siglip"]


def prepared(processor, inputs):
    """What transformers' own image processor makes of pictures, or of clips, that are of the right size already."""
    clips = inputs if inputs.ndim == 5 else inputs[:, None]
    off = {"do_resize": False, "do_center_crop": False, "return_tensors": "pt", "input_data_format": "channels_last"}
    parts = []
    for clip in clips:
        values = processor([np.array(picture) for picture in clip], **off)["pixel_values"]
        parts.append(values.reshape(-1, *values.shape[-3:]))
    found = torch.stack(parts)
    return found if inputs.ndim == 5 else found[:, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_transformers(kind, tmp_path):
    network, processor, _ = hf_folder(kind, tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}")
    frames, rate = CLIPS.get(kind, (1, 1.0))
    assert (backbone.input.frames, backbone.input.rate) == (frames, rate)
    assert backbone.input.size == (32, 32)
    shorter = {"clip": 36, "deit": 36, "dinov2": 40, "vivit": 40, "timesformer": 32, "videomae": 32}
    assert backbone.input.shorter_side == shorter.get(kind)
    assert backbone.input.interpolation == ("bicubic" if processor.resample == 3 else "bilinear")
    inputs = inputs_for(backbone, 3)
    features = backbone.features(inputs)
    with torch.inference_mode():
        values = prepared(processor, inputs)
        if kind in PAIRS:
            found = network.get_image_features(pixel_values=values)
            wanted = getattr(found, "pooler_output", found)
        elif hasattr(network, "classifier"):
            logits = network(pixel_values=values).logits.numpy()
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            np.testing.assert_allclose(backbone.head(features), raised / raised.sum(axis=1, keepdims=True), atol=1e-5)
            assert backbone.head.class_names == ("cat", "dog", "crowd cheering", "guitar") and np.ptp(logits) > 0.05
            return
        else:
            outputs = network(pixel_values=values)
            pooled = getattr(outputs, "pooler_output", None)
            wanted = outputs.last_hidden_state.mean(1) if pooled is None else pooled
    assert backbone.head is None and np.ptp(wanted.numpy(), axis=0).max() > 1e-2
    np.testing.assert_allclose(features, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_classes_by_name_are_scored_as_transformers_scores_texts(kind, tmp_path):
    network, processor, tokenizer = hf_folder(kind, tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}")
    names = ["guitar", "dog", "crowd cheering", "a b c"]
    inputs = inputs_for(backbone, 5)
    backbone.prompts = ("a video of {}.",)
    padding = "max_length" if kind == "siglip" else True
    tokens = tokenizer([f"a video of {name}." for name in names], padding=padding, max_length=20, return_tensors="pt")
    with torch.inference_mode():
        logits = network(pixel_values=prepared(processor, inputs), input_ids=tokens["input_ids"]).logits_per_image
    wanted = logits.sigmoid() if kind == "siglip" else logits.softmax(-1)
    head = backbone.head_for_names(names)
    scores = head(backbone.features(inputs))
    assert head.class_names == tuple(names)
    np.testing.assert_allclose(scores, wanted.numpy(), atol=1e-4)
    assert np.ptp(scores, axis=0).min() > 1e-4 and np.ptp(scores, axis=1).min() > 1e-3


@pytest.mark.parametrize("kind", PAIRS)
def test_a_class_is_the_mean_of_its_prompts(kind, tmp_path):
    hf_folder(kind, tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}")
    assert len(backbone.prompts) > 3
    units = np.stack([backbone.embed_text(prompt.format("dog")) for prompt in backbone.prompts])
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-5)
    mean = units.mean(axis=0) / np.linalg.norm(units.mean(axis=0))
    head = backbone.head_for_names(["cat", "dog"])
    np.testing.assert_allclose(head.weights[:, 1] / np.linalg.norm(head.weights[:, 1]), mean, atol=1e-5)
    temperature = float(backbone.network.logit_scale.exp())
    np.testing.assert_allclose(np.linalg.norm(head.weights, axis=0), temperature, rtol=1e-5)
    assert backbone.embed_text("dog " * 500).shape == (backbone.size,)


def test_networks_without_texts_say_so(tmp_path):
    hf_folder("dinov2", tmp_path)
    backbone = load_backbone(f"hf:{tmp_path}")
    for call in (lambda: backbone.head_for_names(["a"]), lambda: backbone.embed_text("a")):
        with pytest.raises(InputError, match="knows no texts: name a CLIP or SigLIP folder"):
            call()


class Marker:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_weights_are_not_read(tmp_path):
    folder = tmp_path / "folder"
    network, *_ = hf_folder("vit", folder)
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict() | {"x": Marker(tmp_path / "run")}, folder / "pytorch_model.bin")
    for name in ("hf", "timm"):
        with pytest.raises(InputError, match="pytorch_model.bin may run code when it is read"):
            load_backbone(f"{name}:{folder}")
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_backbone(f"torchvision:resnet18={folder / 'pytorch_model.bin'}")
    assert not (tmp_path / "run").exists()


def test_code_of_a_folder_is_not_run(tmp_path):
    folder = tmp_path / "folder"
    hf_folder("vit", folder)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n")
    edit_json(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})
    with pytest.raises(InputError, match="is no folder of transformers that can be read"):
        load_backbone(f"hf:{folder}")
    assert not (tmp_path / "run").exists()


def test_nothing_is_fetched(tmp_path, monkeypatch):
    """A folder that names another model, a tokenizer elsewhere or a kernel: nothing opens a connection."""
    import socket

    hf_folder("clip", tmp_path)
    timm_folder(tmp_path / "timm")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it went to the network"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    edit_json(tmp_path / "config.json", _name_or_path="openai/clip-vit-base-patch32")
    edit_json(
        tmp_path / "timm" / "config.json", pretrained_cfg={"hf_hub_id": "timm/resnet10t.c3_in1k", "url": "http://x"}
    )
    assert load_backbone(f"hf:{tmp_path}").size == 12
    assert load_backbone(f"timm:{tmp_path / 'timm'}").size == 512


def test_a_folder_without_a_tokenizer_knows_no_texts(tmp_path):
    hf_folder("clip", tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    backbone = load_backbone(f"hf:{tmp_path}")
    assert len(backbone.features(inputs_for(backbone, 2))) == 2
    with pytest.raises(InputError, match=f"hf:{tmp_path} has no tokenizer, which texts need: tokenizer.json, "):
        backbone.head_for_names(["a"])
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match=f"{tmp_path} has no tokenizer that can be read"):
        load_backbone(f"hf:{tmp_path}")


WRONG_FOLDERS = {
    "no size": ("preprocessor_config.json", {"size": None}, "does not say how pictures are scaled"),
    "another size": ("preprocessor_config.json", {"size": {"height": 8, "width": 8}}, r"does not run on pictures of \(8, 8\)"),
    "a mean of one": ("preprocessor_config.json", {"image_mean": [0.5]}, "does not say how pictures are scaled"),
    "another type": ("config.json", {"model_type": "nothing"}, "no folder of transformers that can be read"),
    "more layers": ("config.json", {"num_hidden_layers": 3}, "does not hold the weight .*layer"),
    "wider": ("config.json", {"hidden_size": 20}, "."),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_FOLDERS)
def test_folders_that_do_not_fit(case, tmp_path):
    name, changes, words = WRONG_FOLDERS[case]
    hf_folder("vit", tmp_path)
    edit_json(tmp_path / name, **changes)
    with pytest.raises(InputError, match=words) as caught:
        load_backbone(f"hf:{tmp_path}")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_are_left_out_are_counted(tmp_path, capfd):
    hf_folder("vit", tmp_path)
    edit_json(tmp_path / "config.json", num_hidden_layers=1)
    capfd.readouterr()
    with pytest.warns(DataWarning, match=f"{tmp_path}: 16 weights, as .*, are left out: no place in ViTModel"):
        load_backbone(f"hf:{tmp_path}")
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_its_preprocessor(tmp_path):
    hf_folder("vit", tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="has no preprocessor_config.json, which says how pictures are scaled"):
        load_backbone(f"hf:{tmp_path}")
    with pytest.raises(InputError, match="write hf:DIR"):
        load_backbone("hf:")


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_folders_of_timm(name, tmp_path):
    network = timm_folder(tmp_path, name=name)
    backbone = load_backbone(f"timm:{tmp_path}")
    config = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    inputs = inputs_for(backbone, 3)
    mean, std = np.float32(config["mean"]), np.float32(config["std"])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(((inputs / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(backbone.head(backbone.features(inputs)), wanted.softmax(-1).numpy(), atol=1e-5)
    assert backbone.head.class_names == tuple("abcde")
    assert backbone.input.shorter_side == int(config["input_size"][1] / config["crop_pct"])


@pytest.mark.parametrize("name", ["hf", "timm", "torchvision"])
def test_they_run_behind_tensorflow(name, tmp_path):
    """In a process that has imported TensorFlow, an import of triton, which PyTorch asks for, would end it."""
    argument = STAND_INS[name](tmp_path, 0)
    code = (
        f"import tensorflow\nfrom yt8m.features.backbones import load_backbone\nload_backbone({f'{name}:{argument}'!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_folders_of_timm_that_do_not_fit(tmp_path):
    timm_folder(tmp_path)
    edit_json(tmp_path / "config.json", architecture="resnet18")
    with pytest.raises(InputError, match="is not weights of resnet18"):
        load_backbone(f"timm:{tmp_path}")
    for changes in (
        {"architecture": "nothing"},
        {"model_args": {"checkpoint_path": "x.pth"}},
        {"model_args": {"pretrained": True}},
    ):
        edit_json(tmp_path / "config.json", **changes)
        with pytest.raises(InputError, match="describes no network of timm"):
            load_backbone(f"timm:{tmp_path}")
        edit_json(tmp_path / "config.json", architecture="resnet10t", model_args=None)


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v3_small", "r3d_18", "resnet18", "squeezenet1_1",
     *(pytest.param(name, marks=pytest.mark.slow) for name in ("mvit_v2_s", "resnet50", "s3d", "swin3d_t", "vit_b_16"))],
)  # fmt: skip
def test_files_of_torchvision(name, tmp_path):
    from torchvision.models import get_model_weights

    path = tmp_path / "own.pth"
    network = torchvision_file(name, path)
    backbone = load_backbone(f"torchvision:{name}={path}")
    inputs = inputs_for(backbone, 2)
    preset = get_model_weights(name).DEFAULT.transforms()
    values = (torch.from_numpy(inputs).float() / 255 - torch.tensor(preset.mean)) / torch.tensor(preset.std)
    with torch.inference_mode():
        wanted = network(values.movedim(-1, 1)).softmax(-1).numpy()
    features = backbone.features(inputs)
    if name.startswith("squeezenet"):
        assert backbone.head is None and features.shape == (2, 512)
        return
    np.testing.assert_allclose(backbone.head(features), wanted, atol=1e-5)
    assert len(backbone.head.class_names) == (400 if backbone.input.frames > 1 else 1000)


def test_fine_tuned_files_of_torchvision(tmp_path):
    path = tmp_path / "own.safetensors"
    network = torchvision_file("resnet18", tmp_path / "own.pth", num_classes=7)
    (safetensors,) = needs("safetensors.torch")
    safetensors.save_file(network.state_dict(), path)
    backbone = load_backbone(f"torchvision:resnet18={path}")
    assert backbone.head is None and backbone.size == 512
    with pytest.raises(InputError, match=f"{path} is not weights of resnet50: "):
        load_backbone(f"torchvision:resnet50={path}")
    with pytest.raises(InputError, match="there is no network 'resnet'; did you mean"):
        load_backbone(f"torchvision:resnet={path}")
    for name in ("googlenet", "inception_v3"):
        with pytest.raises(InputError, match=f"there is no network '{name}'"):
            load_backbone(f"torchvision:{name}={path}")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds no dict of tensors"):
        load_backbone(f"torchvision:resnet18={tmp_path / 'list.pth'}")
