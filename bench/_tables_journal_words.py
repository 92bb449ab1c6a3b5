"""What tables of journals hold: labels, heads, sections, sentences and values."""

from __future__ import annotations

import random
from collections.abc import Callable

MEASURES = (
    "Mean (SD)", "<i>n</i> (%)", "OR (95% CI)", "<i>P</i>-value", "P value<sup>a</sup>",
    "HR (95% CI)", "Control (<i>n</i> = 42)", "Intervention (<i>n</i> = 45)", "Total",
    "Median (range)", "Baseline", "12 months", "Sensitivity (%)", "Concentration (μg/mL)", "RMSE",
    "LOQ (ng/g)", "Yes", "No", "Men", "Women", "Number of patients", "Recovery rate, %", "Score",
    "Range", "R<sup>2</sup>", "Adjusted for age and sex", "Crude", "Follow-up (years)", "%",
    "Fold change", "Reference", "Accuracy", "Estimated cost per patient (US$)", "Weight", "SE",
)  # fmt: skip
GROUPS = (
    "Group A", "Model 1", "Model 2", "Univariate analysis", "Multivariate analysis", "Cases",
    "Controls", "Participants during the period", "2009", "2014–2015", "Males (<i>n</i> = 120)",
    "Females (<i>n</i> = 98)", "Training set", "Validation cohort", "Treatment arm", "GC–MS",
)  # fmt: skip
SECTIONS = (
    "Age (years)", "Gender", "Sex, <i>n</i> (%)", "Tumor site", "Education level", "Smoking status",
    "Side of lesion, n (%)", "Stroke classification (TOAST), n (%)", "Comorbidities",
    "Length of interval between baseline and follow-up interview", "Body mass (kg/m<sup>2</sup>)",
    "Primary outcomes", "Secondary outcomes", "Clinical scales at admission",
    "Place of treatment of infections, <i>n</i> (%)", "Laboratory findings", "Site", "Histology",
    "Mild to moderate disease", "Severe disease", "Wild type", "Improved method", "T1", "Phase II",
    "Quality of life (EORTC)", "Marital status<sup>b</sup>", "Lymph node metastasis",
)  # fmt: skip
ITEMS = (
    "Male", "Female", "&lt; 50 years", "≥ 50 years", "Right side lesion", "Left side lesion",
    "Hypertension", "Diabetes mellitus", "Current smoker", "Never smoked", "Bladder", "Breast",
    "Colorectal", "Lung", "Primary school or less", "Secondary school", "University degree",
    "Total cholesterol (mmol/L)", "HDL cholesterol", "Systolic blood pressure (mm Hg)", "30–39",
    "40–49", "Yes", "No", "Unknown", "Married or living with a partner", "Benzo[a]pyrene",
    "Chrysene", "Large vessel disease", "Cardioembolic stroke", "Intracerebral haemorrhage",
    "Smith et al. [12]", "Zhang 2014", "Time since diagnosis, median (range)", "I–II", "III–IV",
    "Well differentiated", "C-reactive protein", "N<sub>2</sub>O emissions", "Baseline",
    "6 weeks", "Gaofen-3", "Sentinel-1", "VEGFA", "TP53", "Headache", "Nausea and vomiting",
    "Number of previous pregnancies including miscarriages", "Pneumonia", "Other",
)  # fmt: skip
SENTENCES = (
    "Patients with a history of surgery were excluded from the analysis of secondary outcomes",
    "Increased expression in the cortex and reduced migration of cells to the lesion",
    "Randomised controlled trial with blinded assessment of all outcomes after six months",
    "Lower risk of readmission among those who completed the programme (12 weeks)",
    "Semi-structured interviews with nurses and family members in three hospitals",
    "No significant difference between groups at any time of measurement",
    "Inhibits proliferation by binding to the promoter of the gene in vitro [23, 45]",
    "Structural elements and transporters of the membrane",
    "Cross-sectional survey of adults aged 18 to 65",
    "Training of staff, weekly reminders and feedback on performance",
    "Vascular regulators", "Energy provision: lactate and glucose [7]",
)  # fmt: skip


def _decimal(draw: random.Random, top: float, places: int) -> str:
    return f"{draw.uniform(0, top):.{places}f}"


def _count(draw: random.Random) -> str:
    return f"{draw.randint(1, 320)} ({_decimal(draw, 100, 1)})"


def _mean(draw: random.Random) -> str:
    return f"{_decimal(draw, 90, 1)} ± {_decimal(draw, 9, 1)}"


def _interval(draw: random.Random) -> str:
    return f"{_decimal(draw, 3, 2)} ({_decimal(draw, 1, 2)}–{_decimal(draw, 9, 2)})"


def _probability(draw: random.Random) -> str:
    mark = draw.choice(("", "", "", "*", "<sup>a</sup>"))
    return draw.choice(("&lt; 0.001", "0.0048", f"{_decimal(draw, 1, 3)}{mark}", "n.s."))


def _range(draw: random.Random) -> str:
    low = draw.randint(1, 60)
    return f"{low}–{low + draw.randint(2, 40)}"


VALUES: dict[str, Callable[[random.Random], str]] = {
    "integer": lambda draw: str(draw.randint(0, 4000)),
    "decimal": lambda draw: _decimal(draw, 100, 2),
    "small": lambda draw: _decimal(draw, 1, 3),
    "signed": lambda draw: f"−{_decimal(draw, 9, 2)}" if draw.random() < 0.5 else "0.27",
    "count": _count,
    "mean": _mean,
    "interval": _interval,
    "probability": _probability,
    "range": _range,
    "dashed": lambda draw: "–" if draw.random() < 0.3 else _decimal(draw, 50, 1),
    "letters": lambda draw: draw.choice(("ND", "N/A", "+", "−", "Yes", "High", "Low")),
}
"""A value of each notation."""
