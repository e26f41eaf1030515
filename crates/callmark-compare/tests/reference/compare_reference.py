"""Holds every estimator against lifelines, scipy and statsmodels on the same data.

    compare_reference.py STATISTICS_CASES

STATISTICS_CASES is the example of that name of callmark-compare. Each estimator runs on at least five data sets, with ties,
an arm in which nothing happens, an empty arm, a single cluster and tiny samples among them. Equal to 1e-6, bootstraps to
their Monte-Carlo error. Exit code 1 when anything differs.
"""

import json
import subprocess
import sys
import warnings

import numpy as np
import scipy.stats
import statsmodels.api as sm
from statsmodels.duration.survfunc import CumIncidenceRight
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW
from statsmodels.treatment.treatment_effects import TreatmentEffect

from lost_and_labelled import censored, follow_ups, labelled
from reference_cases import CASES, Z, case, close, curve, listed, none

warnings.filterwarnings("ignore")


def shares():
    for k, n in [(0, 1), (3, 3), (1, 7), (50, 100), (99_999, 100_000), (0, 40)]:
        def check(found, k=k, n=n):
            low, high = proportion_confint(k, n, method="wilson")
            close([found[0], found[2], found[3]], [k / n, low, high], "wilson")
        case(f"wilson {k}/{n}", {"estimator": "wilson", "successes": k, "trials": n}, check)
    for k1, n1, k2, n2 in [(56, 70, 48, 80), (30, 30, 30, 30), (521, 620, 0, 69), (10, 10, 0, 20), (1, 2, 7, 9), (300, 1000, 200, 900)]:
        def differs(found, k1=k1, n1=n1, k2=k2, n2=n2):
            low, high = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff")
            close(found, [k1 / n1 - k2 / n2, low, high], "Newcombe")
        request = {"estimator": "newcombe", "k1": k1, "n1": n1, "k2": k2, "n2": n2}
        case(f"difference of {k1}/{n1} and {k2}/{n2}", request, differs)
    case("difference from nothing", {"estimator": "newcombe", "k1": 1, "n1": 2, "k2": 0, "n2": 0}, none)
    case("wilson of nothing", {"estimator": "wilson", "successes": 0, "trials": 0}, none)


def two_samples():
    rng = np.random.default_rng(2)
    return {
        "plain": (rng.normal(0, 1, 30), rng.normal(0.3, 1.5, 40)),
        "ties": (rng.integers(0, 5, 25).astype(float), rng.integers(0, 5, 31).astype(float)),
        "tiny": (np.array([1.0, 2.0]), np.array([1.5, 4.0, 2.0])),
        "skewed": (rng.lognormal(1, 1, 50), rng.lognormal(1.2, 1, 45)),
        "unequal": (rng.normal(5, 0.1, 10), rng.normal(5, 3, 200)),
    }


