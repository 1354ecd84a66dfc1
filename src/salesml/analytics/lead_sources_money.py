"""Money of leads: amounts in other currencies, margins, and costs shared out to the cent."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pandas as pd

CENT = Decimal("0.01")


def in_own_currency(
    amounts: pd.Series, currency: pd.Series, at: pd.Series, rates: pd.DataFrame, own: str
) -> pd.Series:
    """Exact amounts as whole cents of `own` (Int64), each at the rate that held at its own time; missing where no rate did.

    rates: from_currency, to_currency, rate, at. A rate the other way round serves where there is none this way. An amount without a
    currency is in one's own. Halves of a cent go to the even one.
    """
    foreign = currency.notna() & currency.ne(own) & amounts.notna()
    factor = pd.Series(None, amounts.index, dtype="object")
    if foreign.any():
        factor[foreign] = _rates_at(currency[foreign], at[foreign], rates, own)
    cents: list[int | None] = []
    for amount, abroad, rate in zip(amounts, foreign, factor, strict=True):
        if pd.isna(amount) or (abroad and rate is None):
            cents.append(None)
        else:
            money = Decimal(str(amount)) * (rate if abroad else 1)
            cents.append(int(money.quantize(CENT, ROUND_HALF_EVEN) * 100))
    return pd.Series(cents, amounts.index, dtype="Int64")


def _rates_at(currency: pd.Series, at: pd.Series, rates: pd.DataFrame, own: str) -> pd.Series:
    """Exact factors to one's own currency; None where no rate held yet."""
    exact = pd.Series([Decimal(repr(float(rate))) for rate in rates["rate"]], rates.index, dtype="object")
    way = rates.assign(code=rates["from_currency"].where(rates["to_currency"].eq(own)), factor=exact)
    back = rates[rates["from_currency"].eq(own) & rates["rate"].gt(0)]
    back = back.assign(code=back["to_currency"], factor=exact[back.index].map(lambda rate: 1 / rate))
    has = set(way["code"].dropna())
    known = pd.concat([way.dropna(subset=["code"]), back[~back["code"].isin(has)]]).sort_values("at", kind="stable")
    known = known.assign(at=known["at"].astype("datetime64[us, UTC]"))
    asked = pd.DataFrame({"code": currency, "at": at.astype("datetime64[us, UTC]"), "place": np.arange(len(at))}).sort_values("at")
    found = pd.merge_asof(asked, known[["code", "at", "factor"]], on="at", by="code").sort_values("place")
    return pd.Series([None if pd.isna(factor) else factor for factor in found["factor"]], currency.index, dtype="object")


def margins(
    amounts: pd.Series, product: pd.Series, discount: pd.Series, at: pd.Series, prices: pd.DataFrame
) -> tuple[pd.Series, pd.Series]:
    """Margins of amounts in whole cents, and whether each rests on its own product's cost.

    The cost of what is sold is amount × unit cost / (list price × (1 − discount)), at the prices that held then. prices: product_id,
    list_price, unit_cost, at (sparse changes). Where they are not known the share of the others serves; missing where none is known.
    """
    sparse = prices.sort_values("at", kind="stable").assign(at=lambda rows: rows["at"].astype("datetime64[us, UTC]"))
    for name in ("list_price", "unit_cost"):
        sparse[name] = sparse[name].astype("float64").groupby(sparse["product_id"]).ffill()
    asked = pd.DataFrame({"product_id": product.astype("object"), "at": at.astype("datetime64[us, UTC]"), "place": np.arange(len(at))})
    asked = asked.sort_values("at", kind="stable")
    sparse = sparse[["product_id", "at", "list_price", "unit_cost"]].astype({"product_id": "object"})
    found = pd.merge_asof(asked, sparse, on="at", by="product_id").sort_values("place")
    paid = found["list_price"].to_numpy("float64") * (1 - discount.fillna(0.0).to_numpy("float64"))
    kept = 1 - found["unit_cost"].to_numpy("float64") / np.where(paid > 0, paid, np.nan)
    priced = np.isfinite(kept)
    money = amounts.astype("float64").to_numpy()
    both = priced & np.isfinite(money)
    usual = float(kept[both] @ money[both] / money[both].sum()) if money[both].sum() > 0 else float("nan")
    cents = np.rint(money * np.where(priced, kept, usual))
    return pd.Series(cents, amounts.index).astype("Int64"), pd.Series(priced, amounts.index)


def shared(totals: pd.Series, keys: pd.Series, weights: pd.Series | None = None) -> pd.Series:
    """Whole totals by key shared out among the rows of their key (evenly, or by weight), the sums exact: largest remainder.

    Whole numbers (cents) of each row of `keys` in their order, Int64; missing where a key has no total (each key once in `totals`, none
    missing). Of equal remainders the earlier row has the more. Weights are not negative and not all 0 within a key.
    """
    found = np.zeros(len(keys), dtype="int64")
    codes = totals.index.get_indexer(pd.Index(keys))
    weight = np.ones(len(keys)) if weights is None else weights.to_numpy("float64")
    known, amounts = codes >= 0, totals.to_numpy("int64")
    some = np.flatnonzero(known)
    some = some[amounts[codes[some]] != 0]
    of, total, part = codes[some], amounts[codes[some]], weight[some]
    exact = total * (part / np.bincount(of, part, len(amounts))[of])
    whole = np.floor(exact).astype("int64")
    given = np.zeros(len(amounts), dtype="int64")
    np.add.at(given, of, whole)
    many, left = np.bincount(of, minlength=len(amounts))[of], (amounts - given)[of]
    order = np.lexsort((whole - exact, of))
    begins = np.r_[True, of[order][1:] != of[order][:-1]]
    place = np.empty(len(of), dtype="int64")
    place[order] = np.arange(len(of)) - np.maximum.accumulate(np.where(begins, np.arange(len(of)), 0))
    found[some] = whole + left // many + (place < left % many)
    return pd.Series(found, keys.index).astype("Int64").where(pd.Series(known, keys.index))


def money(cents: int | float) -> Decimal:
    """Whole cents as an exact amount."""
    return Decimal(int(cents)) / 100 if cents % 100 else (Decimal(int(cents)) / 100).quantize(CENT)
