"""Coefficients with a source, corners that keep their constraints, intervals over corners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nirbridge.cost import (
    Coefficients,
    Cost,
    Interval,
    Term,
    Total,
    load,
    load_file,
    over_corners,
    total_of,
    worst_basis,
)
from nirbridge.errors import BadInput

FILE: dict[str, Any] = {
    "schema": "nirbridge.coefficients.v1",
    "device": "toy",
    "version": "1.0",
    "sources": {"A": {"cite": "Someone, A Journal 2024"}},
    "coefficients": {
        "base": {"value": 75.0, "unit": "mW", "basis": "published", "source": "A"},
        "c_tick": {"value": 2000, "unit": "cycle", "basis": "published", "source": "A"},
        "c_n": {"value": 60, "unit": "cycle", "basis": "fitted", "source": "choice"},
        "e_cycle": {"value": 15, "unit": "pJ", "basis": "assumed", "source": "A"},
    },
    "constraints": [{"expr": "c_tick + 1024*c_n + 12000*c_s == 300000", "source": "A"}],
    "corners": {"low": {"c_tick": 1000, "c_n": 40}, "high": {"c_tick": 8000, "c_n": 150}},
}


def changed(**paths: Any) -> dict[str, Any]:
    """The file with values replaced: ``coefficients__base__unit=None`` removes a key."""
    result = deepcopy(FILE)
    for path, value in paths.items():
        *parents, last = path.split("__")
        at = result
        for key in parents:
            at = at[key]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return result


def toy(**paths: Any) -> Coefficients:
    return Coefficients.model_validate(changed(**paths))


def test_the_central_values_are_always_a_corner() -> None:
    assert list(toy().corner_values()) == ["central", "low", "high"]
    assert list(toy(corners={}).corner_values()) == ["central"]
    central = toy().corner_values()["central"]
    assert central["base"] == pytest.approx(0.075)
    assert central["e_cycle"] == pytest.approx(15e-12)


def test_the_open_coefficient_is_solved_in_every_corner() -> None:
    for values in toy().corner_values().values():
        assert values["c_tick"] + 1024 * values["c_n"] + 12000 * values["c_s"] == pytest.approx(300000)
    assert len({values["c_s"] for values in toy().corner_values().values()}) == 3


def test_a_solved_coefficient_has_the_worst_basis_of_what_it_follows_from() -> None:
    assert toy().basis_of("c_s") == "fitted"
    assert toy(coefficients__c_n__basis="measured").basis_of("c_s") == "published"
    assert toy().source_of("c_s") == "follows from c_tick + 1024*c_n + 12000*c_s == 300000"
    assert (toy().source_of("base"), toy().source_of("c_n")) == ("Someone, A Journal 2024", "our choice")


def test_an_override_holds_in_every_corner() -> None:
    values = toy().corner_values({"c_n": 100, "base": 50})
    assert {corner["c_n"] for corner in values.values()} == {100}
    assert {corner["base"] for corner in values.values()} == {0.05}
    assert values["central"]["c_s"] == pytest.approx((300000 - 2000 - 102400) / 12000)


def closed() -> Coefficients:
    c_s = {"value": 19.7133333333333333, "unit": "cycle", "basis": "published", "source": "A"}
    return toy(coefficients__c_s=c_s, corners={})


def test_an_override_that_breaks_a_constraint_is_refused() -> None:
    assert closed().corner_values()["central"]["c_s"] == pytest.approx(19.7133, abs=1e-4)
    with pytest.raises(BadInput, match="break the constraint c_tick") as caught:
        closed().corner_values({"c_n": 61})
    assert caught.value.code == "NB702"


def test_an_override_of_an_unknown_coefficient_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="'c_m' is not known for toy") as caught:
        toy().corner_values({"c_m": 1})
    assert (caught.value.code, caught.value.fix) == ("NB702", "use one of base, c_tick, c_n, e_cycle")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"coefficients__base__unit": None}, "unit"),
        ({"coefficients__base__basis": None}, "basis"),
        ({"coefficients__base__source": None}, "source"),
        ({"coefficients__base__source": "B"}, "unknown source 'B'"),
        ({"coefficients__base__unit": "furlong"}, "unknown unit 'furlong'"),
        ({"coefficients__base__basis": "guessed"}, "basis"),
        ({"coefficients__base__value": float("nan")}, "finite"),
        ({"coefficients__base__colour": "red"}, "colour"),
        ({"corners__low__c_x": 1}, "corner 'low' sets 'c_x'"),
        ({"constraints": [{"expr": "c_a + c_b == 1", "source": "A"}]}, "leaves c_a, c_b open"),
        ({"constraints": [{"expr": "c_n^2 == 1", "source": "A"}]}, "not a sum of factor"),
        ({"schema": "nirbridge.coefficients.v2"}, "schema"),
    ],
)
def test_a_figure_that_nobody_can_follow_is_refused(
    tmp_path: Path, paths: dict[str, Any], words: str
) -> None:
    path = tmp_path / "coefficients.json"
    path.write_text(json.dumps(changed(**paths)))
    with pytest.raises(BadInput, match=words) as caught:
        load_file(path)
    assert caught.value.code == "NB702"


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "coefficients.json"
    path.write_text(json.dumps(FILE))
    assert load_file(path) == toy()


@pytest.mark.parametrize("package", ["nirbridge_reference", "nirbridge_loihi2", "nirbridge_spinnaker2"])
def test_every_shipped_coefficient_has_a_citation(package: str) -> None:
    data = load(package)
    assert all(data.source_of(name) for name in data.coefficients)
    assert "central" in data.corner_values()


def test_bounds_are_over_corners_and_not_sums_of_bounds() -> None:
    def terms(c: Mapping[str, float]) -> dict[str, float]:
        return {"neuron-updates": 1024 * c["c_n"], "synaptic-ops": 12000 * c["c_s"]}

    each, total = over_corners(toy(), terms)
    corners = toy().corner_values()
    sums = {name: sum(terms(values).values()) for name, values in corners.items()}
    assert (total.value, total.low, total.high) == (
        sums["central"],
        min(sums.values()),
        max(sums.values()),
    )
    assert total.high - total.low == pytest.approx(7000)
    assert total.low > each["neuron-updates"].low + each["synaptic-ops"].low
    assert each["neuron-updates"] == Interval(1024 * 60, 1024 * 40, 1024 * 150)


def test_an_interval_widens_outwards_and_scales_as_a_whole() -> None:
    assert Interval(2.0, 1.0, 4.0).widened(0.5) == Interval(2.0, 0.5, 6.0)
    assert Interval(2.0, 1.0, 4.0).scaled(3.0) == Interval(6.0, 3.0, 12.0)


def test_the_worst_basis_is_the_weakest_claim() -> None:
    assert worst_basis(["measured", "published"]) == "published"
    assert worst_basis(["published", "assumed", "fitted"]) == "assumed"


def cost(*, latency_per: str = "batch") -> Cost:
    def total(value: float, unit: str, per: str) -> Total:
        bounds: Any = {"value": value, "low": value / 2, "high": value * 2, "unit": unit, "per": per}
        return Total(**bounds, basis="fitted", source="A")

    def term(name: str, kind: str, value: float | None) -> Term:
        rest: Any = {"quantity": 1.0, "quantity_unit": "1", "coefficient": None, "low": value, "high": value}
        return Term(name=name, kind=kind, value=value, **rest, unit="J", basis="fitted", source="A")  # type: ignore[arg-type]

    return Cost(
        target="toy",
        energy=total(4e-3, "J", "sample"),
        latency=total(0.1, "s", latency_per),
        energy_terms=(term("base", "static", 3e-3), term("mac", "dynamic", 1e-3), term("x", "dynamic", None)),
        latency_terms=(),
        scope="board",
        batch=10,
        ticks=100,
        tick_s=1e-3,
    )


def test_both_energy_delay_products_are_stated() -> None:
    assert cost().edp() == pytest.approx({"edp_batch_latency_js": 4e-4, "edp_amortised_js": 4e-5})
    per_sample = cost(latency_per="sample").edp()
    assert per_sample == pytest.approx({"edp_batch_latency_js": 4e-3, "edp_amortised_js": 4e-4})


def test_static_share_and_json() -> None:
    assert cost().static_share == pytest.approx(0.75)
    data = json.loads(json.dumps(cost().as_dict()))
    assert data["schema"] == "nirbridge.cost/1"
    assert data["energy_terms"][2]["value"] is None


def claim(name: str, value: float | None, basis: str, source: str) -> Term:
    rest: Any = {"quantity": 1.0, "quantity_unit": "1", "coefficient": None, "low": value, "high": value}
    return Term(name=name, kind="dynamic", value=value, **rest, unit="J", basis=basis, source=source)  # type: ignore[arg-type]


def test_basis_and_source_of_a_total_are_those_of_one_term() -> None:
    terms = [
        claim("base", 8.0, "published", "a paper"),
        claim("small", 0.6, "assumed", "a guess"),
        claim("larger", 1.0, "assumed", "another guess"),
        claim("light", 0.4, "assumed", "a third"),
        claim("unknown", None, "assumed", "unknown"),
    ]
    found = total_of(Interval(10.0, 9.0, 12.0), terms, "J", per="sample")
    assert (found.basis, found.source) == ("assumed", "larger: another guess")
    assert (found.value, found.low, found.high, found.unit, found.per) == (10.0, 9.0, 12.0, "J", "sample")
    without = total_of(Interval(10.0, 9.0, 12.0), [terms[0], terms[3]], "J", per="sample")
    assert (without.basis, without.source) == ("published", "base: a paper")  # 4 % do not count
    nothing = total_of(Interval(0.0, 0.0, 0.0), terms[4:], "J", per="batch")
    assert (nothing.basis, nothing.source) == ("assumed", "unknown: unknown")
