"""Calls that are lost from view, that are followed by other calls, that people labelled: against lifelines, brute force and
numerical derivatives."""

import lifelines
import numpy as np
import pandas as pd
from reference_cases import Z, case, close, curve, listed, none


def labelled():
    """Rogan-Gladen and prediction-powered inference: influences by numerical derivatives, errors by clusters."""
    rng = np.random.default_rng(15)

    def youden(weights, scored, labels):
        known = ~np.isnan(labels)
        yes, no = known & (labels == 1), known & (labels == 0)
        sensitivity = np.average(scored[yes], weights=weights[yes])
        false_positive = np.average(scored[no], weights=weights[no])
        return (np.average(scored, weights=weights) - false_positive) / (sensitivity - false_positive)

    def powered(weights, scored, labels):
        known = ~np.isnan(labels)
        return np.average(scored, weights=weights) + np.average((labels - scored)[known], weights=weights[known])

    def influences(estimate, scored, labels):
        n, h = len(scored), 1e-6
        ones = np.ones(n)
        moved = [estimate(ones + h * np.eye(n)[i], scored, labels) - estimate(ones - h * np.eye(n)[i], scored, labels)
                 for i in range(n)]
        return np.array(moved) / (2 * h)

    def clustered(influence, customer):
        totals = np.array([influence[customer == c].sum() for c in np.unique(customer)])
        return np.sqrt((totals**2).sum() * len(totals) / (len(totals) - 1))

    def checked(estimate, scored, labels, customer, what):
        def check(found):
            value = estimate(np.ones(len(scored)), scored, labels)
            error = clustered(influences(estimate, scored, labels), customer)
            close(found, [value, error, value - Z * error, value + Z * error], what, 1e-5)
        return check

    def with_gaps(values):
        return [None if np.isnan(v) else float(v) for v in values]

    for n, m, customers in [(60, 20, 60), (200, 50, 80), (300, 300, 300), (150, 40, 30), (80, 79, 80)]:
        truth = (rng.random(n) < 0.6).astype(float)
        scored = np.where(rng.random(n) < 0.15, 1 - truth, truth)
        labels = np.where(np.arange(n) < m, truth, np.nan)
        customer = rng.integers(0, customers, n)
        for name, estimator, estimate in [("Rogan-Gladen", "rogan_gladen", youden),
                                          ("prediction-powered", "prediction_powered", powered)]:
            request = {"estimator": estimator, "scored": listed(scored), "labels": with_gaps(labels), "customer": listed(customer)}
            case(f"{name}, {m} of {n}", request, checked(estimate, scored, labels, customer, name))
        moods, said = rng.normal(0, 1, n), np.where(np.arange(n) < m, rng.normal(0.3, 1, n), np.nan)
        request = {"estimator": "prediction_powered", "scored": listed(moods), "labels": with_gaps(said), "customer": listed(customer)}
        case(f"prediction-powered sentiment, {m} of {n}", request, checked(powered, moods, said, customer, "sentiment"))
        # The difference of two arms whose customers are partly the same.
        half = n // 2
        arms = [np.where(np.arange(n) % 2 == k, scored, np.nan) for k in (0, 1)]
        own = [np.where(np.arange(n) % 2 == k, labels, np.nan) for k in (0, 1)]

        def difference(found, arms=arms, own=own, customer=customer, half=half):
            parts = []
            for scored, labels in zip(arms, own):
                inside = ~np.isnan(scored)
                influence = np.zeros(len(scored))
                influence[inside] = influences(powered, scored[inside], labels[inside])
                parts.append((powered(np.ones(inside.sum()), scored[inside], labels[inside]), influence))
            value = parts[0][0] - parts[1][0]
            error = clustered(parts[0][1] - parts[1][1], customer)
            close(found, [value, error, value - Z * error, value + Z * error], "difference of arms", 1e-5)
        request = {"estimator": "labelled_difference", "customer": listed(customer)}
        for place, scored, labels in zip(("first", "second"), arms, own):
            request |= {f"{place}_scored": with_gaps(scored), f"{place}_labels": with_gaps(labels)}
        case(f"labelled difference, {m} of {n}", request, difference)
    one = {"scored": [1, 0, 1], "customer": [0, 1, 2]}
    case("labels of one kind", {"estimator": "rogan_gladen", "labels": [1, None, 1], **one}, none)
    case("no labels", {"estimator": "prediction_powered", "labels": [None, None, None], **one}, none)


def weighted_end(times, causes, weights):
    """The incidence of cause 1 at the end of the curve, each call counted `weights` times."""
    survival, f = 1.0, 0.0
    for t in np.unique(times):
        n = weights[times >= t].sum()
        f += survival * weights[(times == t) & (causes == 1)].sum() / n
        survival *= 1 - weights[(times == t) & (causes > 0)].sum() / n
    return f


