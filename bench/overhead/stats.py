# SPDX-License-Identifier: Apache-2.0
"""Intervals for ratios of paired runs. Ratios are averaged as logarithms: 0.5 and 2 cancel."""

import math
import random
import statistics


def t_cdf(t, df, steps=2000):
    """Student's distribution by Simpson's rule on its density: good to 1e-6 for |t| < 50."""
    c = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    f = lambda x: c * (1 + x * x / df) ** (-(df + 1) / 2)
    h = t / steps
    inner = sum((4 if i % 2 else 2) * f(i * h) for i in range(1, steps))
    return 0.5 + (f(0) + f(t) + inner) * h / 3


def t_quantile(p, df):
    low, high = 0.0, 200.0
    for _ in range(60):
        mid = (low + high) / 2
        low, high = (mid, high) if t_cdf(mid, df) < p else (low, mid)
    return high


def ratio_interval(pairs, confidence=0.95):
    """pairs of (traced, untraced) -> geometric mean of the ratio and its t interval on log ratios."""
    logs = [math.log(a / b) for a, b in pairs if a > 0 and b > 0]
    if not logs:
        return None
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return {"ratio": math.exp(mean), "low": None, "high": None, "n": len(logs)}
    half = t_quantile(0.5 + confidence / 2, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return {"ratio": math.exp(mean), "low": math.exp(mean - half), "high": math.exp(mean + half), "n": len(logs),
            "median": math.exp(statistics.median(logs))}


def bootstrap_interval(pairs, confidence=0.95, rounds=5000, seed=1):
    """The same by resampling, which assumes no shape. A check of the other."""
    logs = [math.log(a / b) for a, b in pairs if a > 0 and b > 0]
    if len(logs) < 2:
        return None
    rng = random.Random(seed)
    means = sorted(statistics.fmean(rng.choices(logs, k=len(logs))) for _ in range(rounds))
    tail = (1 - confidence) / 2
    return {"low": math.exp(means[int(tail * rounds)]), "high": math.exp(means[int((1 - tail) * rounds) - 1])}


def self_test():
    assert abs(t_quantile(0.975, 9) - 2.26216) < 1e-3
    assert abs(t_quantile(0.975, 1) - 12.7062) < 1e-2
    assert abs(t_quantile(0.95, 30) - 1.69726) < 1e-3
    r = ratio_interval([(2, 1), (1, 2)])
    assert abs(r["ratio"] - 1) < 1e-12 and r["low"] < 1 < r["high"]
    r = ratio_interval([(90, 100)] * 5)
    assert abs(r["ratio"] - 0.9) < 1e-9 and abs(r["low"] - r["high"]) < 1e-9
    b = bootstrap_interval([(90, 100), (80, 100), (100, 100), (85, 100)])
    assert 0.80 <= b["low"] < b["high"] <= 1.0


if __name__ == "__main__":
    self_test()
    print("1 passed, 0 failed")
