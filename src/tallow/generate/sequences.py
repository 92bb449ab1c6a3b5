"""Whole sequences at once: greedy, sampled or by beam search, as transformers' `generate`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tallow.autograd.mode import inference_mode
from tallow.dtype import f32, f64, i64
from tallow.errors import ArgumentError, ContextError, expect
from tallow.factories import tensor
from tallow.generate.beams import Beams
from tallow.generate.config import GenerationConfig
from tallow.generate.prefill import Prefill
from tallow.generate.processors import Processor, Step, apply
from tallow.generate.prompts import MixedPrompt
from tallow.generate.protocol import ContextGenerative, Generative
from tallow.generate.sampling import refuse_no_choice, refuse_non_finite
from tallow.generate.step import DecodeStep
from tallow.lazy_dataclasses import dataclass
from tallow.models.states import State
from tallow.ops import argmax, log_softmax, sample, topk
from tallow.ops import cat as joined
from tallow.tensor import Tensor


@dataclass(frozen=True)
class Generated:
    """`sequences` `(rows * num_return_sequences, length)`, prompt included, padded at the right.

    `sequences_scores` are those of beam search: summed log-probabilities by length penalty.
    """

    sequences: Tensor
    sequences_scores: Tensor | None = None


@dataclass
class _Run:
    """The rows of a search: their prompts, how these begin the results, and the model's state."""

    model: Generative
    config: GenerationConfig
    state: State
    prompts: list[list[int]]
    heads: list[list[int]]
    limit: int
    processors: list[Processor]
    random: random.Random
    on_step: Callable[[int, int], None] | None

    def scores(self, logits: Tensor, ids: Sequence[tuple[int, list[int]]], new: int) -> Tensor:
        """`logits` (rows, vocab_size) after the processors; `ids` are rows and their new tokens."""
        if not self.processors:
            return logits
        whole = [self.prompts[row] + tokens for row, tokens in ids]
        return apply(self.processors, Step(whole, new), logits)

    def result(self, answers: Sequence[tuple[int, list[int]]], fill: int) -> Tensor:
        """Rows with their answers, padded at the right."""
        length = max(len(tokens) for _, tokens in answers)
        return tensor(
            [self.heads[i] + tokens + [fill] * (length - len(tokens)) for i, tokens in answers],
            dtype=i64,
        )

    def tell(self, new: int) -> None:
        if self.on_step is not None:
            self.on_step(new, self.limit)


