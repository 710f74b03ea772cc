"""Draw QR codes as text, for terminals."""

from __future__ import annotations

import io

import qrcode


def draw_qr_code(text: str) -> str:
    """Return the QR code of a text in lines of block characters, light on a dark ground."""
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_L, border=2)
    code.add_data(text)
    drawn = io.StringIO()
    code.print_ascii(out=drawn, invert=True)
    return drawn.getvalue().replace("\xa0", " ").rstrip("\n")
