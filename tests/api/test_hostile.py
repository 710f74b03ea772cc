"""Hostile requests to the dialects: each gets a 4xx with a reason, and nothing breaks."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

EDITS = "/v1/images/edits"
FILES = "/v1/images/files"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="'
LARGE = 4 * 2**20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x\r\nnonsense",
        b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n",
        PART + b"a" * LARGE + b'"\r\n\r\nx\r\n--x--\r\n',
        PART + b'image"; filename="a"\r\n\r\n' + b"\r" * LARGE + b"\r\n--x--\r\n",
        (PART + b'n"\r\n\r\n1\r\n') * 65 + b"--x--\r\n",
        (PART + b'image[]"; filename="a"\r\n\r\n1\r\n') * 21 + b"--x--\r\n",
        PART + b'prompt"\r\n\r\n' + b"a" * 70_000 + b"\r\n--x--\r\n",
    ],
    ids=range(8),
)
def test_broken_and_oversized_forms(client: TestClient, body: bytes) -> None:
    answer = client.post(EDITS, content=body, headers=FORM)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{FILES}/a/0.png", 400),
        (f"{FILES}/a/0.png?expires=x&signature=y", 400),
        (f"{FILES}/a/0.png?expires={'9' * 20}&signature=y", 400),
        (f"{FILES}/a/0.png?expires=1&signature=%C3%A9", 404),
        (f"{FILES}/a/0.png?expires=1&signature=%00", 404),
        (f"{FILES}/a/0.png?expires=1&signature=a&signature=b", 400),
        (f"{FILES}/a/0.svg?expires=1&signature=a", 400),
        (f"{FILES}/a/..%2f0.png?expires=1&signature=a", 404),
        ("/v1/models/..%2f..%2fetc", 404),
        ("/v1/models/%F0%9F%90%88", 404),
        ("/v1/chat/completions", 404),
    ],
)
def test_addresses(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/encode_text", {"text": None}, 422),
        ("/encode_text", {"text": "\u0000\u202e"}, 200),
        ("/encode_text", {"text": "\U0001f600" * 2000}, 200),
        ("/encode_text", [], 422),
        ("/prompt-variations", {"prompt": "(" * 5000, "seed": 1}, 200),
        ("/prompt-variations", {"prompt": "<lora:x:1> __a__ {a|b} \u0000", "seed": 1}, 200),
        ("/prompt-variations", {"prompt": "", "count": 3}, 200),
        ("/api/variations", {"id": "\u0000"}, 404),
        ("/api/variations", {"id": "x" * 65}, 422),
        ("/api/retrain", [], 400),
        ("/api/models/download", {"id": "http://127.0.0.1/x"}, 422),
        ("/generate", {"prompt": "a", "enhance_prompt": "perhaps"}, 422),
        ("/generate", {"prompt": "a" * 6000, "enhance_prompt": True}, 422),
    ],
)
def test_values(client: TestClient, path: str, body: Any, status: int) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