def search(
    model: Generative,
    input_ids: Tensor | Sequence[Sequence[int]] | None = None,
    config: GenerationConfig | None = None,
    *,
    attention_mask: Tensor | None = None,
    inputs_embeds: Tensor | None = None,
    mixed: Sequence[MixedPrompt] = (),
    context: Tensor | None = None,
    context_mask: Tensor | None = None,
    seed: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Generated:
    """Continue rows of ids as `config` says; the ids are those that transformers gives.

    `input_ids` are a tensor whose padding `attention_mask` hides, left or right, or lists of any
    lengths. A decoder with an encoder before it gets its output as `context` `(batch, m, size)`
    with a `context_mask` `(batch, m)`; its rows begin with `decoder_start_token_id` unless ids are
    given. With `inputs_embeds` `(batch, length, size)`, sequences hold new ids alone; `mixed` has
    what a model gets in the place of each row's ids. `on_step` is told how many tokens have been
    chosen, and of how many at most.

    Raises:
        ArgumentError: inputs that do not belong together.
        ContextError: there is no room for another token.
        NonFiniteError: the model computes NaN or infinity.
    """
    config = config or GenerationConfig()
    prompts = _prompts(input_ids, attention_mask, inputs_embeds, context, config)
    lengths = [len(ids) for ids in prompts]
    if inputs_embeds is not None:
        lengths = [inputs_embeds.shape[1]] * len(prompts)
    _check(model, prompts, lengths, context)
    width = max(lengths)
    limit = _room(model, config, width)
    state = model.make_state(len(prompts), min(model.context, width + limit))
    if context is not None:
        _attend(model, state, context, context_mask)
    # Processors see what there is of ids: nothing of a prompt that is embeddings.
    prompt = len(prompts[0])
    processors = config.processors(prompt, limit)
    source = random.Random(seed)
    heads: list[list[int]] = input_ids.tolist() if isinstance(input_ids, Tensor) else prompts
    heads = _padded(heads, width, config.pad_token_id or 0)
    run = _Run(model, config, state, prompts, heads, limit, processors, source, on_step)
    fed = Prefill(model, state, mixed or prompts, inputs_embeds, lengths)
    while not fed.ended:
        fed.step()
    logits = joined([row.unsqueeze(0) for row in fed.logits if row is not None], 0)
    with inference_mode():
        return _beam_search(run, logits) if config.num_beams > 1 else _each(run, logits)


def _room(model: Generative, config: GenerationConfig, width: int) -> int:
    """How many tokens may follow the `width` that there are; ContextError where none may."""
    limit = min(config.new_tokens(width), model.context - width)
    if limit < 1:
        most = min(config.max_length or model.context, model.context)
        raise ContextError(f"search: expected fewer than {most} tokens, got {width}")
    return limit


def _padded(heads: list[list[int]], width: int, fill: int) -> list[list[int]]:
    """Rows of several lengths, filled on the left."""
    if len({len(head) for head in heads}) == 1:
        return heads
    return [[fill] * (width - len(head)) + head for head in heads]


def _each(run: _Run, logits: Tensor) -> Generated:
    """Greedy search, or sampling, of every row."""
    config, state = run.config, run.state
    rows = [i for i in range(len(run.prompts)) for _ in range(config.num_return_sequences)]
    state.select(rows)
    logits = logits.index_select(0, tensor(rows, dtype=i64))
    ids: list[list[int]] = [[] for _ in rows]
    step, live = DecodeStep(run.model, state), list(range(len(rows)))
    for new in range(run.limit):
        refuse_non_finite(logits)
        scores = run.scores(logits, [(rows[i], ids[i]) for i in live], new)
        refuse_no_choice(scores)
        tokens = _drawn(scores, run.random) if config.do_sample else argmax(scores, -1).tolist()
        for i, token in zip(live, tokens, strict=True):
            ids[i].append(token)
        run.tell(new + 1)
        going = [at for at, token in enumerate(tokens) if token not in config.ends]
        if not going or new + 1 == run.limit:
            break
        if len(going) < len(live):
            state.select(going)
            live = [live[at] for at in going]
        logits = step([ids[i][-1] for i in live])
    pad, ends = config.pad_token_id, config.ends
    fill = pad if pad is not None else ends[0] if ends else 0
    return Generated(run.result(list(zip(rows, ids, strict=True)), fill))


def _drawn(scores: Tensor, source: random.Random) -> list[int]:
    none = tensor([], dtype=i64)
    return [
        int(sample(row, none, 1.0, 0, 1.0, 0.0, 1.0, 0.0, 0.0, source.random()).item())
        for row in scores
    ]


def _beam_search(run: _Run, logits: Tensor) -> Generated:
    """The best sequences of each row by `num_beams` hypotheses that are followed at once."""
    config, state, beams = run.config, run.state, run.config.num_beams
    every = [i for i in range(len(run.prompts)) for _ in range(beams)]
    state.select(every)
    logits = logits.index_select(0, tensor(every, dtype=i64))
    kept = max(2, 1 + len(config.ends)) * beams
    items = [Beams(config, run.limit) for _ in run.prompts]
    live, step = list(range(len(items))), DecodeStep(run.model, state)
    for new in range(run.limit):
        refuse_non_finite(logits)
        ids = [(i, tokens) for i in live for tokens in items[i].tokens]
        scores = run.scores(log_softmax(logits, -1), ids, new)
        before = tensor([score for i in live for score in items[i].scores], dtype=f32)
        size = scores.shape[-1]
        total = (scores + before.unsqueeze(-1)).view(len(live), beams * size)
        values, places = _best(total, kept, run)
        parents = []
        for at, i in enumerate(live):
            found = [(v, *divmod(p, size)) for v, p in zip(values[at], places[at], strict=True)]
            parents.append([at * beams + parent for parent in items[i].advance(found)])
        run.tell(new + 1)
        going = [at for at, i in enumerate(live) if items[i].open]
        if not going:
            break
        live = [live[at] for at in going]
        state.select([parent for at in going for parent in parents[at]])
        logits = step([tokens[-1] for i in live for tokens in items[i].tokens])
    count = config.num_return_sequences
    best = [(i, each) for i, item in enumerate(items) for each in item.finished[:count]]
    fill = (config.pad_token_id or config.ends[0]) if config.ends else -1
    reached = tensor([score for _, (score, _, _) in best], dtype=f32)
    return Generated(run.result([(i, tokens) for i, (_, tokens, _) in best], fill), reached)


def _best(total: Tensor, kept: int, run: _Run) -> tuple[list[list[float]], list[list[int]]]:
    """The best continuations of each row with their places, best first; or so many drawn ones."""
    count = min(kept, total.shape[-1])
    if not run.config.do_sample:
        values, places = topk(total, count, -1)
        return values.tolist(), places.tolist()
    # The largest of scores with Gumbel noise are a draw without replacement (arXiv 1903.06059).
    # In f64, for f32 rounds numbers next to 1 to it, whose noise would be infinite.
    uniform = [run.random.random() or 2**-53 for _ in range(total.numel())]
    noise = -(-tensor(uniform, dtype=f64).log()).log()
    places = topk(total + noise.view(*total.shape), count, -1)[1]
    values, order = total.gather(-1, places).sort(-1, descending=True)
    return values.tolist(), places.gather(-1, order).tolist()


def _prompts(
    ids: Tensor | Sequence[Sequence[int]] | None,
    mask: Tensor | None,
    embeds: Tensor | None,
    context: Tensor | None,
    config: GenerationConfig,
) -> list[list[int]]:
    """The ids of each row, without padding."""
    if embeds is not None:
        good = embeds.ndim == 3 and ids is None and mask is None
        wanted = "(batch, length, size) without input_ids and attention_mask"
        expect(good and 0 not in embeds.shape, "inputs_embeds", wanted, embeds.shape)
        return [[] for _ in range(embeds.shape[0])]
    if ids is None:
        start = config.decoder_start_token_id
        start = config.bos_token_id if start is None else start
        good = context is not None and start is not None
        wanted = "input_ids, or a context and decoder_start_token_id or bos_token_id in the config"
        expect(good, "search", wanted, "neither", ArgumentError)
        assert context is not None
        assert start is not None
        return [[start] for _ in range(context.shape[0])]
    if not isinstance(ids, Tensor):
        expect(mask is None, "attention_mask", "none beside lists of ids", "one", ArgumentError)
        return [list(row) for row in ids]
    expect(ids.ndim == 2, "input_ids", "the shape (batch, length)", ids.shape)
    rows: list[list[int]] = ids.tolist()
    if mask is None:
        return rows
    expect(mask.shape == ids.shape, "attention_mask", f"the shape {ids.shape}", mask.shape)
    kept: list[list[int]] = mask.ne(0).tolist()
    return [
        [token for token, keep in zip(row, keeps, strict=True) if keep]
        for row, keeps in zip(rows, kept, strict=True)
    ]


def _check(
    model: Generative, prompts: list[list[int]], lengths: list[int], context: Tensor | None
) -> None:
    expect(len(prompts) > 0, "search", "at least one row", "none", ArgumentError)
    expect(min(lengths) > 0, "input_ids", "at least one token a row", "none", ArgumentError)
    size = model.vocab_size
    beyond = next((t for row in prompts for t in row if not 0 <= t < size), None)
    expect(beyond is None, "input_ids", f"ids from 0 to {size - 1}", beyond, ArgumentError)
    if context is not None:
        good = context.ndim == 3 and context.shape[0] == len(prompts)
        expect(good, "context", f"the shape ({len(prompts)}, m, size)", context.shape)


@inference_mode()
def _attend(model: Generative, state: State, context: Tensor, mask: Tensor | None) -> None:
    attend: Callable[..., None] | None = getattr(model, "attend_to", None)
    wanted = "no context for a model that is a decoder alone"
    expect(attend is not None, "search", wanted, context.shape, ArgumentError)
    with_context: ContextGenerative = model  # type: ignore[assignment]  # as was just asked
    with_context.attend_to(state, context, mask)
