"""The laws of merging, on drawn documents under drawn policies, and the mutants that they must catch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter

import msgspec
import pytest
from conftest import Tally
from hypothesis import Phase, given, settings

from mergecore.testing import LAWS, MUTANTS, STRATEGIES, Case, cases, check, mutated
from mergecore.testing.cases import strategies_in
from mergecore.values import UNSET, as_map, equal

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.laws
def test_the_laws_hold_of_every_strategy(tally: Tally) -> None:
    """Every law, on every draw; no strategy in under 1 % of the draws, and at least 30 % change one path on both
    sides.
    """
    draws, used, both = Counter[str](), Counter[str](), 0

    @given(cases())
    def holds(case: Case) -> None:
        nonlocal both
        check(case)
        check(msgspec.structs.replace(case, walks=True))
        draws["typed" if case.model else "documents"] += 1
        used.update(strategies_in(case))
        both += _both_changed(case)

    started = time.perf_counter()
    holds()
    n = draws.total()
    tally("laws", n, settings().max_examples * 9 // 10, f"{len(LAWS)} laws each, {time.perf_counter() - started:.0f} s")
    tally("laws, one path changed on both sides", both, n * 3 // 10)
    for name in sorted({p.name for s in STRATEGIES.values() for p in s.parts} | {"keep_both"}):
        tally(f"laws, {name}", used[name], n // 100)


def _both_changed(case: Case) -> bool:
    base, ours, theirs = ((as_map(s) or {}) if s is not UNSET else {} for s in (case.base, case.ours, case.theirs))
    return any(
        not equal(base.get(k, UNSET), ours.get(k, UNSET)) and not equal(base.get(k, UNSET), theirs.get(k, UNSET))
        for k in {**base, **ours, **theirs}
    )


_DIGEST = """
import hashlib, random, sys
from mergecore.testing.cases import SIZES, case_of
from mergecore.values import canonical
draw = random.Random(int(sys.argv[1]))
digest = hashlib.sha256()
for _ in range(int(sys.argv[2])):
    merged = case_of(*map(draw.randbytes, SIZES)).merge()
    digest.update(repr(canonical([merged.value, merged.conflicts, merged.explain()])).encode())
print(digest.hexdigest())
"""


@pytest.mark.laws
def test_the_same_input_gives_the_same_bytes_in_any_process(tally: Tally) -> None:
    """Values, conflicts and verdicts, whatever the hash seed of the process."""
    seed, n = 20261125, 500
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST, str(seed), str(n)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4242")
    }
    assert len(digests) == 1
    tally("laws, the same in 3 processes", n, n, f"seed {seed}")


@pytest.mark.mutants
@pytest.mark.parametrize("name", MUTANTS)
def test_the_laws_catch_a_mutant(name: str, tally: Tally) -> None:
    """A broken variant of the walk does not survive the laws."""
    tried = 0

    @settings(max_examples=5_000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(cases())
    def holds(case: Case) -> None:
        nonlocal tried
        tried += 1
        check(msgspec.structs.replace(case, walks=True))

    with mutated(name), pytest.raises(AssertionError, match="the law") as caught:
        holds()
    tally(f"mutant {name!r}", tried, 1, f"caught by {str(caught.value).split(chr(39))[1]!r}")
