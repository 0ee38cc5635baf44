"""Laws that any target or trainer can be held to: give it to these functions in your own tests.

Each raises `AssertionError` with what was found where the law is broken. Our tests only
parametrise them; a plugin's package can do the same.
"""

from nirbridge.conformance.example import example_data, example_graph, spiking_example_graph
from nirbridge.conformance.targets import (
    check_agrees_with_reference,
    check_batch_equals_samples,
    check_cost,
    check_counts,
    check_leaves_its_input_alone,
    check_no_input_no_spikes,
    check_passes_idempotent,
    check_placement,
    check_repeatable,
)
from nirbridge.conformance.trainers import (
    check_forward_equals_reference,
    check_keeps_structure,
    check_resume,
    check_same_seed_same_weights,
)

__all__ = [
    "check_agrees_with_reference",
    "check_batch_equals_samples",
    "check_cost",
    "check_counts",
    "check_forward_equals_reference",
    "check_keeps_structure",
    "check_leaves_its_input_alone",
    "check_no_input_no_spikes",
    "check_passes_idempotent",
    "check_placement",
    "check_repeatable",
    "check_resume",
    "check_same_seed_same_weights",
    "example_data",
    "example_graph",
    "spiking_example_graph",
]
