"""QR codes in a terminal can be read by a phone."""

from __future__ import annotations

import cv2
import numpy as np

from paintdiff.qr_codes import draw_qr_code

HALVES = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
"""The upper and lower half of a character: light or dark."""


def test_a_camera_reads_the_address() -> None:
    url = "https://0123456789abcdef01.gradio.live"
    rows = [
        [HALVES[character][half] for character in line]
        for line in draw_qr_code(url).splitlines()
        for half in (0, 1)
    ]
    pixels = np.kron(np.array(rows, np.uint8), np.ones((8, 8), np.uint8))
    found, _corners, _straight = cv2.QRCodeDetector().detectAndDecode(pixels)
    assert found == url
