"""NB501 to NB512: spikes, labels, recordings and checkpoints."""

from __future__ import annotations

from nirbridge.validate.registry.rule import EITHER, ERROR, WARNING, Rule

DATA = (
    Rule(
        code="NB501",
        levels=ERROR,
        wrong="spikes out of order or out of range, or more channels than the graph has inputs",
        meaning="An event has a negative time, one after the end, or a channel that does not exist.",
        shown="A data set of 700 channels given to a graph with 128 inputs.",
        fix="Correct the data, or name the data set that belongs to the graph.",
    ),
    Rule(
        code="NB502",
        levels=WARNING,
        wrong="several spikes of one channel in one step of a written grid",
        meaning="The grid holds their number; a reader that takes a grid for yes and no sees one.",
        shown="``nirbridge convert rec.nir grid.nir --dt 0.1``, where a neuron fires at 0.30 s and 0.31 s.",
        fix="A smaller ``--dt``, or events: leave ``--dt`` out.",
    ),
    Rule(
        code="NB503",
        levels=ERROR,
        wrong="labels or groups that do not fit the samples or the graph",
        meaning="There are more or fewer labels than samples, or more classes than the graph has outputs.",
        shown="20 classes and a graph with 10 outputs.",
        fix="Name the data set that belongs to the graph.",
    ),
    Rule(
        code="NB504",
        levels=ERROR,
        wrong="a node or quantity that cannot be recorded, or was not",
        meaning="Spikes and traces exist for nodes with memory only, and only those asked for are kept.",
        shown="``nirbridge run net.nir --record w1``, where w1 is a weight.",
        fix="Name a neuron node; ``nirbridge inspect`` lists them.",
    ),
    Rule(
        code="NB505",
        levels=ERROR,
        wrong="a read-out that this output does not have",
        meaning="Counting read-outs need spikes and averaging ones need potentials.",
        shown='A graph with ``"readout": "count"`` whose Output receives the potential of a CubaLI.',
        fix="Correct the key ``readout`` of the metadata.",
    ),
    Rule(
        code="NB506",
        levels=ERROR,
        wrong="no report of `compare`",
        meaning="The JSON file is no report of this program.",
        shown="``nirbridge report digits.nir.run.json -o page.html``.",
        fix="Name the JSON of ``nirbridge compare --json``.",
    ),
    Rule(
        code="NB507",
        levels=EITHER,
        wrong="spikes in a layout that is not known",
        meaning="The file is HDF5 or npz, but its members are not those of a known layout.",
        shown="An .h5 file without ``spikes/times`` and ``spikes/units``.",
        fix="Convert it with ``nirbridge data convert``.",
    ),
    Rule(
        code="NB508",
        levels=ERROR,
        wrong="no samples",
        meaning="The data set, or the part that was asked for, is empty.",
        shown="A validation share of 0.01 of 20 samples.",
        fix="Name a data set with samples.",
    ),
    Rule(
        code="NB509",
        levels=ERROR,
        wrong="no ending of a data set",
        meaning="The ending of the file name says how it is read, and this one says nothing.",
        shown="``--data spikes.txt``.",
        fix="Use .h5, .h5.gz or .npz.",
    ),
    Rule(
        code="NB510",
        levels=ERROR,
        wrong="a training or a run whose numbers stop being finite",
        meaning="A training diverged: the last good checkpoint is kept. Or spikes and membranes of a run "
        "grow beyond what a number holds, and nothing that follows would mean anything.",
        shown="A learning rate of 10; a loop of neurons that send several spikes a step (``multi_spike``) "
        "with weights that more than return what came in.",
        fix="Training: a smaller learning rate, then ``--resume``. Run: smaller weights, those of loops "
        "first.",
    ),
    Rule(
        code="NB511",
        levels=ERROR,
        wrong="a checkpoint of another training, or no checkpoint",
        meaning="A training can go on only with the configuration and data that it began with.",
        shown="``nirbridge train other.toml -o net.nir --resume``.",
        fix="Use the configuration that it began with, or start again without ``--resume``.",
    ),
    Rule(
        code="NB512",
        levels=ERROR,
        wrong="samples of more steps than one run takes",
        meaning="Duration over dt is more steps than a run can hold.",
        shown="One hour of data at dt = 1 µs.",
        fix="State a longer dt, or cut the samples.",
    ),
    Rule(
        code="NB513",
        levels=ERROR,
        wrong="images that are not readable as such or do not fit the ANN",
        meaning="An .npz of images holds x (n, ...) and optionally y (n,), classes and scale; one sample has "
        "the shape that the ANN takes, channels first.",
        shown="``--calibration images.npz`` with x of shape (n, 28, 28, 3) for an ANN on (3, 28, 28).",
        fix="Write it with ``numpy.savez(path, x=samples, y=labels)``.",
    ),
    Rule(
        code="NB514",
        levels=ERROR,
        wrong="a training that needs more memory than its limit",
        meaning="The forecast of weights, data and work space is above the trainer's memory_limit.",
        shown="``--set trainer.memory_limit=0.01``.",
        fix="Lower batch or shards, use fewer neurons or a shorter duration, or raise memory_limit.",
    ),
    Rule(
        code="NB515",
        levels=ERROR,
        wrong="no samples to test on or to hold out",
        meaning="Leaving groups out needs labelled samples of two groups or more and equal classes; what is "
        "held out must be there, and samples to train on must remain.",
        shown='leave_out = "groups" with data that carry no speaker.',
        fix='Use data with groups, or give [data] valid or hold_out and leave_out = "none".',
    ),
)
