"""Write tiny tokenizers in the styles of the supported families, and what the `tokenizers` package makes of odd texts.

    python3 make.py [OUT]        (OUT: this folder)

Each folder gets `tokenizer.json` (a few hundred pieces, trained on CORPUS below) and `golden.json`:

    texts     {text, ids, ids_bare, decoded, decoded_all}: ids with the special tokens of the template, ids_bare without;
              decoded skips special tokens, decoded_all keeps them (both decode `ids`)
    decodes   {ids, decoded, decoded_all}: sequences that no text gives, such as half a character
    prefixes  {text, decoded}: what ids[:1], ids[:2], ... decode to, for code that prints while it generates

Needs the Python package `tokenizers`; README.md of this folder names the version used.
"""

import json
import pathlib
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

MERGES = 120
CORPUS = [
    "Once upon a time there was a little engine that counted in whole numbers only.",
    "The engine said: I can't divide, but I'll round, and they'll never know the difference.",
    "It's 12 o'clock; we've 3 apples, 45 pears and 678 plums in the basket, don't we?",
    "def add(left, right):\n    return left + right\n\n\nprint(add(1, 2))\n",
    "The weather in the mountains was cold, and the weather at the sea was warm.",
    "café naïve über straße; привет мир, привет всем; 你好世界, 你好; こんにちは; 🙂🙂 🚀",
    "Two  spaces,   three spaces,    four spaces;\ttabs;\r\nlines.\n\n\n",
] * 3

TEXTS = [
    "",
    " ",
    "   ",
    "Hello",
    " Hello",
    "  Hello  world  ",
    "the engine counted",
    "The weather in the mountains, it's cold; they'll know.",
    "\n",
    "\n\n\n",
    "a\nb\r\nc\td",
    "def f(x):\n    return x + 1\n",
    " \n leading and trailing \n ",
    "1234567890 3.14159 1,000,000",
    "CAN'T Won't we'VE I\u2019m",
    "caf\u00e9 cafe\u0301",
    "\u4f60\u597d\u4e16\u754c\uff0c\u9f98",
    "\u3053\u3093\u306b\u3061\u306f \uac00\ub098\ub2e4",
    "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\U0001f642\U0001f680",
    "a\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466b\U0001f1eb\U0001f1f7",
    "\u2581 is not a space",
    "\u0120the \u010a",
    "<0x0A><0xF0><0x9F>",
    "\ufffd\ufffe\ue000\U0010ffff",
    "nul\u0000bell\u0007del\u007f",
    "\ufeffmark\u00a0no-break\u3000wide\u2028line",
    "<s>start</s> and <unk> inside",
    "<|im_start|>user\nhi<|im_end|>\n",
    "<|im_st <|im_start|<|im_start|> <|im_end|><|im_end|>",
    "<|begin_of_text|><|eot_id|><start_of_turn>model\n<end_of_turn>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!?!?...---===;;;\u2026\u2014",
    "https://example.org/a_b?c=d&e=%20#f",
]
PREFIX_TEXTS = ["Hi \U0001f642\u4f60\u9f98 the engine", "  two\n\n\U0001f469\u200d\U0001f466"]

GPT2_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA3_SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def main(out):
    for name, document in {
        "llama2": llama2(),
        "gemma": gemma(),
        "smollm2": smollm2(),
        "llama3": llama3(),
    }.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(lines(document, 2))
        write_golden(folder)


def llama2():
    """Byte fallback; a space in front of every text; merges as "a b" strings, as older files have them."""
    specials = ["<unk>", "<s>", "</s>"]
    vocab, merges = sentencepiece_pieces(specials)
    return {
        **document(specials, ids=[0, 1, 2]),
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": start_token("<s>", 1),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": bpe(vocab, [" ".join(merge) for merge in merges], unk_token="<unk>", byte_fallback=True, fuse_unk=True),
    }


