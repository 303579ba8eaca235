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
    r"|(?:adeno|squamous cell )?carcinoma of (?:the )?(?:left |right )(?:(?:upper|middle|lower) lobe of )?lung\b"
    r"|(?:非?小细胞)?肺癌|肺腺癌|肺鳞癌|肺恶性肿瘤"
    r"|肺(?:[上中下]叶|部|门|尖)(?:浸润性)?(?:腺癌|鳞癌|鳞状细胞癌|小细胞癌|癌|恶性肿瘤)",
    "bone_metastasis": r"\b(?:bone|osseous|skeletal) metasta\w+|骨转移瘤?|骨继发恶性肿瘤|(?:(?:bone|osseous"
    r"|skeletal) mets)\b",
    "multiple_myeloma": r"(?<!smoldering )(?<!smouldering )(?<!asymptomatic )(?<!indolent )multiple myeloma"
    r"|(?<!冒烟型)(?<!无症状)(?<!惰性)(?<!无症状性)(?<!冒烟性)多发性骨髓瘤",
    "myeloma": r"myeloma|骨髓瘤",
    "smouldering_myeloma": r"smou?ldering (?:\([a-z ]+\) ?)?(?:multiple )?myeloma"
    r"|(?:asymptomatic|indolent) (?:multiple )?myeloma"
    r"|\bsmm\b"
    r"|(?:冒烟[型性]|无症状性?|惰性)(?:\([^)]{1,8}\))?(?:多发性)?骨髓瘤|骨髓瘤\s*\((?:冒烟[型性]?|无症状性?|惰性)\)"
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
    r"|马尾综合征|\b(?:spinal )?cord (?:is |was |appears )?compressed\b|\bcompression of the (?:spinal )?cord\b"
    r"|脊髓(?:明显)?受压|马尾(?:神经)?受压|\bparaplegia\b|截瘫",
    "leg_weakness": r"\b(?:bilateral )?(?:leg|lower (?:limb|extremity))s? (?:weakness|paresis)\b"
    r"|\bweakness (?:of|in) (?:the |both )?(?:legs?|lower (?:limbs?|extremit\w+))\b|\bparaparesis\b"
    r"|(?:双?下肢|双腿)(?:肢体)?(?:无力|肌力(?:减退|下降)|乏力|瘫痪)",
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
    "giant_cell_tumour": r"giant[- ]cell tumou?rs? of (?:the )?bone|\bgctb\b|骨巨细胞瘤",
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
_RISKY_TERMS = frozenset(
    {"bone_metastasis", "pathological_fracture", "cord_compression", "fracture", "osteonecrosis_jaw"}
)

