"""What an order is for, decided once: the one place where a rule learns that it is not for cancer in bone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.scope import scope_of
from recommenders.vocabulary.logic import Criterion, any_of, documented, given, known

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.records import Order

OSTEOPOROSIS_STRENGTHS: frozenset[str] = frozenset(
    {"zoledronic-5", "denosumab-60", "ibandronate-3", "ibandronate-oral"}
)
"""Classes that are made for osteoporosis; that one is ordered says so only where no cancer in bone is on record."""


class OrderIntent(msgspec.Struct, frozen=True):
    """
    What one order of a bone-modifying agent is for; each answer is never unknown, since it exempts from a safety rule.

    `stated` says that the order itself names a reason. `elsewhere` holds where the doses for cancer in bone do not
    apply: the label has others for osteoporosis and Paget's disease, hypercalcaemia and giant-cell tumour.
    """

    stated: Criterion
    bone_loss: Criterion
    hypercalcaemia: Criterion
    giant_cell_tumour: Criterion

    @property
    def elsewhere(self) -> Criterion:
        """Whether the order is for anything but cancer in bone."""
        return any_of((self.bone_loss, self.hypercalcaemia, self.giant_cell_tumour))

    @property
    def open(self) -> Criterion:
        """Whether nothing tells what the order is for, so that another reason may be meant."""
        return ~self.stated & ~self.elsewhere


def intent_of(case: Case, order: Order) -> OrderIntent:
    """
    Tell what an order is for: as it states, else as the chart leaves no doubt.

    A strength made for osteoporosis tells so where no cancer in bone is on record and osteoporosis is, or no
    diagnosis of ours at all. A documented hypercalcaemia of malignancy tells so unless calcium is known to be
    normal again; a giant-cell tumour of bone where no cancer in bone is on record.
    """
    return case.once_of(order, _intent)


def _intent(case: Case, order: Order) -> OrderIntent:
    facts, dx = case.facts, case.facts.dx
    stated = known(order.indication)
    silent = ~stated
    cancer = documented(dx.bone_met | dx.mm | dx.smm)
    made_for_bone_loss = given(order.drug in OSTEOPOROSIS_STRENGTHS)
    bone_loss_on_record = documented(dx.osteoporosis) | given(case.once(scope_of).kind == "osteoporosis-order")
    calcium_normal = documented(facts.lab.ca_corr <= case.limits(COMMON).hypercalcaemia)
    treats_calcium = given(order.drug in {"zoledronic", "denosumab-120", "ibandronate", "pamidronate", "clodronate"})
    # a high result alone is no diagnosis: the card then gives both branches
    diagnosed = documented(dx.hypercalcaemia_malignancy) & given("calculated" not in dx.hypercalcaemia_malignancy.flags)
    tumour = documented(dx.giant_cell_tumour) & ~cancer & given((order.drug or "").startswith("denosumab"))
    return OrderIntent(
        stated=stated,
        bone_loss=documented(order.indication.one_of("osteoporosis", "paget"))
        | (silent & made_for_bone_loss & bone_loss_on_record & ~cancer),
        hypercalcaemia=documented(order.indication.is_("hypercalcaemia"))
        | (silent & treats_calcium & diagnosed & ~calcium_normal),
        giant_cell_tumour=documented(order.indication.is_("giant-cell-tumour")) | (silent & tumour),
    )


def cancer_in_bone(case: Case) -> Criterion:
    """Tell whether bone metastasis or myeloma, smouldering too, is the disease that the agent protects from."""
    dx = case.facts.dx
    return dx.bone_met | dx.mm | dx.smm
