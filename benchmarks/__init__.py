"""Benchmarks: each module has `run()`, which returns its figures; `python -m benchmarks [names]` runs them.

`run() -> dict` gives figures by name, the unit in the name (`rows_per_second`, `seconds`), the same work done the plain
way in the same run (`plain_…`, `ratio`), and where the project has one a `bar` in words and whether it was `met`.
Modules that begin with an underscore are helpers.
"""
