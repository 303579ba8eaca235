"""What free text says, in English and Chinese: the specification's patterns with negation and doubt (§0.4, §1.12)."""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Verdict = Literal["present", "absent", "suspected", "history", "unclear", "nothing"]
"""
`nothing`: the word is there, but says nothing about this patient today (risk, family, screening, plain "no").
`unclear`: it speaks of something that was there before ("no new bone metastasis").
"""

LONGEST, MENTIONS, CLAUSE = 20_000, 50, 400
"""So many characters of a text are read, so many mentions of one term, and so far reaches a clause."""
_STRENGTH: tuple[Verdict, ...] = ("nothing", "unclear", "history", "absent", "suspected", "present")


def compiled(words: str) -> re.Pattern[str]:
    """Compile a pattern for mixed text: a Latin word ends where a Chinese one begins ("MRD阴性", "T12椎体")."""
    return re.compile(words, re.ASCII)


# Words of a term, as regular expressions on folded text (NFKC, lower case).
TERMS: dict[str, str] = {
    "lung_cancer": r"\blung (?:cancer|carcinoma|adenocarcinoma)|\bnsclc\b|\bsclc\b"
    r"|carcinoma of (?:the )?lung\b|malignant (?:neoplasm|tumou?r) of (?:the )?(?:bronchus (?:and|or) )?lung\b"
    r"|肺癌|肺腺癌|肺鳞癌|小细胞肺癌|肺恶性肿瘤",
    "bone_metastasis": r"\b(?:bone|osseous|skeletal) metasta\w+|骨转移瘤?|骨继发恶性肿瘤|(?:(?:bone|osseous"
    r"|skeletal) mets)\b",
    "multiple_myeloma": r"(?<!smoldering )(?<!smouldering )(?<!asymptomatic )(?<!indolent )multiple myeloma"
    r"|(?<!冒烟型)(?<!无症状)(?<!惰性)(?<!无症状性)(?<!冒烟性)多发性骨髓瘤",
    "myeloma": r"myeloma|骨髓瘤",
    "smouldering_myeloma": r"smou?ldering (?:multiple )?myeloma|(?:asymptomatic|indolent) (?:multiple )?myeloma"
    r"|\bsmm\b"
    r"|(?:冒烟[型性]|无症状性?|惰性)(?:多发性)?骨髓瘤|骨髓瘤\s*\((?:冒烟[型性]?|无症状性?|惰性)\)"
    r"|myeloma\s*\(smou?ldering\)",
    "mgus": r"\bmgus\b|monoclonal gammopathy of (?:undetermined|uncertain|unknown) significance|意义(?:未明"
    r"|不明)的?单克隆",
    "plasma_cell_leukaemia": r"plasma cell leuka?emia|浆细胞白血病",
    "plasmacytoma": r"plasmacytoma|浆细胞瘤",
    "amyloidosis": r"amyloidosis|淀粉样变",
    "osteosarcoma": r"osteosarcoma|骨肉瘤",
    "soft_tissue_sarcoma": r"soft[- ]tissue sarcoma|软组织肉瘤",
    "ups": r"undifferentiated pleomorphic sarcoma|未分化多形性肉瘤",
    "synovial_sarcoma": r"synovial sarcoma|滑膜肉瘤",
    "myxoid_liposarcoma": r"myxoid liposarcoma|(?:黏|粘)液性脂肪肉瘤",
    "dedifferentiated_liposarcoma": r"dedifferentiated liposarcoma|去分化脂肪肉瘤",
    "liposarcoma": r"liposarcoma|脂肪肉瘤",
    "pathological_fracture": r"patholog(?:ic|ical) fracture|病理性骨折",
    "cord_compression": r"(?:spinal )?cord compression|\bmscc\b|cauda equina (?:syndrome|compression)|脊髓压迫"
    r"|马尾综合征",
    "osteonecrosis_jaw": r"osteonecrosis of (?:the )?jaw|\bm?ronj\b|\bonj\b|颌骨坏死",
    "hypercalcaemia": r"hypercalca?emia|高钙血症|高血钙",
    "hypocalcaemia": r"hypocalca?emia|低钙血症|低血钙",
    "life_expectancy": r"life expectancy|预计生存期|预期寿命|预期生存期",
    "bone_pain": r"\bbone pain\b|骨痛|骨骼?疼痛",
    "dental_exam": r"\b(?:dental|oral)\b[\w ]{0,20}\b(?:exam|examination|check|check-?up|assessment"
    r"|evaluation)\b|口腔(?:检查|评估|科)|洁牙",
    "radiotherapy": r"radiotherapy|radiation|放疗|放射治疗",
    "radionuclide": r"strontium-?89|\bsr-?89\b|radionuclide|radium-?223|samarium-?153|锶-?89|核素治疗",
    "osteoplasty": r"vertebroplasty|kyphoplasty|osteoplasty|椎体成形|骨成形|骨水泥",
    "urinary_obstruction": r"urinary (?:tract |outflow )?obstruction|尿路梗阻",
    "hydronephrosis": r"hydronephrosis|肾积水",
    "brain_metastasis": r"\b(?:brain|cerebral|intracranial) metasta\w+|脑转移",
    "liver_metastasis": r"\b(?:liver|hepatic) metasta\w+|肝转移",
    "lung_metastasis": r"\b(?:lung|pulmonary) metasta\w+|肺转移",
    "adrenal_metastasis": r"\badrenal metasta\w+|肾上腺转移",
    "pleural_metastasis": r"\bpleural metasta\w+|胸膜转移",
    "ifosfamide_encephalopathy": r"ifosfamide(?:[- ](?:induced|related|associated))? (?:encephalopathy|neurotoxicity)"
    r"|异环磷酰胺(?:相关|所致)?(?:性)?脑病",
    "osteoporosis": r"osteoporosis|骨质疏松",
    "nerve_compression": r"nerve (?:root )?compression|神经(?:根)?(?:受压|压迫)",
    "motion_limited": r"(?:limited|restricted) (?:motion|movement|mobility)|活动受限|活动障碍",
    "gum_signs": r"gum swelling|gingival swelling|loose teeth|tooth mobility|exposed (?:jaw )?bone|牙龈肿胀"
    r"|牙齿松动|骨暴露",
    "dialysis": r"\b(?:ha?emo|peritoneal )?dialysis\b|透析",
    "fracture": r"\bfracture\b|骨折",
    "mdt": r"\bmdt\b|tumou?r board|multidisciplinary (?:team|meeting|conference|discussion)|多学科",
    "tooth_extraction": r"tooth extraction|dental (?:extraction|implant)|extraction of (?:a )?tooth|拔牙|种植牙"
    r"|牙种植|种植体",
    "pregnancy": r"\bpregnan(?:t|cy)\b|妊娠|怀孕|孕\d+周",
    "severe_infection": r"\bsepsis\b|\bpneumonia\b|败血症|脓毒症|肺炎",
    "diffuse": r"\b(?:diffuse|extensive|widespread)\b|广泛|弥漫",
    "multiple": r"\bmultiple\b|多发",
    "adenocarcinoma": r"adenocarcinoma|腺癌",
    "squamous": r"squamous|鳞癌|鳞状细胞癌",
    "small_cell": r"(?<!non-)(?<!non )small[- ]cell|\bsclc\b|(?<!非)小细胞",
    "non_small_cell": r"non[- ]small[- ]cell|\bnsclc\b|非小细胞",
    "stem_cell_transplant": r"stem[- ]cell transplant|\basct\b|造血干细胞移植|干细胞移植",
    "internal_fixation": r"internal fixation|intramedullary nail|内固定|髓内钉",
    "spinal_decompression": r"spinal decompression|laminectomy|椎管减压|椎板切除",
    "bone_biopsy": r"bone biopsy|骨活检|骨穿刺活检",
    "skeletal_survey": r"skeletal survey|骨骼?平片|骨骼x线",
    "bone_scan": r"bone scan|bone scintigraphy|骨扫描|骨显像",
    "pet": r"\bpet[- /]?ct\b|\bpet\b",
    "mri": r"\bmri?\b|磁共振|核磁",
    "ct": r"\bct\b",
    "xray": r"x-?ray|radiograph|x线",
    "bone_word": r"\bbone|skelet|osseous|spine|vertebra|pelvis|femur|femoral|humer|\brib|骨|椎",
}