def ranks_and_margins():
    for name, (x, y) in two_samples().items():
        def ranks(found, x=x, y=y):
            test = scipy.stats.mannwhitneyu(y, x, method="asymptotic", use_continuity=False)
            close(found["probability"], test.statistic / (len(x) * len(y)), "scipy's U")
            wins = (x[:, None] < y) + 0.5 * (x[:, None] == y)
            delong = wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(y)
            close(found["delong"], np.sqrt(delong), "DeLong")
            pairs = np.sort((x[:, None] - y).ravel())
            reach = Z * np.sqrt(len(pairs) * (len(x) + len(y) + 1) / 12)
            rank = int(max(np.floor(len(pairs) / 2 - reach), 0))
            close(found["shift"], [np.median(pairs), pairs[rank], pairs[-1 - rank]], "Hodges-Lehmann")
        case(f"ranks, {name}", {"estimator": "ranks", "first": listed(x), "second": listed(y)}, ranks)

        weights = [np.random.default_rng(len(x)).integers(1, 4, len(v)) for v in (x, y)]

        def weighted(found, x=x, y=y, weights=weights):
            # A weight counts a value as often as it says.
            many, others = np.repeat(x, weights[0]), np.repeat(y, weights[1])
            close(found["below"], [(others < v).mean() + (others == v).mean() / 2 for v in x], "weighted shares below")
            pairs = np.sort((many[:, None] - others).ravel())
            reach = Z * np.sqrt(len(pairs) * (len(many) + len(others) + 1) / 12)
            rank = int(max(np.floor(len(pairs) / 2 - reach), 0))
            close(found["shift"], [np.median(pairs), pairs[rank], pairs[-1 - rank]], "weighted Hodges-Lehmann")
            close(found["median"], np.sort(many)[(len(many) - 1) // 2], "weighted median")
        request = {"estimator": "ranks_weighted", "first": listed(x), "second": listed(y), "first_weights": listed(weights[0]),
                   "second_weights": listed(weights[1]), "m": int(weights[0].sum()), "n": int(weights[1].sum())}
        case(f"weighted ranks, {name}", request, weighted)

        value, error = x.mean() - y.mean(), np.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))

        def margins(found, x=x, y=y, error=error):
            means = CompareMeans(DescrStatsW(x), DescrStatsW(y))
            p, (_, p_low), _ = means.ztost_ind(-0.5, 0.5, usevar="unequal")
            close([found["equivalence"], found["non_inferiority"]], [p, p_low], "statsmodels' TOST with normal errors")
            power = NormalIndPower(ddof=0).power(0.5 / error, 2, 0.025, 1.0, alternative="larger")
            close(found["power"], power, "statsmodels' power of a one-sided test")
            power = NormalIndPower(ddof=0).power(found["minimum_detectable"] / error, 2, 0.05, 1.0)
            close(power, 0.8, "power at the minimum detectable difference", 1e-4)
        request = {"estimator": "margin", "value": float(value), "error": float(error), "margin": 0.5}
        case(f"margin, {name}", request, margins)
    case("ranks of an empty arm", {"estimator": "ranks", "first": [], "second": [1]}, none)


