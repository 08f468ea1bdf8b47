"""Write one tiny seeded checkpoint per supported family, and what Hugging Face transformers computes with it.

    python3 make.py [OUT]        (OUT: this folder)

Each folder gets `config.json` and the weights, written by `save_pretrained`, and `golden.json`:

    prompt       token ids
    positions    the positions whose logits are stored: first, two inside, last
    logits       one row of vocab_size values for each of `positions`
    logits_last  the row of the last position again
    greedy       the 12 ids that greedy decoding appends to the prompt (argmax, nothing stops it)
    margin       smallest gap between the best and the second-best logit over those 12 steps

The weights are drawn in f64, rounded to the stored type, read back by `from_pretrained` and computed in f32 with
eager attention, without a cache, on one thread. Seeds are chosen so that `margin` is far above rounding noise.

Needs transformers (4.43 or later, for the llama3 frequencies), torch and numpy; README.md names the versions used.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, GemmaConfig, LlamaConfig, MistralConfig

PROMPT_LENGTH = 40
GREEDY_LENGTH = 12
SPECIAL_IDS = 3  # below: padding, start and end of text; not in the prompt (but for its first id) nor in `greedy`
MIN_MARGIN = 0.03
MIN_DISTINCT = 9

# name -> (seed, stored type, configuration)
FAMILIES = {
    "llama2": (
        5,
        torch.float32,
        LlamaConfig(
            vocab_size=131,
            hidden_size=48,
            intermediate_size=100,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            rms_norm_eps=1e-5,
        ),
    ),
    "tinyllama": (
        5,
        torch.bfloat16,
        LlamaConfig(
            vocab_size=151,
            hidden_size=72,
            intermediate_size=124,
            num_hidden_layers=2,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=256,
            rms_norm_eps=1e-5,
        ),
    ),
    "mistral": (
        11,
        torch.float16,
        MistralConfig(
            vocab_size=137,
            hidden_size=80,
            intermediate_size=108,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            sliding_window=12,
            rms_norm_eps=1e-5,
        ),
    ),
    "gemma": (
        1,
        torch.bfloat16,
        GemmaConfig(
            vocab_size=173,
            hidden_size=60,
            intermediate_size=116,
            num_hidden_layers=3,
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=24,
            hidden_activation="gelu_pytorch_tanh",
            max_position_embeddings=256,
        ),
    ),
    "llama3": (
        5,
        torch.bfloat16,
        LlamaConfig(
            vocab_size=197,
            hidden_size=80,
            intermediate_size=124,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            rms_norm_eps=1e-5,
            rope_theta=500000.0,
            rope_scaling={
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
            tie_word_embeddings=True,
        ),
    ),
}


def main(out):
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name, (seed, dtype, config) in FAMILIES.items():
        write_family(out / name, seed, dtype, config)
    write_legacy_gemma_config(out / "gemma")
    write_sharded(out / "tinyllama", out / "sharded")


def write_family(folder, seed, dtype, config):
    random = np.random.RandomState(seed)  # numpy froze this generator: same numbers in every version
    model = AutoModelForCausalLM.from_config(config)
    fill_weights(model, config, random)
    shutil.rmtree(folder, ignore_errors=True)
    save(model.to(dtype), folder)
    prompt = [config.bos_token_id] + random.randint(SPECIAL_IDS, config.vocab_size, PROMPT_LENGTH - 1).tolist()
    write_golden(folder, prompt)


def fill_weights(model, config, random):
    """Weights that leave no part of the forward pass idle: sharp attention, uneven norms, logits spread by 1 to 3.
    Embeddings are small, so the first norm also feels its epsilon."""
    gemma = config.model_type == "gemma"
    for name, tensor in sorted(model.named_parameters()):
        if name == "model.norm.weight" and config.tie_word_embeddings:
            centre, spread = (9.0, 1.5) if gemma else (4.0, 0.8)
        elif "norm" in name:
            centre, spread = (0.0 if gemma else 1.0), 0.3
        elif "embed_tokens" in name:
            centre, spread = 0.0, (0.02 if gemma else 0.05)  # Gemma multiplies by sqrt(hidden_size)
        elif "q_proj" in name or "k_proj" in name:
            centre, spread = 0.0, 1.4 / tensor.shape[1] ** 0.5
        elif "lm_head" in name:
            centre, spread = 0.0, 1.6 / tensor.shape[1] ** 0.5
        else:
            centre, spread = 0.0, 1.0 / tensor.shape[1] ** 0.5
        values = centre + spread * random.standard_normal(tuple(tensor.shape))
        tensor.data = torch.from_numpy(values.astype(np.float32))


def save(model, folder, **options):
    model.save_pretrained(folder, safe_serialization=True, **options)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for file in folder.iterdir():
        file.chmod(0o644)


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def write_golden(folder, prompt):
    model = load(folder)
    logits = forward(model, prompt)
    positions = [0, len(prompt) // 3, len(prompt) // 2, len(prompt) - 1]
    greedy, margin = decode_greedily(model, prompt)
    assert 1.0 < logits.std() < 3.0, logits.std()
    assert margin > MIN_MARGIN, margin
    assert len(set(greedy)) >= MIN_DISTINCT and min(greedy) >= SPECIAL_IDS, greedy
    golden = {
        "made_with": {
            "transformers": transformers.__version__,
            "torch": torch.__version__.split("a0")[0],
            "numpy": np.__version__,
        },
        "prompt": prompt,
        "positions": positions,
        "logits": [shortest(logits[position]) for position in positions],
        "logits_last": shortest(logits[-1]),
        "greedy": greedy,
        "margin": round(margin, 4),
    }
    (folder / "golden.json").write_text(one_line_per_field(golden))
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder.name:10} {size:7} bytes, logit std {logits.std():.2f}, margin {margin:.3f}, greedy {greedy}")


@torch.no_grad()
def forward(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def decode_greedily(model, prompt):
    ids, margin = list(prompt), float("inf")
    for _ in range(GREEDY_LENGTH):
        last = forward(model, ids)[-1]
        second, best = np.argsort(last)[-2:]
        margin = min(margin, float(last[best] - last[second]))
        ids.append(int(best))
    return ids[len(prompt):], margin


def write_legacy_gemma_config(folder):
    """Published Gemma 1 files say `"hidden_act": "gelu"` without a `hidden_activation`, and mean the tanh form."""
    config = json.loads((folder / "config.json").read_text())
    config["hidden_act"] = "gelu"
    config["hidden_activation"] = None
    (folder / "config.legacy.json").write_text(json.dumps(config, indent=2) + "\n")

    prompt = json.loads((folder / "golden.json").read_text())["prompt"]
    legacy = AutoModelForCausalLM.from_pretrained(
        folder,
        config=AutoConfig.from_pretrained(folder / "config.legacy.json"),
        torch_dtype=torch.float32,
        attn_implementation="eager",
    )
    assert (forward(legacy, prompt) == forward(load(folder), prompt)).all()


def write_sharded(source, folder):
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(source, torch_dtype=torch.bfloat16)
    save(model, folder, max_shard_size="100KB")
    for name in ("config.json", "golden.json"):
        shutil.copy(source / name, folder / name)
    prompt = json.loads((folder / "golden.json").read_text())["prompt"]
    assert (forward(load(folder), prompt) == forward(load(source), prompt)).all()
    print(folder.name, sorted(file.name for file in folder.iterdir()))


def shortest(row):
    """The shortest decimals that read back as the same f32."""
    return [float(str(value)) for value in row]


def one_line_per_field(golden):
    fields = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
