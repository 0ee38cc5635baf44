"""Training configurations: what is accepted, what is refused with which code and exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from nirbridge.errors import BadInput, UsageError
from nirbridge.evaluate import read_config
from nirbridge.evaluate.config import trainer_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GOOD = """
[graph]
dt = 1e-3
hidden = [8]
[data]
train = "yin-yang:train:20"
[trainer]
epochs = 3
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "training.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_our_examples_are_valid(path):
    config = read_config(path)
    assert trainer_of(config).name == config.trainer.name


def test_overrides_are_toml_values(tmp_path):
    path = write(tmp_path, GOOD)
    config = read_config(
        path, overrides=["trainer.epochs=7", "trainer.loss=xent-exp", "graph.hidden=[4, 5]"], seed=9
    )
    trainer = trainer_of(config)
    assert (trainer.epochs, trainer.loss, config.graph.hidden, config.run.seed) == (7, "xent-exp", [4, 5], 9)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (GOOD + "[run]\nsede = 1", "run.sede"),
        (GOOD + "[runs]\nseed = 1", "runs"),
        (GOOD + "learning_rate = 1.0", "learning_rate"),
        (GOOD.replace("1e-3", "-1e-3"), "graph.dt"),
        (GOOD.replace("epochs = 3", "epochs = 0"), "epochs"),
        (GOOD.replace("epochs = 3", 'name = "nobody"'), "nobody"),
        ("[graph", "TOML"),
        ("", "data"),
        (GOOD.replace("dt = 1e-3", "dt = inf"), "graph.dt"),
        (GOOD.replace("dt = 1e-3", "dt = 1e-12"), "graph.dt"),
        (GOOD.replace("hidden = [8]", "hidden = [0]"), "graph.hidden"),
        (GOOD.replace("hidden = [8]", "hidden = [-3]"), "graph.hidden"),
        (GOOD.replace("hidden = [8]", "hidden = [1_000_000_000_000]"), "graph.hidden"),
        (GOOD.replace("hidden = [8]", "hidden = [8]\nthreshold = inf"), "graph.threshold"),
        (GOOD.replace("hidden = [8]", "hidden = [8]\ninput_mean = nan"), "graph.input_mean"),
        (GOOD.replace("hidden = [8]", "hidden = [8]\ntau_mem = inf"), "graph.tau_mem"),
        (GOOD.replace("yin-yang:train:20", "yin-yang:train:x"), "yin-yang:SPLIT:N"),
        (GOOD.replace("yin-yang:train:20", "yin-yang:a:b:c"), "yin-yang:SPLIT:N"),
        (GOOD.replace("[trainer]", "duration = 1e9\n[trainer]"), "data.duration"),
        (GOOD.replace("[data]", "[dato]"), "dat"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, text, names):
    with pytest.raises(BadInput, match=r"training\.toml") as caught:
        read_config(write(tmp_path, text))
    assert caught.value.code == "NB703"
    assert names in caught.value.message


@pytest.mark.parametrize("text", ["trainer.foo=1", "trainer.epochs=-1", "nonsense", "run.seed=x", "a.b=1"])
def test_a_bad_override_is_a_usage_error(tmp_path, text):
    with pytest.raises(UsageError) as caught:
        read_config(write(tmp_path, GOOD), overrides=[text])
    assert caught.value.code in {"NB701", "NB704"}
