"""NB101 to NB110 and NB116 to NB119: nodes, edges and shapes."""

from __future__ import annotations

from nirbridge.validate.registry.rule import EITHER, ERROR, WARNING, Rule

_FIX = "``nirbridge check FILE --fix``"

GRAPHS = (
    Rule(
        code="NB101",
        levels=ERROR,
        wrong="a node type that NIR does not have",
        meaning="The type of a node is none of NIR's own, so no reader knows what it computes.",
        example="class Izhikevich(nir.LI):\n    pass\n\n\n"
        'nodes["hidden"] = Izhikevich(0.02 * one, one, 0 * one)',
        fix="Express the node with NIR's own types.",
    ),
    Rule(
        code="NB102",
        levels=EITHER,
        wrong="a field is missing, or unknown",
        meaning="A node lacks a field that its type needs (error), or has one that its type does not know "
        "(warning; it is left out). v_reset and w_in may be missing: they are 0 and 1.",
        example='nodes["w"].weight = None',
        fix="Export the file again; --fix drops unknown fields.",
        mends=True,
    ),
    Rule(
        code="NB103",
        levels=ERROR,
        wrong="edges are missing or no pairs of names",
        meaning="The array of edges is absent or is no N×2 array of node names.",
        shown="A file whose ``/node/edges`` holds numbers.",
        fix="Export the file again.",
    ),
    Rule(
        code="NB104",
        levels=ERROR,
        wrong="an edge names an absent node",
        meaning="One end of an edge is the name of no node. If one node is unused and one name is unknown, "
        "they must be the same; --fix then renames the end.",
        example='edges[1] = ("w", "lif")\nedges[2] = ("lif", "output")',
        fix=_FIX,
        mends=True,
    ),
    Rule(
        code="NB105",
        levels=ERROR,
        wrong="an edge stands twice",
        meaning="Some readers add the input twice, some once, and nir refuses the graph.",
        example='edges.append(("input", "w"))',
        fix=_FIX,
        mends=True,
    ),
    Rule(
        code="NB106",
        levels=WARNING,
        wrong="a node that no Input reaches, or that reaches no Output",
        meaning="The node cannot change what the network answers, which is rarely what was meant.",
        example='nodes["lost"] = nir.Linear(np.ones((2, 2)))\nedges.append(("hidden", "lost"))',
        fix="Connect it or remove it (pass ``remove-dead``).",
    ),
    Rule(
        code="NB107",
        levels=ERROR,
        wrong="no Input or no Output",
        meaning="nir adds the missing port silently when it builds the graph, and with it a guess.",
        example='del nodes["output"]\ndel edges[2]',
        fix="Add the node.",
    ),
    Rule(
        code="NB108",
        levels=ERROR,
        wrong="a cycle without a stateful node",
        meaning="The value of a node in a step would depend on itself in the same step.",
        example='nodes["back"] = nir.Scale(one)\nedges += [("w", "back"), ("back", "w")]',
        fix="Insert a Delay node.",
    ),
    Rule(
        code="NB109",
        levels=ERROR,
        wrong="shapes differ along an edge or where sources are summed",
        meaning="What a node sends is not what the next one expects. Sources that meet are summed "
        "elementwise and never broadcast.",
        example='nodes["w"] = nir.Linear(np.ones((3, 2)))',
        fix="Correct one of the two nodes.",
    ),
    Rule(
        code="NB110",
        levels=ERROR,
        wrong="a weight that fits only transposed",
        meaning="NIR stores weights as (out, in); some exporters write (in, out). Where a square weight "
        "stands in the same file the order of that one is open: --fix then needs "
        "``--transpose all`` or ``--transpose mismatched``.",
        example='nodes["w"] = nir.Linear(np.ones((2, 3)))\n'
        'nodes["hidden"] = nir.LIF(*(np.full(3, x) for x in (0.02, 1, 0, 1)))\n'
        'nodes["output"] = nir.Output(np.array([3]))',
        fix=_FIX,
        mends=True,
    ),
    Rule(
        code="NB116",
        levels=EITHER,
        wrong="a Flatten axis that is not there, or a batch axis that was kept",
        meaning="A Flatten names axes that its input does not have (error), or a port keeps the batch axis "
        "of the framework that wrote it (warning).",
        example='nodes["output"] = nir.Output(np.array([1, 1, 2]))',
        fix="Count axes from 0 without a batch axis; --fix strips leading ones.",
        mends=True,
    ),
    Rule(
        code="NB117",
        levels=EITHER,
        wrong="a port whose shape cannot be",
        meaning="A size is below 1, or there are more than 2^31 elements (error), or the shape is empty "
        "(warning; --fix infers it).",
        example='nodes["input"] = nir.Input(np.array([0]))',
        fix="State the shape of one sample.",
        mends=True,
    ),
    Rule(
        code="NB118",
        levels=ERROR,
        wrong="a subgraph without exactly one Input and one Output",
        meaning="Edges into a subgraph go to its Input and edges out of it leave from its Output, so there "
        "must be one of each.",
        example="port = np.array([2])\n"
        "inner = nir.NIRGraph(\n"
        '    {"a": nir.Input(port), "b": nir.Input(port), "o": nir.Output(port)},\n'
        '    [("a", "o"), ("b", "o")],\n'
        "    type_check=False,\n"
        ")\n"
        'nodes["w"] = inner',
        fix="Split or merge its ports.",
    ),
    Rule(
        code="NB119",
        levels=WARNING,
        wrong="a subgraph's Input is wired to the recurrent weight",
        meaning="Several exporters connect the Input of a recurrent block to the weight of its loop instead "
        "of its neuron; the input then passes the recurrent weight.",
        example="lif = nir.LIF(0.02 * one, one, 0 * one, one)\n"
        "inner = nir.NIRGraph(\n"
        '    {"in": nir.Input(np.array([2])), "lif": lif, "rec": nir.Linear(np.ones((2, 2))),\n'
        '     "out": nir.Output(np.array([2]))},\n'
        '    [("in", "rec"), ("rec", "lif"), ("lif", "rec"), ("lif", "out")],\n'
        "    type_check=False,\n"
        ")\n"
        'nodes["hidden"] = inner',
        fix=_FIX,
        mends=True,
    ),
)
