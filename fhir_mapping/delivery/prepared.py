"""What is made once for a site mapping and shared by its calls: the code table and the index of Observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.delivery.index import ObservationIndex

if TYPE_CHECKING:
    from fhir_mapping.terms.codes import CodeTable
    from fhir_mapping.terms.site import SiteMapping

_PREPARED: dict[int, tuple[SiteMapping, CodeTable, ObservationIndex]] = {}
"""Tables by site mapping; a process has one or a few of those."""


def tables_of(site: SiteMapping) -> tuple[CodeTable, ObservationIndex]:
    """Give the code table and index of a site, made once."""
    known = _PREPARED.get(id(site))
    if known is None or known[0] is not site:
        if len(_PREPARED) >= 16:
            _PREPARED.clear()
        table = site.table()
        known = _PREPARED[id(site)] = (site, table, ObservationIndex(table, site))
    known[2].forget_if_large()
    return known[1], known[2]
