"""Configurations that are too large, too deep or no TOML: refused with NB703, never a traceback."""

from pathlib import Path

import pytest

from nirbridge.errors import BadInput
from nirbridge.evaluate import read_config

PLAIN = '[data]\ntrain = "yin-yang:train:5"\n'


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x = " + "[" * 20_000 + "]" * 20_000, "too deep"),
        ("x = " + "{a=" * 20_000 + "1" + "}" * 20_000, "too deep"),
        ("#" * ((1 << 20) + 1), "larger than"),
        (PLAIN + "[run]\nseed = " + "9" * 5000, "digits"),
        (PLAIN + "[graph]\ndt = " + "[" * 150 + "]" * 150, "'graph.dt'"),
        (PLAIN + '[graph]\nhidden = "' + "x" * 100_000 + '"', "'graph.hidden'"),
        (PLAIN + "[graph]\ndt = nan", "'graph.dt'"),
        (PLAIN + "[graph]\ndt = 1e999", "'graph.dt'"),
        (PLAIN + PLAIN, "twice"),
        ("\x00", "not a TOML file"),
    ],
)
def test_hostile_configurations(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_config(path)
    assert caught.value.code == "NB703"
    assert word in caught.value.message
    assert len(caught.value.message) < 1000


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe = 1")
    with pytest.raises(BadInput, match="not a TOML file"):
        read_config(tmp_path / "a.toml")
