"""NB700 to NB711 and NB901 to NB903: the command line, configurations and plugins."""

from __future__ import annotations

from nirbridge.validate.registry.rule import ERROR, Rule

OPTIONS = (
    Rule(
        code="NB700",
        levels=ERROR,
        wrong="a wrong command line",
        meaning="A command or option does not exist, is missing or contradicts another.",
        shown="``nirbridge check`` without a file.",
        fix="See ``--help`` of the command.",
    ),
    Rule(
        code="NB701",
        levels=ERROR,
        wrong="an option's value or name",
        meaning="A value is out of range, or a pass, target or trainer has no option of that name.",
        shown="``--pass quantize-weights:bits=99``.",
        fix="``nirbridge plugins`` lists the options of each.",
    ),
    Rule(
        code="NB702",
        levels=ERROR,
        wrong="a coefficients file, or an override in it",
        meaning="A cost coefficient has no source, no basis or no interval, or the file is no JSON.",
        shown="A term without the key ``source``.",
        fix="Correct the file; its schema is schemas/coefficients.json.",
    ),
    Rule(
        code="NB703",
        levels=ERROR,
        wrong="a training configuration",
        meaning="The TOML file cannot be read, or a key is unknown, missing or out of range.",
        shown="``epochs = 0`` in the section ``[trainer]``.",
        fix="Correct the key that the message names; the schema is schemas/training-config.json.",
    ),
    Rule(
        code="NB704",
        levels=ERROR,
        wrong="a value given with ``--set``",
        meaning="The text after ``--set`` is no ``section.key=value``.",
        shown="``--set epochs``.",
        fix="Write ``--set trainer.epochs=20``.",
    ),
    Rule(
        code="NB705",
        levels=ERROR,
        wrong="``--resume`` without a checkpoint",
        meaning="There is nothing to go on from.",
        shown="``--resume`` in a folder in which no training was interrupted.",
        fix="Leave ``--resume`` out.",
    ),
    Rule(
        code="NB710",
        levels=ERROR,
        wrong="an output that cannot be written",
        meaning="The folder does not exist, the disk is full or permission is missing. An old file stays.",
        shown="``-o missing/net.nir``.",
        fix="Create the folder, free some space, or name another place.",
    ),
    Rule(
        code="NB711",
        levels=ERROR,
        wrong="a file ending that nobody writes",
        meaning="No installed format reads or writes files of this ending.",
        shown="``nirbridge convert net.nir net.xyz``.",
        fix="Use .nir, or install a package that offers the format (``nirbridge plugins``).",
    ),
)

PLUGINS = (
    Rule(
        code="NB901",
        levels=ERROR,
        wrong="a plugin cannot be loaded",
        meaning="Importing the package of a target, trainer, pass or format failed; the cause is printed.",
        shown="A target whose package needs a library that is not installed.",
        fix="Reinstall or update the package, or uninstall it.",
    ),
    Rule(
        code="NB902",
        levels=ERROR,
        wrong="no plugin of that name",
        meaning="No installed package offers it; the known names are printed.",
        shown="``--target loihi3``.",
        fix="Correct the name, or install the package.",
    ),
    Rule(
        code="NB903",
        levels=ERROR,
        wrong="two packages offer one name",
        meaning="It cannot be told which of the two is meant.",
        shown="Two packages with a target named ``reference``.",
        fix="Uninstall one of them.",
    ),
)
