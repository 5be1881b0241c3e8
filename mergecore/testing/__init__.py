"""The laws of merging as property tests: for mergecore's strategies, and for your own.

::

    from hypothesis import given, settings, strategies as st
    from mergecore.testing import cases, check

    @settings(deadline=None)
    @given(cases(st.just(Policy(default=my_strategy | lww))))
    def test_my_strategy_keeps_the_laws(case):
        check(case)

``LAWS`` are the laws by name; ``MUTANTS`` are broken variants of the walk by name, all of which the laws catch: ``with
mutated(name)`` runs one. Needs the extra ``testing``.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError("mergecore.testing needs the extra `testing`: pip install 'mergecore[testing]'") from error

from .cases import STRATEGIES, Case, cases, policies
from .laws import LAWS, check
from .mutants import MUTANTS, mutated

__all__ = ["LAWS", "MUTANTS", "STRATEGIES", "Case", "cases", "check", "mutated", "policies"]
