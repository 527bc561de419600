"""Writes CLIP's vocabulary as transformers has it, vocab.json and merges.txt, from the list of
merges that CLIP's own code reads: bpe_simple_vocab_16e6.txt.gz.

    clip_vocabulary.py PACKAGE FOLDER

PACKAGE is the installed Python package that has the list.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

MERGES = 49152 - 256 - 2  # of the lines behind the first, those that CLIP was trained with


def byte_texts() -> list[str]:
    """GPT-2's printable stand-ins for bytes, in the order of their ids."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(0x100 + i) for i in range(len(others))]


def main() -> None:
    package, folder = Path(sys.argv[1]), Path(sys.argv[2])
    text = gzip.decompress((package / "bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode()
    merges = text.split("\n")[1 : MERGES + 1]
    letters = byte_texts()
    tokens = letters + [f"{letter}</w>" for letter in letters]
    tokens += ["".join(merge.split()) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (partial / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (partial / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    for licence in package.parent.glob(f"{package.name}_*.dist-info/licenses/LICENSE"):
        shutil.copy(licence, partial / "LICENSE")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


if __name__ == "__main__":
    main()