# Texts of these speak of danger as often as of disease.
_RISKY_TERMS = frozenset({"bone_metastasis", "pathological_fracture", "cord_compression", "fracture"})

_CLAUSE_END = compiled(r"[.;,。；，、！!\n]|\bbut\b|\bhowever\b|但是?|(?<=\s)-(?=\s)")
_UNCERTAIN = compiled(
    r"疑似|可疑|疑(?=.{0,4}(?:转移|骨折|压迫|坏死|癌|瘤))|待排|待查|(?<!不)考虑(?!.{0,6}排除)|不能排除|不除外"
    r"|不能除外|未除外|[?]"
    r"|\bsuspect(?:ed|ing|s)?\b|\bsuspicious\b|\bsuspicion\b|\bpossibl[ey]\b|\bprobabl[ey]\b|\brule out\b|\br/o\b"
    r"|cannot (?:be )?exclud\w*|can not (?:be )?exclud\w*|\bnot excluded\b|\bequivocal\b"
)
_NO_CHANGE = compiled(r"无新发|未见新发|无进展|\bno new\b|\bno progression of\b|\bno further\b|无新的|未见新的")
_ALLOWED_BEFORE = compiled(r"无症状|无痛|asymptomatic|painless|不考虑")
_NOT_EXPLICIT = compiled(r"未见|排除|\bruled out\b|\bnegative for\b")
_NOT = compiled(
    r"无|未见|否认|排除|不考虑|未发现|\bno\b|\bwithout\b|\bdenies\b|\bdenied\b|\bruled out\b|\bnegative for\b"
)
_AFTER_NOT = compiled(
    r"^\s*(?:已排除|(?:is|was|has been|have been)?\s*(?:ruled out|excluded)\b"
    r"|[:：]?\s*(?:阴性|未检出|未检测到|negative\b|absent\b|none\b|(?:was |is )?not (?:detected|seen|present|found)\b))"
)
_RISK = compiled(r"风险|高危|\bat risk (?:of|for)\b|\brisk (?:of|for)\b|\bimpending\b|\bthreatened\b|先兆|即将")
_OTHERS = compiled(
    r"家族史|家族|父亲|母亲|兄弟|姐妹|\bfamily history\b|\bfamilial\b|\bmother\b|\bfather\b|\bbrother\b"
    r"|\bsister\b|\baunt\b|\buncle\b"
    r"|\bgrand(?:mother|father)\b|筛查|\bscreening (?:for|of)\b|\bfear of\b|恐惧|预防|\bprevention of\b"
    r"|\bprophylaxis\b"
)
_PAST = compiled(r"既往|\bhistory of\b|\bh/o\b")
_STAYS = compiled(r"术后|\bs/p\b|\bstatus post\b")

