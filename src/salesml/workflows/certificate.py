"""How far the deal scores can be trusted: the certificate of a registered version, in words and frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from salesml.errors import NotEnoughData, UnknownName
from salesml.evaluation.certificate import Certificate
from salesml.evaluation.metrics import Measured
from salesml.workflows.deals import MODEL
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.versions import Version


@dataclass(frozen=True)
class DealCertificate:
    """A version of the deal model with its certificate, None for a plain rate, and what it comes to in words."""

    version: Version
    certificate: Certificate | None

    def frame(self, name: str) -> pd.DataFrame:
        """One of the certificate's frames (see `Certificate`); without certificate an empty one."""
        return pd.DataFrame() if self.certificate is None else getattr(self.certificate, name)

    @property
    def answer(self) -> str:
        """Whether P(win) meant what it said on the day it was shown, and how much better than each peer it was."""
        version, c = self.version, self.certificate
        about = f"Version {version.number} ({version.kind.replace('_', ' ')})"
        if c is None:
            return (
                f"{about} has no certificate: nothing is measured of how far its scores can be trusted. Plain rates come "
                "without one; a deal model that training puts to the test has one (salesml train deals)."
            )
        peers = "; ".join(_beside(peer, c.against(peer)) for peer in c.peers)
        return (
            f"{about}: {_verdict(c)}. On {c.entities:,} later deals (shown {c.tested_from} to {c.tested_until}, {c.rows:,} weekly "
            f"snapshots) it was off by {_points(c.calibration.ece)} on average per tenth of the scores (at most "
            f"{100 * c.calibration.bar:.1f} are allowed), calibration slope {_told(c.calibration.slope)}. "
            f"Log loss against each peer, 95 % intervals: {peers}."
        )

    @property
    def segments(self) -> str:
        """How many segments are off."""
        rows = self.frame("segments")
        if rows.empty:
            return "No segment is large enough to be judged on its own."
        off, count = rows[rows["off"].astype(bool)], len(rows)
        luck = "Of such tables of a perfect model about one in ten shows any by chance."
        if off.empty:
            return f"None of {count} segments is off. {luck}"
        names = ", ".join(
            f"{by.replace('_', ' ')} {value}" for by, value in off[["by", "value"]].itertuples(index=False, name=None)
        )
        return f"{len(off)} of {count} segments {'is' if len(off) == 1 else 'are'} off: {names}. {luck}"

    @property
    def money(self) -> str:
        """Whether amounts are as calibrated as deals."""
        c = self.certificate
        if c is None or c.money is None:
            return "Of money nothing is measured: no certificate, or no amounts."
        return (
            f"Summed over the snapshots, P(win) × amount was {_told(c.by_amount)} times what was won. Weighed by amount, P(win) was "
            f"off by {_points(c.money.ece)} on average per tenth of the scores (at most {100 * c.money.bar:.1f} are allowed), slope "
            f"{_told(c.money.slope)}."
        )

    @property
    def limits(self) -> str:
        """Limits of use, as a list in Markdown."""
        return "" if self.certificate is None else "\n".join(f"- {limit}" for limit in self.certificate.limits)

    @property
    def data(self) -> pd.DataFrame:
        """What it was computed from: table (head is the lake's), version."""
        known = {} if self.certificate is None else self.certificate.data
        return pd.DataFrame({"table": list(known), "version": [str(version) for version in known.values()]})


def deal_certificate(workspace: Workspace, version: int = 0) -> DealCertificate:
    """The certificate of a version of the deal model; 0 is the champion.

    Raises NotEnoughData where no version is champion yet, UnknownName, which lists them, for a version that is not there.
    """
    from salesml.registry import catalog

    try:
        champion = catalog.champion(workspace, MODEL)
    except UnknownName:
        champion = None
    if champion is None and not version:
        raise NotEnoughData("the deal model has no champion yet; train one with: salesml train deals")
    loaded = catalog.load(workspace, MODEL, version or catalog.CHAMPION)
    return DealCertificate(loaded.version, loaded.certificate)


def _verdict(c: Certificate) -> str:
    slope = c.calibration.slope
    if not c.calibration.passes:
        return "no, P(win) did not mean what it said on the day it was shown"
    if slope.hi < 1 or slope.lo > 1:
        return f"on the whole yes, though high and low P(win) were too {'sure' if slope.hi < 1 else 'timid'} on the day they were shown"
    if c.segments["off"].any():
        return "on the whole yes, P(win) meant what it said on the day it was shown, but not in every segment"
    return "yes, P(win) meant what it said on the day it was shown"


def _beside(peer: str, difference: Measured) -> str:
    surely = "surely lower" if difference.hi < 0 else "surely higher" if difference.lo > 0 else "not surely different"
    return f"{peer} {difference.value:+.3f} ({difference.lo:+.3f} to {difference.hi:+.3f}), {surely}"


def _points(share: Measured) -> str:
    return f"{100 * share.value:.1f} points ({100 * share.lo:.1f} to {100 * share.hi:.1f})"


def _told(figure: Measured) -> str:
    return f"{figure.value:.2f} ({figure.lo:.2f} to {figure.hi:.2f})"
