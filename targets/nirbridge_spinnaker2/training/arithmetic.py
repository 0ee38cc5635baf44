"""Product, quotient and rounding of the number formats, one name each for floats and fixed point.

A fixed-point number is the int64 n that stands for n·2^−F. The kernels are written once: numba picks the
implementation by the type of the numbers, so float kernels are plain float arithmetic.

``rule`` (2,) int64: F, and 1 where products and quotients are rounded stochastically, else 0 (nearest,
ties to even). ``noise`` (2,) uint64: state of the sample's random numbers; results that were clamped to
32 bits so far. Floats use neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from nirbridge.kernels import use_cache

use_cache(__name__)

LIMIT = 2**31 - 1
TINY = 1e-10  # of the slope at a spike, in float formats (SPINNAKER2.md §6)
COMPILED = "a name for kernels, where numba puts the overload for its numbers in; call it from compiled code"


@njit(cache=True, nogil=True)
def splitmix(x: Any) -> Any:
    """SplitMix64 of a uint64 (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195): its random bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def _clamped(n: Any, noise: Any) -> Any:
    if n > LIMIT or n < -LIMIT - 1:
        noise[1] += np.uint64(1)
        return np.int64(LIMIT) if n > 0 else np.int64(-LIMIT - 1)
    return n


@njit(cache=True, nogil=True)
def _rounded_up(twice_rest: Any, divisor: Any, odd: Any, rule: Any, noise: Any) -> Any:
    """Whether floor's result goes up by one: rest/divisor in [0, 1) is what floor left over."""
    if rule[1] == 0:
        return twice_rest > divisor or (twice_rest == divisor and odd)
    noise[0] = splitmix(noise[0])
    draw = np.float64(noise[0] >> np.uint64(11)) * 2.0**-53
    return 0.5 * np.float64(twice_rest) > draw * np.float64(divisor)


@njit(cache=True, nogil=True)
def _fixed_product(a: Any, b: Any, rule: Any, noise: Any) -> Any:
    exact = a * b
    floor = exact >> rule[0]
    rest = exact - (floor << rule[0])
    if rest != 0 and _rounded_up(2 * rest, np.int64(1) << rule[0], floor & 1 == 1, rule, noise):
        floor += 1
    return _clamped(floor, noise)


@njit(cache=True, nogil=True)
def _fixed_quotient(a: Any, b: Any, rule: Any, noise: Any) -> Any:
    top = a << rule[0]
    if b < 0:
        top, b = -top, -b
    floor = top // b
    rest = top - floor * b
    if rest != 0 and _rounded_up(2 * rest, b, floor & 1 == 1, rule, noise):
        floor += 1
    return _clamped(floor, noise)


def product(a: Any, b: Any, rule: Any, noise: Any) -> Any:
    """a·b in the format."""
    raise TypeError(COMPILED)


def quotient(a: Any, b: Any, rule: Any, noise: Any) -> Any:
    """a/b in the format; b is no zero (`slope`)."""
    raise TypeError(COMPILED)


def slope(current: Any, voltage: Any) -> Any:
    """I − V⁻ as a divisor: plus 1e-10 in floats, one unit 2^−F where it is 0 in fixed point."""
    raise TypeError(COMPILED)


def store(array: Any, at: Any, value: Any, rule: Any) -> None:
    """array[at] ← the float ``value``, rounded to the nearest number of the format."""
    raise TypeError(COMPILED)


@overload(product)
def _product(a: Any, b: Any, rule: Any, noise: Any) -> Any:
    def plain(a: Any, b: Any, rule: Any, noise: Any) -> Any:
        return a * b

    def fixed(a: Any, b: Any, rule: Any, noise: Any) -> Any:
        return _fixed_product(a, b, rule, noise)

    return plain if isinstance(a, types.Float) else fixed


@overload(quotient)
def _quotient(a: Any, b: Any, rule: Any, noise: Any) -> Any:
    def plain(a: Any, b: Any, rule: Any, noise: Any) -> Any:
        return a / b

    def fixed(a: Any, b: Any, rule: Any, noise: Any) -> Any:
        return _fixed_quotient(a, b, rule, noise)

    return plain if isinstance(a, types.Float) else fixed


@overload(slope)
def _slope(current: Any, voltage: Any) -> Any:
    def plain(current: Any, voltage: Any) -> Any:
        return current - voltage + TINY

    def fixed(current: Any, voltage: Any) -> Any:
        return current - voltage if current != voltage else 1

    return plain if isinstance(current, types.Float) else fixed


@overload(store)
def _store(array: Any, at: Any, value: Any, rule: Any) -> Any:
    def plain(array: Any, at: Any, value: Any, rule: Any) -> None:
        array[at] = value

    def fixed(array: Any, at: Any, value: Any, rule: Any) -> None:
        array[at] = np.int64(np.rint(value * 2.0 ** rule[0]))

    return plain if isinstance(array.dtype, types.Float) else fixed
