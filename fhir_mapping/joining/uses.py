"""Where the facts came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.delivery.context import Used

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.medications import Medications
    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact


def all_uses(
    told_facts: Mapping[str, Fact],
    facts: Facts,
    conditions: ConditionReader,
    reader: ObservationReader,
    read: Medications,
) -> list[Used]:
    """Name where the facts came from: the values of Observations, and what is not read from one value of one."""
    observed = reader.used()
    told = {(one.fact, one.resource) for one in observed}
    matches = {one.item.name: one.matches[0] for one in conditions.diagnoses if one.matches}
    found: list[Used] = []
    for path, fact in told_facts.items():
        for name in fact.resources:
            if (path, name) not in told:
                match = matches.get(name)
                found.append(Used(path, name, "code", match.system, match.code) if match else Used(path, name, ""))
    for path, readings in facts.series.items():
        names = {name for one in readings for name in one.resources}
        found += [Used(path, name, "") for name in names if (path, name) not in told]
    for lesion in facts.lesions:
        found += [Used("lesions[]", name, "") for name in lesion.resources if ("lesions[]", name) not in told]
    found += [Used("sre[]", name, "") for event in facts.sre for name in event.resources]
    found += [Used("img", name, "") for study in facts.studies for name in study.resources]
    found += [Used("medications", entry.reference, "medication") for entry in read.entries]
    return [*observed, *found]
