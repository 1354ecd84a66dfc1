"""The board as one reader may see it: all of it, or only what is of the reps within his sight."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from salesml.analytics import revenue
from salesml.apps.data import Board
from salesml.errors import NotEnoughData
from salesml.state.users import current_user
from salesml.workflows.sight import sight


def within_sight(board: Board) -> Board:
    """The board of the current user: open deals of the reps he may see, and the forecast, quota and revenue of exactly these.

    A forecast is made for the company, for a region, a team or one rep; a reader of some reps that are none of these gets none. Warning
    signs compare with all deals, whoever reads them. Raises BadParameter for a user without sight.
    """
    sees = sight(board.view, current_user(board.workspace))
    if sees is None:
        return board
    deals = board.deals[board.deals["owner_id"].isin(sees)].reset_index(drop=True)
    forecast, quotas = (_of_one(rows, sees) for rows in (board.forecast, board.quotas))
    history = _history(board, sees) if len(forecast) else board.history[:0]
    return replace(board, deals=deals, forecast=forecast, quotas=quotas, history=history, sees=sees)


def _of_one(rows: pd.DataFrame, sees: frozenset[str]) -> pd.DataFrame:
    """The rows of the one rep seen, as those of a whole company; none where several are seen."""
    mine = rows[(rows["entity_type"] == "rep") & rows["entity_id"].isin(sees)] if len(sees) == 1 else rows[:0]
    return mine.assign(entity_type="company", entity_id="company")


def _history(board: Board, sees: frozenset[str]) -> pd.DataFrame:
    try:
        rows = revenue.monthly_by_rep(board.view)
    except NotEnoughData:
        return board.history[:0]
    return rows.loc[rows["rep"].isin(sees), ["region", "month", "amount"]]
