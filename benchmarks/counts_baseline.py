"""What the number of spikes alone tells about the class, and what a linear model on time bins does.

    python benchmarks/counts_baseline.py [--only tactile ...] [--data ../shared/data] [--json FILE]

Multinomial logistic regression, L2 with C = 1, features not standardised, fitted to convergence (Newton
steps by conjugate gradients until the gradient is 1e-5 of its start). counts: log1p of each channel's spikes
in a sample, channels in 70 groups; bins: log1p of the spikes in bins of time, channels in 35 groups. Where
each channel fires at most once (MNIST, Yin-Yang) the second column takes the encoded values instead.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.io import read_dataset
from nirbridge.io.images import read_images
from nirbridge.io.yin_yang import yin_yang_samples

Features = NDArray[np.float64]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PART = 5000  # samples that the preconditioner is taken from
SHARE = 6  # every sixth training image of MNIST: a fit on all of them takes many minutes
UNSEEN = 4  # the speaker of the spoken words that training never hears

# Set -> training file, test files, channels, bins, their width [s].
SPIKES: dict[str, tuple[str, tuple[str, ...], int, int, float]] = {
    "spoken digits": ("fsdd_train.h5.gz", ("fsdd_valid.h5.gz", "fsdd_test_george.h5.gz"), 700, 20, 0.04),
    "spoken words": ("espeak_shd_train.h5.gz", ("espeak_shd_test.h5.gz",), 700, 20, 0.04),
    "tactile": ("braille_train.h5", ("braille_valid.h5",), 24, 19, 0.1),
}


def binned(data: Dataset, groups: int, bins: int, width: float) -> Features:
    """log1p of spike counts, (samples, bins·groups): channels in equal groups, bins of ``width`` [s]."""
    spikes = data.spikes
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    when = np.floor(spikes.times / width + 1e-6).astype(np.int64)
    where = spikes.units.astype(np.int64) * groups // spikes.n_units
    inside = when < bins
    cell = (sample * bins + when) * groups + where
    found = np.bincount(cell[inside], minlength=len(data) * bins * groups)
    return np.log1p(found.reshape(len(data), -1).astype(np.float64))


def fit(x: Features, y: NDArray[np.int64], c: float = 1.0) -> Features:
    """Weights (features + 1, classes), the last row not penalised, that minimise ½|w|² + c·Σ −ln p_y."""
    n, k = len(x), int(y.max()) + 1
    x = np.hstack([x, np.ones((n, 1))])
    target = np.eye(k)[y]
    penalty = np.ones((x.shape[1], 1))
    penalty[-1] = 1e-9
    w = np.zeros((x.shape[1], k))
    start = 0.0
    for _ in range(200):
        value, p = _objective(w, x, y, c, penalty)
        gradient = penalty * w + c * x.T @ (p - target)
        size = float(np.abs(gradient).max())
        start = start or size
        if size <= 1e-5 * start:
            return w
        step = _newton_step(gradient, x, p, c, penalty, tolerance=min(0.1, math.sqrt(size / start)))
        slope, length = float((gradient * step).sum()), 1.0
        while _objective(w + length * step, x, y, c, penalty)[0] > value + 1e-4 * length * slope:
            length *= 0.5
            if length < 1e-10:  # rounding alone is left
                return w
        w = w + length * step
    raise SystemExit(f"no convergence: the gradient is still {size / start:.1e} of its start")


def _objective(
    w: Features, x: Features, y: NDArray[np.int64], c: float, penalty: Features
) -> tuple[float, Features]:
    z = x @ w
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - z[np.arange(len(y)), y]).sum())
    return 0.5 * float((penalty * w**2).sum()) + c * loss, e / total


def _newton_step(
    gradient: Features, x: Features, p: Features, c: float, penalty: Features, tolerance: float
) -> Features:
    """−H⁻¹·gradient by conjugate gradients, preconditioned with each class's own block of H."""
    some = np.linspace(0, len(x) - 1, min(PART, len(x))).astype(np.int64)
    share = c * len(x) / len(some)
    inverses = []
    for curve in (p * (1 - p))[some].T:
        block = (x[some] * (share * curve)[:, None]).T @ x[some] + np.diag(penalty[:, 0] + 1e-9)
        inverses.append(np.linalg.inv(block))

    def preconditioned(r: Features) -> Features:
        return np.stack([inverse @ r[:, at] for at, inverse in enumerate(inverses)], axis=1)

    def hessian(v: Features) -> Features:
        u = x @ v
        return penalty * v + c * x.T @ (p * (u - (p * u).sum(axis=1, keepdims=True)))

    step = np.zeros_like(gradient)
    r = -gradient
    z = preconditioned(r)
    direction = z
    rz = float((r * z).sum())
    goal = tolerance**2 * float((r * r).sum())
    for _ in range(1000):
        bent = hessian(direction)
        length = rz / float((direction * bent).sum())
        step = step + length * direction
        r = r - length * bent
        if float((r * r).sum()) <= goal:
            break
        z = preconditioned(r)
        rz, before = float((r * z).sum()), rz
        direction = z + rz / before * direction
    return step


