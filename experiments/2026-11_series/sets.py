"""The public sets beside the checkout as long frames of series: unique_id, index (periods), y."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def load(name: str) -> pd.DataFrame:
    """One row per series and period: m3 in its own unit, tourism in thousand trips a quarter, Iowa in dollars a month, online
    retail in pounds a week and product. Periods without a sale between a series' first and the set's last are 0.
    """
    if name.startswith("m3_"):
        table = pd.read_csv(DATA / "m3" / f"{name}.csv.gz")
        return table.rename(columns={"series": "unique_id", "t": "index", "value": "y"})[["unique_id", "index", "y"]]
    if name == "tourism":
        table = pd.read_csv(DATA / "aus_tourism" / "aus_tourism.csv.gz")
        quarter = pd.PeriodIndex(table["Quarter"], freq="Q")
        series = table["State"] + "/" + table["Region"] + "/" + table["Purpose"]
        return pd.DataFrame({"unique_id": series, "index": quarter.year * 4 + quarter.quarter - 1, "y": table["Trips"]})
    if name == "online_retail":
        table = pd.read_csv(DATA / "online_retail_uci" / "online_retail.csv.gz")
        week = (pd.to_datetime(table["InvoiceDate"]) - pd.Timestamp("2010-12-06")).dt.days // 7
        table = pd.DataFrame({"unique_id": table["StockCode"], "index": week, "y": table["Quantity"] * table["UnitPrice"]})
        return filled(table[table["index"].between(-1, 51)])  # whole weeks only
    file, series = {"iowa_accounts": ("store_month", "store_number"), "iowa_vendors": ("vendor_category_month", "vendor_name")}[name]
    table = pd.read_csv(DATA / "iowa_liquor_b2b" / f"{file}.csv.gz")
    month = pd.to_datetime(table["month"])
    index = month.dt.year * 12 + month.dt.month - 1
    return filled(pd.DataFrame({"unique_id": table[series].astype("str"), "index": index, "y": table["sales"]}))


def filled(rows: pd.DataFrame) -> pd.DataFrame:
    """Sums by series and period, with 0 where nothing was sold up to the last period of all."""
    wide = rows.pivot_table(index="unique_id", columns="index", values="y", aggfunc="sum")
    wide = wide.reindex(columns=range(wide.columns.min(), wide.columns.max() + 1))
    begun = wide.notna().cummax(axis=1)
    return wide.fillna(0.0).where(begun).stack().dropna().rename("y").reset_index()


def drawn(frame: pd.DataFrame, count: int, least: int, seed: int, reported: bool = True) -> pd.DataFrame:
    """`count` of the series with at least `least` periods and 12 values other than 0, from the half that is reported or the other."""
    size = frame.groupby("unique_id")["y"].agg(["size", np.count_nonzero])
    names = size.index[(size["size"] >= least) & (size["count_nonzero"] >= 12)]
    names = names[np.random.default_rng(seed).permutation(len(names))]
    half = len(names) // 2
    return frame[frame["unique_id"].isin((names[half:] if reported else names[:half])[:count])]
