"""LoRA with Hugging Face's PEFT: a language model that everybody has stays where it is, and only its adapters travel."""

from functools import partial

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.utils.data import TensorDataset, random_split
from transformers import BertConfig, BertForSequenceClassification

from fedactors.learner.torch import TorchLearner

WORDS = 24
"""The first half are kind, the second half are not."""


class Adapted(nn.Module):
    """A base and its adapters. This base is tiny and random, so that nothing is downloaded; yours is `from_pretrained(...)`."""

    def __init__(self):
        super().__init__()
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        tiny = BertConfig(vocab_size=WORDS, max_position_embeddings=16, initializer_range=0.1, **size, **still)
        adapters = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"])
        self.model = get_peft_model(BertForSequenceClassification(tiny), adapters)

    def forward(self, words):
        return self.model(words).logits


def my_sentences(context):
    """Sixteen words each, labelled by whether most are kind. Every learner has words of its own, and a few that all use."""
    generator = torch.Generator().manual_seed(context.index)
    own = torch.randint(WORDS // context.count, (500, 16), generator=generator) * context.count + context.index
    common = torch.randint(WORDS, (500, 16), generator=generator)
    words = torch.where(torch.rand(500, 16, generator=generator) < 0.8, own, common)
    return TensorDataset(words, ((words < WORDS // 2).sum(1) > 8).long())


def learner(context):
    torch.manual_seed(context.seed)  # the same base for everybody
    train, test = random_split(my_sentences(context), [0.8, 0.2])
    return TorchLearner(Adapted(), train, test, optimiser=partial(torch.optim.Adam, lr=1e-2), num_threads=1)
