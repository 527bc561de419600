"""GGUF files as the package `gguf` writes them, and the numbers that it finds in them.

gguf/tensors.gguf     a tensor of each type that is read, plain and in blocks
gguf/expected.safetensors   the same in float32

    pip install -r requirements.txt
    python gguf_files.py
"""

from pathlib import Path

import gguf
import numpy
from gguf import quants
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent / "gguf"
BLOCKS = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
PLAIN = ["F32", "F16", "BF16"]
SHAPE_KEY = "comfy.gguf.orig_shape."  # what ComfyUI-GGUF notes of tensors that it made fit blocks


def add(writer, expected, name, kind, values, shape=None):
    """`shape` is the tensor's own where the file has another."""
    type_ = gguf.GGMLQuantizationType[kind]
    stored = quants.quantize(values, type_)
    writer.add_tensor(name, stored, raw_dtype=type_)
    numbers = quants.dequantize(stored, type_).astype(numpy.float32)
    expected[name] = numpy.ascontiguousarray(numbers.reshape(shape or values.shape))
    if shape:
        writer.add_array(SHAPE_KEY + name, list(shape))


def main():
    random = numpy.random.default_rng(5)
    FOLDER.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(FOLDER / "tensors.gguf", "sd1")
    writer.add_array("an.array", [1.5, 2.5])
    writer.add_array("names", ["a", "b"])
    expected = {}
    for kind in PLAIN + BLOCKS:
        values = random.standard_normal((3, 64)).astype(numpy.float32)
        add(writer, expected, kind.lower(), kind, values)
    for name, shape in {"rows": (2, 32, 1, 3), "no_rows": (8, 4, 3, 3)}.items():
        values = random.standard_normal(shape).astype(numpy.float32)
        add(writer, expected, name, "Q5_1", values.reshape(-1, 32), shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
