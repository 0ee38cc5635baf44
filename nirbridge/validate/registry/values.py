"""NB111 to NB115 and NB120 to NB128: the values of single nodes."""

from __future__ import annotations

from nirbridge.validate.registry.rule import EITHER, ERROR, INFO, WARNING, Rule

_CONV = (
    'nodes["input"] = nir.Input(np.array([1, 4, 4]))\n'
    'nodes["w"] = nir.Conv2d((4, 4), np.ones((2, 1, {kernel})), {stride}, {padding}, 1, 1, np.zeros(2))\n'
    'del nodes["hidden"], edges[1:]\n'
    'nodes["output"] = nir.Output(np.array([2, {out}]))\n'
    'edges.append(("w", "output"))'
)

VALUES = (
    Rule(
        code="NB111",
        levels=EITHER,
        wrong="parameters of one neuron node have two shapes, or none",
        meaning="Every parameter of a neuron node has one value a neuron. Two shapes contradict each other "
        "(error); one number for all neurons cannot be written by nir (warning; --fix broadcasts it).",
        example='nodes["hidden"].tau = np.array(0.02)',
        fix="Give every parameter the shape of the node.",
        mends=True,
    ),
    Rule(
        code="NB112",
        levels=ERROR,
        wrong="as many biases as outputs are needed",
        meaning="The bias has not one value an output; nir accepts any, readers then broadcast or fail.",
        example='nodes["w"] = nir.Affine(np.ones((2, 2)), np.zeros(1))',
        fix="Use zeros where there is no bias, or a Linear.",
    ),
    Rule(
        code="NB113",
        levels=INFO,
        wrong="the shape that nir infers is wrong; ours is used",
        meaning="For kernels that are not square nir uses the height twice, and for groups it divides the "
        "channels: 3×5 on 8×6 gives 6×4 there, 6×2 is right. The graph is fine.",
        example=_CONV.format(kernel="3, 2", stride=1, padding=0, out="2, 3"),
        fix="Elsewhere, read the file with ``nir.read(path, type_check=False)``.",
    ),
    Rule(
        code="NB114",
        levels=ERROR,
        wrong="a stride, dilation, group or kernel that cannot be",
        meaning="A size is below 1, the groups do not divide the channels, the kernel is larger than the "
        "padded input, or a padding is negative or above 65536.",
        example=_CONV.format(kernel="5, 5", stride=1, padding=0, out="1, 1"),
        fix="Correct the size.",
    ),
    Rule(
        code="NB115",
        levels=ERROR,
        wrong="padding ``same`` with a stride",
        meaning="``same`` means that the output has the size of the input; a stride above 1 contradicts it.",
        example=_CONV.format(kernel="3, 3", stride=2, padding='"same"', out="4, 4"),
        fix="State the padding in numbers.",
    ),
    Rule(
        code="NB120",
        levels=ERROR,
        wrong="a value that is not finite",
        meaning="NaN or infinity in a parameter: the network computes nothing of use. Often a training "
        "diverged.",
        example='nodes["w"].weight[0, 1] = np.nan',
        fix="Train or export again.",
    ),
    Rule(
        code="NB121",
        levels=ERROR,
        wrong="a time constant that is not positive",
        meaning="A decay with tau ≤ 0 grows or is undefined; no unit of time can mend it.",
        example='nodes["hidden"].tau[1] = -0.2',
        fix="Export again.",
    ),
    Rule(
        code="NB122",
        levels=WARNING,
        wrong="a reset at or above the threshold, or a threshold that is not positive",
        meaning="The neuron fires in every step once it has fired, or without any input.",
        example='nodes["hidden"].v_reset = 2 * one',
        fix="Check threshold and reset.",
    ),
    Rule(
        code="NB123",
        levels=INFO,
        wrong="a leak above the threshold: the neuron fires unaided",
        meaning="v_leak > v_threshold makes a neuron fire at a constant rate, which may be what was meant.",
        example='nodes["hidden"].v_leak = 1.5 * one',
        fix="Nothing, if it is meant.",
    ),
    Rule(
        code="NB124",
        levels=WARNING,
        wrong="r that is not positive, or w_in = 0",
        meaning="Input to the neuron is dropped or turned around.",
        example='nodes["hidden"].r = 0 * one',
        fix="Check r and w_in; put signs into the weights.",
    ),
    Rule(
        code="NB125",
        levels=EITHER,
        wrong="a delay that is negative or no whole number of steps",
        meaning="Delays below 0 cannot be (error). Others are rounded to whole steps of dt; more than 10^-3 "
        "of a step off, or more than 10^6 steps, is reported (warning).",
        example='nodes["hidden"] = nir.Delay(np.array([0.001, -0.001]))',
        fix="Correct the delay, or round it (pass ``round-delays``).",
    ),
    Rule(
        code="NB126",
        levels=INFO,
        wrong="a neuron or channel with zero weights only",
        meaning="The output is the same for every input, so the row can go.",
        example='nodes["w"].weight[1] = 0',
        fix="Prune it.",
    ),
    Rule(
        code="NB127",
        levels=ERROR,
        wrong="a parameter that is no number",
        meaning="A parameter in memory holds text, objects or complex numbers.",
        example='nodes["w"].weight = np.ones((2, 2), dtype=complex)',
        fix="Store plain integers or floats.",
    ),
    Rule(
        code="NB128",
        levels=ERROR,
        wrong="weights in memory that are too large as the dense matrix that is asked for",
        meaning="NIR stores weights dense. A generated network can carry sparse ones in memory "
        "(``nirbridge.network.SparseWeight``), which the reference reads as they are; a file, a digest, "
        "another target and a pass that changes weights need the dense matrix, which is made up to 1 GiB. A "
        "Scale and weights of three and more axes are matrices to other targets and to trainers, too.",
        shown="A generated network of 40,000 neurons that is written to a file: 6 GiB in float32.",
        fix="Run it on the reference, or generate a network of at most 16,384 neurons a population "
        "(11,585 where float64 is needed: digests and passes).",
    ),
)
