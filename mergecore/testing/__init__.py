"""The laws of merging as property tests: for mergecore's strategies, and for your own.

::

    from hypothesis import given, settings, strategies as st
    from mergecore.testing import cases, check

    @settings(deadline=None)
    @given(cases(st.just(Policy(default=my_strategy | lww))))
    def test_my_strategy_keeps_the_laws(case):
        check(case)

``LAWS`` are the laws by name; ``MUTANTS`` are broken variants of the walk by name, and ``PLAN_MUTANTS`` of the code
that is generated for a model, all of which the laws catch: ``with mutated(name)`` runs one. For versions there are
``histories``, ``check_joins`` and ``JOIN_LAWS``, runs of peers (``mesh_runs``, ``check_mesh``), ``REPLICA_MUTANTS``,
and a state machine of replicas of your own model::

    from mergecore.testing import replica_machine

    TestReplicas = replica_machine(MyModel, my_policy).TestCase

Needs the extra ``testing``.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError("mergecore.testing needs the extra `testing`: pip install 'mergecore[testing]'") from error

from .cases import STRATEGIES, Case, cases, policies
from .joins import JOIN_LAWS, check_joins, check_mesh, histories, mesh_runs
from .laws import LAWS, check
from .mutants import MUTANTS, PLAN_MUTANTS, REPLICA_MUTANTS, mutated
from .replicas import replica_machine

__all__ = [
    "JOIN_LAWS", "LAWS", "MUTANTS", "PLAN_MUTANTS", "REPLICA_MUTANTS", "STRATEGIES", "Case", "cases", "check",
    "check_joins", "check_mesh", "histories", "mesh_runs", "mutated", "policies", "replica_machine",
]  # fmt: skip
