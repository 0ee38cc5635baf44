"""The short text form, word for word."""

from __future__ import annotations

import nir
import numpy as np

from nirbridge.graph import make, text

EXPECTED = """\
hidden: LIF r=(6)1 tau=(6)0.02 v_leak=(6)0 v_reset=(6)0 v_threshold=(6)[1..1.5]
input: Input shape=[3]
output: Output shape=[2]
sub: NIRGraph
  input: Input shape=[6]
  output: Output shape=[2]
  w: Affine bias=[0.5, -0.25] weight=(2x6)[0..11]
  input -> w
  w -> output
w1: Linear weight=(6x3)0.125
hidden -> sub
input -> w1
sub -> output
w1 -> hidden
"""


def ports(n: int, m: int) -> dict[str, nir.NIRNode]:
    return {
        "output": nir.Output(output_type={"output": np.array([m])}),
        "input": nir.Input(input_type={"input": np.array([n])}),
    }


def test_the_text_of_a_small_graph() -> None:
    six = np.ones(6, np.float32)
    affine = nir.Affine(weight=np.arange(12.0).reshape(2, 6), bias=np.array([0.5, -0.25]))
    sub = make({**ports(6, 2), "w": affine}, [("w", "output"), ("input", "w")])
    hidden = nir.LIF(
        tau=six * np.float32(0.02), r=six, v_leak=0 * six, v_threshold=np.linspace(1, 1.5, 6), v_reset=0 * six
    )
    graph = make(
        {**ports(3, 2), "sub": sub, "w1": nir.Linear(weight=np.full((6, 3), 0.125)), "hidden": hidden},
        [("w1", "hidden"), ("sub", "output"), ("input", "w1"), ("hidden", "sub")],
    )
    assert text(graph) == EXPECTED