_COMPILED = {name: compiled(pattern) for name, pattern in TERMS.items()}
_ANY = compiled("|".join(f"(?:{pattern})" for pattern in TERMS.values()))


@dataclass(frozen=True, slots=True)
class Said:
    """One term found in a text and what is said of it; `where` is its place in the folded text."""

    term: str
    verdict: Verdict
    words: str
    where: tuple[int, int]


def fold(text: str) -> str:
    """Give text as the patterns expect it: NFKC (full-width forms folded), lower case, single blanks."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[ \t\r\f\v]+", " ", plain)


def mentions(text: str) -> bool:
    """Tell quickly whether any term occurs at all."""
    return _ANY.search(fold(text)) is not None


def occurs(text: str, *terms: str) -> bool:
    """Tell whether any of these terms occurs at all."""
    folded = fold(text[:LONGEST])
    return any(_COMPILED[term].search(folded) is not None for term in terms)


@lru_cache(maxsize=4096)
def said(text: str) -> tuple[Said, ...]:
    """Give every term that occurs in a text with its verdict, in order of place."""
    folded = fold(text[:LONGEST])
    if not _ANY.search(folded):
        return ()
    found = [
        Said(name, judge(folded, hit.start(), hit.end(), risky=name in _RISKY_TERMS), hit.group(), hit.span())
        for name, pattern in _COMPILED.items()
        for hit in itertools.islice(pattern.finditer(folded), MENTIONS)
    ]
    return tuple(sorted(found, key=lambda one: (one.where, one.term)))


def verdict(text: str, term: str) -> Verdict | None:
    """
    Give what a text says of one term of `TERMS`; None when it does not occur.

    Where a text speaks of it more than once, the strongest counts: present, suspected, absent, history.
    """
    found = [one.verdict for one in said(text) if one.term == term]
    return max(found, key=_STRENGTH.index) if found else None


def verdicts(text: str) -> dict[str, Verdict]:
    """Give the verdict on every term that occurs in a text."""
    found: dict[str, Verdict] = {}
    for one in said(text):
        known = found.get(one.term)
        if known is None or _STRENGTH.index(one.verdict) > _STRENGTH.index(known):
            found[one.term] = one.verdict
    return found


def is_about_others(text: str) -> bool:
    """Tell whether a text speaks of the family, of a screening or of a fear, not of a disease of the patient."""
    return _OTHERS.search(fold(text)) is not None


def judge(folded: str, start: int, end: int, *, risky: bool = False) -> Verdict:
    """
    Say what a folded text claims about the words at `start:end`.

    Doubt is tested before negation ("不能排除骨转移" is no negation); words like "asymptomatic" and "no new"
    are no negations either. `risky` terms are also tested for words of mere risk.
    """
    before, after = _clause(folded, start, end)
    whole = before + folded[start:end] + after
    if _OTHERS.search(whole):
        return "nothing"
    if _UNCERTAIN.search(before) or _UNCERTAIN.search(after):
        return "suspected"
    if risky and _RISK.search(whole):
        return "nothing"
    if _NO_CHANGE.search(before):
        return "unclear"
    cleaned = _ALLOWED_BEFORE.sub(lambda hit: "不考虑" if hit.group() == "不考虑" else " ", before)
    if _NOT_EXPLICIT.search(cleaned) or _AFTER_NOT.match(after):
        return "absent"
    if _NOT.search(cleaned):
        return "nothing"
    if _PAST.search(whole) and not _STAYS.search(whole):
        return "history"
    return "present"


def _clause(folded: str, start: int, end: int) -> tuple[str, str]:
    """Give the words of the same clause before and after a place."""
    begin = earliest = max(0, start - CLAUSE)
    for hit in _CLAUSE_END.finditer(folded, earliest, start):
        begin = hit.end()
    latest = min(len(folded), end + CLAUSE)
    stop = _CLAUSE_END.search(folded, end, latest)
    return folded[begin:start], folded[end : stop.start() if stop else latest]


# --- numbers in text ----------------------------------------------------------------------------------------

_NUMBER = r"(\d+(?:\.\d+)?)"
_COMPARATOR = {
    "<": "<",
    "<=": "<=",
    "≤": "<=",
    ">": ">",
    ">=": ">=",
    "≥": ">=",
    "gt": ">",
    "lt": "<",
    "ge": ">=",
    "le": "<=",
}
_QUANTITY = compiled(
    r"^\s*(?:约|大约|approximately|approx\.?|about|~)?\s*(<=|>=|<|>|≤|≥|gt|lt|ge|le)?\s*"
    rf"{_NUMBER}(?:\s*(?:-|–|to|~|至|到)\s*{_NUMBER})?\s*([^\d\s].{{0,30}})?\s*$"
)
_NO_VALUE = compiled(
    r"see (?:comment|note|report|below)|\btnp\b|test not performed|not (?:done|performed|reported)|未做|未查"
    r"|未测|未检测"
    r"|ha?emoly[sz]ed|溶血|insufficient|\bqns\b|clotted|clumped|cancel|pending|待回|标本|failed|失败"
    r"|too small to quantif|unable"
)
_NEGATIVE = compiled(
    r"^\s*(?:阴性|未检出|未见|正常|\(-\)|neg(?:ative)?\b|not detected|none|absent|no\b|nil|undetected|否|无)"
)
_POSITIVE = compiled(r"^\s*(?:阳性|检出|\(\+\)|[1-4]\+|\+{1,4}$|pos(?:itive)?\b|detected|present|yes|是|有)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A number written as text: `low` to `high` (equal for one number), comparator and written unit."""

    low: str
    high: str
    comparator: str = ""
    unit: str = ""


