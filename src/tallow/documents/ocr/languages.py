"""Which languages a recogniser can read: those whose letters are all among its characters."""

from __future__ import annotations

from collections.abc import Iterable

from tallow.errors import ArgumentError

_LATIN = "abcdefghijklmnopqrstuvwxyz"


def _range(first: str, last: str) -> str:
    return "".join(map(chr, range(ord(first), ord(last) + 1)))


LETTERS = {
    "af": ("Afrikaans", _LATIN + "êëîôûé"),
    "ar": ("Arabic", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"),
    "bg": ("Bulgarian", "абвгдежзийклмнопрстуфхцчшщъьюя"),
    "bn": ("Bengali", "অআকখগঘচছজটডতথদধনপবমযরলশসহ"),
    "ca": ("Catalan", _LATIN + "àçéèíïóòúü"),
    "cs": ("Czech", _LATIN + "áčďéěíňóřšťúůýž"),
    "da": ("Danish", _LATIN + "æøå"),
    "de": ("German", _LATIN + "äöüß"),
    "el": ("Greek", "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώ"),
    "en": ("English", _LATIN + _LATIN.upper() + "0123456789"),
    "es": ("Spanish", _LATIN + "áéíñóúü"),
    "et": ("Estonian", _LATIN + "äõöü"),
    "fa": ("Persian", "ابپتجچدرزژسشعفقکگلمنهوی"),
    "fi": ("Finnish", _LATIN + "äöå"),
    "fr": ("French", _LATIN + "àâçéèêëîïôùûœ"),
    "he": ("Hebrew", _range("א", "ת")),
    "hi": ("Hindi", "अआइईकखगघचछजटडतथदधनपबमयरलवशसह"),
    "hr": ("Croatian", _LATIN + "čćđšž"),
    "hu": ("Hungarian", _LATIN + "áéíóöőúüű"),
    "id": ("Indonesian", _LATIN),
    "it": ("Italian", _LATIN + "àèéìòù"),
    "ja": ("Japanese", "あいうえおかきくけこさしすせそアイウエオカキクケコ日本語東京"),
    "ka": ("Georgian", _range("ა", "ჰ")),
    "ko": ("Korean", "가나다라마바사아자차카타파하한국어는이을"),
    "lt": ("Lithuanian", _LATIN + "ąčęėįšųūž"),
    "lv": ("Latvian", _LATIN + "āčēģīķļņšūž"),
    "ms": ("Malay", _LATIN),
    "nl": ("Dutch", _LATIN + "éëï"),
    "no": ("Norwegian", _LATIN + "æøå"),
    "pl": ("Polish", _LATIN + "ąćęłńóśźż"),
    "pt": ("Portuguese", _LATIN + "áâãàçéêíóôõú"),
    "ro": ("Romanian", _LATIN + "ăâîșț"),
    "ru": ("Russian", _range("а", "я") + "ё"),
    "sk": ("Slovak", _LATIN + "áäčďéíĺľňóôŕšťúýž"),
    "sl": ("Slovene", _LATIN + "čšž"),
    "sv": ("Swedish", _LATIN + "åäö"),
    "ta": ("Tamil", "அஆஇஈஉஊஎஏஐஒகஙசஞடணதநபமயரலவ"),
    "th": ("Thai", _range("ก", "ฮ")),
    "tr": ("Turkish", _LATIN + "çğışöü"),
    "uk": ("Ukrainian", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"),
    "vi": ("Vietnamese", _LATIN + "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"),
    "zh": ("Chinese", "的一是不了人我在有他这中大来上国个到说们"),
    "zh-hant": ("Chinese, traditional", "的一是不了人我在有他這中大來上國個到說們"),
}
"""Languages by their code (ISO 639-1), with a name and letters without which none is read."""

_OTHER_CODES = {
    "zh-cn": "zh", "zh-hans": "zh", "ch": "zh", "zh-tw": "zh-hant", "zh-hk": "zh-hant",
    "nb": "no", "nn": "no", "iw": "he",
}  # fmt: skip


def readable(characters: Iterable[str]) -> list[str]:
    """The codes of the languages that characters suffice for."""
    known = {*characters}
    return [code for code, (_, letters) in LETTERS.items() if known.issuperset(letters)]


def known_language(code: str) -> str:
    """The code of `LETTERS` that a code means: regions are left out, "de-AT" is "de".

    Raises:
        ArgumentError: no such language is known; the text lists those that are.
    """
    low = code.strip().lower().replace("_", "-")
    for each in (low, low.partition("-")[0]):
        found = _OTHER_CODES.get(each, each)
        if found in LETTERS:
            return found
    raise ArgumentError(f"OCR: expected a language of {', '.join(LETTERS)}, got {code!r}")


def check_language(code: str, characters: Iterable[str], models: str) -> str:
    """The code of a language that a recogniser's characters suffice for.

    Raises:
        ArgumentError: the language is not known, or the models lack its letters.
    """
    found = known_language(code)
    listed = [*characters]
    name, letters = LETTERS[found]
    lacking = sorted({*letters} - {*listed})
    if lacking:
        some = " ".join(lacking[:6])
        wanted = f"a language that the models {models!r} read ({', '.join(readable(listed))})"
        raise ArgumentError(
            f"OCR: expected {wanted}, got {code!r}: they have no {some} of {name}; "
            "name other models"
        )
    return found
