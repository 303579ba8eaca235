"""Pages without a patient: the catalogue, the page of one rule, source attributes, and the files that pages share."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, render_template, request
from markupsafe import Markup, escape

from hooks.cards.language import page_language
from hooks.cards.wording import label, recommender_title, unit
from hooks.dossier.texts import texts
from hooks.errors import Refused
from hooks.reference import catalogue
from hooks.reference.attributes import as_json
from hooks.reference.editions import history_of
from hooks.reference.limits import limits_of
from recommenders.assessing.topics import RECOMMENDERS
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.guidance import VERSION, VOICES, Hook, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hooks.cards.wording import Language
    from hooks.reference.catalogue import Entry, Section
    from hooks.settings import Settings

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere."""

HOOKS: tuple[Hook, ...] = ("patient-view", "encounter-start", "order-select", "order-sign")
FILTERS = ("topic", "voice", "hook", "recommender", "source", "drug")
LONGEST_QUERY = 80
_BRACES = re.compile(r"\{([^{}]*)\}")


def reader(settings: Settings) -> Language:
    """Tell the language of the page: the one asked for (`?lang=`), else the browser's, else the site's."""
    return page_language(request.values.get("lang"), request.headers.get("Accept-Language"), settings.language)


def secured(response: Response) -> Response:
    """Add the headers that keep a hostile chart from doing anything on a page of ours."""
    response.headers["Content-Security-Policy"] = CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cache-Control"] = "no-store"
    return response


def shared(settings: Settings, language: Language) -> dict[str, Any]:
    """Give what the frame of every page needs."""
    return {
        "language": language,
        "t": texts(language),
        "base": urlsplit(settings.public_url or "").path.rstrip("/"),
        "home": "/" if settings.console else "/rules",
        "here": "",
    }


def blueprint(settings: Settings) -> Blueprint:
    """Make the pages that show no patient, which are there whether or not the console is."""
    bp = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    bp.after_request(secured)
    written = lru_cache(maxsize=600)(lambda name, *key: _write(name, settings, *key))

    @bp.get("/rules")
    def rules() -> str:
        """Show the catalogue: all rules by topic, or those that a filter lets through."""
        asked = tuple(request.args.get(name, "")[:LONGEST_QUERY] for name in (*FILTERS, "q"))
        page = written if not asked[-1] else lambda name, *key: _write(name, settings, *key)  # no cache for free text
        return str(page("rules", reader(settings), *asked))

    @bp.get("/rules/<rule>")
    def one_rule(rule: str) -> str:
        """Show one rule: condition, limits, wording, sources, evidence, vignettes."""
        try:
            catalogue.entry_of(rule)
        except KeyError:
            raise Refused(404, "There is no rule of this id; /rules lists them all.") from None
        return str(written("rule", reader(settings), rule))

    @bp.get("/attributes")
    def all_attributes() -> dict[str, Any]:
        """Give the source attributes of every recommender."""
        return {"recommenders": [as_json(name) for name in RECOMMENDERS]}

    @bp.get("/attributes/<recommender>")
    def one(recommender: str) -> dict[str, Any]:
        """Give the source attributes of one recommender."""
        if recommender not in RECOMMENDERS:
            raise Refused(404, f"There is no recommender of this name. There are: {', '.join(RECOMMENDERS)}.")
        return as_json(recommender)

    return bp


def _write(name: str, settings: Settings, language: Language, *key: str) -> str:
    context = shared(settings, language) | {"here": "rules", "titles": lambda entry: title(entry, language)}
    return _index(context, language, key) if name == "rules" else _one(context, language, key[0])


def title(entry: Entry, language: Language) -> str:
    """Name a rule: its title, or where that is in another language its headline with gaps."""
    return entry.info.title if language == "en" else _BRACES.sub("…", entry.info.summary.zh)


# --- the catalogue ------------------------------------------------------------------------------------------


