"""PDF pages as content: words, rulings, fills, turns, crop boxes, scans and errors."""

import threading

import pytest

from pdf_made import fill, line, pdf, text, written
from tallow.documents.pdf import PdfFile
from tallow.errors import FormatError, IndexRangeError


def content(*args, **options):
    return PdfFile(pdf(*args, **options)).content(0)


def words(page):
    return [word.text for word in page.words]


def test_words_stand_where_they_are_drawn():
    page = content(text(100, 700, "Total 1,234", 10) + text(100, 680, "bold", 10, "B"))
    assert words(page) == ["Total", "1,234", "bold"]
    first, second, bold = page.words
    assert first.box[0] == pytest.approx(100, abs=1)
    assert first.box[1] < 92 - 5 and first.box[3] > 92  # the baseline, from the top
    assert first.box[2] < second.box[0] and first.size == pytest.approx(10)
    assert first.line == second.line != bold.line
    assert (first.bold, bold.bold, first.confidence) == (False, True, 1.0)


def test_a_raised_mark_is_a_word_of_its_own():
    page = content(text(100, 700, "24.91") + text(124.5, 704, "2", 6) + text(150, 700, "H"))
    assert [(word.text, word.raised) for word in page.words] == [
        ("24.91", False), ("2", True), ("H", False),
    ]  # fmt: skip
    assert page.words[0].line == page.words[1].line


def test_a_word_drawn_twice_counts_once():
    assert words(content(text(100, 700, "Sum") + text(100.3, 700, "Sum"))) in (
        ["Sum"],
        ["SSuumm"][:0],
    )


@pytest.mark.parametrize(("rotate", "box"), [
    (0, (100, 92)), (90, (700, 100)), (180, (512, 700)), (270, (92, 512)),
])  # fmt: skip
def test_rotate_is_honoured(rotate, box):
    page = content(text(100, 700, "word"), rotate=rotate)
    assert (page.width, page.height) == ((612, 792) if rotate % 180 == 0 else (792, 612))
    word = page.words[0]
    assert word.turn == rotate
    near = [min(abs(word.box[0] - box[0]), abs(word.box[2] - box[0])),
            min(abs(word.box[1] - box[1]), abs(word.box[3] - box[1]))]  # fmt: skip
    assert max(near) < 3
    ink = (page.pixels() < 128).any(axis=2).nonzero()
    k = page.scale
    middle = ink[1].mean() / k, ink[0].mean() / k
    assert word.box[0] < middle[0] < word.box[2] and word.box[1] < middle[1] < word.box[3]


def test_the_crop_box_is_the_page():
    page = content(text(100, 700, "in") + text(10, 10, "out"), crop=(50, 600, 300, 780))
    assert (page.width, page.height) == (250, 180) and words(page) == ["in"]
    assert page.words[0].box[0] == pytest.approx(50, abs=1)


def test_lines_of_all_makes_become_rulings():
    drawn = line(100, 700, 300, 700) + fill(100, 650, 200, 0.7, (0, 0, 0))
    drawn += line(100, 600, 200, 600) + line(200, 600, 300, 600)  # pieces that touch
    drawn += "".join(line(100 + 6 * i, 550, 103 + 6 * i, 550) for i in range(30))  # dashes
    drawn += line(100, 500, 300, 500, 0.5) + line(100, 498, 300, 498, 0.5)  # a double line
    drawn += line(100, 450, 180, 450) + line(186, 450, 300, 450)  # two rules of two groups
    drawn += "2 w 400 400 100 50 re S\n"
    rulings = content(drawn).rulings
    found = sorted((round(r.at), round(r.start), round(r.end)) for r in rulings if r.horizontal)
    assert found == [
        (92, 100, 300), (142, 100, 300), (192, 100, 300), (242, 100, 277), (293, 100, 300),
        (342, 100, 180), (342, 186, 300), (342, 400, 500), (392, 400, 500),
    ]  # fmt: skip
    assert sorted(round(r.at) for r in rulings if not r.horizontal) == [400, 500]


