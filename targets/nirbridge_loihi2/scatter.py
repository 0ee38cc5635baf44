"""The synapses of the compiled loop: what one message adds to the sums that will arrive."""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)

DENSE, LISTED, CONV = 0, 1, 2


@njit(cache=True, nogil=True)
def add(into: Any, row: Any, x: int) -> None:
    """into += row·x."""
    if x == 1:
        for i in range(len(into)):
            into[i] += row[i]
    else:
        for i in range(len(into)):
            into[i] += row[i] * x


@njit(cache=True, nogil=True)
def add_listed(ring: Any, post: Any, wait: Any, weight: Any, x: int, t: int, slots: int, n: int) -> None:
    """A message of value x in step t over listed synapses into a layer's ring (slots·n,)."""
    for s in range(len(post)):
        ring[(t + 1 + wait[s]) % slots * n + post[s]] += weight[s] * x


@njit(cache=True, nogil=True)
def add_window(into: Any, kernel: Any, g: Any, j: int, x: int) -> None:
    """A message of value x from source j through a convolution into ``into`` (Ho·Wo·O,), channels last.

    g: (15,) the row of a `Window`; kernel: (C·kH·kW·O/G,), see `convolution.by_source`.
    """
    h, w, out, h_out, w_out, k_h, k_w = g[1], g[2], g[3], g[4], g[5], g[6], g[7]
    c = j // (h * w)
    i, j = j // w % h, j % w
    per = out // g[14]
    start = c // (g[0] // g[14]) * per
    for a in range(k_h):
        r = i + g[10] - a * g[12]
        if r < 0 or r % g[8] != 0 or r // g[8] >= h_out:
            continue
        r //= g[8]
        for b in range(k_w):
            q = j + g[11] - b * g[13]
            if q < 0 or q % g[9] != 0 or q // g[9] >= w_out:
                continue
            at = (r * w_out + q // g[9]) * out + start
            row = ((c * k_h + a) * k_w + b) * per
            for o in range(per):
                into[at + o] += kernel[row + o] * x


@njit(cache=True, nogil=True)
def settle(into: Any, acc: Any, shift: int) -> None:
    """Shift the sum of a connection right, pass it on to the ring and clear it."""
    for i in range(len(into)):
        into[i] += acc[i] >> shift
        acc[i] = 0


@njit(cache=True, nogil=True)
def settle_window(into: Any, acc: Any, out: int) -> None:
    """Wrap the sum of a convolution to 24 bit, pass it on as (O, Ho, Wo) and clear it."""
    half, mask = 1 << 23, (1 << 24) - 1
    area = len(into) // out
    for at in range(area):
        for o in range(out):
            y = acc[at * out + o]
            if y != 0:
                into[o * area + at] += ((y + half) & mask) - half
                acc[at * out + o] = 0
