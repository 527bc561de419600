"""Words and pieces, by script, from which tokenizer_cases.py puts its strings together."""

WORDS: dict[str, list[str]] = {
    "prompt": "a an the large small red blue green yellow purple orange star circle square triangle"
              " background on in of with all gray white black photo STARS Circles photograph"
              " unbelievable Background".split(),
    "latin": ["café", "naïve", "Ångström", "Việt", "Đặng", "žluťoučký", "Łódź", "coöperate",
              "ŒUVRE", "Ǆabar", "ǅ", "ﬁnal", "oﬃce", "ẞ", "Straße", "ÅÅ", "s̈̃t", "q̣̇",
              "e\u0301\u0323"],
    "turkish": ["İstanbul", "ISPARTA", "ılık", "I\u0307zmir", "DİYARBAKIR", "ğüşöç"],
    "greek": ["ΟΔΟΣ", "Σίσυφος", "σς", "ΐ", "Ὀδυσσεύς", "ᾳ", "ΑΣ ΒΣ", "Ω"],
    "cyrillic": ["Привет", "ЁЛКА", "йод", "Київ", "ЌЉ", "Ѣ", "Ӂ", "и\u0306"],
    "hebrew": ["שלום", "שָׁלוֹם", "עברית", "\ufb2a\ufb4f", "״צה״ל״"],
    "arabic": ["مرحبا", "السَّلام", "لإسلام", "ﷺ", "پژگ", "١٢٣", "۴۵۶", "\ufefb"],
    "indic": ["नमस्ते", "हिन्दी", "क़लम", "१२३", "বাংলা", "ொ", "தமிழ்", "ಕನ್ನಡ", "ක්‍රි"],
    "thai": ["สวัสดี", "น้ำ", "ที่", "๑๒๓", "ລາວ", "ကောင်း"],
    "han": ["红色的星", "漢字", "藍色背景", "神", "\uf900", "𠮷野家", "〇一二", "㍿", "㈱"],
    "kana": ["ひらがな", "カタカナ", "ﾊﾝｶｸ", "が", "か\u3099", "パ", "ハ\u309a", "ー", "ゝゞ"],
    "hangul": ["한글", "안녕하세요", "각", "\u1112\u1161\u11ab", "ㅎㅏㄴ", "가\u11a8"],
    "other": ["ქართული", "ᲥᲐᲠᲗ", "Հայերեն", "ԵՎև", "አማርኛ", "ᏣᎳᎩ", "ꮳꮃꭹ", "བོད་ཡིག", "ᠮᠣᠩᠭᠣᠯ",
              "𐐀𐐁𐐨", "𞤀𞤢", "𝒜𝓑𝟙𝟚", "𝔘𝔫𝔦", "Ⓐⓑ", "ＦＵＬＬｗｉｄｔｈ", "１２３"],
    "number": ["0123456789", "3.14", "1,000", "½¼", "²³¹", "₀₁", "Ⅷⅻ", "ↀ", "①⑩⒈", "㊿", "٣", "߁",
              "𝟘", "𐄇", "1st", "2D", "x²"],
}

PIECES: list[str] = [
    "😀", "👩‍🚀", "👨‍👩‍👧‍👦", "👍🏽", "🇫🇷", "🇩🇪🇯🇵", "1️⃣", "#️⃣", "❤️", "❤", "☎︎", "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "🧑🏿‍🤝‍🧑🏻", "🫠",
    "\u200d", "\u200c", "\u200b", "\u2060", "\ufeff", "\u00ad", "\u202e", "\u2066x\u2069", "\u200f",
    "\x00", "\x01", "\x07", "\x08", "\x1b[0m", "\x7f", "\x85", "\x9f", "\ue000", "\uf8ff",
    "\U000f0000", "\U0010fffd", "\ufffd", "\ufffe", "\uffff", "\U0001fffe", "\u0378", "\u0301",
    "\u20dd", "\u0903", "a\u0301\u0327", "a\u0327\u0301", "\u0344", "\u0340", "\u212a", "\u212b",
    "\u2126", "\u1e9b\u0323", "\u0149", "\u01f0", "\u1fb7", "\u2000", "\u037e", "\u0387", "\u0958",
]

PUNCTUATION: list[str] = [
    "!", "!!!", "?!", "...", "…", ",,", ";:", "--", "—", "–", "\"", "''", "'", "`", "«»", "“”",
    "‘’",
    "[]", "{}", "<>", "<|", "|>", "||", "/\\", "@#$%", "^&*", "_", "__a__", "a_b", "+=", "~", "¿¡",
    "。", "、", "「」", "·", "§", "€£¥", "©®™", "°", "→", "∑∫√", "≠", "▲●", "¨", "´", "^",
    "\u0060\u0301",
]

SPACES: list[str] = [
    " ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\u00a0", "\u1680", "\u2003", "\u2009", "\u2028",
    "\u2029", "\u202f", "\u205f", "\u3000", "\x85", "\x1c", "\x1f", "\u180e", " \t\n ",
]

SPECIAL: list[str] = [
    "<|startoftext|>", "<|endoftext|>", "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|EndOfText|>",
    "<|endoftext", "endoftext|>", "<|end of text|>", "< |endoftext|>",
    "<|startoftext|><|endoftext|>",
    "a<|endoftext|>b", "a <|endoftext|> b", "e<|endoftext|>\u0301", "<|endoftext|>'s",
    "'<|endoftext|>s", "<<|endoftext|>>", "<|endoftext|>!!", "<|start\u200boftext|>",
    "x<|StartOfText|>y<|startoftext|>z", "<|endoftext|> \n <|startoftext|>", "<|\u017ftartoftext|>",
    "<|startoftext|", "<|pad|>", "</w>", "a</w>", "red</w> star",
]

EDGE_CASES: list[str] = [
    "", " ", "   ", "\n", "\t \u3000", "a", "A", " a ", "!", "! !", "!!", "a!", "!a", "a ! b",
    "'", "'s", "'S", "''s", "'t 're 've 'm 'll 'd", "it's", "IT'S", "it\u2019s", "they'VE", "'sx",
    "x'd've", "'lll", "'tis", "rock'n'roll", "a's's", "1's", "!'s", "!'!s", "' s", "'\u017f",
    "a large red star on a blue background", "A LARGE RED STAR ON A BLUE BACKGROUND",
    "background" * 12, "a" * 100, "ab" * 40, "star " * 30, "small green circles in all the " * 6,
    "0" * 20, "1 2 3", "123abc456", "abc123", "1a2b", "3.14159", "\u0661\u0662x", "x\u00b2y",
    "a\x00b", "\x00", "\x00\x00", "a\u0301", "\u00e1", "\u0301a", "a \u0301", "1\u0301", "!\u0301",
    "\u1e9e", "\u00df", "\u0130", "i\u0307", "\u03a3", "A\u03a3", "A\u03a3 B", "A\u03a3.", "\u03c2",
    "\ufb01", "\ufb03", "\u01c5", "\u212a", "\u2126", "\uac01", "\u1100\u1161\u11a8",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "1\ufe0f\u20e3", "\U0001f1eb\U0001f1f7",
    "\U00020bb7", "\U0002f800", "\U0001d11e", "\U0001d15e", "\U0010ffff",
]
