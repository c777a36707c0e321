"""A transcript and the address where it can be checked in, a PDF out. Offline: fonts stand beside this module.

The signed text and its signature are attached to the file, so that the paper can be checked without our page.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from importlib import resources

import segno
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos
from fpdf.fonts import FontFace

from autograder.numerals import number
from autograder.transcripts.register import Transcript, total
from autograder.transcripts.statement import Line

_FONT, _INK, _SOFT, _RULE = "DejaVu", (27, 31, 36), (89, 97, 107), (214, 217, 220)
_MARGIN_MM, _QR_MM = 20.0, 34.0
_WIDTHS = (50, 14, 18, 18)


def paper(transcript: Transcript, address: str) -> bytes:
    """Return the PDF; `address` is the whole address of the page that verifies it."""
    pdf = _sheet(transcript)
    _head(pdf, transcript)
    _table(pdf, transcript.statement.lines)
    _proof(pdf, transcript, address)
    pdf.embed_file(bytes=transcript.text.encode(), basename="transcript.json", desc="What was signed", mime_type="application/json")
    pdf.embed_file(bytes=transcript.signature.value, basename="transcript.sig", desc="Ed25519 signature of transcript.json")
    return bytes(pdf.output())


def _sheet(transcript: Transcript) -> FPDF:
    pdf = FPDF(format="A4")
    for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        with resources.as_file(resources.files("autograder.transcripts") / "fonts" / file) as path:
            pdf.add_font(_FONT, style, path)
    pdf.set_title(f"Transcript: {transcript.statement.course}")
    pdf.set_lang("en")
    pdf.set_margin(_MARGIN_MM)
    pdf.set_auto_page_break(True, _MARGIN_MM)
    pdf.add_page()
    return pdf


def _head(pdf: FPDF, transcript: Transcript) -> None:
    s = transcript.statement
    _write(pdf, "Transcript", 10, _SOFT)
    _write(pdf, s.course, 20, _INK, bold=True)
    pdf.ln(2)
    if s.name:
        # A name in a script that the font lacks would print as boxes.
        _write(pdf, s.name if _can_print(pdf, s.name) else "(name: see the address below)", 14, _INK)
    points, most = total(s.lines)
    _write(pdf, f"{number(points)} of {number(most)} points in {len(s.lines)} assignments · issued {s.issued[:10]}", 10, _SOFT)
    pdf.ln(6)


def _table(pdf: FPDF, lines: Iterable[Line]) -> None:
    pdf.set_font(_FONT, "", 9)
    pdf.set_text_color(*_INK)
    pdf.set_draw_color(*_RULE)
    head = FontFace(emphasis="BOLD", color=_SOFT, size_pt=8)
    with pdf.table(
        col_widths=_WIDTHS,
        text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"),
        borders_layout="HORIZONTAL_LINES",
        headings_style=head,
        line_height=6,
        padding=(1, 0),
    ) as table:
        table.row(("Assignment", "Points", "Passed", "Handed in"))
        for x in lines:
            unscored = f" ({x.n_unscored} not scored, by the grader's fault)" if x.n_unscored else ""
            row = (x.title + unscored, f"{number(x.points)} / {number(x.max_points)}", f"{x.n_passed} of {x.n_exercises}")
            table.row((*row, x.handed_in))
    pdf.ln(8)


def _proof(pdf: FPDF, transcript: Transcript, address: str) -> None:
    if pdf.will_page_break(_QR_MM):
        pdf.add_page()
    top = pdf.get_y()
    image = io.BytesIO()
    segno.make(address, error="m").save(image, kind="png", scale=8, border=0)
    pdf.image(image, _MARGIN_MM, top, _QR_MM, alt_text=f"QR code of {address}")
    pdf.set_left_margin(_MARGIN_MM + _QR_MM + 6)
    pdf.set_y(top)
    _write(pdf, "Check it", 10, _INK, bold=True)
    _write(pdf, address, 8, _INK, link=address)
    text = (
        "Every answer was graded by hidden checks in a sandbox; points are those of the newest attempt, before any reduction "
        "for lateness. The address says whether this paper still holds, and what has changed since. The text that was signed "
        "and its signature (Ed25519) are attached to this file."
    )
    _write(pdf, text, 8, _SOFT)
    _write(pdf, f"Key {transcript.signature.key} · signature {transcript.signature.value.hex()}", 6, _SOFT)
    pdf.set_left_margin(_MARGIN_MM)


def _write(pdf: FPDF, text: str, size: float, color: tuple[int, int, int], bold: bool = False, link: str = "") -> None:
    pdf.set_font(_FONT, "B" if bold else "", size)
    pdf.set_text_color(*color)
    # An address is one long word.
    wrap = WrapMode.WORD if " " in text else WrapMode.CHAR
    pdf.multi_cell(0, size * 0.55, text, align="L", link=link, wrapmode=wrap, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _can_print(pdf: FPDF, text: str) -> bool:
    pdf.set_font(_FONT, "", 14)
    cmap = getattr(pdf.current_font, "cmap", {})
    return all(ord(c) in cmap for c in text)