_CLAUSE_END = compiled(r"[.;,。；，、！!\n]|\bbut\b|\bhowever\b|但是?|(?<=\s)-(?=\s)")
# What is denied or doubted at the head of an enumeration is so for each of its items: 、 ends nothing there.
_ENUMERATION_END = compiled(
    r"[.;,。；，！!\n]|\bbut\b|\bhowever\b|但是?|(?<=\s)-(?=\s)|、(?=\s*(?:有|伴|合并|可见|见|示|存在|确诊|已))"
)
_UNCERTAIN = compiled(
    r"疑似|可疑|疑(?=.{0,4}(?:转移|骨折|压迫|坏死|癌|瘤))|待排|待查|待除外|(?<!不)考虑(?!.{0,6}排除)|可能|倾向|有无|是否|排查"
    r"|(?:不能?|未能?|没有?|难以|无法|尚未|不可|需要?|待)(?:完全|明确|最终)?(?:排除|除外)|[?]"
    r"|\bsuspect(?:ed|ing|s)?\b|\bsuspicious\b|\bsuspicion\b|\bpossibl[ey]\b|\bprobabl[ey]\b|\b(?:un)?likely\b"
    r"|\brule out\b|\br/o\b|\bcan ?not (?:be )?(?:exclud\w*|ruled out)"
    r"|\bnot (?:yet )?(?:been )?(?:excluded|ruled out)\b"
    r"|\bto be (?:excluded|ruled out)\b|\bequivocal\b|\b(?:concern(?:ing)?|worrisome) for\b"
    r"|\bmay (?:be|represent|reflect)\b|\bcould (?:be|represent|reflect)\b"
    r"|\b(?:evaluat\w+|assess\w*|work-?up|check(?:ing)?|monitor(?:ing)?|surveillance|look(?:ing)?) for\b"
)
_NO_CHANGE = compiled(
    r"无新发|未见新发|无进展|无新的|未见新的|无(?:明显|显著)?变化"
    r"|\bno (?:[a-z]+ ){0,4}new\b|\bwithout new\b|\bno further\b"
    r"|\bno (?:[a-z]+ ){0,3}progression of\b|\bwithout progression of\b|\bno (?:[a-z]+ ){0,2}change (?:in|of)\b"
)
_ALLOWED_BEFORE = compiled(
    r"无症状|无痛|无(?:力|法|尿|汗|意识|反应|(?:明显)?诱因)|asymptomatic|painless|不考虑"
    r"|\bwith(?:out| and without| or without) (?:iv |intravenous |gadolinium )?contrast\b"
)
_NOT_EXPLICIT = compiled(r"未见|排除|\bruled out\b|\bnegative for\b")
_NOT = compiled(
    r"无|未见|否认|排除|不考虑|未发现|未检出|未检测到|没有|未(?:及|示|提示|发生|出现|合并|伴|查见|探及|触及)|不(?:支持|符合|伴|合并)|非$"
    r"|\bno\b|\bwithout\b|\bdenies\b|\bdenied\b|\bruled out\b|\bnegative for\b|\babsence of\b|\bfree of\b"
    r"|\bnever\b(?: had\b)?|\bnot (?:a |an |the |due to |from |consistent with |compatible with |suggestive of )?$"
)
_AFTER_NOT = compiled(
    r"^\s*(?:已排除|(?:is|was|has been|have been)?\s*(?:ruled out|excluded)\b"
    r"|[:：=-]?\s*(?:阴性|未检出|未检测到|negative\b|absent\b|none\b|\(-\)"
    r"|(?:(?:was|is|were|are) )?"
    r"not (?:detected|seen|present|found|identified|evident|demonstrated|noted|visuali[sz]ed)\b)"
    r"|[:：=-]?\s*(?:未见|未发现)\s*(?=$|[.;,。；，、)\n])"
    r"|[:：=-]\s*(?:无|否|no)\s*(?=$|[.;,。；，、)\n]))"
)
# "No fracture, cord compression or bone metastasis": one "no" for a list that ends in "or"; "denies" needs none.
_ENGLISH_LIST = compiled(
    r"(\bno\b|\bwithout\b|\bnegative for\b|\bden(?:ies|ied)\b)((?:[^,;.\n]{1,60},\s*){1,8}[^,;.\n]{0,60})$"
)
_AFFIRMS = compiled(r"\b(?:with|has|have|had|shows?|is|are|was|were|there|known|present|reports?)\b")
_RISK = compiled(r"风险|高危|\bat risk (?:of|for)\b|\brisk (?:of|for)\b|\bimpending\b|\bthreatened\b|先兆|即将")
_OTHERS = compiled(
    r"家族史|家族|父亲|母亲|兄弟|姐妹|\bfamily history\b|\bfamilial\b|\bmother\b|\bfather\b|\bbrother\b"
    r"|\bsister\b|\baunt\b|\buncle\b"
    r"|\bgrand(?:mother|father)\b|筛查|\bscreening (?:for|of)\b|\bfear of\b|恐惧|预防|\bprevention of\b"
    r"|\bprophylaxis\b|\b(?:cancer|myeloma|metasta\w+|osteoporosis) screening\b"
)
_PAST = compiled(r"既往|陈旧|已愈合|\bhistory of\b|\bh/o\b|\bhealed\b|\bold (?:healed )?(?=path|fract|compress)")
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
    return _ANY.search(fold(text[:LONGEST])) is not None


def occurs(text: str, *terms: str) -> bool:
    """Tell whether any of these terms occurs at all."""
    folded = fold(text[:LONGEST])
    return any(_COMPILED[term].search(folded) is not None for term in terms)


def said(text: str) -> tuple[Said, ...]:
    """Give every term that occurs in a text with its verdict, in order of place."""
    return _said(text[:LONGEST])