def quantity(text: str) -> Spoken | None:
    """Read a number written as text (`>90`, `GT 45`, `<0.2 mg/dL`, `10-15 %`, `１.２`); None if it is none."""
    folded = fold(text).strip()
    found = _QUANTITY.match(folded)
    if found is None:
        return None
    comparator, low, high, unit = found.groups()
    return Spoken(low, high or low, _COMPARATOR.get(comparator or "", ""), (unit or "").strip())


def is_no_value(text: str) -> bool:
    """Tell whether a result text says that there is no result ("see comment", "hemolyzed", "未做")."""
    return _NO_VALUE.search(fold(text)) is not None


def polarity(text: str, *, presence: bool = False) -> Literal["positive", "negative"] | None:
    """
    Tell whether a result text says positive or negative.

    A bare `-` is negative only under a presence-type code (`presence`); elsewhere it is a placeholder.
    """
    folded = fold(text).strip()
    if folded in {"-", "－", "—"}:
        return "negative" if presence else None
    if _NEGATIVE.match(folded):
        return "negative"
    if _POSITIVE.match(folded):
        return "positive"
    return None


_SPAN_UNITS = (
    (compiled(r"^\s*(?:个月|月|months?\b|mos?\b)"), "mo"),
    (compiled(r"^\s*(?:周|weeks?\b|wks?\b)"), "wk"),
    (compiled(r"^\s*(?:年|years?\b|yrs?\b)"), "a"),
    (compiled(r"^\s*(?:天|日|days?\b)"), "d"),
)
_SPAN = compiled(
    r"(?:小于|不足|少于|less than|under|<|≤|不超过|大于|超过|more than|over|greater than|>|≥|至少|at least|约"
    r"|大约|about|approximately)?\s*" + _NUMBER + r"(?:\s*(?:-|–|~|to|至|到)\s*" + _NUMBER + r")?"
)
_LESS = compiled(r"小于|不足|少于|less than|under|<|≤|不超过")
_MORE = compiled(r"大于|超过|more than|over|greater than|>|≥|至少|at least")
_ROUGH = compiled(r"约|大约|about|approximately|左右")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time read from text: numbers as written, UCUM unit, comparator, and whether it was "about"."""

    low: str
    high: str
    unit: str
    comparator: str = ""
    rough: bool = False


def time_span(text: str) -> Span | None:
    """Read the length of time after "life expectancy" / 预计生存期 (or alone); None without a number and unit."""
    folded = fold(text)
    anchor = _COMPILED["life_expectancy"].search(folded)
    rest = folded[anchor.end() :] if anchor else folded
    found = _SPAN.search(rest[:60])
    if found is None:
        return None
    unit = next((name for pattern, name in _SPAN_UNITS if pattern.match(rest[found.end() :])), None)
    if unit is None:
        return None
    lead = found.group()
    comparator = "<" if _LESS.search(lead) else ">" if _MORE.search(lead) else ""
    low, high = found.group(1), found.group(2) or found.group(1)
    return Span(low, high, unit, comparator, _ROUGH.search(folded) is not None)
