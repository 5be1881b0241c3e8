"""Tests of the sync layer: on real databases, over HTTP, in a real terminal, and killed.

A package, unlike the folder above, so that both may have a ``conftest``: inside, import ``from .proxy import Link``,
and ``from conftest import Tally`` for what is above.
"""
