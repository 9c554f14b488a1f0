"""A student under Hugging Face's Trainer: the store is its data loader, and the method its loss.

From a shell, after `kdcache demo`:

    pip install 'cache_kd[transformers]'
    python examples/hugging_face_trainer.py kdcache-demo/store --method rld --out student.pt
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from cache_kd import Method, OpenStore, make_method, open_store, training_loss
from cache_kd.distill import needs_of
from cache_kd.models.zoo import build


class Epochs:
    """Batches of a store as the Trainer wants them: dictionaries, and one loader that is told the epoch."""

    def __init__(self, store: OpenStore, **knobs: Any) -> None:
        self._store, self._knobs, self._epoch = store, knobs, 0

    def set_epoch(self, epoch: int) -> None:
        """Show the views of `epoch`; the Trainer calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._store.loader(self._epoch, **self._knobs))

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for images, labels, teacher in self._store.loader(self._epoch, **self._knobs):
            yield {"images": images, "labels": labels, "teacher": teacher}


class Distiller(Trainer):
    """A Trainer whose loss is a method's, from the logits of a store."""

    def __init__(self, model: nn.Module, args: TrainingArguments, store: OpenStore, method: Method) -> None:
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        constant = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
        super().__init__(model, args, optimizers=(optimiser, constant))
        self.store, self.method = store, method

    def get_train_dataloader(self) -> Epochs:
        """All epochs."""
        return Epochs(
            self.store,
            batch_size=self.args.train_batch_size * self.args.world_size,
            views=self.method.views,
            rank=self.args.process_index,
            world=self.args.world_size,
        )

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], **more: Any) -> Tensor:
        """One loss per sample, averaged."""
        return training_loss(self.method, model(inputs["images"]), inputs["teacher"], inputs["labels"]).mean()


def main() -> None:
    """Train and save one student."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="what kdcache dump wrote; kdcache demo leaves kdcache-demo/store")
    parser.add_argument("--method", default="kd", help="see kdcache methods")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("student.pt"))
    options = parser.parse_args()

    method = make_method(options.method)
    needs = needs_of(method)
    if needs.head or needs.parameters:
        raise SystemExit(
            f"{method.name} brings weights of its own; only kdcache train --method {method.name} trains them."
        )
    torch.manual_seed(0)
    store = open_store(options.store)
    student = build("resnet8", classes=store.manifest.classes, channels=store.source.channels)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=options.epochs,
            per_device_train_batch_size=128,
            max_grad_norm=0.0,  # no clipping
            logging_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        Distiller(student, arguments, store, method).train()
    torch.save(student.state_dict(), options.out)


if __name__ == "__main__":
    main()
