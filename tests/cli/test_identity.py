"""Which single-task run a run is measured against."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mtl.cli.conf import conf_dir
from mtl.cli.identity import baseline_key

ALONE = ("switching=single", "switching.task=zh_pos")


def key(*words):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", list(words)), resolve=True)
    return baseline_key(config, "zh_pos", True, "source")


def test_single_task_runs_under_different_transforms_are_not_mistaken_for_each_other():
    plain, log, zscore = (key(*ALONE, f"transform={name}") for name in ("none", "log", "zscore"))
    assert len({plain, log, zscore}) == 3
    assert key(*ALONE, "transform=zscore", "transform.steps=5") != zscore


def test_runs_under_any_transform_and_weighting_share_the_plain_baseline():
    assert {key("transform=log"), key("weighting=uncertainty"), key()} == {key(*ALONE)}
    assert key("optimizer.lr=0.1") != key()
