"""Writes tests/golden/text/templates.json: chats as transformers renders them.

Run with transformers installed: python tests/golden/make_templates.py
"""

import json
from pathlib import Path

OUT = Path(__file__).with_name("text") / "templates.json"

SHORT = [{"role": "user", "content": "Hi <b>&amp; 'you'</b>"}]
LONG = [
    {"role": "system", "content": "  Be brief.\n"},
    {"role": "user", "content": "Grüße, 世界 😀"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "What is 2+2?"},
]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"}]}]
CALL = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Zürich", "n": 1}}}],
    },
    {"role": "tool", "content": '{"t": 21}'},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The <weather> of a city & more",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]

BLOCKS = """{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nDefault<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
TRIMMED = """{% for message in messages %}
  {% if message['role'] == 'user' %}
[INST] {{ message['content'] }} [/INST]
  {% elif message['role'] == 'assistant' %}
 {{ message['content'] }}{{ eos_token }}
  {% endif %}
{% endfor %}
end
"""
NAMESPACE = """{{ bos_token }}{% set ns = namespace(system='', n=0) %}
{%- for m in messages if m.role != 'tool' %}
{%- if m.role == 'system' %}{% set ns.system = m.content %}{% continue %}{% endif %}
{%- set ns.n = ns.n + 1 %}
{%- if ns.n > 2 %}{% break %}{% endif %}
{{ loop.index0 }}/{{ loop.length }}{{ '!' if loop.last else ',' -}}
{{ m.role.upper() ~ ':' ~ m.content }}
{%- endfor %}|{{ ns.system }}"""
TOOLED = """{% if tools %}{% for tool in tools %}{{ tool | tojson }}
{{ tool.function | tojson(indent=2) }}{% endfor %}{% endif %}
{%- macro show(calls) %}{% for call in calls %}{% set f = call.function %}
<{{ f.name }} {{ f.arguments | tojson }}>
{%- for k, v in f.arguments.items() %} {{ k }}={{ v }}{% endfor %}{% endfor %}{% endmacro -%}
{% for m in messages %}{{ m.role }}:
{%- if m.tool_calls is defined and m.tool_calls %}{{ show(m.tool_calls) }}
{%- elif m.content is string %}{{ m.content }}
{%- else %}{% for part in m.content %}{{ part.type }}{% endfor %}{% endif %};
{% endfor %}"""
FILTERS = """{{ messages | length }} {{ messages | map(attribute='role') | join(', ') }}
{{ messages[0].content.split(' ')[0] }} {{ messages[-1]['content'][:2] }}
{{ messages[0].content | replace('i', 'o') }} {{ 'abc' in messages[0].content }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ (messages | first).role | capitalize }} {{ nothing | default('none') }}
{{ nothing is defined }}
{{ 7 // 2 }} {{ 7 % 4 }} {{ '%s-%d' % ('a', 3) }} {{ 'ab' * 2 }} {{ [1, 2] + [3] }}
{{ {'b': 1, 'a': 2} | dictsort }} {{ messages[0].content | indent(2) }}
{% generation %}made{% endgeneration %} {{ 'x'.strip() ~ ' y '.rstrip() }} {{ range(3) | list }}
{% set block | upper %}in {{ none }}{% endset %}{{ block }} {% filter upper %}f{% endfilter %}
{{ true }} {{ messages | tojson | length }} {{ '{:>5}|{}'.format('a', 1) }} {{ 'a-b' | title }}
{% for g in messages | groupby('role') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}
{% for n in [1, [2, [3]]] recursive %}{{ loop(n) if n is iterable else n }}{% endfor %}
{%- call(x) shown() %}<{{ x }}>{% endcall %}
"""
FILTERS = "{% macro shown() %}{{ caller(1) }}{% endmacro %}" + FILTERS

THINKING = """{% for m in messages %}{{ m.role }}:
{%- if m.reasoning_content is defined %}<{{ m.reasoning_content | trim }}>{% endif %}
{%- if m.thinking is defined %}({{ m.thinking }}){% endif %}
{%- if m.reasoning is defined %}[{{ m.reasoning }}]{% endif %}
{%- if m.content is defined %}{{ m.content }}{% else %}nothing{% endif %}
{%- for c in m.tool_calls or [] %}{{ c.id }}{{ c.function.arguments | tojson(ensure_ascii=True) }}
{%- endfor %}{{ m.tool_call_id if m.tool_call_id is defined }}{{ m.name }};{{ m | tojson }}
{% endfor %}{{ 'off' if enable_thinking is defined and enable_thinking is false }}
{{- documents | tojson if documents }}{{ date_string }}"""

TEMPLATES = {
    "blocks": BLOCKS,
    "trimmed": TRIMMED,
    "namespace": NAMESPACE,
    "tools": TOOLED,
    "filters": FILTERS,
    "thinking": THINKING,
}
ASK = {"role": "user", "content": "Why?"}
REASONED = {
    "reasoning_content": [ASK, {"role": "assistant", "content": "A", "reasoning_content": " r "}],
    "thinking": [ASK, {"role": "assistant", "content": "A", "thinking": "t"}],
    "reasoning": [ASK, {"role": "assistant", "content": "A", "reasoning": "n"}],
    "all names": [ASK, {"role": "assistant", "reasoning": "n", "thinking": "t", "content": "A"}],
    "no values": [ASK, {"role": "assistant", "content": None, "thinking": None, "reasoning": ""}],
    "text arguments": [
        {"role": "developer", "content": "d", "name": "n"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a": "é"}'},
                },
                {
                    "id": "2",
                    "type": "function",
                    "function": {"name": "f", "arguments": {"a": [1.5]}},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "1", "name": "f", "content": "21"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "22"}]},
    ],
}
VARIABLES = {
    "reasoning_content": {"enable_thinking": False},
    "no values": {"enable_thinking": True, "date_string": "1 May"},
    "text arguments": {"documents": [{"title": "t", "text": "x"}], "date_string": None},
}
CHATS = {
    "short": (SHORT, None),
    "long": (LONG, None),
    "parts": (PARTS, None),
    "call": (CALL, TOOLS),
}
# What a template takes content to be, chats must give.
PAIRS = [
    (t, c) for t in TEMPLATES for c in CHATS if t != "thinking" and (c != "parts" or t == "tools")
]
CHATS |= {name: (messages, None) for name, messages in REASONED.items()}
PAIRS += [("thinking", c) for c in REASONED]


def main() -> None:
    import transformers
    from transformers.utils.chat_template_utils import (
        _normalize_chat_messages,
        render_jinja_template,
    )

    rows = []
    for template, chat in PAIRS:
        messages, tools = CHATS[chat]
        for prompt in (True, False):
            rendered, _ = render_jinja_template(
                [_normalize_chat_messages(messages)],  # as apply_chat_template does
                tools=tools,
                chat_template=TEMPLATES[template],
                add_generation_prompt=prompt,
                bos_token="<s>",
                eos_token="</s>",
                **VARIABLES.get(chat, {}),
            )
            rows.append({"template": template, "chat": chat, "prompt": prompt, "text": rendered[0]})
            if chat in VARIABLES:
                rows[-1]["variables"] = VARIABLES[chat]
    golden = {
        "transformers": transformers.__version__,
        "templates": TEMPLATES,
        "chats": {name: {"messages": m, "tools": t} for name, (m, t) in CHATS.items()},
        "rows": rows,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    print(len(rows), "rows", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