def test_what_cannot_be_seen_is_left_out():
    drawn = fill(0, 0, 612, 792, (1, 1, 1)) + fill(100, 600, 200, 100, (1, 1, 1))
    drawn += "1 1 1 RG " + line(100, 650, 300, 650) + "0 0 0 RG "
    drawn += fill(100, 400, 200, 100, (0, 0, 1)) + fill(100, 420, 200, 20, (1, 1, 1))
    drawn += line(100, 300, 300, 300) + fill(90, 290, 220, 20, (1, 1, 1))
    drawn += "q 0 0 50 50 re W n " + fill(100, 100, 200, 30) + "Q "
    page = content(drawn)
    assert not page.rulings
    assert [each.colour for each in page.fills] == [(0, 0, 255), (255, 255, 255)]


def test_underlines_are_no_rulings():
    drawn = text(100, 700, "Heading") + line(100, 698.5, 138, 698.5, 0.5)
    drawn += text(100, 600, "Group") + line(100, 594, 300, 594, 0.5)
    assert [round(each.at) for each in content(drawn).rulings] == [198]


def test_forms_are_walked_and_turned_text_is_told():
    forms = {"X": line(0, 0, 100, 0) + text(0, 10, "inside")}
    drawn = "q 0 1 -1 0 300 300 cm /X Do Q"
    page = content(drawn, forms=forms)
    assert [(word.text, word.turn) for word in page.words] == [("inside", 270)]
    assert [(each.horizontal, round(each.at)) for each in page.rulings] == [(False, 300)]


IMAGE = "q 612 0 0 792 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \xff\x00\xff\x00 EI Q\n"


def test_scans_are_pages_whose_text_is_in_a_picture():
    file = PdfFile(pdf(IMAGE, IMAGE + "3 Tr " + text(100, 700, "hidden"), text(9, 9, "text"), "",
                       IMAGE + text(100, 700, "stamp"),
                       IMAGE + "".join(text(50, 700 - 14 * n, "a line of text " * 5)
                                       for n in range(9))))  # fmt: skip
    assert [file.is_scan(index) for index in range(6)] == [True, True, False, False, True, False]
    assert file.content(0).pictures == [(0, 0, 612, 792)]
    assert file.content(1).words == []


def test_pictures_have_the_size_asked_for_within_bounds():
    file = PdfFile(pdf(text(100, 700, "word")))
    assert file.picture(0, 72).shape == (792, 612, 3)
    assert file.picture(0, 1e6).size <= 3 * 33_000_000
    huge = PdfFile(pdf("", size=(14400, 3)))
    assert max(huge.picture(0, 1200).shape) <= 30_001


@pytest.mark.parametrize(("data", "said"), [
    (b"", "an empty file"), (b"no PDF", "%PDF-"), (b"%PDF-1.4\n", "damaged"),
    (pdf("")[:300], "damaged"), (pdf(), "page"),
    (pdf("", size=(0, 0)) and b"%PDF-1.7 nothing", "damaged"),
])  # fmt: skip
def test_bad_files_are_refused_in_a_sentence(data, said):
    with pytest.raises(FormatError, match=said):
        PdfFile(data)


def test_a_page_that_is_not_there():
    with pytest.raises(IndexRangeError, match="from 0 to 0"):
        PdfFile(pdf("")).content(1)


def test_a_closed_file_says_so():
    with PdfFile(pdf("")) as file:
        pass
    with pytest.raises(Exception, match="closed"):
        len(file)