@lru_cache(maxsize=4096)
def _said(text: str) -> tuple[Said, ...]:
    folded = fold(text)
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
    listed = folded[_begin(_ENUMERATION_END, folded, start) : start]
    whole = before + folded[start:end] + after
    if _OTHERS.search(listed + folded[start:end] + after):
        return "nothing"
    if _UNCERTAIN.search(listed) or _UNCERTAIN.search(after):
        return "suspected"
    if risky and _RISK.search(whole):
        return "nothing"
    if _NO_CHANGE.search(before):
        return "unclear"
    cleaned = _ALLOWED_BEFORE.sub(lambda hit: "不考虑" if hit.group() == "不考虑" else " ", listed)
    if _NOT_EXPLICIT.search(cleaned) or _AFTER_NOT.match(folded[end : end + 60]):
        return "absent"
    if _NOT.search(cleaned) or _heads_a_list(folded, start, end):
        return "nothing"
    if _PAST.search(whole) and not _STAYS.search(whole):
        return "history"
    return "present"


def _heads_a_list(folded: str, start: int, end: int) -> bool:
    """Tell whether a "no" some commas before denies this item of an English list too."""
    head = _ENGLISH_LIST.search(folded[max(0, start - CLAUSE) : start])
    if head is None or _AFFIRMS.search(head[2]):
        return False
    rest = re.split(r"[.;\n]", folded[end : end + CLAUSE], maxsplit=1)[0]
    return head[1].startswith("den") or re.search(r"\bn?or\b", head[2] + rest) is not None


def _clause(folded: str, start: int, end: int) -> tuple[str, str]:
    """Give the words of the same clause before and after a place."""
    begin = _begin(_CLAUSE_END, folded, start)
    latest = min(len(folded), end + CLAUSE)
    stop = _CLAUSE_END.search(folded, end, latest)
    return folded[begin:start], folded[end : stop.start() if stop else latest]


def _begin(ends: re.Pattern[str], folded: str, start: int) -> int:
    """Give where the words before a place begin to belong to it."""
    begin = earliest = max(0, start - CLAUSE)
    for hit in ends.finditer(folded, earliest, start):
        begin = hit.end()
    return begin


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
    r"(?P<lead>(?:\b(?:not|no)\s+|不)?"
    r"(?:小于|不足|少于|低于|less than|under|<|≤|超过|大于|多于|高于|more than|over|greater than|>|≥|至少|at least"
    r"|最多|at most|up to)?\s*(?:约|大约|about|approximately)?\s*)"
    + _NUMBER
    + r"(?:\s*(?:-|–|~|to|至|到)\s*"
    + _NUMBER
    + r")?"
)
_LESS = compiled(r"小于|不足|少于|低于|less than|under|<|≤|最多|at most|up to")
_MORE = compiled(r"大于|超过|多于|高于|more than|over|greater than|>|≥|至少|at least")
_WITH_EDGE = compiled(r"≤|≥|至少|at least|最多|at most|up to")
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
    tail = rest[found.end() :]
    unit, behind = next(((name, hit.end()) for pattern, name in _SPAN_UNITS if (hit := pattern.match(tail))), (None, 0))
    if unit is None:
        return None
    low, high = found.group(2), found.group(3) or found.group(2)
    comparator = _comparator(found["lead"]) or ("" if low != high else _after_span(tail[behind:]))
    return Span(low, high, unit, comparator, _ROUGH.search(folded) is not None)


def _comparator(lead: str) -> str:
    """Give the comparator of the words before a number; "not less than" and 不少于 turn it round, edge included."""
    denied = re.match(r"\s*(?:not|no|不(?!足))", lead) is not None
    less, more = _LESS.search(lead) is not None, _MORE.search(lead) is not None
    if not less and not more:
        return ""
    edge = denied or _WITH_EDGE.search(lead) is not None
    return ("<" if less != denied else ">") + ("=" if edge else "")


def _after_span(tail: str) -> str:
    """Give the comparator of the words behind a length of time ("6 months or more", 3个月以内)."""
    if re.match(r"\s*(?:及?以上|\+|or (?:more|longer|above))", tail):
        return ">="
    return "<=" if re.match(r"\s*(?:及?以[内下]|之内|内|or (?:less|shorter|fewer|below))", tail) else ""