def _index(context: dict[str, Any], language: Language, asked: tuple[str, ...]) -> str:
    chosen = dict(zip((*FILTERS, "q"), asked, strict=True))
    found = [(section, _chosen(section, chosen)) for section in catalogue.sections()]
    found = [(section, entries) for section, entries in found if entries]
    kept = {name: value for name, value in chosen.items() if value}
    return render_template(
        "rules.html",
        **context,
        version=VERSION,
        found=found,
        chosen=chosen,
        filters=list(_filters(context["t"], language)),
        count=sum(len(entries) for _, entries in found),
        all=sum(len(section.entries) for section in catalogue.sections()),
        voices=list(reversed(VOICES)),
        query=lambda lang: urlencode({"lang": lang} | kept),
    )


def _chosen(section: Section, chosen: Mapping[str, str]) -> list[Entry]:
    return [
        entry
        for entry in section.entries
        if all(not chosen[name] or chosen[name] in _offers(section, entry)[name] for name in FILTERS)
        and all(word in entry.haystack for word in chosen["q"].lower().split())
    ]


def _offers(section: Section, entry: Entry) -> Mapping[str, tuple[str, ...]]:
    """What a rule has of each thing that can be filtered by."""
    info = entry.info
    return {
        "topic": (section.name,),
        "voice": entry.voices,
        "hook": info.hooks,
        "recommender": (info.recommender,),
        "source": entry.cited,
        "drug": entry.drugs,
    }


def _filters(t: Mapping[str, str], language: Language) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    cited = {key for section in catalogue.sections() for entry in section.entries for key in entry.cited}
    yield "topic", t["topic"], [(section.name, section.titles.text(language)) for section in catalogue.sections()]
    yield "voice", t["voice"], [(voice, t[f"voice_{voice}"]) for voice in reversed(VOICES)]
    yield "hook", t["hooks"], [(hook, hook) for hook in HOOKS]
    yield (
        "recommender",
        t["recommender"],
        [(name, recommender_title(name, language)) for name in RECOMMENDERS],
    )
    labels = [(key, source.label.text(language)) for key, source in sources().items() if key in cited]
    yield "source", t["source"], sorted(labels, key=lambda pair: pair[1].lower())
    yield "drug", t["drug"], [(key, str(row[language])) for key, row in catalogue.drugs().items()]


# --- one rule -----------------------------------------------------------------------------------------------


def _one(context: dict[str, Any], language: Language, rule: str) -> str:
    section, entry = catalogue.entry_of(rule)
    return render_template(
        "rule.html",
        **context,
        section=section,
        entry=entry,
        limits=limits_of(rule),
        history=history_of(rule),
        breakable=breakable,
        recommender=recommender_title(entry.info.recommender, language),
        filled=filled,
        label=lambda name: label(name, language),
        given=lambda lines: _given(lines, language),
        units=lambda ucum: unit(ucum, language),
        source=lambda key: _source(key, language),
    )


def _given(lines: Iterable[str], language: Language) -> Markup:
    """Show what a vignette tells: each fact by its name in the reader's language, with its path behind it."""
    return Markup("; ").join(_told(line, language) for line in lines)


def _told(line: str, language: Language) -> Markup:
    path, sign, value = line.partition(" = ")
    spec = DICTIONARY.get(path)
    if not sign or spec is None:
        return Markup("<code>{}</code>").format(line)
    words = texts(language)
    plain = {"yes": words["answer_yes"], "no": words["answer_no"]}.get(value, value)
    shown = spec.en if language == "en" else spec.zh
    return Markup('<code title="{}">{} = {}</code>').format(path, shown, plain)


def filled(text: str) -> Markup:
    """Show what a sentence takes from the chart as a grey box, not as a brace."""
    made = (
        Markup('<span class="fill">{}</span>').format(part.replace("_", " ")) if place % 2 else escape(part)
        for place, part in enumerate(_BRACES.split(text))
    )
    return Markup("").join(made)


def breakable(name: str) -> Markup:
    """Let the name of a limit break between its words, and nowhere else."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", name))


def _source(cited: str, language: Language) -> Markup:
    """Show a citation: the key of a source, which in the evidence table is followed by the place (`S003 (46)`)."""
    key, _, where = cited.partition(" ")
    source = sources()[key]
    text = f"{source.label.text(language)} {where}".strip()
    shown = Markup('<span title="{}">{}</span>').format(source.title, text)
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(source.url, shown) if source.url else shown
