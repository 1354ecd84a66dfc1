"""The simulated company: a business whose truth is known, leaving the records a CRM would."""

from salesml.world.company import World, build, company, digest, preset
from salesml.world.knobs import FAMILIES, LAW, PRESETS, Knobs

__all__ = ["FAMILIES", "LAW", "PRESETS", "Knobs", "World", "build", "company", "digest", "preset"]
