from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mtl.strategies.weighting.fixed import Fixed

CONF = Path(__file__).parents[3] / "conf" / "weighting"


@pytest.mark.parametrize(
    ("preset", "two", "three"),
    [
        ("fixed_80_20", [0.8, 0.2], [0.8, 0.1, 0.1]),
        ("fixed_50_50", [0.5, 0.5], [0.5, 0.25, 0.25]),
        ("fixed_20_80", [0.2, 0.8], [0.2, 0.4, 0.4]),
    ],
)
def test_the_settings_of_the_article_hold_for_any_number_of_tasks(preset, two, three):
    options = dict(OmegaConf.load(CONF / f"{preset}.yaml"))
    del options["_target_"]
    for weights, tasks in ((two, "ab"), (three, "abc"), ([1.0], "a")):
        assert Fixed(dict.fromkeys(tasks, "classification"), **options).weights.tolist() == pytest.approx(weights)
