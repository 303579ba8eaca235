"""The CDS services that are offered: one per hook, or what the site has set instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms.queries import templates
from hooks.cards.wishes import OPTIONS, options
from hooks.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hooks.settings import Role, Settings
    from recommenders.vocabulary.guidance import Hook, Recommender

CDS_HOOKS_VERSION = "3.0.0-ballot"
HOOK_VERSION = "1.0"

NEEDS = (
    "FHIR R4 (4.0.1) resources. The prefetch keys patient and conditions are needed for an answer; without them, and"
    " without a FHIR server that this service may read, it answers 412."
    " The other keys are optional, and a card says when one did not come."
)
ORDER_NEEDS = (
    " Dose and interaction checks need every draft order of the session in context.draftOrders,"
    " and weight, creatinine, calcium and albumin among the observations."
    " An order for a bone-modifying agent, ifosfamide, melphalan or a radionuclide is checked even without conditions."
)
CHART_NEEDS = " Checks of an order while it is being written happen on order-select and order-sign, not here."


@dataclass(frozen=True, slots=True)
class Service:
    """
    One CDS service.

    `recommenders` restricts who may speak (None: all); `role` is who reads its cards (None: a prescriber,
    unless the user is on the site's list of pharmacists). `shadow` shows no card of it.
    """

    id: str
    hook: Hook
    title: str
    description: str
    needs: str
    recommenders: tuple[Recommender, ...] | None = None
    role: Role | None = None
    shadow: bool = False


SERVICES: tuple[Service, ...] = (
    Service(
        "oncobone-patient-view",
        hook="patient-view",
        title="OncoBone: bone health in cancer, at the chart",
        description=(
            "When a chart is opened: bone protection, monitoring, radiotherapy and surgery of bone metastases,"
            " staging and treatment of myeloma, systemic treatment of sarcoma, and the work-up behind them."
        ),
        needs=NEEDS + CHART_NEEDS,
    ),
    Service(
        "oncobone-encounter-start",
        hook="encounter-start",
        title="OncoBone: bone health in cancer, at the start of an encounter",
        description="When an encounter starts: the same advice as at the opening of the chart.",
        needs=NEEDS + CHART_NEEDS,
    ),
    Service(
        "oncobone-order-select",
        hook="order-select",
        title="OncoBone: order safety, while choosing",
        description=(
            "While an order is being chosen: dose, interval, kidney function, calcium and interactions of"
            " bone-modifying agents, ifosfamide with mesna, melphalan, radionuclides, radiotherapy and PET-CT."
        ),
        needs=NEEDS + ORDER_NEEDS,
    ),
    Service(
        "oncobone-order-sign",
        hook="order-sign",
        title="OncoBone: order safety, while signing",
        description=(
            "While orders are being signed: dose, interval, kidney function, calcium and interactions of"
            " bone-modifying agents, ifosfamide with mesna, melphalan, radionuclides, radiotherapy and PET-CT."
        ),
        needs=NEEDS + ORDER_NEEDS,
    ),
)
"""The default services."""

DEFAULT_FOR: Mapping[Hook, Service] = {service.hook: service for service in SERVICES}


def services_of(settings: Settings) -> tuple[Service, ...]:
    """Give the site's services; the default ones where it has set none."""
    if settings.services is None:
        return SERVICES
    return tuple(
        Service(
            own.id,
            hook=own.hook,
            title=own.title or DEFAULT_FOR[own.hook].title,
            description=own.description or DEFAULT_FOR[own.hook].description,
            needs=DEFAULT_FOR[own.hook].needs,
            recommenders=own.recommenders,
            role=own.role,
            shadow=own.shadow,
        )
        for own in settings.services
    )


def discovery(services: Sequence[Service]) -> dict[str, Any]:
    """Describe the services as CDS Hooks discovery does."""
    return {"services": [_entry(service) for service in services]}


def _entry(service: Service) -> dict[str, Any]:
    return {
        "hook": service.hook,
        "title": service.title,
        "description": service.description,
        "id": service.id,
        "prefetch": dict(templates(service.hook)),
        "usageRequirements": service.needs,
        "version": CDS_HOOKS_VERSION,
        "hookVersion": HOOK_VERSION,
        "extension": {OPTIONS: options(service.hook)},
    }


def find_services(services: Sequence[Service], service_id: str) -> tuple[Service, ...]:
    """
    Find what is offered under an id: mostly one service, or several for different hooks.

    Raises Refused (404).
    """
    found = tuple(service for service in services if service.id == service_id)
    if not found:
        ids = ", ".join(dict.fromkeys(service.id for service in services)) or "none"
        raise Refused(404, f"There is no CDS service with this id. Services here: {ids}.")
    return found


def audience(service: Service, user_id: str, settings: Settings) -> Role:
    """Tell who reads the cards: the service's setting, else whether the user is a listed pharmacist."""
    return service.role or ("pharmacist" if user_id in settings.pharmacists else "prescriber")
