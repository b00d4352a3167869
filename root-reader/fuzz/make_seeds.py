#!/usr/bin/env python3
"""Writes the seed corpus of the fuzz targets into seeds/.

Needs uproot, numpy, lz4, zstandard and xxhash. Seeds come from the fixtures of the reader's tests, which other software
wrote, and from the codecs' own libraries.
"""
import lzma
import struct
import zlib
from pathlib import Path

import lz4.block
import numpy as np
import uproot
import xxhash
import zstandard

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tests" / "fixtures"
SMALL = 30_000


def seed(target, name, data):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def files():
    for path in sorted(FIXTURES.glob("*.root")):
        data = path.read_bytes()
        if len(data) <= SMALL:
            seed("file", path.name, data)
            seed("header", path.name, data)


def records():
    for path in sorted(FIXTURES.glob("*.root")):
        with uproot.open(path) as file:
            for key, class_name in file.classnames(recursive=True).items():
                if class_name == "TTree":
                    chunk, cursor = file.key(key).get_uncompressed_chunk_cursor()
                    content = bytes(chunk.get(cursor.index, chunk.stop, cursor, {}))
                    if len(content) <= SMALL:
                        seed("tree", f"{path.stem}-{key.replace('/', '_').replace(';', '-')}", content)


def descriptions(file):
    """The content of a file's streamer-info record."""
    start, size = file.fSeekInfo, file.fNbytesInfo
    key = uproot.reading.ReadOnlyKey(file.chunk(start, start + size), uproot.Cursor(start), {}, file, file)
    chunk, cursor = key.get_uncompressed_chunk_cursor()
    return bytes(chunk.get(cursor.index, chunk.stop, cursor, {}))


def objects():
    """Descriptions and first baskets of files that ROOT wrote; two bytes tell how long the descriptions are."""
    item = b"\x40\0\0\x21\0\x01\x40\0\0\x0a\0\x03\0\0\0\x05\x3f\x80\0\0" \
        b"\0\0\0\x07\x3f\xf0\0\0\0\0\0\0\x40\0\0\x05\0\x09\x02hi"
    seed("object", "item", bytes([1, 0, 1, 255, 64]) + item)
    seed("object", "items", bytes([4, 0, 0, 255, 64]) + b"\x40\0\0\x06\0\x09\0\0\0\0")
    seed("object", "map", bytes([5, 0, 0, 255, 64]) + b"\x40\0\0\x2e\0\x09\0\0\0\x01\x02hi" + item)
    seed("object", "pointer", bytes([6, 4, 0, 255, 64]) + b"\x40\0\0\x1b\xff\xff\xff\xffPoly\0"
         b"\x40\0\0\x0f\0\x01\0\x01\0\0\0\0\x03\0\0\0\0\0\0\x05")
    for path in sorted((FIXTURES / "objects").glob("*.root")):
        with uproot.open(path) as file:
            about = descriptions(file.file)
            seed("streamers", path.stem, about)
            for name, class_name in file.classnames(recursive=True).items():
                if class_name != "TTree":
                    continue
                for branch in file[name].branches[:4]:
                    if branch.num_baskets and not branch.branches and len(about) < 1 << 16:
                        content = bytes(branch.basket(0).data.tobytes())[:2000]
                        head = struct.pack(">H", len(about)) + bytes([1])
                        named = f"{path.stem}-{branch.name.strip('.')}"
                        seed("described", named, head + about + bytes([0, 255, 64]) + content)


def frames():
    values = (20 + np.arange(2000) * 0.013).astype(">f4").tobytes()
    table = (77 + 4 * np.arange(2000)).astype(">i4").tobytes()
    for name, data in {"values": values + table, "zeros": bytes(5000), "text": b"muon " * 700, "short": b"x"}.items():
        length = struct.pack("<I", len(data))[:3]
        block = lz4.block.compress(data, store_size=False)
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = {
            "frame_zlib": zlib.compress(data, 1),
            "frame_old_deflate": deflate.compress(data) + deflate.flush(),
            "frame_lz4": struct.pack(">Q", xxhash.xxh64(block).intdigest()) + block,
            "frame_zstd": zstandard.compress(data),
            "frame_lzma": lzma.compress(data),
        }
        for target, content in packed.items():
            for wanted in (255, 128):
                seed(target, f"{name}-{wanted}", length + bytes([wanted]) + content)


def baskets():
    """Four bytes choose decoder, entries, end of the values (in 1/255 of the content) and key length; then the content."""
    numbers = np.arange(64, dtype=">f8").tobytes()
    for variant in range(0, 256, 17):
        seed("decode_fixed", str(variant), bytes([variant, 7, 255, 0]) + numbers)
        seed("decode_record", str(variant), bytes([variant, 7, 255, 0]) + numbers)
        offsets = struct.pack(">5i", 4, 0, 8, 8, 24)
        content = numbers[:24].ljust(236, b"\0") + offsets
        seed("decode_counted", str(variant), bytes([variant, 2, 235, 0]) + content)
        strings = b"\x02hi" + b"\x40\0\0\x09\0\x09\0\0\0\x02\x01a\x01b" + b"\xff\0\0\x01\0" + b"y" * 256
        seed("decode_sequential", str(variant), bytes([variant, 2, 255, 0]) + strings)


if __name__ == "__main__":
    files()
    records()
    objects()
    frames()
    baskets()
