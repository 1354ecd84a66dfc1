"""Who may see whom follows the organisation as the records tell it."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml.analytics.organisation import below, people
from salesml.errors import BadParameter
from salesml.lake import Lake, visible
from salesml.state.users import User
from salesml.workflows.sight import sight


@pytest.fixture(scope="module")
def view(tiny_workspace):
    tables = Lake(tiny_workspace).open()
    return visible(tables, tables.instant(None))


def test_everybody_is_below_the_head_and_a_rep_is_alone(view):
    everybody = people(view)
    tops = everybody[everybody["manager_id"].isna()]["user_id"].tolist()
    assert set().union(*(below(everybody, top) for top in tops)) == set(everybody["user_id"])
    leaders = set(everybody["manager_id"].dropna())
    rep = next(one for one in everybody["user_id"] if one not in leaders)
    assert below(everybody, rep) == {rep}
    manager = everybody.set_index("user_id").loc[rep, "manager_id"]
    assert rep in below(everybody, manager) and manager not in below(everybody, rep)


def test_roles_decide_and_names_are_those_of_the_records(view):
    everybody = people(view)
    rep = everybody[~everybody["user_id"].isin(everybody["manager_id"])].iloc[0]
    assert sight(view, User("anybody", ("analyst",))) is None and sight(view, User("anybody", ("admin", "rep"))) is None
    assert sight(view, User(rep["user_id"].lower(), ("rep",))) == {rep["user_id"]}
    assert sight(view, User(rep["email"].upper(), ("rep",))) == {rep["user_id"]}
    boss = rep["manager_id"]
    assert sight(view, User(boss, ("manager",))) == below(everybody, boss) > {rep["user_id"], boss}
    with pytest.raises(BadParameter, match="'nobody' is not in the company's records"):
        sight(view, User("nobody", ("manager",)))
    with pytest.raises(BadParameter, match="has no role"):
        sight(view, User(rep["user_id"], ()))


@given(st.lists(st.integers(0, 9), min_size=10, max_size=10))
def test_loops_in_the_records_end(managers):
    everybody = pd.DataFrame({"user_id": [str(i) for i in range(10)], "manager_id": [str(one) for one in managers]})
    for person in everybody["user_id"]:
        found = below(everybody, person)
        assert person in found
        led = set(everybody.loc[everybody["manager_id"].isin(found), "user_id"])
        assert led <= found