def accuracy(w: Features, x: Features, y: NDArray[np.int64]) -> float:
    """Share of samples whose largest score is the label's."""
    return float(((x @ w[:-1] + w[-1]).argmax(axis=1) == y).mean())


def spike_rows(folder: Path, name: str) -> Iterator[dict[str, object]]:
    """A set of spike trains: a row for each part of its test samples."""
    train, tests, units, bins, width = SPIKES[name]
    data = read_dataset(folder / train, n_units=units)
    features: list[Callable[[Dataset], Features]] = [
        lambda d: binned(d, min(70, units), 1, np.inf),
        lambda d: binned(d, min(35, units), bins, width),
    ]
    assert data.labels is not None
    models = [fit(take(data), data.labels) for take in features]
    for file in tests:
        test = read_dataset(folder / file, n_units=units)
        parts = {file: test}
        if name == "spoken words" and test.groups is not None:
            new = test.groups == UNSEEN
            parts[f"{file}, known speakers"] = test.select(~new)
            parts[f"{file}, unseen speaker"] = test.select(new)
        for said, part in parts.items():
            assert part.labels is not None
            counts, fine = (
                accuracy(w, take(part), part.labels) for w, take in zip(models, features, strict=True)
            )
            yield {"set": name, "test": said, "n": len(part), "counts": counts, "bins": fine}


def mnist(folder: Path) -> Iterator[dict[str, object]]:
    """Which pixels fire (those above 1), and the pixels themselves; of every sixth training image."""
    train, test = (read_images(folder / file) for file in ("mnist_train.npz", "mnist_test_even.npz"))
    train = train.select(slice(None, None, SHARE))
    (x, y), (x_test, y_test) = (
        (images.values().reshape(len(images), -1).astype(np.float64), images.labels)
        for images in (train, test)
    )
    assert y is not None and y_test is not None
    fires = [np.log1p((values > 1.5 / 255).astype(np.float64)) for values in (x, x_test)]
    counts, bins = (
        accuracy(fit(seen, y), unseen, y_test) for seen, unseen in ((fires[0], fires[1]), (x, x_test))
    )
    yield {"set": "MNIST", "test": "mnist_test_even.npz", "n": len(y_test), "counts": counts, "bins": bins}


def yin_yang(folder: Path) -> Iterator[dict[str, object]]:
    """Every channel fires once: counts know nothing, the values are a linear model's."""
    (x, y), (x_test, y_test) = yin_yang_samples("train", 5000), yin_yang_samples("test", 1000)
    counts, bins = (
        accuracy(fit(seen, y), unseen, y_test)
        for seen, unseen in ((np.full_like(x, np.log(2)), np.full_like(x_test, np.log(2))), (x, x_test))
    )
    yield {"set": "Yin-Yang", "test": "yin-yang:test:1000", "n": len(y_test), "counts": counts, "bins": bins}


SETS: dict[str, Callable[[Path], Iterator[dict[str, object]]]] = {
    **{name: partial(spike_rows, name=name) for name in SPIKES},
    "MNIST": mnist,
    "Yin-Yang": yin_yang,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--json", type=Path, help="Rows are added here, set by set.")
    args = parser.parse_args()
    rows = json.loads(args.json.read_text())["rows"] if args.json and args.json.exists() else []
    print(f"{'set':15}{'test':42}{'n':>6}{'counts':>8}{'bins':>8}")
    for name in args.only:
        rows = [row for row in rows if row["set"] != name]
        for row in SETS[name](args.data):
            rows.append(row)
            print("{set:15}{test:42}{n:6}{counts:8.3f}{bins:8.3f}".format(**row), flush=True)
        rows.sort(key=lambda row: list(SETS).index(str(row["set"])))
        if args.json:
            args.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
