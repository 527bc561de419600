"""Two thousand strings of many scripts, and the ids transformers gives them.

Code points outside ASCII are written as JSON escapes: combining marks, bidirectional controls
and separators would else not survive an editor.
"""

import json
import random
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from texts import EDGE_CASES, PIECES, PUNCTUATION, SPACES, SPECIAL, WORDS
from transformers import CLIPTokenizer

COUNT = 2000
PER_CATEGORY = 14
NEW_CODE_POINTS = (0x1E4D0, 0x11F04, 0x105C0, 0x1C89, 0xA7CB, 0x1E5D0, 0x378, 0x2FE0, 0xE0080)
Maker = Callable[[random.Random], str]


def by_category() -> dict[str, list[int]]:
    """Surrogates have no place in UTF-8; unassigned ones are kept, since users paste them too."""
    groups: dict[str, list[int]] = {}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category != "Cs" and (category != "Cn" or code < 0x20000):
            groups.setdefault(category, []).append(code)
    return groups


def category_cases(draw: random.Random) -> list[str]:
    """Each character stands beside letters, digits, punctuation and itself: all the classes."""
    cases = []
    for _, codes in sorted(by_category().items()):
        for code in draw.sample(codes, min(PER_CATEGORY, len(codes))):
            c = chr(code)
            cases.append(draw.choice([f"a{c}b", f"1{c}2", f"a {c}{c} .{c}", f"{c}A'{c}s", c]))
    return cases + [f"a{chr(code)}B {chr(code)}" for code in NEW_CODE_POINTS]


def all_white_space() -> list[str]:
    codes = [code for code in range(0x10000) if chr(code).isspace()]
    return [f"a{chr(code)}b{chr(code) * 2}" for code in codes + [0x180E, 0x200B, 0x2060, 0xFEFF]]


def phrase(draw: random.Random) -> str:
    script = draw.choice(sorted(WORDS))
    words = [draw.choice(WORDS[script]) for _ in range(draw.randint(1, 3))]
    form = draw.choice(["NFC", "NFD", "NFKC", "NFKD", None])
    text = draw.choice([" ", " ", ", ", "-", "\u00a0", ""]).join(words)
    return unicodedata.normalize(form, text) if form else text


def recased(draw: random.Random) -> str:
    return draw.choice([str.upper, str.title, str.swapcase, str.lower])(phrase(draw))


def mixture(draw: random.Random) -> str:
    sources = [*WORDS.values(), PIECES, PUNCTUATION, SPACES, SPECIAL]
    return "".join(draw.choice(draw.choice(sources)) for _ in range(draw.randint(2, 4)))


def prompt(draw: random.Random) -> str:
    """English in which most of the vocabulary's merges take part."""
    words = draw.choices(WORDS["prompt"], k=draw.randint(3, 9))
    words.insert(draw.randrange(len(words)), draw.choice(PUNCTUATION + PIECES))
    return draw.choice([" ", " ", "  ", ", "]).join(words)


def contraction(draw: random.Random) -> str:
    ending = draw.choice(["s", "t", "re", "ve", "m", "ll", "d", "x", "S", "VE", "Re", "\u017f"])
    mark = draw.choice(["'", "\u2019", "''", "`", "' "])
    return f"{draw.choice(WORDS['prompt'])}{mark}{ending}{draw.choice(['', ' all', 'x', '1', '!'])}"


def letters(draw: random.Random) -> str:
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyzABCDE", k=draw.randint(1, 24)))


def generated(draw: random.Random) -> str:
    makers: list[tuple[Maker, int]] = [(phrase, 4), (recased, 3), (mixture, 4), (prompt, 3),
                                       (contraction, 1), (letters, 1)]
    maker = draw.choices([m for m, _ in makers], [weight for _, weight in makers])[0]
    return maker(draw)


def vocabulary_words(folder: Path, draw: random.Random) -> list[str]:
    """Words run together from tokens, so that merges compete for the same letters."""
    vocabulary = json.loads((folder / "vocab.json").read_text())
    tokens = [token.removesuffix("</w>") for token in vocabulary]
    plain = [token for token in tokens if token.isascii() and token.isalpha() and len(token) > 1]
    draw.shuffle(plain)
    return ["".join(plain[i : i + 3]) + " " + "".join(plain[i + 3 : i + 5])
            for i in range(0, len(plain), 5)]


def texts(folder: Path) -> list[str]:
    draw = random.Random(2000)
    cases = dict.fromkeys([*EDGE_CASES, *SPECIAL, *all_white_space(), *category_cases(draw),
                           *vocabulary_words(folder, draw)])
    while len(cases) < COUNT:
        cases[generated(draw)] = None
    return list(cases)


def ids(tokenizer: CLIPTokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def write(path: Path, folder: Path, bang_folder: Path) -> None:
    """`bang_ids` only where the tokenizer that pads with "!" gives something else."""
    plain = CLIPTokenizer.from_pretrained(folder)
    bang = CLIPTokenizer.from_pretrained(bang_folder)
    lines = []
    for text in texts(folder):
        entry = {"text": text, "ids": ids(plain, text)}
        if (other := ids(bang, text)) != entry["ids"]:
            entry["bang_ids"] = other
        lines.append(json.dumps(entry, separators=(",", ":")) + "\n")
    path.write_text("".join(lines), encoding="ascii")
