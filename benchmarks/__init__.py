"""How fast mergecore is, beside others: ``python -m benchmarks``. Each case is verified before it is timed."""
