"""What the reference tests have in common: the list of cases, comparison of numbers, a curve by brute force."""

import numpy as np
import scipy.stats

Z = scipy.stats.norm.ppf(0.975)
TOLERANCE = 1e-6
CASES = []


def case(name, request, check):
    CASES.append((name, request, check))


def listed(values):
    return [float(v) for v in values]


def close(found, wanted, what, tolerance=TOLERANCE):
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True):
        raise AssertionError(f"{what}: {found} is not {wanted}")


def none(found):
    if found is not None:
        raise AssertionError(f"{found} where there is nothing to tell")


def curve(times, causes):
    """The estimator and its variance as the book has them, by brute force."""
    steps, survival, f = [], 1.0, 0.0
    for t in np.unique(times):
        n, d, j = (times >= t).sum(), ((times == t) & (causes > 0)).sum(), ((times == t) & (causes == 1)).sum()
        f += survival * j / n
        steps.append((t, n, d, j, survival, f))
        survival *= 1 - d / n

    def at(time):
        past = [s for s in steps if s[0] <= time]
        if not past:
            return 0.0, 0.0
        f_t = past[-1][5]
        v = 0.0
        for _, n, d, j, s, f_i in past:
            v += (f_t - f_i) ** 2 * (d / (n * (n - d)) if n > d else 0) + s**2 * j * (n - j) / n**3
            v -= 2 * (f_t - f_i) * s * j / n**2
        return f_t, np.sqrt(max(v, 0))

    return at
