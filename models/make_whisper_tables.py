#!/usr/bin/env python3
"""Rebuilds whisper-tables.zip from the sdist of openai-whisper 20250625 (MIT, Copyright (c) 2022 OpenAI).

    pip download --no-deps --no-binary :all: openai-whisper==20250625
    python3 make_whisper_tables.py openai_whisper-20250625.tar.gz whisper-tables.zip

Members: `multilingual.tokens` and `gpt2.tokens`, the byte pair tokens in rank order, each as one length byte and
its bytes; `mel_80.f32` and `mel_128.f32`, the mel filters row by row, 201 little-endian f32 a row; `LICENSE`.
Needs nothing beyond Python's standard library. The same input gives the same bytes under the same zlib.
"""
import base64
import hashlib
import io
import sys
import tarfile
import zipfile

SDIST_SHA256 = "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96"
ROOT = "openai_whisper-20250625"
MEMBER_DATE = (2025, 6, 25, 0, 0, 0)


def compact_tokens(tiktoken: bytes) -> bytes:
    out = bytearray()
    for rank, line in enumerate(tiktoken.splitlines()):
        token_base64, stated_rank = line.split()
        token = base64.b64decode(token_base64)
        if int(stated_rank) != rank or len(token) >= 256:
            raise SystemExit(f"rank {rank} is not as expected: {line!r}")
        out.append(len(token))
        out += token
    return bytes(out)


def npy_f32_bytes(npy: bytes, rows: int) -> bytes:
    header_length = int.from_bytes(npy[8:10], "little")
    header = npy[10 : 10 + header_length].decode("ascii")
    if "'<f4'" not in header or f"({rows}, 201)" not in header or "'fortran_order': False" not in header:
        raise SystemExit(f"unexpected array: {header}")
    return npy[10 + header_length :]


def main() -> None:
    sdist_path, out_path = sys.argv[1:3]
    with open(sdist_path, "rb") as f:
        sdist = f.read()
    if hashlib.sha256(sdist).hexdigest() != SDIST_SHA256:
        raise SystemExit(f"{sdist_path} is not the pinned sdist (sha256 {SDIST_SHA256})")
    with tarfile.open(fileobj=io.BytesIO(sdist)) as tar:

        def member(path: str) -> bytes:
            return tar.extractfile(f"{ROOT}/{path}").read()

        filters = zipfile.ZipFile(io.BytesIO(member("whisper/assets/mel_filters.npz")))
        members = {
            "LICENSE": member("LICENSE"),
            "gpt2.tokens": compact_tokens(member("whisper/assets/gpt2.tiktoken")),
            "mel_128.f32": npy_f32_bytes(filters.read("mel_128.npy"), 128),
            "mel_80.f32": npy_f32_bytes(filters.read("mel_80.npy"), 80),
            "multilingual.tokens": compact_tokens(member("whisper/assets/multilingual.tiktoken")),
        }
    with zipfile.ZipFile(out_path, "w") as out:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, MEMBER_DATE)
            info.external_attr = 0o644 << 16
            out.writestr(info, data, zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
