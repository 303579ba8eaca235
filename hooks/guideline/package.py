"""All of the guidance as one FHIR R4 package, in the layout of FHIR's own package registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hooks.guideline.definitions import MEDICATIONS, SERVICES, Addresses, activity, heading, plan_of_rule, plan_of_topic
from hooks.guideline.libraries import ABOUT, Json, contents, included_by, library_names, parameters
from hooks.reference.catalogue import sections
from recommenders.vocabulary.guidance import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "urn:oncobone:guideline"
"""Where the definitions are named, unless a site publishes them under an address of its own."""
PACKAGE = "oncobone.guideline"
FHIR = "4.0.1"
LIBRARY_TYPES = "http://terminology.hl7.org/CodeSystem/library-type"
ABOUT_THE_WHOLE = (
    "Rules on bone metastases, myeloma and sarcoma. Each rule is a PlanDefinition with its condition in words, what it "
    "says in English and Chinese, its sources and evidence; {name} in a wording is filled in for the patient. "
    "Conditions that are stated in CQL take facts as parameters, not FHIR resources: which facts there are, and their "
    "units, is said in each Library. R4 has no Citation, so sources and results stand in relatedArtifact."
)


def definitions(base: str = BASE) -> Iterator[Json]:
    """Yield every resource of the package, the guide that lists them last."""
    addresses = Addresses(base)
    made: list[Json] = [_library(name, addresses) for name in library_names()]
    for section in sections():
        made.append(plan_of_topic(section, addresses))
        made += [plan_of_rule(entry, addresses) for entry in section.entries]
    made += [activity(name, addresses) for name in (*MEDICATIONS, *SERVICES)]
    yield from made
    yield _guide(made, addresses)


def _library(name: str, addresses: Addresses) -> Json:
    library = heading("Library", name, name, addresses) | {
        "name": name,
        "type": {"coding": [{"system": LIBRARY_TYPES, "code": "logic-library", "display": "Logic Library"}]},
        "description": ABOUT[name],
        "relatedArtifact": [
            {"type": "depends-on", "resource": addresses.exact("Library", other)} for other in included_by(name)
        ],
        "parameter": list(parameters(name)),
        "content": contents(name),
    }
    return {key: value for key, value in library.items() if value != []}


def _guide(made: list[Json], addresses: Addresses) -> Json:
    return heading("ImplementationGuide", PACKAGE, "OncoBone: bone metastases, myeloma, sarcoma", addresses) | {
        "name": "OncoBoneGuideline",
        "description": ABOUT_THE_WHOLE,
        "packageId": PACKAGE,
        "license": "MIT",
        "fhirVersion": [FHIR],
        "definition": {
            "resource": [
                {"reference": {"reference": f"{one['resourceType']}/{one['id']}"}, "name": one["title"]} for one in made
            ]
        },
    }


def manifest(base: str = BASE) -> Json:
    """Give `package.json`."""
    return {
        "name": PACKAGE,
        "version": f"{VERSION}.0",
        "type": "IG",
        "title": "OncoBone: bone metastases, myeloma, sarcoma",
        "description": ABOUT_THE_WHOLE,
        "author": "OncoBone",
        "license": "MIT",
        "canonical": base,
        "url": base,
        "fhirVersions": [FHIR],
        "dependencies": {"hl7.fhir.r4.core": FHIR},
    }


def index(resources: list[Json]) -> Json:
    """Give `.index.json`: which file holds what."""
    return {
        "index-version": 1,
        "files": [
            {
                "filename": file_name(one),
                "resourceType": one["resourceType"],
                "id": one["id"],
                "url": one["url"],
                "version": one["version"],
            }
            for one in resources
        ],
    }


def file_name(resource: Json) -> str:
    """Name the file of a resource."""
    return f"{resource['resourceType']}-{resource['id']}.json"


def write(folder: Path, base: str = BASE) -> int:
    """
    Write the package into `folder`/package; give how many resources it has.

    Raises FileExistsError where that folder holds anything already.
    """
    place = folder / "package"
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise FileExistsError(f"{place} is not empty: name another folder, or take away what is there.")
    resources = list(definitions(base))
    files = {file_name(one): one for one in resources}
    files |= {"package.json": manifest(base), ".index.json": index(resources)}
    for name, content in files.items():
        (place / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return len(resources)
