"""NB201 to NB214 and NB601 to NB608: what a reader, a target, a pass or a trainer does not do."""

from __future__ import annotations

from nirbridge.validate.registry.rule import EITHER, ERROR, WARNING, Rule

TARGETS = (
    Rule(
        code="NB201",
        levels=ERROR,
        wrong="a node type or semantics that are not supported",
        meaning="The target, reader or trainer has nothing that computes this node.",
        reader="norse",
        example='nodes["input"] = nir.Input(np.array([1, 8]))\n'
        'nodes["w"] = nir.Conv1d(8, np.ones((1, 1, 3)), 1, 0, 1, 1, np.zeros(1))\n'
        'nodes["hidden"] = nir.Scale(np.ones((1, 6)))\n'
        'nodes["output"] = nir.Output(np.array([1, 6]))',
        fix="Lower it with a pass, or name another target.",
    ),
    Rule(
        code="NB202",
        levels=ERROR,
        wrong="a wiring that is not supported, such as two weights in series",
        meaning="The nodes are known, but not in this order: some chips have weights between neurons only.",
        reader="spinnaker2",
        example='nodes["w2"] = nir.Linear(np.ones((2, 2)))\nedges[1:2] = [("w", "w2"), ("w2", "hidden")]',
        fix="Fuse the weights (pass ``fuse-affine``).",
    ),
    Rule(
        code="NB203",
        levels=ERROR,
        wrong="v_leak ≠ 0",
        meaning="The target or reader has no resting potential; it takes 0.",
        reader="sinabs",
        example='nodes["hidden"].v_leak = 0.1 * one',
        fix="Fold it into the bias.",
    ),
    Rule(
        code="NB204",
        levels=ERROR,
        wrong="v_reset ≠ 0",
        meaning="The target or reader resets to 0, whatever the file says.",
        reader="norse",
        example='nodes["hidden"].v_reset = -0.2 * one',
        fix="Shift the potentials (pass ``shift-reset``): exact from the first reset on.",
    ),
    Rule(
        code="NB205",
        levels=ERROR,
        wrong="r, w_in or another parameter would be ignored",
        meaning="The reader puts its own value in place of the file's, so the neuron gets another input.",
        reader="norse",
        example='nodes["hidden"].r = 3 * one',
        fix="Scale the weight before the neuron and set the parameter to what the reader uses.",
    ),
    Rule(
        code="NB206",
        levels=ERROR,
        wrong="parameters differ within a node",
        meaning="The target or reader has one value for all neurons of a node.",
        reader="nengo",
        example='nodes["hidden"].tau[1] = 0.03',
        fix="Split the node.",
    ),
    Rule(
        code="NB207",
        levels=EITHER,
        wrong="a bias would be dropped or moved",
        meaning="The bias is left out, or is added to the potential instead of the synaptic current.",
        reader="spinnaker2",
        example='nodes["w"] = nir.Affine(np.ones((2, 2)), 0.1 * one)',
        fix="Fold the bias into the neuron.",
    ),
    Rule(
        code="NB208",
        levels=ERROR,
        wrong="a delay that is too long or not supported",
        meaning="The target keeps spikes for fewer steps than the delay has, or has no delays.",
        reader="norse",
        example='nodes["d"] = nir.Delay(0.002 * one)\nedges[2:] = [("hidden", "d"), ("d", "output")]',
        fix="Shorten the delay, or name another target.",
    ),
    Rule(
        code="NB209",
        levels=ERROR,
        wrong="groups, padding or pooling that are not supported",
        meaning="The reader's convolution or pooling does not have it; some read another network silently.",
        reader="norse",
        example='nodes["input"] = nir.Input(np.array([2, 4, 4]))\n'
        'nodes["w"] = nir.Conv2d((4, 4), np.ones((2, 1, 3, 3)), 1, 0, 1, 2, np.zeros(2))\n'
        'nodes["hidden"] = nir.Scale(np.ones((2, 2, 2)))\n'
        'nodes["output"] = nir.Output(np.array([2, 2, 2]))',
        fix="Write the groups as one weight with zeros; replace the pooling by a convolution.",
    ),
    Rule(
        code="NB210",
        levels=ERROR,
        wrong="another kind of reset",
        meaning="One side sets the potential to v_reset after a spike, the other subtracts the threshold.",
        reader="spyx",
        example='nodes["hidden"].v_threshold = 0.5 * one',
        fix="Train with the reset that the reader has.",
    ),
    Rule(
        code="NB211",
        levels=ERROR,
        wrong="recurrence that is not supported",
        meaning="The reader refuses a graph with a loop.",
        reader="sinabs",
        example='nodes["back"] = nir.Linear(np.ones((2, 2)))\n'
        'edges += [("hidden", "back"), ("back", "hidden")]',
        fix="Name another target.",
    ),
    Rule(
        code="NB212",
        levels=ERROR,
        wrong="a weight, threshold or state out of range, or quantised otherwise than needed",
        meaning="The integers of the target cannot hold it.",
        shown="A weight of 300 steps on a target of 8 bits.",
        fix="Quantise (pass ``quantize-weights``), or use another scale.",
    ),
    Rule(
        code="NB213",
        levels=WARNING,
        wrong="a Flatten that the reader counts with a batch axis",
        meaning="NIR counts axes of one sample. Some readers hand start_dim and end_dim to a function that "
        "sees the batch axis too, and join other axes.",
        reader="snntorch",
        example='nodes["input"] = nir.Input(np.array([1, 2]))\n'
        'nodes["flat"] = nir.Flatten({"input": np.array([1, 2])}, 0, -1)\n'
        'edges[:1] = [("input", "flat"), ("flat", "w")]',
        fix="Give that reader a file with start_dim + 1.",
    ),
    Rule(
        code="NB214",
        levels=WARNING,
        wrong="a reader that may return another node than Output",
        meaning="One executor returns the node that it ran last, which is not the Output where edges of a "
        "loop follow the edge to it in the file; another takes one branch only of a sum at the Output.",
        reader="norse",
        example='nodes["back"] = nir.Linear(np.ones((2, 2)))\n'
        'edges += [("hidden", "back"), ("back", "hidden")]',
        fix="Put the edges of loops first in the file; sum branches before the Output.",
    ),
)

