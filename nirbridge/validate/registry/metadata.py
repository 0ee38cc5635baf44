"""NB401 to NB406: what nirbridge keeps in a graph's metadata."""

from __future__ import annotations

from nirbridge.validate.registry.rule import ERROR, WARNING, Rule

METADATA = (
    Rule(
        code="NB401",
        levels=ERROR,
        wrong="nirbridge's metadata are no JSON, break their schema or state semantics that cannot be used",
        meaning="``graph.metadata['nirbridge']`` holds dt, semantics and history as one JSON string of the "
        "schema graph-metadata. NaN, numbers beyond float64 and keys that stand twice are refused.",
        example='metadata["nirbridge"] = \'{"schema": "nirbridge.graph-metadata/1", "dt": -1}\'',
        fix="Remove the key, then state ``--dt`` and ``--unit``.",
    ),
    Rule(
        code="NB402",
        levels=WARNING,
        wrong="metadata of a newer nirbridge: kept, not read",
        meaning="The metadata have a schema of a later version. They stay in the file as they are; dt and "
        "semantics in them are not known here and have to be stated.",
        example='metadata["nirbridge"] = \'{"schema": "nirbridge.graph-metadata/2", "dt": "1 ms"}\'',
        fix="Upgrade nirbridge, or state ``--dt``.",
    ),
    Rule(
        code="NB403",
        levels=ERROR,
        wrong="integers that do not give the stored weight",
        meaning="``node.metadata['nirbridge_q']`` holds integers and scales; (q − zero_point)·scale must be "
        "the float32 weight bit for bit, so that readers that ignore the metadata compute the same network.",
        example='nodes["w"].metadata["nirbridge_q"] = {\n'
        '    "q": np.array([[2, 2], [2, 3]], np.int8), "scale": np.array([0.5], np.float32),\n'
        '    "zero_point": 0, "bits": 8, "axis": -1,\n'
        "}",
        fix="Remove the key, or quantise again.",
    ),
    Rule(
        code="NB404",
        levels=WARNING,
        wrong="the graph is not the one that its metadata describe",
        meaning="The digest in the metadata is another one: some tool edited the graph and kept the "
        "metadata. Its history no longer binds.",
        example='metadata["nirbridge"] = (\n'
        '    \'{"schema": "nirbridge.graph-metadata/1", "dt": 0.001, "digest": "%s"}\' % ("0" * 64)\n'
        ")",
        fix="Run the passes again from the last graph whose digest is known.",
    ),
    Rule(
        code="NB405",
        levels=ERROR,
        wrong="a value that nir cannot write",
        meaning="None, 0-d arrays, arrays of strings, mixed lists, keys that are no text or hold '/' fail on "
        "write or come back as something else.",
        example='metadata["classes"] = {1: "yes"}',
        fix="Store it as a JSON string.",
    ),
    Rule(
        code="NB406",
        levels=WARNING,
        wrong="delays folded into a weight: other readers would miss them",
        meaning="Delays per synapse are folded into one weight in memory only. In a file they stand as Delay "
        "nodes, so that every reader computes the same network.",
        shown="A file whose Linear has the metadata key ``nirbridge_delay``, as no nirbridge writes it.",
        fix="``nirbridge convert IN OUT --pass lower-delays``.",
    ),
)
