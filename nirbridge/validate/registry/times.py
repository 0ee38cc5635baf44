"""NB301 to NB307: dt, units and time constants."""

from __future__ import annotations

from nirbridge.validate.registry.rule import EITHER, INFO, WARNING, Rule

TIMES = (
    Rule(
        code="NB301",
        levels=EITHER,
        wrong="dt is unknown and a run needs it",
        meaning="NIR files hold differential equations and no time step. nirbridge never guesses one: a run "
        "stops (error), a check of a runnable graph warns.",
        shown="``nirbridge run lif_norse.nir --target reference --data test.h5`` without ``--dt``.",
        fix="State ``--dt SECONDS`` (and ``--unit ms`` if tau is in milliseconds).",
    ),
    Rule(
        code="NB302",
        levels=WARNING,
        wrong="the unit of the time constants is ambiguous",
        meaning="Every positive tau is 0.5 or more: it may count milliseconds, steps or seconds.",
        example='nodes["hidden"].tau = 20 * one',
        fix="State ``--unit ms``, or ``--unit s``.",
    ),
    Rule(
        code="NB303",
        levels=EITHER,
        wrong="dt is long for a time constant",
        meaning="Under Euler steps dt ≥ tau turns the decay around (error); above tau/2 the step is coarse "
        "(warning).",
        example='metadata["nirbridge"] = \'{"schema": "nirbridge.graph-metadata/1", "dt": 0.05}\'',
        fix="Use a smaller dt, or exact decay.",
    ),
    Rule(
        code="NB304",
        levels=WARNING,
        wrong="a time constant that looks multiplied by dt",
        meaning="A tau below 0.1 ms is rarer than the exporters that write tau·dt: 10 ms becomes 1e-5.",
        example='nodes["hidden"].tau = 1e-5 * one',
        fix="Multiply tau by 1/dt if that is so.",
    ),
    Rule(
        code="NB305",
        levels=EITHER,
        wrong="the stated dt contradicts the graph's own",
        meaning="The graph's metadata say another dt or unit than the command line (error), or it has none "
        "and its r and w_in are those of an exporter with another dt, such as tau/r = dt (warning).",
        shown="``nirbridge run net.nir --dt 0.002``, where the metadata of net.nir say 0.001.",
        fix="Leave ``--dt`` out, or rewrite the graph for the other step.",
    ),
    Rule(
        code="NB306",
        levels=INFO,
        wrong="I and IF add their input once a step",
        meaning="These nodes have no time constant. All public files and readers integrate per step, not per "
        "second; the semantics field ``integrate`` changes it.",
        example='nodes["hidden"] = nir.IF(one, one)',
        fix="Nothing, if it is meant.",
    ),
    Rule(
        code="NB307",
        levels=WARNING,
        wrong="r was made for exact decay, the reader steps with Euler",
        meaning="r = tau·exp(−dt/tau)/dt with one dt for all neurons is what an exporter with exact decay "
        "writes. A reader that steps with Euler then gets slightly other potentials.",
        example="tau = np.array([0.02, 0.05])\n"
        'nodes["hidden"].tau, nodes["hidden"].r = tau, tau / 0.001 * np.exp(-0.001 / tau)',
        fix="``nirbridge convert IN OUT --pass to-euler``, or state exact decay in the metadata.",
    ),
)
