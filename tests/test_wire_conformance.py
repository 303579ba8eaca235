"""
Which test holds which requirement of CDS Hooks (2.0.1 and 3.0.0-ballot), by the ids of our checklist.

J JSON, D discovery, R request, P prefetch templates, F FHIRPath in tokens, Q prefetch data, T FHIR access, S response,
C card, O source and codings, L links, A suggestions and actions, Y system actions, B feedback, W trust, K CORS and
performance, X extensions, H hooks. `check_answer` in `wire.py` runs over every answer of all wire tests.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from tests import wire

EVERY_ANSWER = ("wire.check_answer", "test_wire_answers.test_the_scan_for_empty_members_finds_them")
EVERY_CARD = ("wire.check_card",)
ENVELOPE = "test_wire_envelope.test_"
DISCOVERY = "test_wire_discovery.test_"
PREFETCH = "test_wire_prefetch.test_"
GATHER = "test_wire_gather.test_"
ANSWERS = "test_wire_answers.test_"

HELD: dict[str, tuple[str, ...]] = {
    "J1": EVERY_ANSWER,
    "J2": EVERY_ANSWER,
    "J3": EVERY_ANSWER,
    "J4": EVERY_CARD,
    "J5": ("wire.strict_json",),
    "J7": (ENVELOPE + "json_is_read_under_all_its_names",),
    "D1": (DISCOVERY + "discovery_is_an_object_with_a_list_of_services",),
    "D2": (DISCOVERY + "discovery_is_an_object_with_a_list_of_services",),
    "D3": (DISCOVERY + "a_site_without_services_offers_an_empty_list",),
    "D5": (DISCOVERY + "there_is_one_service_for_each_hook",),
    "D6": (DISCOVERY + "every_service_says_what_it_is_and_what_it_needs",),
    "D7": (DISCOVERY + "every_service_says_what_it_is_and_what_it_needs",),
    "D8": (DISCOVERY + "every_listed_service_can_be_called",),
    "D9": (DISCOVERY + "every_service_asks_for_the_eight_keys",),
    "D10": (DISCOVERY + "every_service_says_what_it_is_and_what_it_needs",),
    "D11": (DISCOVERY + "every_service_says_what_it_is_and_what_it_needs",),
    "D12": (DISCOVERY + "every_service_says_what_it_is_and_what_it_needs",),
    "D13": (DISCOVERY + "one_id_may_serve_two_hooks_and_answers_the_one_that_calls",),
    "D16": (DISCOVERY + "every_service_says_what_it_is_and_what_it_needs",),
    "R1": (ENVELOPE + "a_read_of_a_service_is_the_wrong_method",),
    "R2": (ENVELOPE + "a_call_of_another_hook_gets_no_cards",),
    "R3": (ENVELOPE + "any_text_may_be_the_instance", ENVELOPE + "a_required_field_that_is_missing_or_null_is_named"),
    "R4": (GATHER + "a_trailing_slash_is_no_other_server", ENVELOPE + "an_authorization_with_a_hole_is_no_error"),
    "R5": (DISCOVERY + "every_listed_service_can_be_called",),
    "R6": (ENVELOPE + "a_required_field_that_is_missing_or_null_is_named",),
    "R7": (PREFETCH + "no_prefetch_at_all_is_412", PREFETCH + "every_subset_of_keys_is_answered_or_412"),
    "R9": (ENVELOPE + "unknown_members_anywhere_change_nothing",),
    "R10": (ENVELOPE + "unknown_members_anywhere_change_nothing",),
    "R11": (
        ENVELOPE + "every_kind_of_user_is_accepted",
        ENVELOPE + "a_typed_patient_id_is_asked_for_as_the_bare_id",
    ),
    "P1": (DISCOVERY + "every_template_is_a_read_or_a_search_relative_to_the_server",),
    "P2": (DISCOVERY + "every_token_is_a_plain_context_field",),
    "P3": (DISCOVERY + "every_token_is_a_plain_context_field",),
    "P4": (DISCOVERY + "every_token_is_a_plain_context_field",),
    "P5": (DISCOVERY + "every_token_is_a_plain_context_field",),
    "P6": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P7": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P8": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P9": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P10": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P11": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P12": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P13": (DISCOVERY + "every_search_keeps_to_the_restricted_subset",),
    "P15": (ENVELOPE + "an_optional_encounter_may_be_absent",),
    "F8": (DISCOVERY + "the_members_of_discovery_stand_in_their_own_order",),
    "F11": (DISCOVERY + "every_token_is_a_plain_context_field",),
    "Q1": (PREFETCH + "every_subset_of_keys_is_answered_or_412",),
    "Q2": (PREFETCH + "another_patient_in_the_prefetch_is_refused_without_saying_who",),
    "Q3": (PREFETCH + "a_key_that_we_did_not_ask_for_is_not_looked_at",),
    "Q4": (PREFETCH + "a_needed_key_that_is_not_there_is_412_and_named",),
    "Q5": (
        PREFETCH + "an_empty_list_of_conditions_is_an_answer_out_of_scope",
        PREFETCH + "an_optional_list_that_is_empty_is_known_to_be_empty",
        GATHER + "nothing_is_fetched_for_null_and_empty",
    ),
    "Q6": (PREFETCH + "an_optional_list_that_did_not_come_is_named",),
    "Q8": (GATHER + "only_what_is_missing_is_fetched",),
    "Q9": (
        PREFETCH + "a_needed_key_that_is_not_there_is_412_and_named",
        GATHER + "a_refused_fetch_is_unavailable_and_never_empty",
    ),
    "Q10": (PREFETCH + "every_subset_of_keys_is_answered_or_412",),
    "Q11": (PREFETCH + "an_empty_list_of_conditions_is_an_answer_out_of_scope",),
    "Q12": (GATHER + "the_same_patient_by_prefetch_and_by_fetch_gives_identical_cards",),
    "T1": (GATHER + "the_same_patient_by_prefetch_and_by_fetch_gives_identical_cards",),
    "T2": (ENVELOPE + "an_authorization_with_a_hole_is_no_error",),
    "T3": (ENVELOPE + "a_token_for_another_patient_is_refused",),
    "T4": (
        GATHER + "the_token_is_nowhere_but_in_its_request",
        "test_wire_logs.test_nothing_of_the_patient_user_or_token_is_logged_counted_or_echoed",
    ),
    "T7": (GATHER + "a_refused_fetch_is_unavailable_and_never_empty",),
    "T9": (
        GATHER + "another_server_is_not_asked",
        PREFETCH + "an_unlisted_fhir_server_is_answered_from_prefetch_with_a_note",
    ),
    "S1": EVERY_ANSWER,
    "S2": (ANSWERS + "a_healthy_patient_gets_an_empty_list_and_not_204",),
    "S3": EVERY_ANSWER,
    "S4": (PREFETCH + "a_needed_key_that_is_not_there_is_412_and_named",),
    "S5": (
        ENVELOPE + "what_is_not_clean_json_is_refused",
        ENVELOPE + "an_unknown_service_is_not_found_and_not_echoed",
        ENVELOPE + "a_read_of_a_service_is_the_wrong_method",
    ),
    "S6": ("wire.check_outcome", ENVELOPE + "a_refusal_of_the_server_itself_is_an_operation_outcome_too"),
    "S7": ("test_wire_logs.test_nothing_of_the_patient_user_or_token_is_logged_counted_or_echoed",),
    "S8": (ANSWERS + "the_same_request_gives_the_same_bytes",),
    "C1": (*EVERY_CARD, ANSWERS + "another_invocation_changes_the_ids_of_cards_and_nothing_else"),
    "C2": EVERY_CARD,
    "C4": EVERY_CARD,
    "C5": EVERY_CARD,
    "C6": EVERY_CARD,
    "C7": EVERY_ANSWER,
    "C8": EVERY_CARD,
    "C9": EVERY_CARD,
    "C10": EVERY_CARD,
    "C11": (ANSWERS + "each_rule_on_a_card_fired_and_stands_on_one_card_only",),
    "O1": EVERY_CARD,
    "O2": EVERY_CARD,
    "O4": EVERY_CARD,
    "O5": EVERY_CARD,
    "O6": EVERY_CARD,
    "L1": EVERY_CARD,
    "L2": EVERY_CARD,
    "L3": EVERY_CARD,
    "L4": EVERY_CARD,
    "L6": EVERY_CARD,
    "A1": EVERY_CARD,
    "A2": EVERY_ANSWER,
    "A3": EVERY_CARD,
    "A4": EVERY_ANSWER,
    "A6": EVERY_CARD,
    "A7": EVERY_CARD,
    "A8": EVERY_CARD,
    "A9": EVERY_CARD,
    "A12": EVERY_CARD,
    "Y1": (ANSWERS + "no_answer_acts_by_itself",),
    "Y2": (ANSWERS + "no_answer_acts_by_itself",),
    "Y3": (ANSWERS + "no_answer_acts_by_itself",),
    "K1": ("test_wire_cors.test_a_preflight_is_answered_without_a_token",),
    "K3": (
        "test_wire_language.test_the_best_match_of_english_and_chinese_is_chosen",
        "test_wire_language.test_words_follow_the_language_and_codes_and_ids_do_not",
    ),
    "K5": ("test_wire_logs.test_nothing_of_the_patient_user_or_token_is_logged_counted_or_echoed",),
    "X1": ("wire._check_extension",),
    "X2": ("wire._check_extension",),
    "X3": EVERY_ANSWER,
    "H1": (DISCOVERY + "there_is_one_service_for_each_hook",),
    "H2": (ENVELOPE + "unknown_members_anywhere_change_nothing",),
}

FEEDBACK = "test_feedback_handling.test_"
TOKENS = "test_trust_tokens.test_"
SIGNED = "test_wire_signed.test_"

HELD |= {
    "B1": ("test_wire_recording.test_feedback_on_a_card_that_was_shown_is_stored",),
    "B2": (FEEDBACK + "a_wrong_shape_is_refused_with_its_field",),
    "B3": ("test_wire_recording.test_feedback_on_a_card_of_nobody_or_of_another_service_is_not",),
    "B4": (FEEDBACK + "a_wrong_shape_is_refused_with_its_field",),
    "B5": (FEEDBACK + "a_wrong_shape_is_refused_with_its_field",),
    "B6": (FEEDBACK + "an_override_is_stored_with_whatever_reason_it_has",),
    "B7": (FEEDBACK + "an_override_is_stored_with_whatever_reason_it_has",),
    "B8": (FEEDBACK + "times_of_rfc_3339_are_read",),
    "B9": (FEEDBACK + "a_list_of_suggestions_may_grow", FEEDBACK + "a_thousand_repeats_are_one_row"),
    "B10": (FEEDBACK + "an_acknowledgement_holds_nothing_of_what_was_sent",),
    "B11": (FEEDBACK + "an_acknowledgement_holds_nothing_of_what_was_sent",),
    "B12": (TOKENS + "a_feedback_token_is_for_the_feedback_url_unless_a_site_says_otherwise",),
    "W1": (SIGNED + "all_three_paths_ask_for_a_token_and_say_nothing_more",),
    "W2": (SIGNED + "all_three_paths_ask_for_a_token_and_say_nothing_more", SIGNED + "a_token_opens_each_path_once"),
    "W6": (TOKENS + "what_the_specification_allows_is_let_in",),
    "W8": (TOKENS + "a_rotated_key_is_found_at_once_and_without_a_restart",),
    "W9": (TOKENS + "a_good_token_tells_who_calls",),
    "W12": (TOKENS + "what_the_specification_allows_is_let_in", TOKENS + "a_forged_or_broken_token_is_refused"),
    "W14": (TOKENS + "a_token_opens_the_door_once",),
    "W15": (TOKENS + "a_tenant_must_be_one_that_the_client_may_speak_for",),
    "W16": (TOKENS + "what_the_specification_allows_is_let_in",),
    "W18": (TOKENS + "every_refusal_reads_the_same",),
} | {f"W{number}": (TOKENS + "a_forged_or_broken_token_is_refused",) for number in (3, 4, 5, 7, 10, 11, 13)}

NOT_HERE: dict[str, str] = {
    "J6": "TLS ends at the proxy in front; see deploy/",
    "D4": "a choice: discovery is protected in signed mode only, see trust",
    "D14": "no extension in discovery",
    "D15": "the README",
    "R8": "other FHIR versions are held by the mapping's tests",
    "P14": "held by the mapping's tests: every key is read",
    "Q7": "paging is held by the tests of fetching; a page that was not followed by those of the mapping",
    "T5": "nothing runs after the answer",
    "T6": "scopes are not looked at: the FHIR server decides",
    "T8": "documented for operators",
    "C3": "rendered by the console's tests",
    "O3": "no icon",
    "O7": "our own override codes",
    "L5": "no app context",
    "A5": "not used",
    "A10": "held by the tests of suggestions: an update keeps what was written",
    "A11": "held by the tests of suggestions: meta is kept",
    "A13": "held by the tests of suggestions: an update has its target in the draft orders",
    "W17": "mutual TLS ends at the proxy in front; see deploy/",
    "K2": "measured by the benchmark",
    "K4": "the safety file",
    "K6": "the dates stand in each detail; held by the tests of cards",
} | {f"F{n}": "FHIRPath tokens are not used: templates are safe for 2.x" for n in (1, 2, 3, 4, 5, 6, 7, 9, 10)}

LAST = {
    "J": 7,
    "D": 16,
    "R": 11,
    "P": 15,
    "F": 11,
    "Q": 12,
    "T": 9,
    "S": 8,
    "C": 11,
    "O": 7,
    "L": 6,
    "A": 13,
    "Y": 3,
} | {
    "B": 12,
    "W": 18,
    "K": 6,
    "X": 3,
    "H": 2,
}


def test_every_requirement_is_held_by_a_test_or_has_a_reason() -> None:
    ids = {f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)}
    assert set(HELD) | set(NOT_HERE) == ids
    assert not set(HELD) & set(NOT_HERE)


@pytest.mark.parametrize("requirement", HELD)
def test_the_tests_that_are_named_exist(requirement: str) -> None:
    assert HELD[requirement]
    for name in HELD[requirement]:
        module, _, function = name.partition(".")
        found: Any = wire if module == "wire" else importlib.import_module(f"tests.{module}")
        assert callable(getattr(found, function, None)), name
        assert re.match(r"test_|check_|_check_|strict_", function)
