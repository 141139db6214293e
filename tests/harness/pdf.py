"""Small PDFs: pages of text, and what others could write to hurt whoever reads them."""

import zlib
from collections.abc import Sequence
from typing import Final

_CATALOG: Final = "<< /Type /Catalog /Pages 2 0 R >>"
_FONT: Final = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pdf_of(*pages: str) -> bytes:
    """Return a PDF with a line of text on each page."""
    return pdf_of_contents([f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() for text in pages])


def pdf_of_contents(contents: Sequence[bytes], trailer: str = "") -> bytes:
    """Return a PDF whose pages have these operators, compressed."""
    first = 4
    kids = " ".join(f"{first + 2 * page} 0 R" for page in range(len(contents)))
    objects = [_CATALOG.encode(), f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(), _FONT.encode()]
    for page, content in enumerate(contents):
        resources = "/Resources << /Font << /F1 3 0 R >> >>"
        box = f"/MediaBox [0 0 612 792] /Contents {first + 2 * page + 1} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R {resources} {box} >>".encode())
        packed = zlib.compress(content)
        head = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
        objects.append(head + packed + b"\nendstream")
    return _written(objects, trailer)


def pdf_in_a_circle() -> bytes:
    """Return a PDF whose tree of pages is its own child."""
    return _written([_CATALOG.encode(), b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"])


def pdf_bomb(megabytes: int = 200) -> bytes:
    """Return a PDF of a few hundred kilobytes whose page has that many."""
    compressor, zeros = zlib.compressobj(1), b"0" * 1_000_000
    packed = b"".join(compressor.compress(zeros) for _ in range(megabytes)) + compressor.flush()
    head = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return _written([_CATALOG.encode(), pages, page, head + packed + b"\nendstream"])


def _written(objects: Sequence[bytes], trailer: str = "") -> bytes:
    file, places = bytearray(b"%PDF-1.7\n"), list[int]()
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(file)
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    file += f"xref\n0 {size}\n0000000000 65535 f \n{rows}".encode()
    file += f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(file)
