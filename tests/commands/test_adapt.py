import json

import numpy as np
import pytest

from tests.helpers.commands import passed, refused
from yt8m.data.seen_videos import SeenVideos
from yt8m.models import checkpoints


@pytest.fixture(scope="module")
def adapted(finetuned_run, demo_data, tmp_path_factory):
    """(folder, what was printed last) of the fine-tuned run, adapted to the test videos."""
    folder = tmp_path_factory.mktemp("adapt") / "adapted"
    said = passed(
        "adapt",
        f"--train_dir={finetuned_run}",
        f"--input_data_pattern={demo_data}/test/*.tfrecord",
        f"--output_dir={folder}",
    ).stdout
    assert f"wrote {folder}; {finetuned_run} is as it was" in said
    return folder, json.loads(said.splitlines()[-1])


@pytest.mark.slow
def test_an_adapted_run_beside_the_one_that_it_comes_of(adapted, finetuned_run, demo_data):
    folder, told = adapted
    before, after = (
        json.loads(passed("eval", f"--train_dir={run}").stdout)["map_at_k"] for run in (finetuned_run, folder)
    )
    assert told["metric"] == "map_at_k" and told["before"] == pytest.approx(before, abs=1e-6)
    assert told["after"] == pytest.approx(after, abs=1e-6)
    models, runs = zip(*(checkpoints.load_model(run) for run in (finetuned_run, folder)))
    differs = {
        one.path.split("/")[-1]
        for one, other in zip(*(model.variables for model in models), strict=True)
        if not np.array_equal(one, other)
    }
    assert differs == {"moving_mean", "moving_variance"}
    seen = [SeenVideos.load(checkpoints.seen_videos_path(run)) for run in (finetuned_run, folder)]
    assert len(seen[0]) == len(seen[1]) > 0
    pattern = f"{demo_data}/test/*.tfrecord"
    assert runs[1] == runs[0].replace(adapt_bn=pattern)
    assert json.loads((folder / "adaptation.json").read_text())["train_dir"] == str(finetuned_run)


@pytest.mark.slow
def test_no_run_is_lost(adapted, finetuned_run, demo_data):
    common = (f"--train_dir={adapted[0]}", f"--input_data_pattern={demo_data}/train/*0.tfrecord")
    assert "holds another run, which would be lost" in refused("adapt", *common, f"--output_dir={finetuned_run}")
    # An adaptation may be made anew.
    scored = f"--eval_data_pattern={demo_data}/validate/*0.tfrecord"
    said = passed("adapt", *common, f"--output_dir={adapted[0]}", "--nosegment_labels", scored).stdout
    told = json.loads(said.splitlines()[-1])
    # Whole videos of one of four files, in place of all segments.
    assert told["examples"] == 8 and told["before"] is not None


@pytest.mark.slow
def test_a_finished_run_names_the_command(finetuned_run, demo_data):
    flags = (
        f"--init_from={finetuned_run.parent}/pretrained",
        "--segment_labels",
        f"--train_data_pattern={demo_data}/validate/*.tfrecord",
        "--holdout_files=1",
        "--num_epochs=1",
        "--batch_size=16",
        f"--train_dir={finetuned_run}",
    )
    said = refused("train", *flags, "--adapt_bn=README.md")
    assert f"adapt.py --train_dir={finetuned_run} --input_data_pattern='README.md'" in said
