"""Write what transformers renders from the chat templates of this folder: `*/golden.json` beside `chat_template.jinja`.

    python3 make.py [OUT]        (OUT: this folder)

The templates are written for this test, in the style of the published ones. Each golden file holds

    now      the moment that `strftime_now` reads
    cases    {variables, rendered} or {variables, error}: variables are everything the template is given,
             error is the text that it passed to `raise_exception`

Needs transformers 5 (no torch); README.md names the version used.
"""

import datetime
import json
import pathlib
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2024, 7, 6, 9, 5, 3)


def says(role, content):
    return {"role": role, "content": content}


HELLO = [says("user", "Hello!")]
SYSTEM = [says("system", "  Answer in one word.\n"), says("user", "Sky?")]
TURNS = [says("user", "Hi"), says("assistant", "Hello. "), says("user", "  2 + 2?\n"), says("assistant", " 4")]
THOUGHTS = [
    says("system", "Be brief. /no_think"),
    says("user", "One?"),
    says("assistant", "<think>\nhm\n</think>\n\nYes."),
    says("user", "Two?"),
    says("assistant", "<think>\naha\n</think>\n\nNo."),
]
CONVERSATIONS = [
    HELLO,
    SYSTEM,
    TURNS,
    TURNS[:3],
    SYSTEM[:1] + TURNS,
    [says("user", "")],
    [says("system", ""), says("user", "?")],
    [says("user", "<b>&amp;</b> \"quoted\" 'single' \\n back\\slash {{ bos_token }} {% if %} {# no #}")],
    [says("user", "\u4f60\u597d \U0001f642\n\n\tcaf\u00e9\u00a0")],
    [says("user", "\u00a0\u3000 wide spaces \u2028\u00a0")],
    THOUGHTS,
    [says("assistant", "Me first"), says("user", "No")],
    [says("user", "Again"), says("user", "and again")],
    [says("user", "Roll"), says("dice", "6")],
]

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather: <sun> & \"rain\" \u2600",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
CALL = {"function": {"name": "weather", "arguments": {"town": "Z\u00fcrich", "days": 2, "scale": 1.5, "exact": True}}}
TOOL_TURNS = [
    says("user", "Weather?"),
    {"role": "assistant", "tool_calls": [CALL]},
    says("tool", {"sky": "blue", "wind": None}),
    says("tool", "plain text"),
]

INST_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
# folder -> tokens that the template knows, further cases
TEMPLATES = {
    "smollm2": ({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}, []),
    "llama2": (INST_TOKENS, []),
    "mistral": (INST_TOKENS, [{"messages": []}]),
    "gemma": ({"bos_token": "<bos>", "eos_token": "<eos>"}, []),
    "llama3": (
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        [
            {"messages": HELLO, "date_string": "26 Jul 2024"},
            {"messages": TOOL_TURNS, "tools": [WEATHER]},
            {"messages": [{"role": "assistant", "tool_calls": [CALL, CALL]}], "tools": [WEATHER]},
        ],
    ),
    "smollm3": (
        {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
        [{"messages": HELLO, "enable_thinking": False}, {"messages": HELLO, "enable_thinking": True}],
    ),
}


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls):
        return NOW


def main(out):
    chat_template_utils.datetime = FixedClock
    for name, (tokens, further) in TEMPLATES.items():
        template = (HERE / name / "chat_template.jinja").read_text()
        variables = [{"messages": messages} for messages in CONVERSATIONS] + further
        cases = [
            case(template, {**given, "add_generation_prompt": prompt, **tokens})
            for given in variables
            for prompt in ([True, False] if given["messages"] in (HELLO, TURNS) else [True])
        ]
        golden = {
            "made_with": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
            "now": NOW.isoformat(),
        }
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / "golden.json").write_text(one_line_per_case(golden, cases))
        print(f"{name}: {len(cases)} cases, {sum('error' in case for case in cases)} errors")


def case(template, variables):
    given = dict(variables)
    try:
        rendered, _ = chat_template_utils.render_jinja_template([given.pop("messages")], chat_template=template, **given)
        return {"variables": variables, "rendered": rendered[0]}
    except jinja2.exceptions.TemplateError as error:
        assert type(error) is jinja2.exceptions.TemplateError, error  # raised by the template, not about it
        return {"variables": variables, "error": str(error)}


def one_line_per_case(golden, cases):
    head = "".join(f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in golden.items())
    lines = (json.dumps(case, separators=(",", ":")) for case in cases)
    return "{\n" + head + '"cases": [\n' + ",\n".join(lines) + "\n]\n}\n"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