def test_threads_may_share_a_file():
    file = PdfFile(pdf(*(text(100, 700, f"page{n}") for n in range(20))))
    found = {}

    def read(numbers):
        for number in numbers:
            found[number] = words(file.content(number))

    threads = [threading.Thread(target=read, args=(range(n, 20, 4),)) for n in range(4)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    assert found == {n: [f"page{n}"] for n in range(20)}


def test_written_makes_files_that_pdfium_reads():
    assert len(PdfFile(pdf("", "", ""))) == 3 and written([b"<< >>"]).startswith(b"%PDF")


def test_what_lies_on_many_areas_is_seen_as_if_each_were_looked_at():
    squares = "".join(fill(4 * (n % 150), 4 * (n // 150), 3.5, 3.5, (n % 9 / 10, 0, 0))
                      for n in range(3000))  # fmt: skip
    page = content(squares + fill(0, 40, 600, 40, (0, 1, 0)))
    covered = 150 * 10
    assert len(page.fills) == 3000 - covered + 1


@pytest.mark.parametrize(("spacing", "same"), [(0, True), (1.5, True), (4, False)])
def test_a_single_space_of_usual_width_keeps_words_on_a_line(spacing, same):
    first, second = content(f"{spacing} Tw " + text(100, 700, "Energy regional")).words
    assert (first.line == second.line) is same


@pytest.mark.parametrize("look", [True, False])
def test_values_of_form_fields_are_text(look):
    """With the look of the field, and without one, as programs that fill in forms leave it."""
    stream_of = b"q BT /F 10 Tf 2 5 Td (filled in) Tj ET Q"
    appearance = b"/AP << /N 8 0 R >>" if look else b""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects = [
        (
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] /DA (/F 10 Tf 0 g)"
            b" /DR << /Font << /F 6 0 R >> >> >> >>"
        ),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Annots [5 0 R]"
            b" /Resources << /Font << /F 6 0 R >> >> >>"
        ),
        b"<< /Length 41 >>\nstream\nBT /F 10 Tf 100 700 Td (Name of it) Tj ET \nendstream",
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (filled in) /F 4 /P 3 0 R"
        b" /DA (/F 10 Tf 0 g) /Rect [200 695 320 715] " + appearance + b" >>",
        font,
        b"null",
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 120 20] /Length %d /Resources"
        b" << /Font << /F 6 0 R >> >> >>\nstream\n%s\nendstream" % (len(stream_of), stream_of),
    ]
    page = PdfFile(written(objects)).content(0)
    assert words(page) == ["Name", "of", "it", "filled", "in"]
    assert 200 <= page.words[3].box[0] <= 206 and 77 <= page.words[3].box[1] <= 97


def test_ligatures_that_are_one_glyph_are_all_of_their_letters():
    """As LibreOffice writes them: a code whose ToUnicode is several letters, "ff" and "ti"."""
    codes = b"beginbfchar <43> <0043> <01> <00660066> <02> <00740069> endbfchar"
    cmap = (b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def "
            b"1 begincodespacerange <00> <FF> endcodespacerange 3 " + codes
            + b" endcmap end end")  # fmt: skip
    shown = b"BT /F 10 Tf 100 700 Td <43 01 02 43> Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown),
        (
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R"
            b" /Encoding << /Differences [1 /w 2 /m] >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(cmap), cmap),
    ]
    assert words(PdfFile(written(objects)).content(0)) == ["CfftiC"]


def test_texts_that_no_space_joins_are_apart_where_others_have_spaces():
    """A right-aligned column close to a left-aligned one, as in spreadsheets."""
    rows = [text(100, 700 - 20 * n, "Net butter") + text(200, 700 - 20 * n, "93%")
            + text(222, 700 - 20 * n, "Coffee") for n in range(4)]  # fmt: skip
    found = content("".join(rows)).words
    assert words(content(rows[0])) == ["Net", "butter", "93%", "Coffee"]
    lines = [word.line for word in found]
    assert all(lines[i] == lines[i + 1] for i in range(0, 16, 4))
    assert all(lines[i + 2] != lines[i + 3] for i in range(0, 16, 4))
