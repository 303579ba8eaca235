"""The fact dictionary, group by group: what may be asked, its unit, its name in both languages, how long it counts."""

from __future__ import annotations

import msgspec

from recommenders.vocabulary.bones import LEVELS
from recommenders.vocabulary.facts import Finding, Moment, Reading, finding, moment, reading

# Why a fact counts however old it is.
DIAGNOSIS = "a diagnosis stays until it is resolved or refuted"
ORDERS = "read from orders that stand"
PROBLEMS = "read from problems that are active"
CYTOGENETICS = "cytogenetics do not age"
HISTORY = "what once was stays so"
ALLERGY = "an allergy stays until it is refuted"
FOR_EVER = "does not change"
SHOWN = "genetics do not age; shown only"
GENETICS = "genetics do not age"
HISTOLOGY = "histology does not age"
JUDGEMENT = "a judgement of the case, which stays until it is revised"
A_DAY = "a day: rules ask how long ago it was"
FRACTURE = "goes with the fracture, which has a window"
BASELINE = "counts near the day of diagnosis, whenever that was (tables.baseline)"
STATED = "stated of the disease, which stays"


class PatientFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.1 who the patient is."""

    birth_date: Moment = moment("patient.birth_date", "birth date", "出生日期", counts=FOR_EVER)
    age: Reading = reading("patient.age", "a", 0, "age", "年龄", derived=True)
    sex: Finding = finding("patient.sex", "sex", "性别", "male", "female", "other", "unknown", counts=FOR_EVER)
    pregnant: Finding = finding("patient.pregnant", "pregnancy", "妊娠", counts=300)
    deceased: Finding = finding("patient.deceased", "deceased", "已故", closed=True, counts=FOR_EVER)
    weight: Reading = reading("patient.weight", "kg", 1, "weight", "体重", counts=(90, 30))
    height: Reading = reading("patient.height", "cm", 1, "height", "身高", counts=1826)
    bsa: Reading = reading("patient.bsa", "m2", 2, "body surface area", "体表面积", derived=True, counts=(90, 30))


class StatusFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.1 general status."""

    ecog: Reading = reading("status.ecog", "{score}", 0, "ECOG performance status", "ECOG体能状态", counts=60)
    life_expectancy: Reading = reading("status.life_expectancy", "mo", 1, "life expectancy", "预计生存期", counts=90)
    fit_for_surgery: Finding = finding(
        "status.fit_for_surgery", "fit for surgery and anaesthesia", "可耐受手术麻醉", counts=90
    )
    severe_neuro_disease: Finding = finding(
        "status.severe_neuro_disease",
        "severe neurological disease",
        "严重神经系统疾病",
        counts="a chronic disease stays until it is said to be gone",
    )
    active_infection: Finding = finding("status.active_infection", "active infection", "活动性感染", counts=30)
    coagulopathy_uncontrolled: Finding = finding(
        "status.coagulopathy_uncontrolled", "uncontrolled coagulopathy", "未控制的凝血障碍", counts=30
    )


class PainFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.1 pain, 0 to 10."""

    nrs: Reading = reading("pain.nrs", "{score}", 0, "pain score", "疼痛评分", counts=14)


class PsychFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.1 psychological distress."""

    distress: Finding = finding(
        "psych.distress",
        "psychological distress",
        "心理困扰",
        "none",
        "present-subclinical",
        "clinical-diagnosis",
        closed=True,
        counts=180,
    )


class MdtFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.1 multidisciplinary team."""

    available: Finding = finding("mdt.available", "local MDT", "本院MDT", counts="a property of the hospital")
    last_date: Moment = moment("mdt.last_date", "last MDT discussion", "上次MDT讨论", counts=A_DAY)


class TherapyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.1 earlier treatment."""

    prior_lines: Reading = reading(
        "therapy.prior_lines",
        "{count}",
        0,
        "prior systemic lines",
        "既往全身治疗线数",
        counts="lines that were given stay given",
    )


class DiagnosisFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.2 diagnoses as documented."""

    lung_cancer: Finding = finding("dx.lung_cancer", "lung cancer", "肺癌", closed=True, counts=DIAGNOSIS)
    lung_histology: Finding = finding(
        "dx.lung_histology",
        "lung histology",
        "肺癌组织学",
        "nsclc-adeno",
        "nsclc-squamous",
        "nsclc-other",
        "sclc",
        counts=HISTOLOGY,
    )
    other_solid_cancer: Finding = finding(
        "dx.other_solid_cancer", "other solid cancer", "其他实体瘤", closed=True, counts=DIAGNOSIS
    )
    any_cancer: Finding = finding(
        "dx.any_cancer", "an active malignancy", "活动性恶性肿瘤", closed=True, counts=DIAGNOSIS
    )
    bone_met: Finding = finding(
        "dx.bone_met", "imaging-confirmed bone metastasis", "影像确诊的骨转移", counts=DIAGNOSIS
    )
    bone_met_count: Reading = reading(
        "dx.bone_met_count",
        "{count}",
        0,
        "number of bone metastases",
        "骨转移数目",
        counts="stated of the disease; the lesions that are counted have a window of their own",
    )
    bone_met_isolated: Finding = finding(
        "dx.bone_met_isolated", "isolated bone metastasis", "孤立性骨转移", derived=True
    )
    isolated_stated: Finding = finding(
        "isolated_stated", "count stated or whole skeleton imaged", "已明确病灶数", derived=True
    )
    multiple_stated: Finding = finding(
        "dx.multiple_stated", "multiple metastases stated", "记录为多发", closed=True, counts=STATED
    )
    diffuse_metastases: Finding = finding(
        "dx.diffuse_metastases", "diffuse metastases", "弥漫性转移", closed=True, counts=STATED
    )
    visceral_met_organs: Reading = reading(
        "dx.visceral_met_organs", "{count}", 0, "organs with metastases", "转移器官数", counts=STATED
    )
    brain_metastases: Finding = finding(
        "dx.brain_metastases", "brain metastases", "脑转移", closed=True, counts=DIAGNOSIS
    )
    metastatic: Finding = finding("dx.metastatic", "metastatic disease", "转移性疾病", counts=DIAGNOSIS)
    mm: Finding = finding("dx.mm", "multiple myeloma (coded)", "多发性骨髓瘤（记录）", closed=True, counts=DIAGNOSIS)
    smm: Finding = finding(
        "dx.smm", "smouldering myeloma (coded)", "冒烟型骨髓瘤（记录）", closed=True, counts=DIAGNOSIS
    )
    mgus: Finding = finding("dx.mgus", "MGUS (coded)", "MGUS（记录）", closed=True, counts=DIAGNOSIS)
    plasmacytoma: Finding = finding("dx.plasmacytoma", "plasmacytoma", "浆细胞瘤", closed=True, counts=DIAGNOSIS)
    pcl: Finding = finding("dx.pcl", "plasma cell leukaemia", "浆细胞白血病", closed=True, counts=DIAGNOSIS)
    amyloidosis: Finding = finding("dx.amyloidosis", "amyloidosis", "淀粉样变性", closed=True, counts=DIAGNOSIS)
    osteosarcoma: Finding = finding("dx.osteosarcoma", "osteosarcoma", "骨肉瘤", closed=True, counts=DIAGNOSIS)
    sts: Finding = finding("dx.sts", "soft-tissue sarcoma", "软组织肉瘤", closed=True, counts=DIAGNOSIS)
    sts_subtype: Finding = finding(
        "dx.sts_subtype",
        "sarcoma subtype",
        "肉瘤亚型",
        "ups",
        "synovial",
        "myxoid-lps",
        "dediff-lps",
        "other",
        counts=HISTOLOGY,
    )
    osteoporosis: Finding = finding("dx.osteoporosis", "osteoporosis", "骨质疏松", closed=True, counts=DIAGNOSIS)
    giant_cell_tumour: Finding = finding(
        "dx.giant_cell_tumour", "giant-cell tumour of bone", "骨巨细胞瘤", closed=True, counts=DIAGNOSIS
    )
    hypercalcaemia_malignancy: Finding = finding(
        "dx.hypercalcaemia_malignancy", "hypercalcaemia of malignancy", "恶性高钙血症", closed=True, counts=DIAGNOSIS
    )


class HistoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was once so, active or not."""

    malignancy: Finding = finding(
        "ever.malignancy", "any malignancy, now or before", "恶性肿瘤史", closed=True, counts=HISTORY
    )
    ifosfamide_encephalopathy: Finding = finding(
        "ever.ifosfamide_encephalopathy",
        "previous ifosfamide encephalopathy",
        "既往异环磷酰胺脑病",
        closed=True,
        counts=HISTORY,
    )


class SarcomaFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.2 sarcoma setting."""

    setting: Finding = finding(
        "sarcoma.setting",
        "sarcoma setting",
        "肉瘤治疗阶段",
        "localised",
        "newly-diagnosed-metastatic",
        "relapsed-refractory",
        "advanced-first-line",
        "advanced-second-line-plus",
        counts=180,
    )


class MyelomaFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.6 myeloma; readings in the internal units, counts of lesions of 5 mm or more."""

    onset_date: Moment = moment("mm.onset_date", "myeloma onset", "骨髓瘤起病日期", counts="a day")
    phase: Finding = finding(
        "mm.phase",
        "treatment phase",
        "治疗阶段",
        "precursor",
        "newly-diagnosed",
        "induction",
        "pre-transplant",
        "post-transplant",
        "maintenance",
        "relapsed",
        counts=180,
    )
    on_antimyeloma: Finding = finding(
        "mm.on_antimyeloma", "anti-myeloma therapy", "抗骨髓瘤治疗", closed=True, counts=ORDERS
    )
    ever_antimyeloma: Finding = finding(
        "mm.ever_antimyeloma", "anti-myeloma therapy, now or before", "曾用抗骨髓瘤治疗", closed=True, counts=HISTORY
    )
    antimyeloma_start: Moment = moment(
        "mm.antimyeloma_start", "start of anti-myeloma therapy", "抗骨髓瘤治疗开始", counts="a day"
    )
    m_protein: Reading = reading("mm.m_protein", "g/L", 1, "M-protein", "M蛋白", counts=120)
    urine_m_protein: Reading = reading("mm.urine_m_protein", "mg/(24.h)", 0, "urine M-protein", "尿M蛋白", counts=120)
    kappa: Reading = reading("mm.kappa", "mg/L", 2, "kappa free light chain", "κ游离轻链", counts=120)
    lambda_: Reading = reading(
        "mm.lambda_", "mg/L", 2, "lambda free light chain", "λ游离轻链", of="mm.lambda", counts=120
    )
    flc_ratio_kl: Reading = reading("mm.flc_ratio_kl", "1", 4, "kappa/lambda ratio", "κ/λ比值", counts=120)
    flcr: Reading = reading(
        "mm.flcr", "1", 1, "involved/uninvolved light chain ratio", "受累/未受累轻链比值", derived=True
    )
    flc_involved: Reading = reading("mm.flc_involved", "mg/L", 1, "involved light chain", "受累轻链", derived=True)
    bmpc: Reading = reading("mm.bmpc", "%", 1, "bone-marrow plasma cells", "骨髓浆细胞", counts=365)
    mri_focal: Reading = reading("mm.mri_focal", "{count}", 0, "MRI focal lesions", "MRI局灶病变", counts=365)
    pet_focal_active: Finding = finding(
        "mm.pet_focal_active", "active lesion on PET-CT", "PET-CT代谢活性病灶", counts=365
    )
    pet_suvmax: Reading = reading("mm.pet_suvmax", "1", 1, "SUVmax", "SUVmax", counts=365)
    lytic_lesions: Reading = reading("mm.lytic_lesions", "{count}", 0, "osteolytic lesions", "溶骨病灶", counts=365)
    bone_metabolic_abnormal: Finding = finding(
        "mm.bone_metabolic_abnormal",
        "abnormal bone metabolism",
        "骨代谢异常",
        closed=True,
        counts="a judgement of the disease, which stays until it is revised",
    )
    plasmacytoma_biopsy: Finding = finding(
        "mm.plasmacytoma_biopsy", "biopsy-proven plasmacytoma", "活检证实浆细胞瘤", closed=True, counts=HISTOLOGY
    )
    b2m: Reading = reading("mm.b2m", "mg/L", 2, "β2-microglobulin", "β2微球蛋白", counts=180)
    baseline_albumin: Reading = reading(
        "mm.baseline_albumin", "g/L", 1, "albumin at diagnosis", "诊断时白蛋白", of="lab.albumin", counts=BASELINE
    )
    baseline_ldh: Reading = reading(
        "mm.baseline_ldh", "U/L", 0, "LDH at diagnosis", "诊断时LDH", of="lab.ldh", counts=BASELINE
    )
    response: Finding = finding(
        "mm.response", "IMWG response", "IMWG疗效", "sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", counts=120
    )
    mrd: Finding = finding("mm.mrd", "MRD", "MRD", "positive", "negative", counts=90)
    pet_pretransplant: Finding = finding(
        "mm.pet_pretransplant", "PET-CT before transplant", "移植前PET-CT", "positive", "negative", counts=90
    )
    transplant_planned: Finding = finding("mm.transplant_planned", "transplant planned", "计划移植", counts=180)
    bmd_decreased: Finding = finding(
        "mm.bmd_decreased",
        "decreased bone density",
        "骨密度降低",
        closed=True,
        counts="bone density does not recover by itself; it stays until it is resolved",
    )
    immunoparesis: Finding = finding("mm.immunoparesis", "immunoparesis", "免疫球蛋白抑制", counts=365)
    circulating_pc: Finding = finding("mm.circulating_pc", "circulating plasma cells", "循环浆细胞", counts=365)


class CytogeneticFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.7 each abnormality separately; absent is unknown."""

    del17p: Finding = finding("cyto.del17p", "del(17p)", "del(17p)", counts=CYTOGENETICS)
    t4_14: Finding = finding("cyto.t4_14", "t(4;14)", "t(4;14)", counts=CYTOGENETICS)
    t14_16: Finding = finding("cyto.t14_16", "t(14;16)", "t(14;16)", counts=CYTOGENETICS)
    t14_20: Finding = finding("cyto.t14_20", "t(14;20)", "t(14;20)", counts=CYTOGENETICS)
    gain1q: Finding = finding("cyto.gain1q", "1q gain", "1q增益", counts=CYTOGENETICS)
    del13q: Finding = finding("cyto.del13q", "del(13q)", "del(13q)", counts=CYTOGENETICS)
    high_risk_riss: Finding = finding(
        "cyto.high_risk_riss",
        "high-risk cytogenetics (R-ISS set)",
        "高危遗传学（R-ISS）",
        derived=True,
    )


class GeneFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.7 gene changes."""

    kras: Finding = finding("gene.kras", "KRAS mutation", "KRAS突变", counts=GENETICS)
    nras: Finding = finding("gene.nras", "NRAS mutation", "NRAS突变", counts=GENETICS)
    myc: Finding = finding("gene.myc", "MYC rearrangement", "MYC重排", counts=GENETICS)


class DriverFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.7 lung-cancer drivers and PD-L1; shown only."""

    egfr: Finding = finding("driver.egfr", "EGFR", "EGFR", counts=SHOWN)
    alk: Finding = finding("driver.alk", "ALK", "ALK", counts=SHOWN)
    ros1: Finding = finding("driver.ros1", "ROS1", "ROS1", counts=SHOWN)
    ret: Finding = finding("driver.ret", "RET", "RET", counts=SHOWN)
    braf: Finding = finding("driver.braf", "BRAF", "BRAF", counts=SHOWN)
    pdl1: Reading = reading("driver.pdl1", "%", 1, "PD-L1", "PD-L1", counts="shown only")


class LaboratoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.5 laboratory."""

    ca_total: Reading = reading("lab.ca_total", "mmol/L", 2, "total calcium", "总血钙", counts=(30, 14))
    ca_lln: Reading = reading("lab.ca_lln", "mmol/L", 2, "lower limit of calcium", "血钙参考下限", derived=True)
    ca_uln: Reading = reading("lab.ca_uln", "mmol/L", 2, "upper limit of calcium", "血钙参考上限", derived=True)
    ca_ionised: Reading = reading("lab.ca_ionised", "mmol/L", 2, "ionised calcium", "离子钙", counts=(30, 14))
    albumin: Reading = reading("lab.albumin", "g/L", 1, "albumin", "白蛋白", counts=(60, 30))
    ca_corr: Reading = reading(
        "lab.ca_corr", "mmol/L", 2, "corrected calcium", "校正血钙", derived=True, counts=(30, 14)
    )
    ca_corr_mg_dl: Reading = reading(
        "lab.ca_corr_mg_dl", "mg/dL", 1, "corrected calcium", "校正血钙", derived=True, of="lab.ca_corr"
    )
    creatinine: Reading = reading("lab.creatinine", "umol/L", 0, "creatinine", "肌酐", counts=(30, 14))
    creatinine_baseline: Reading = reading(
        "lab.creatinine_baseline",
        "umol/L",
        0,
        "baseline creatinine",
        "基线肌酐",
        counts="measured before treatment, so meant to be old",
    )
    creatinine_rise: Reading = reading("lab.creatinine_rise", "umol/L", 0, "creatinine rise", "肌酐升高", derived=True)
    crcl: Reading = reading(
        "lab.crcl", "mL/min", 1, "creatinine clearance", "肌酐清除率", derived=True, counts=(30, 14)
    )
    egfr: Reading = reading("lab.egfr", "mL/min/{1.73_m2}", 0, "eGFR", "eGFR", counts=(30, 14))
    phosphate: Reading = reading("lab.phosphate", "mmol/L", 2, "phosphate", "血磷", counts=(90, 30))
    magnesium: Reading = reading("lab.magnesium", "mmol/L", 2, "magnesium", "血镁", counts=(90, 30))
    alp: Reading = reading("lab.alp", "U/L", 0, "alkaline phosphatase", "碱性磷酸酶", counts=180)
    balp: Reading = reading("lab.balp", "U/L", 0, "bone alkaline phosphatase", "骨碱性磷酸酶", counts=180)
    ldh: Reading = reading("lab.ldh", "U/L", 0, "LDH", "乳酸脱氢酶", counts=BASELINE)
    hb: Reading = reading("lab.hb", "g/L", 1, "haemoglobin", "血红蛋白", counts=(30, 7))
    ferritin: Reading = reading("lab.ferritin", "ug/L", 0, "ferritin", "铁蛋白", counts=90)
    platelets: Reading = reading("lab.platelets", "10*9/L", 1, "platelets", "血小板", counts=(30, 7))
    wbc: Reading = reading("lab.wbc", "10*9/L", 2, "white cells", "白细胞", counts=(30, 7))
    anc: Reading = reading("lab.anc", "10*9/L", 2, "neutrophils", "中性粒细胞", counts=(30, 7))
    vitd25: Reading = reading("lab.vitd25", "nmol/L", 0, "vitamin D (25-OH)", "25-羟维生素D", counts="no rule reads it")


class BoneMarkerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.5 bone turnover, each with the laboratory's range."""

    ctx: Reading = reading("bone.ctx", "pg/mL", 0, "β-CTX", "β-CTX", counts=180)
    pinp: Reading = reading("bone.pinp", "ng/mL", 1, "PINP", "PINP", counts=180)
    ntx: Reading = reading("bone.ntx", "nmol/mmol{creat}", 1, "NTX", "NTX", counts=180)
    markers_persistently_normal: Finding = finding(
        "bone.markers_persistently_normal", "β-CTX and PINP persistently normal", "β-CTX与PINP持续正常", derived=True
    )


class UrineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.5 urine."""

    haematuria: Finding = finding("urine.haematuria", "microscopic haematuria", "镜下血尿", counts=30)


class SpineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.3 single findings of the spine."""

    escc: Finding = finding("spine.escc", "ESCC grade", "ESCC分级", "0", "1a", "1b", "1c", "2", "3", counts=30)
    neuro_deficit: Finding = finding("spine.neuro_deficit", "neurological deficit", "神经功能障碍", counts=30)
    instability: Finding = finding(
        "spine.instability", "spinal stability", "脊柱稳定性", "stable", "at-risk", "unstable", counts=30
    )
    alignment: Finding = finding(
        "spine.alignment", "spinal alignment", "脊柱力线", "normal", "deformity", "subluxation", counts=180
    )
    sins: Reading = reading("spine.sins", "{score}", 0, "SINS on record", "病历SINS评分", counts=180)
    reported_compression: Finding = finding(
        "report.cord_compression", "cord compression in a report", "影像报告提示脊髓受压", counts=30
    )
    osteolysis_paraplegia_risk: Finding = finding(
        "spine.osteolysis_paraplegia_risk", "spinal osteolysis with paraplegia risk", "脊柱溶骨伴截瘫风险", counts=30
    )


class FractureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.3 pathological fracture; more than 180 days ago is history. `bone` is a lesion site."""

    current: Finding = finding(
        "pathological_fracture.current",
        "current pathological fracture",
        "现有病理性骨折",
        closed=True,
        stale_means_no=True,
        counts=180,
    )
    bone: Finding = finding("pathological_fracture.bone", "fractured bone", "骨折部位", counts=FRACTURE)
    side: Finding = finding(
        "pathological_fracture.side", "side of the fracture", "骨折侧别", "left", "right", counts=FRACTURE
    )
    level: Finding = finding(
        "pathological_fracture.level", "level of the fracture", "骨折节段", *LEVELS, counts=FRACTURE
    )
    minor_bone: Finding = finding(
        "pathological_fracture.minor_bone",
        "minor fracture",
        "轻微骨折",
        closed=True,
        counts="a fracture that happened stays on record",
    )


class ClinicalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.10 features."""

    bone_pain: Finding = finding("clin.bone_pain", "bone pain", "骨痛", closed=True, counts=PROBLEMS)
    motion_limited: Finding = finding("clin.motion_limited", "limited motion", "活动受限", closed=True, counts=PROBLEMS)
    nerve_compression: Finding = finding(
        "clin.nerve_compression", "nerve compression", "神经压迫", closed=True, stale_means_no=True, counts=30
    )
    alp_high: Finding = finding("clin.alp_high", "raised ALP", "ALP升高", derived=True)
    tumour_markers_rising: Finding = finding(
        "clin.tumour_markers_rising", "rising tumour markers", "肿瘤标志物升高", closed=True, counts=90
    )
    tumour_markers_falling: Finding = finding(
        "clin-tumour-markers-falling", "falling tumour markers", "肿瘤标志物下降", closed=True, counts=90
    )
    symptoms_worse: Finding = finding("clin-symptoms-worse", "worse symptoms", "症状加重", closed=True, counts=60)
    leg_weakness: Finding = finding("clin.leg_weakness", "leg weakness", "下肢无力", counts=30)
    hypercalcaemia: Finding = finding("clin.hypercalcaemia", "hypercalcaemia", "高钙血症", closed=True, counts=PROBLEMS)


class BiopsyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.10 biopsy."""

    bone_done: Finding = finding(
        "bx.bone_done", "bone biopsy done", "已行骨活检", closed=True, counts="what was done stays done"
    )


class DentalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.9 dental."""

    last_exam: Moment = moment("dental.last_exam", "last dental examination", "上次口腔检查", counts=A_DAY)
    unrestorable_teeth: Finding = finding(
        "dental.unrestorable_teeth",
        "unrestorable teeth",
        "不可修复患牙",
        closed=True,
        counts="stays until the teeth are treated and the entry is resolved",
    )
    invasive_planned: Finding = finding(
        "dental.invasive_planned",
        "invasive dental procedure planned",
        "计划侵入性牙科操作",
        closed=True,
        stale_means_no=True,
        counts=90,
    )
    signs: Finding = finding("dental.signs", "gum or jaw signs", "牙龈或颌骨体征", closed=True, counts=PROBLEMS)


class OnjFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.2 osteonecrosis of the jaw."""

    status: Finding = finding(
        "onj.status", "jaw osteonecrosis", "颌骨坏死", "none", "suspected", "confirmed", closed=True, counts=DIAGNOSIS
    )


class AllergyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Allergies and intolerances to the drugs that rules or suggestions name."""

    ifosfamide: Finding = finding(
        "allergy.ifosfamide", "ifosfamide allergy", "异环磷酰胺过敏", closed=True, counts=ALLERGY
    )
    denosumab: Finding = finding("allergy.denosumab", "denosumab allergy", "地舒单抗过敏", closed=True, counts=ALLERGY)
    bisphosphonate: Finding = finding(
        "allergy.bisphosphonate", "bisphosphonate allergy", "双膦酸盐过敏", closed=True, counts=ALLERGY
    )
    mesna: Finding = finding("allergy.mesna", "mesna allergy", "美司钠过敏", closed=True, counts=ALLERGY)


class MedicationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.8 current or drafted medication by class; mg and IU per day where it could be read."""

    calcium: Finding = finding("meds.calcium", "calcium supplement", "钙剂", closed=True, counts=ORDERS)
    calcium_daily: Reading = reading("meds.calcium_daily", "mg/d", 0, "calcium per day", "每日钙量", counts=ORDERS)
    vitd: Finding = finding("meds.vitd", "vitamin D", "维生素D", closed=True, counts=ORDERS)
    vitd_daily: Reading = reading("meds.vitd_daily", "[iU]/d", 0, "vitamin D per day", "每日维生素D量", counts=ORDERS)
    glucocorticoid: Finding = finding(
        "meds.glucocorticoid", "systemic glucocorticoid", "全身糖皮质激素", closed=True, counts=ORDERS
    )
    antiangiogenic: Finding = finding(
        "meds.antiangiogenic", "anti-angiogenic drug", "抗血管生成药", closed=True, counts=ORDERS
    )
    nephrotoxic: Finding = finding("meds.nephrotoxic", "nephrotoxic drug", "肾毒性药物", closed=True, counts=ORDERS)
    nsaid: Finding = finding("meds.nsaid", "NSAID", "NSAID", closed=True, counts=ORDERS)
    thiazide: Finding = finding("meds.thiazide", "thiazide", "噻嗪类利尿药", closed=True, counts=ORDERS)
    acetaminophen: Finding = finding("meds.acetaminophen", "acetaminophen", "对乙酰氨基酚", closed=True, counts=ORDERS)
    opioid: Finding = finding("meds.opioid", "opioid", "阿片类", closed=True, counts=ORDERS)
    ici: Finding = finding("meds.ici", "immune checkpoint inhibitor", "免疫检查点抑制剂", closed=True, counts=ORDERS)
    antineoplastic: Finding = finding(
        "meds.antineoplastic", "current systemic therapy", "当前全身抗肿瘤治疗", closed=True, counts=ORDERS
    )
    daratumumab: Finding = finding("meds.daratumumab", "daratumumab", "达雷妥尤单抗", closed=True, counts=ORDERS)
    ifosfamide: Finding = finding("meds.ifosfamide", "ifosfamide", "异环磷酰胺", closed=True, counts=ORDERS)
    mesna: Finding = finding("meds.mesna", "mesna", "美司钠", closed=True, counts=ORDERS)
    mesna_daily: Reading = reading("meds.mesna_daily", "mg/d", 0, "mesna per day", "每日美司钠量", counts=ORDERS)
    mesna_oral: Finding = finding("meds.mesna_oral", "oral mesna", "口服美司钠", closed=True, counts=ORDERS)
    cyp3a4_inhibitor: Finding = finding(
        "meds.cyp3a4_inhibitor", "CYP3A4 inhibitor", "CYP3A4抑制剂", closed=True, counts=ORDERS
    )
    cyp3a4_inducer: Finding = finding(
        "meds.cyp3a4_inducer", "CYP3A4 inducer", "CYP3A4诱导剂", closed=True, counts=ORDERS
    )
    radionuclide_planned: Finding = finding(
        "plan.radionuclide", "radionuclide therapy planned", "计划核素治疗", closed=True, counts=ORDERS
    )


class LocalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """§1.10 judgements that only a clinician's entry carries; names as in `urn:oncobone:facts`."""

    qol_benefit_expected: Finding = finding(
        "qol-benefit-expected", "better quality of life expected", "预期生活质量改善", counts=180
    )
    long_pfs_expected: Finding = finding(
        "long-pfs-expected", "long progression-free period expected", "预期较长无进展期", counts=180
    )
    systemic_effective: Finding = finding(
        "systemic-effective", "systemic treatment effective", "全身治疗有效", counts=180
    )
    mirels_charted: Reading = reading(
        "mirels-total", "{score}", 0, "Mirels score on record", "病历Mirels评分", counts=180
    )
    high_fracture_risk: Finding = finding("high-fracture-risk", "high fracture risk", "骨折高风险", counts=180)
    invades_critical_structures: Finding = finding(
        "invades-critical-structures", "tumour invades key structures", "肿瘤侵犯重要结构", counts=180
    )
    neuropathic_pain: Finding = finding("neuropathic-pain", "neuropathic pain", "神经病理性疼痛", counts=60)
    disease_progression: Finding = finding("disease-progression", "disease progression", "疾病进展", counts=180)
    ortho_first_presentation: Finding = finding(
        "ortho_first_presentation",
        "orthopaedic first presentation",
        "骨科症状首发",
        closed=True,
        counts="how the disease began stays so",
    )
    lung_lesion_sampling_difficult: Finding = finding(
        "lung_lesion_sampling_difficult", "lung lesion hard to sample", "肺病灶取材困难", closed=True, counts=JUDGEMENT
    )
    bone_lesion_decisive: Finding = finding(
        "bone_lesion_decisive", "bone lesion decides the strategy", "骨病灶决定治疗策略", closed=True, counts=JUDGEMENT
    )
    typing_needed: Finding = finding(
        "typing_needed", "pathological or molecular typing needed", "需病理或分子分型", closed=True, counts=JUDGEMENT
    )
    mri_contraindicated: Finding = finding(
        "mri_contraindicated",
        "MRI contraindicated",
        "MRI禁忌",
        closed=True,
        counts="an implant stays until it is said to be gone",
    )


class CauseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What else than a plasma-cell disorder explains anaemia, a weak kidney or a high calcium."""

    iron_deficiency: Finding = finding("cause.iron_deficiency", "iron deficiency", "缺铁", closed=True, counts=PROBLEMS)
    vitamin_deficiency: Finding = finding(
        "cause.vitamin_deficiency", "B12 or folate deficiency", "维生素B12或叶酸缺乏", closed=True, counts=PROBLEMS
    )
    bleeding: Finding = finding(
        "cause.bleeding", "gastrointestinal bleeding", "消化道出血", closed=True, counts=PROBLEMS
    )
    haemolysis: Finding = finding(
        "cause.haemolysis", "thalassaemia or haemolysis", "地中海贫血或溶血", closed=True, counts=PROBLEMS
    )
    ckd: Finding = finding("cause.ckd", "chronic kidney disease", "慢性肾脏病", closed=True, counts=PROBLEMS)
    kidney_disease: Finding = finding(
        "cause.kidney_disease",
        "diabetic or hypertensive kidney disease",
        "糖尿病或高血压肾病",
        closed=True,
        counts=PROBLEMS,
    )
    hyperparathyroidism: Finding = finding(
        "cause.hyperparathyroidism", "hyperparathyroidism", "甲状旁腺功能亢进", closed=True, counts=PROBLEMS
    )


class OtherFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Single findings without a group in the dictionary; dialysis and urinary obstruction."""

    dialysis: Finding = finding(
        "dialysis", "dialysis", "透析", closed=True, counts="a treatment on record stays until it is ended"
    )
    urinary_obstruction: Finding = finding(
        "urinary_obstruction", "urinary outflow obstruction", "尿路梗阻", closed=True, counts=PROBLEMS
    )