def clusters():
    rng = np.random.default_rng(3)
    for groups, size in [(20, 1), (20, 5), (50, 3), (200, 2), (8, 10)]:
        cluster = np.repeat(np.arange(groups), size)
        values = rng.normal(0, 1, groups)[cluster] + rng.normal(0, 1, groups * size)

        def check(found, values=values, cluster=cluster, groups=groups):
            model = sm.OLS(values, np.ones(len(values)))
            fit = model.fit(cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False})
            wanted = fit.bse[0] * np.sqrt(groups / (groups - 1))
            close([found["mean"], found["standard_error"]], [fit.params[0], wanted], "statsmodels' clusters")
            close(found["bootstrap"] / (wanted * np.sqrt((groups - 1) / groups)), 1.0, "bootstrap", 0.12 + 1 / groups)
        request = {"estimator": "cluster_mean", "values": listed(values), "cluster": listed(cluster)}
        case(f"{groups} clusters of {size}", request, check)
    for calls, customers, agents in [(40, 12, 5), (100, 100, 4), (200, 50, 20), (400, 30, 30), (1000, 300, 12)]:
        customer, agent = rng.integers(0, customers, calls), rng.integers(0, agents, calls)
        influence = rng.normal(0, 1, calls) + rng.normal(0, 1, agents)[agent]
        influence -= influence.mean()

        def two_way(found, influence=influence, customer=customer, agent=agent):
            def one_way(groups):
                totals = np.array([influence[groups == g].sum() for g in np.unique(groups)])
                return (totals**2).sum() * len(totals) / (len(totals) - 1)
            n = len(influence)
            # Cameron, Gelbach & Miller with statsmodels' parts, and never below either kind of cluster alone.
            parts = []
            for groups in (customer, agent, np.arange(n)):
                fit = sm.OLS(influence, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
                g = len(np.unique(groups))
                parts.append(fit.bse[0] ** 2 * g / (g - 1))
                close(parts[-1], one_way(groups) / n**2, "one-way clusters")
            close(found, np.sqrt(max(parts[0] + parts[1] - parts[2], parts[0], parts[1])), "two-way clusters")
        case(f"{customers} customers and {agents} agents", {
            "estimator": "two_way", "influence": listed(influence), "customer": listed(customer), "agent": listed(agent)}, two_way)
    for k, n, factor in [(30, 100, 2.0), (1, 20, 1.5), (0, 50, 3.0), (400, 500, 1.2), (7, 9, 0.5)]:
        error = factor * np.sqrt(k / n * (1 - k / n) / n)

        def widened(found, k=k, n=n, factor=factor):
            effective = n / max(factor, 1.0) ** 2 if 0 < k < n else n
            low, high = proportion_confint(k / n * effective, effective, method="wilson")
            close([found[0], found[2], found[3]], [k / n, max(low, 0), high], "clustered Wilson")
        case(f"clustered wilson {k}/{n}", {"estimator": "wilson_clustered", "successes": k, "trials": n, "error": error}, widened)
    case("a single cluster", {"estimator": "cluster_mean", "values": [1, 2, 3], "cluster": [0, 0, 0]}, none)


def case_mix():
    rng = np.random.default_rng(4)
    for number, n in enumerate([200, 400, 800, 1500, 3000]):
        a, b = rng.integers(0, 4, n), rng.integers(0, 3, n)
        e = 1 / (1 + np.exp(0.8 - 0.5 * a + 0.3 * b))
        treated = (rng.random(n) < e).astype(int)
        outcome = treated * 0.5 - a + 0.4 * b + rng.normal(0, 1, n)
        if number == 2:
            outcome = (outcome > 0).astype(float)

        def check(found, a=a, b=b, treated=treated, outcome=outcome, n=n):
            columns = [np.ones(n)] + [(a == k).astype(float) for k in range(1, 4)] + [(b == k).astype(float) for k in (1, 2)]
            x = np.column_stack(columns)
            fit = sm.Logit(treated, x).fit(disp=0, tol=1e-12)
            close(found["coefficients"], fit.params, "statsmodels' logit")
            effect = TreatmentEffect(sm.OLS(outcome, x), treated, results_select=fit)
            close(found["weighted"][0], effect.ipw(return_results=False)[0], "statsmodels' IPW")
            close(found["doubly_robust"][0], effect.aipw(return_results=False)[0], "statsmodels' AIPW")
            # Stacked estimating equations by brute force.
            p = fit.predict(x)
            t = treated
            m1, m0 = (t * outcome / p).sum() / (t / p).sum(), ((1 - t) * outcome / (1 - p)).sum() / ((1 - t) / (1 - p)).sum()
            phi = t * (outcome - m1) / p / (t / p).sum() - (1 - t) * (outcome - m0) / (1 - p) / ((1 - t) / (1 - p)).sum()
            slope = (-t * (1 - p) / p * (outcome - m1) / (t / p).sum()
                     - (1 - t) * p / (1 - p) * (outcome - m0) / ((1 - t) / (1 - p)).sum()) @ x
            information = (x * (p * (1 - p))[:, None]).T @ x
            phi = phi + ((t - p)[:, None] * x) @ np.linalg.solve(information, slope)
            close(found["weighted"][1], np.sqrt((phi**2).sum() * n / (n - 1)), "IPW's error")
            f1, f0 = (sm.OLS(outcome[t == k], x[t == k]).fit().predict(x) for k in (1, 0))
            psi = f1 - f0 + t * (outcome - f1) / p - (1 - t) * (outcome - f0) / (1 - p)
            close(found["doubly_robust"][1], psi.std(ddof=1) / np.sqrt(n), "AIPW's error")
            bootstrap = found["bootstrap"]
            close(bootstrap[0], found["doubly_robust"][0], "the bootstrap is of the same estimate")
            close(bootstrap[1] / found["doubly_robust"][1], 1.0, "AIPW's error by bootstrap", 0.12)
            balanced(found["balance"], {"a": a, "b": b}, t, p)
            strata = [(a == i) & (b == j) for i in range(4) for j in range(3)]
            strata = [s for s in strata if 0 < t[s].sum() < s.sum()]
            total = sum(s.sum() for s in strata)
            wanted = sum(s.sum() / total * (outcome[s & (t == 1)].mean() - outcome[s & (t == 0)].mean()) for s in strata)
            close(found["standardised"][0], wanted, "standardisation")
            psi = np.zeros(n)
            for s in strata:
                one, two = s & (t == 1), s & (t == 0)
                psi[s] += outcome[one].mean() - outcome[two].mean() - wanted
                psi[one] += s.sum() / one.sum() * (outcome[one] - outcome[one].mean())
                psi[two] -= s.sum() / two.sum() * (outcome[two] - outcome[two].mean())
            psi *= n / total
            close(found["standardised"][1], np.sqrt((psi**2).sum() * n / (n - 1)) / n, "standardisation's error")
            low_high = found["standardised"][0] + np.array([-Z, Z]) * found["standardised"][1]
            close(found["standardised"][2:], low_high, "standardisation's interval")
        request = {"estimator": "case_mix", "treated": listed(treated), "outcome": listed(outcome), "a": listed(a),
                   "b": listed(b), "cluster": listed(range(n))}
        case(f"case mix of {n} calls", request, check)
    request = {"estimator": "case_mix", "treated": [1, 1], "outcome": [1, 2], "a": [0, 1], "b": [0, 0], "cluster": [0, 1]}
    case("case mix with one arm empty", request, none)


def balanced(table, columns, treated, p):
    """Shares of every level, and standardised mean differences before and after weighting (Austin 2009)."""
    weight = np.where(treated == 1, 1 / p, 1 / (1 - p))
    if len(table) != sum(len(np.unique(codes)) for codes in columns.values()):
        raise AssertionError(f"{len(table)} rows of balance")
    for name, level, in_treated, in_control, before, after in table:
        own = (columns[name] == int(level)).astype(float)
        shares = [own[treated == k].mean() for k in (1, 0)]
        weighted = [np.average(own[treated == k], weights=weight[treated == k]) for k in (1, 0)]
        spread = np.sqrt(sum(s * (1 - s) for s in shares) / 2)
        close([in_treated, in_control], shares, "shares of a level")
        close(before, (shares[0] - shares[1]) / spread, "standardised difference before weighting")
        close(after, (weighted[0] - weighted[1]) / spread, "standardised difference after weighting")


def the_rest():
    rng = np.random.default_rng(5)
    for n in [1, 2, 5, 20, 100]:
        p = rng.random(n) ** 2
        p[: n // 3] = p[0]

        def check(found, p=p):
            close(found["holm"], multipletests(p, method="holm")[1], "Holm")
            close(found["bh"], multipletests(p, method="fdr_bh")[1], "Benjamini-Hochberg")
        case(f"{n} p-values", {"estimator": "p_values", "p": listed(p)}, check)


def curves():
    """Every cause at once, with the cluster bootstrap's bands."""
    rng = np.random.default_rng(6)
    sets = {
        "without ties": (rng.permutation(400) + 1.0, rng.choice(4, 400, p=[0.1, 0.5, 0.2, 0.2]), np.arange(400)),
        "ties": (rng.integers(1, 12, 300).astype(float), rng.choice(4, 300), np.arange(300)),
        "pairs of calls": (rng.permutation(400) + 1.0, np.repeat(rng.choice([1, 2, 3], 200), 2), np.repeat(np.arange(200), 2)),
        "nothing censored": (rng.permutation(300) + 1.0, rng.choice([1, 2, 3], 300), np.arange(300)),
        "all censored": (np.arange(1.0, 11.0), np.zeros(10, int), np.arange(10)),
        "tiny": (np.array([1.0, 2.0, 3.0]), np.array([1, 0, 2]), np.arange(3)),
    }
    for name, (times, causes, units) in sets.items():
        limit = float(np.quantile(times, 0.8))
        at = listed(np.unique(np.quantile(times, [0.1, 0.3, 0.5, 0.7, 0.9]).round()))

        def check(found, times=times, causes=causes, units=units, at=at, limit=limit, name=name):
            for cause in (1, 2, 3):
                own = curve(times, np.where(causes == cause, 1, np.where(causes > 0, 2, 0)))
                close(found["causes"][cause - 1], [own(t)[0] for t in at], f"incidence of cause {cause}")
            if causes.max() > 0:
                order = np.argsort(times)
                reference = CumIncidenceRight(times[order], causes[order])
                for cause in range(1, causes.max() + 1):
                    f = np.r_[0, reference.cinc[cause - 1]]
                    wanted = f[np.searchsorted(reference.times, at, "right")]
                    close(found["causes"][cause - 1], wanted, "statsmodels")
            own = curve(times, np.where(causes == 1, 1, np.where(causes > 0, 2, 0)))
            if causes.max() > 0:
                grid = np.unique(np.r_[0, times[times < limit], limit])
                area = sum((b - a) * (1 - own(a)[0]) for a, b in zip(grid[:-1], grid[1:]))
                close(found["restricted_mean"], area, "restricted mean")
                reached = [t for t in np.unique(times) if own(t)[0] >= 0.5 - 1e-12]
                # An end that is not reached is no number in JSON.
                median = reached[0] if reached else None
                if found["median"] != median:
                    raise AssertionError(f"median {found['median']} is not {median}")
            if len(times) < 100:
                return
            # The bootstrap's error against the formula's, with clusters of equal calls as one call each.
            first = np.unique(units, return_index=True)[1]
            own = curve(times, np.where(causes == 1, 1, np.where(causes > 0, 2, 0)))
            for t, pointwise, band in zip(at, found["pointwise"], found["band"]):
                f, error = own(t)
                if 0.05 < f < 0.95 and len(first) == len(units):
                    close(pointwise[1] / error, 1.0, "bootstrap error", 0.1)
                    reach = Z * pointwise[1] / (f * abs(np.log(f)))
                    theta = np.log(-np.log(f))
                    close(pointwise[2:], np.exp(-np.exp([theta + reach, theta - reach])), "log(-log) interval")
                if 0 < f < 1 and not pointwise[2] < f < pointwise[3]:
                    raise AssertionError(f"the interval {pointwise} does not hold {f}")
                if band[2] > pointwise[2] + 1e-12 or band[3] < pointwise[3] - 1e-12:
                    raise AssertionError("the simultaneous band lies inside the pointwise interval")
        request = {"estimator": "curves", "times": listed(times), "causes": listed(causes), "units": listed(units), "at": at,
                   "limit": limit}
        case(f"curves, {name}", request, check)
    case("curves of an empty arm", {"estimator": "curves", "times": [], "causes": [], "units": [], "at": [], "limit": 1}, none)


def roll_outs():
    """Difference in differences against a saturated regression with clustered errors."""
    rng = np.random.default_rng(7)
    plans = {
        "two queues, two weeks": (2, 2, {0: 1}),
        "one of three queues": (3, 6, {1: 3}),
        "staggered": (4, 8, {0: 3, 1: 5}),
        "all but one": (3, 7, {0: 2, 1: 4}),
        "late": (5, 10, {2: 9, 4: 6}),
    }
    for name, (groups, periods, starts) in plans.items():
        n = 60 * groups * periods
        group, period = rng.integers(0, groups, n), rng.integers(0, periods, n)
        treated = np.array([p >= starts.get(g, 99) for g, p in zip(group, period)])
        outcome = (rng.random(n) < 0.5 + 0.03 * group - 0.01 * period + 0.2 * treated).astype(float)
        customer = rng.integers(0, n // 2, n)

        def check(found, groups=groups, periods=periods, starts=starts, group=group, period=period, outcome=outcome,
                  customer=customer):
            place = group * periods + period
            x = (place[:, None] == np.arange(groups * periods)).astype(float)
            count = x.sum(0).reshape(groups, periods)
            fit = sm.OLS(outcome, x).fit(cov_type="cluster", cov_kwds={"groups": customer, "use_correction": False})
            g = len(np.unique(customer))

            def contrast(after):
                total, weights = 0.0, np.zeros((groups, periods))
                for q, start in starts.items():
                    for t in range(periods):
                        if t == start - 1 or (t >= start) != after:
                            continue
                        own = np.zeros((groups, periods))
                        own[q, t], own[q, start - 1] = 1, -1
                        controls = [c for c in range(groups) if c != q and starts.get(c, 99) > max(t, start - 1)]
                        pool = sum(count[c, t] + count[c, start - 1] for c in controls)
                        if not controls:
                            continue
                        for c in controls:
                            share = (count[c, t] + count[c, start - 1]) / pool
                            own[c, t] -= share
                            own[c, start - 1] += share
                        weights += count[q, t] * own
                        total += count[q, t]
                return weights.ravel() / total if total else None

            for what, after in (("effect", True), ("before", False)):
                weights = contrast(after)
                if weights is None:
                    none(found[what])
                    continue
                test = fit.t_test(weights)
                error = test.sd[0, 0] * np.sqrt(g / (g - 1))
                value = test.effect[0]
                close(found[what], [value, error, value - Z * error, value + Z * error], f"roll-out, {what}")
        request = {"estimator": "roll_out", "group": listed(group), "period": listed(period), "outcome": listed(outcome),
                   "customer": listed(customer), "treated": listed(starts), "starts": listed(starts.values())}
        case(f"roll-out, {name}", request, check)
    case("roll-out without a control", {"estimator": "roll_out", "group": [0, 0], "period": [0, 1], "outcome": [0, 1],
                                        "customer": [0, 1], "treated": [0], "starts": [1]}, none)


def segments_and_sensitivity():
    rng = np.random.default_rng(8)
    for count in [2, 3, 6, 20, 100]:
        values, errors = rng.normal(0, 0.3, count), rng.uniform(0.05, 0.4, count)

        def check(found, values=values, errors=errors):
            test = combine_effects(values, errors**2).test_homogeneity()
            q, p, df = test.statistic, test.pvalue, len(values) - 1
            close(found[:3], [q, df, p], "statsmodels' homogeneity")
            close(found[3], max((q - df) / q, 0), "I squared")
        case(f"heterogeneity of {count}", {"estimator": "heterogeneity", "values": listed(values), "errors": listed(errors)}, check)
    case("heterogeneity of one", {"estimator": "heterogeneity", "values": [1], "errors": [1]}, none)
    for ratio, low, high in [(3.9, 1.8, 8.7), (0.8, 0.6, 0.9), (1.1, 0.9, 1.4), (1.0, 0.5, 2.0), (0.2, 0.1, 0.5)]:
        def check(found, at=(ratio, low, high)):
            def e(r):
                r = max(r, 1 / r)
                return r + np.sqrt(r * (r - 1))
            ratio, low, high = at
            nearest = 1.0 if low <= 1 <= high else (low if low > 1 else high)
            close(found, [e(ratio), e(nearest)], "E-value, by its formula written out")
        case(f"E-value of {ratio}", {"estimator": "e_value", "ratio": ratio, "low": low, "high": high}, check)
    for value, error, spread in [(-0.064, 0.007, 0.47), (0.12, 0.18, 12.1), (-0.21, 0.016, 1.1), (3.0, 0.1, 2.0), (0.0, 1.0, 1.0)]:
        def check(found, value=value, error=error, spread=spread):
            def e(r):
                r = max(r, 1 / r)
                return r + np.sqrt(r * (r - 1))
            ends = value + np.array([-Z, Z]) * error
            nearest = 0.0 if ends[0] <= 0 <= ends[1] else ends[np.abs(ends).argmin()]
            close(found, [e(np.exp(0.91 * value / spread)), e(np.exp(0.91 * nearest / spread))], "E-value of a difference")
        case(f"E-value of a difference of {value}", {
            "estimator": "e_value_of_difference", "value": value, "error": error, "standard_deviation": spread}, check)


def main():
    makers = (shares, ranks_and_margins, clusters, case_mix, the_rest, labelled, censored, follow_ups, curves, roll_outs,
              segments_and_sensitivity)
    for make in makers:
        make()
    requests = "".join(json.dumps(request) + "\n" for _, request, _ in CASES)
    answers = subprocess.run([sys.argv[1]], input=requests, capture_output=True, text=True, check=True).stdout.splitlines()
    if len(answers) != len(CASES):
        sys.exit(f"{len(answers)} answers to {len(CASES)} cases")
    failed = 0
    for (name, _, check), answer in zip(CASES, answers):
        found = json.loads(answer)
        try:
            if found is None and check is not none:
                raise AssertionError("no answer")
            check(found)
        except AssertionError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
    print(f"{len(CASES) - failed} of {len(CASES)} cases agree with the references")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
