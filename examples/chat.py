"""Talk with a small language model: `python examples/chat.py "Why is the sky blue?"`."""

import sys

import tallow as tl

question = " ".join(sys.argv[1:]) or "Name the capital of France."
messages = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": question},
]
llm = tl.LLM("smollm2-135m")
for piece in llm.chat(messages, max_tokens=128, temperature=0, stream=True):
    print(piece, end="", flush=True)
print()
