"""NB000 and NB001 to NB013: files that are refused before anything is read from them."""

from __future__ import annotations

from nirbridge.validate.registry.rule import ERROR, Rule

_PLAIN = "Ask whoever sent the file for a plain one."

PROGRAM = (
    Rule(
        code="NB000",
        levels=ERROR,
        wrong="a bug in nirbridge or a plugin; the traceback is kept in a file",
        meaning="The program met an error that it does not know. No input should be able to cause one.",
        shown="A target from another package divides by zero while it compiles a graph.",
        fix="Report it with the traceback in the file that the message names.",
    ),
)

FILES = (
    Rule(
        code="NB001",
        levels=ERROR,
        wrong="not there, not readable, empty or cut off",
        meaning="Nothing at that place is a file of the expected kind: the name is wrong, permission is "
        "missing, or the bytes end early, as after an interrupted download.",
        shown="``nirbridge inspect net.nir``, where the download of net.nir stopped half way.",
        fix="Check the name and the permissions, or get the file again.",
    ),
    Rule(
        code="NB002",
        levels=ERROR,
        wrong="an external link",
        meaning="A link of the HDF5 file leads into another file. Following it would let a graph from "
        "somewhere read any file that its reader may read.",
        shown='A weight that was stored as ``group["weight"] = h5py.ExternalLink("other.h5", "/secret")``.',
        fix=_PLAIN,
    ),
    Rule(
        code="NB003",
        levels=ERROR,
        wrong="a soft link",
        meaning="A name of the HDF5 file stands for another path in it. NIR files have none, and chains of "
        "them can lead in circles.",
        shown='A weight that was stored as ``group["weight"] = h5py.SoftLink("/node/nodes/w/weight")``.',
        fix=_PLAIN,
    ),
    Rule(
        code="NB004",
        levels=ERROR,
        wrong="raw data kept in another file",
        meaning="An array says that its bytes lie in another file (external storage), so reading a weight "
        "would read that file.",
        shown='``group.create_dataset("weight", (2, 2), "f4", external=[("/etc/hostname", 0, 16)])``.',
        fix=_PLAIN,
    ),
    Rule(
        code="NB005",
        levels=ERROR,
        wrong="a virtual data set",
        meaning="An array is put together from arrays of other files (a virtual dataset).",
        shown="A weight that was stored with ``h5py.VirtualLayout``.",
        fix=_PLAIN,
    ),
    Rule(
        code="NB006",
        levels=ERROR,
        wrong="one object met twice, as in a cycle",
        meaning="Two names lead to one group or array. A group inside itself never ends, and shared groups "
        "multiply: 40 kB can hold 2^15 paths.",
        shown='``file["node/nodes/again"] = file["node"]``: a hard link to the group around it.',
        fix="Write the graph again, with a copy for every node.",
    ),
    Rule(
        code="NB007",
        levels=ERROR,
        wrong="more bytes than allowed once unpacked",
        meaning="The arrays are larger than the limit when unpacked. A file of 21 kB can unpack to 1 GiB.",
        shown="A chunked array of 10^9 numbers of which none was written: it takes a few bytes on disk.",
        fix="Raise `Limits.max_bytes` in Python if you trust the file.",
    ),
    Rule(
        code="NB008",
        levels=ERROR,
        wrong="nested too deeply",
        meaning="Groups, subgraphs or metadata stand inside each other deeper than the limit of 64.",
        shown="Metadata of 100 dicts, one inside the other.",
        fix="Flatten the graph, or raise `Limits.max_depth` in Python.",
    ),
    Rule(
        code="NB009",
        levels=ERROR,
        wrong="too many objects",
        meaning="The file has more groups, arrays or chunks than the limit; walking them would take minutes.",
        shown="A graph of 20 000 nodes: about 140 000 groups and arrays.",
        fix="Raise `Limits.max_objects` or `Limits.max_chunks` in Python if you trust the file.",
    ),
    Rule(
        code="NB010",
        levels=ERROR,
        wrong="a type of data that NIR does not use",
        meaning="Only integers, floats, booleans and strings are read. References, compound, opaque and "
        "complex values could hide anything, and text where numbers belong is no parameter.",
        shown='A ``tau`` that was stored as the text ``"20 ms"``.',
        fix="Store plain integers or floats.",
    ),
    Rule(
        code="NB011",
        levels=ERROR,
        wrong="a compression filter that is not allowed, or a chunk that is too large",
        meaning="Other filters than gzip, lzf, szip, shuffle and fletcher32 would load code from a plugin "
        "folder; a filter applied twice or a chunk larger than its content unpacks without bound.",
        shown="A weight packed with the filter blosc.",
        fix="Write the file again with gzip.",
    ),
    Rule(
        code="NB012",
        levels=ERROR,
        wrong="a name or text that is too long or cannot be printed",
        meaning="Names reach terminals and web pages. Control characters, line ends and marks that turn "
        "the writing direction are refused, and so are names over 255 bytes, empty ones and those with '/'.",
        shown='A node named ``"\\x1b[2Jhidden"``, which would clear a terminal.',
        fix="Rename it.",
    ),
    Rule(
        code="NB013",
        levels=ERROR,
        wrong="no NIR graph in it",
        meaning="The file is HDF5, but has no group '/node' of type NIRGraph. It may be a recording, another "
        "kind of file, or what a failed ``nir.write`` left behind.",
        shown="``nirbridge inspect spikes.nir``, where spikes.nir is a recording.",
        fix="Name the file of the graph, or write it again.",
    ),
    Rule(
        code="NB014",
        levels=ERROR,
        wrong="an ONNX graph whose values do not hang together",
        meaning="A value is made twice or by no operator, an attribute is of another type than its operator "
        "has, or the graph has not one input and one output.",
        shown="An ONNX model with an auxiliary output beside the classifier's.",
        fix="Export the classifier alone; ``onnx.checker.check_model`` says more.",
    ),
)