def censored():
    """Calls that are lost from view: shares against lifelines' Aalen-Johansen, restricted means against its Kaplan-Meier."""
    rng = np.random.default_rng(16)
    sets = {
        "without ties": (rng.permutation(300) + 1.0, rng.choice(3, 300, p=[0.25, 0.5, 0.25])),
        "ties": (rng.integers(1, 12, 400).astype(float), rng.choice(3, 400, p=[0.15, 0.5, 0.35])),
        "nothing lost": (rng.permutation(80) + 1.0, rng.choice([1, 2], 80)),
        "few lost": (rng.permutation(500) + 1.0, rng.choice(3, 500, p=[0.03, 0.6, 0.37])),
        "small": (np.arange(1.0, 13.0), np.array([1, 2, 0, 1, 1, 2, 1, 0, 1, 2, 1, 1])),
    }
    for name, (times, causes) in sets.items():
        causes = causes.copy()
        # The last one is known, so that the curve comes to its end.
        causes[times == times.max()] = 1
        known, event = causes > 0, causes == 1

        def share(found, times=times, causes=causes, known=known, event=event, name=name):
            own = curve(times, causes)(times.max())
            close(found["mean"], own[0], "incidence at the end, by its formula")
            if name != "ties":
                fitter = lifelines.AalenJohansenFitter(calculate_variance=False).fit(times, causes, event_of_interest=1)
                close(found["mean"], fitter.cumulative_density_.iloc[-1, 0], "lifelines' Aalen-Johansen")
            influence = np.array(found["influence"])
            n = len(times)
            # How the estimate moves when each call is counted a little more or less.
            h, ones = 1e-6, np.ones(n)
            moved = [weighted_end(times, causes, ones + h * e) - weighted_end(times, causes, ones - h * e) for e in np.eye(n)]
            close(influence, n * np.array(moved) / (2 * h), "influences by numerical derivatives", 1e-4)
            close(found["standard_error"], influence.std(ddof=1) / np.sqrt(n), "error")
        request = {"estimator": "censored", "times": listed(times), "known": listed(known), "values": listed(event)}
        case(f"lost from view, {name}", request, share)

        limit = float(np.quantile(times, 0.8))
        cut, followed = np.minimum(times, limit), known | (times >= limit)
        waits = np.where(event & (times < limit), times, limit)

        def restricted(found, times=times, causes=causes, limit=limit):
            own = curve(times, causes)
            grid = np.unique(np.r_[0, times[times < limit], limit])
            area = sum((b - a) * (1 - own(a)[0]) for a, b in zip(grid[:-1], grid[1:]))
            close(found["mean"], area, "restricted mean, as the area over the curve")
            if not (causes == 2).any():
                km = lifelines.KaplanMeierFitter().fit(times, causes == 1)
                close(found["mean"], lifelines.utils.restricted_mean_survival_time(km, t=limit), "lifelines")
        request = {"estimator": "censored", "times": listed(cut), "known": listed(followed), "values": listed(waits)}
        case(f"restricted mean, {name}", request, restricted)
    lost = {"estimator": "censored", "times": [1, 2, 3], "values": [0, 0, 0]}
    case("all lost from view", {**lost, "known": [0, 0, 0]}, none)


def follow_ups():
    """Who comes back, by brute force over all pairs of calls; and against lifelines' Kaplan-Meier on average."""
    day = 86_400_000
    rng = np.random.default_rng(17)
    for n, customers, span, days, share in [(300, 100, 40, 7, 1.0), (500, 60, 90, 30, 0.4), (200, 200, 20, 3, 0.7),
                                            (50, 5, 10, 1, 0.5), (400, 150, 25, 30, 1.0), (4000, 2000, 84, 30, 1.0)]:
        customer, start = rng.integers(0, customers, n), rng.integers(0, span * 24, n) * (day // 24)
        compared = rng.random(n) < share

        def check(found, customer=customer, start=start, compared=compared, days=days):
            wanted = []
            for c, s in zip(customer[compared], start[compared]):
                later = start[(customer == c) & (start > s)]
                back = bool(len(later)) and bool(later.min() - s <= days * day)
                wanted.append(back if start.max() - s >= days * day else None)
            if found != wanted:
                raise AssertionError(f"{sum(a != b for a, b in zip(found, wanted))} calls differ")
            told = [w for w in wanted if w is not None]
            if len(told) > 1000:
                following = pd.DataFrame({"c": customer, "s": start}).sort_values(["c", "s"])
                wait = following.groupby("c").s.shift(-1) - following.s
                seen = np.where(wait.isna(), start.max() - following.s, wait)
                km = lifelines.KaplanMeierFitter().fit(seen, wait.notna())
                close(np.mean(told), 1 - km.predict(days * day), "Kaplan-Meier", 0.05)
        request = {"estimator": "follow_up", "customer": listed(customer[compared]), "start": listed(start[compared]),
                   "all_customers": listed(customer), "all_starts": listed(start), "days": days}
        case(f"coming back within {days} days, {n} calls", request, check)