PLACEMENT = (
    Rule(
        code="NB601",
        levels=ERROR,
        wrong="too many cores, or a population that fits on none",
        meaning="The chip has fewer cores than the network needs.",
        shown="A layer of 10^6 neurons on one chip.",
        fix="Name a larger board as an option of the target, or shrink the layer.",
    ),
    Rule(
        code="NB602",
        levels=ERROR,
        wrong="too much synaptic memory, or too few processing elements",
        meaning="The weights do not fit into the memory beside the cores.",
        shown="A dense weight of 4000 × 4000.",
        fix="Use fewer bits, prune, or shrink the layer.",
    ),
    Rule(
        code="NB603",
        levels=ERROR,
        wrong="too many neurons on a core or chip, or too many routes",
        meaning="A core has a fixed number of neurons and of routing entries.",
        shown="A layer that needs more axons than a core has.",
        fix="Split the layer.",
    ),
    Rule(
        code="NB604",
        levels=ERROR,
        wrong="a core's memory is full, or its work takes longer than a tick",
        meaning="What one core has to keep or to do in a step is more than it can.",
        shown="250 neurons with 10^4 synapses each on one core at 1 ms.",
        fix="Put fewer neurons on a core, or use a longer dt.",
    ),
    Rule(
        code="NB605",
        levels=ERROR,
        wrong="a cost model that does not cover this network",
        meaning="The published figures behind the cost say nothing about such a network.",
        shown="A convolution on a target whose costs were measured on dense layers.",
        fix="Run without the cost, or give coefficients with a source.",
    ),
    Rule(
        code="NB606",
        levels=ERROR,
        wrong="too many synapses on a chip",
        meaning="The sum over all cores exceeds what the chip keeps.",
        shown="10^8 synapses on one chip.",
        fix="Use several chips, or prune.",
    ),
    Rule(
        code="NB607",
        levels=ERROR,
        wrong="too little free memory on the GPU",
        meaning="The tables of the network, or what a single sample needs beside them, exceed it. Batches "
        "are cut to what fits.",
        shown="Traces of 10^5 neurons over 10^5 steps.",
        fix="Record fewer traces, run fewer steps, or use the CPU.",
    ),
    Rule(
        code="NB608",
        levels=ERROR,
        wrong="no GPU, driver or compiler for a backend that needs one",
        meaning="Nothing runs on the CPU instead unless the CPU is asked for.",
        shown="``reference:backend=cuda`` where no NVIDIA driver is installed.",
        fix="Install what the message names (``nirbridge doctor`` shows what is found), or use the CPU.",
    ),
)