def gemma():
    """Byte fallback, no space in front, runs of spaces as pieces, runs of newlines as added but not special tokens."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    newlines = ["\n\n", "\n\n\n"]
    spaces = [["\u2581", "\u2581"], ["\u2581\u2581", "\u2581\u2581"]]
    vocab, merges = sentencepiece_pieces(specials + newlines + [left + right for left, right in spaces])
    merges = spaces + merges
    tokens = document(specials + newlines, ids=range(len(specials + newlines)))
    for token in tokens["added_tokens"][len(specials):]:
        token["special"] = False
    return {
        **tokens,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": start_token("<bos>", 2),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": bpe(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True),
    }


def smollm2():
    """Byte level with the GPT-2 expression, digits one by one, special tokens first, no start token."""
    pretokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    vocab, merges = byte_level_pieces(pretokenizer)
    vocab = {piece: index for index, piece in enumerate(GPT2_SPECIALS + list(vocab))}
    return {
        **document(GPT2_SPECIALS, ids=[0, 1, 2]),
        "normalizer": None,
        "pre_tokenizer": state(pretokenizer),
        "post_processor": None,
        "decoder": state(decoders.ByteLevel()),
        "model": bpe(vocab, merges),
    }


def llama3():
    """Byte level with the Llama 3 expression; a word that is a piece is never merged; special tokens after the pieces."""
    pretokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    vocab, merges = byte_level_pieces(pretokenizer)
    vocab["\u0120unreachable"] = len(vocab)  # no merge leads to it: only `ignore_merges` finds it
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    return {
        **document(LLAMA3_SPECIALS, ids=range(len(vocab), len(vocab) + len(LLAMA3_SPECIALS))),
        "normalizer": None,
        "pre_tokenizer": state(pretokenizer),
        "post_processor": {
            "type": "Sequence",
            "processors": [byte_level, start_token("<|begin_of_text|>", len(vocab))],
        },
        "decoder": state(decoders.ByteLevel()),
        "model": bpe(vocab, merges, ignore_merges=True),
    }


def sentencepiece_pieces(first):
    """Piece order of the published files: special pieces, 256 bytes, merged pieces, single characters."""
    vocab, merges = train(pre_tokenizers.Metaspace(), [])
    merged = [left + right for left, right in merges]
    characters = [piece for piece in vocab if piece not in set(merged) | set("\n\t\r") | set(first)]
    pieces = first + [f"<0x{byte:02X}>" for byte in range(256)] + merged + characters
    reachable = set(pieces)
    merges = [merge for merge in merges if set(merge) <= reachable]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}, merges


def byte_level_pieces(pretokenizer):
    return train(pretokenizer, sorted(pre_tokenizers.ByteLevel.alphabet()))


def train(pretokenizer, alphabet):
    """Pieces in the order of their ids, and merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pretokenizer
    trainer = trainers.BpeTrainer(vocab_size=10_000, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]][:MERGES]
    made = {left + right for left, right in merges}
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    kept = [piece for piece in pieces if len(piece) == 1 or piece in made]
    return {piece: index for index, piece in enumerate(kept)}, merges


def document(specials, ids):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": content, **flags} for index, content in zip(ids, specials)],
    }


def start_token(token, index):
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            {"SpecialToken": {"id": token, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": token, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }


def bpe(vocab, merges, unk_token=None, byte_fallback=False, fuse_unk=False, ignore_merges=False):
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unk_token,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": fuse_unk,
        "byte_fallback": byte_fallback,
        "ignore_merges": ignore_merges,
        "vocab": vocab,
        "merges": merges,
    }


def state(component):
    return json.loads(component.__getstate__())


def write_golden(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    golden = {
        "made_with": {"tokenizers": tokenizers.__version__},
        "texts": [text_case(tokenizer, text) for text in TEXTS + ["an unreachable piece"]],
        "decodes": [decode_case(tokenizer, ids) for ids in odd_ids(tokenizer)],
        "prefixes": [prefix_case(tokenizer, text) for text in PREFIX_TEXTS],
    }
    (folder / "golden.json").write_text(lines(golden, 2))
    print(folder.name, tokenizer.get_vocab_size(), "pieces")


def text_case(tokenizer, text):
    ids = tokenizer.encode(text).ids
    bare = tokenizer.encode(text, add_special_tokens=False).ids
    return {"text": text, "ids": ids, "ids_bare": bare, **decoded(tokenizer, ids)}


def decode_case(tokenizer, ids):
    return {"ids": ids, **decoded(tokenizer, ids)}


def decoded(tokenizer, ids):
    return {
        "decoded": tokenizer.decode(ids, skip_special_tokens=True),
        "decoded_all": tokenizer.decode(ids, skip_special_tokens=False),
    }


def prefix_case(tokenizer, text):
    ids = tokenizer.encode(text).ids
    return {"text": text, "ids": ids, "decoded": [tokenizer.decode(ids[:n + 1]) for n in range(len(ids))]}


def odd_ids(tokenizer):
    """Halves of characters, bytes in the wrong order, special tokens between bytes, an id that does not exist."""
    emoji = [byte_id(tokenizer, byte) for byte in "\U0001f9ea".encode()]
    letter = byte_id(tokenizer, 0x41)
    special = next(index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    word = tokenizer.encode("engine", add_special_tokens=False).ids
    return [
        [],
        emoji,
        emoji[:1],
        emoji[:3],
        emoji[1:],
        emoji[::-1],
        emoji[:2] + word,
        emoji[:3] + [letter] + emoji,
        emoji[:2] + [special] + emoji[2:],
        [byte_id(tokenizer, byte) for byte in (0xC0, 0x80, 0xED, 0xA0, 0x80, 0xFF)],
        [special, special] + word + [special],
        word + word,
        [len(tokenizer.get_vocab()) + 1000] + word,
    ]


def byte_id(tokenizer, byte):
    fallback = tokenizer.token_to_id(f"<0x{byte:02X}>")
    return tokenizer.token_to_id(byte_level_character(byte)) if fallback is None else fallback


def byte_level_character(byte):
    """GPT-2's printable stand-in for a byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))


def lines(value, depth):
    """JSON with one line for each entry down to `depth`, so that a change shows as a change of its own line."""
    if depth == 0 or not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {lines(item, depth - 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + "\n}"
    return "[\n" + ",\n".join(lines(item, depth - 1) for item in value) + "\n]"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
