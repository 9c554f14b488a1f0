"""A student as a LightningModule: the store is its data loader, and the method its training step.

From a shell, after `kdcache demo`:

    pip install 'cache_kd[lightning]'
    python examples/lightning_module.py kdcache-demo/store --method rld --out student.pt
"""

import argparse
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cache_kd import Method, OpenStore, make_method, open_store, training_loss
from cache_kd.distill import needs_of
from cache_kd.models.zoo import build


class Distilled(lightning.LightningModule):
    """A student that learns from a store."""

    def __init__(self, store: OpenStore, method: Method) -> None:
        super().__init__()
        self.store = store
        self.method = method
        self.student = build("resnet8", classes=store.manifest.classes, channels=store.source.channels)

    def train_dataloader(self) -> DataLoader:
        """The views of this epoch; each of several processes is given its part of every batch."""
        return self.store.loader(
            self.current_epoch,
            batch_size=128,
            views=self.method.views,
            rank=self.global_rank,
            world=self.trainer.world_size,
        )

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], step: int) -> Tensor:
        """One loss per sample, averaged."""
        images, labels, teacher = batch
        loss = training_loss(self.method, self.student(images), teacher, labels).mean()
        self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(labels))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As any other module."""
        return torch.optim.SGD(self.student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)


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
    lightning.seed_everything(0)
    module = Distilled(open_store(options.store), method)
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        reload_dataloaders_every_n_epochs=1,  # every epoch shows other views
        use_distributed_sampler=False,  # the store parts its batches among processes itself
        logger=False,
        enable_checkpointing=False,
    )
    trainer.fit(module)
    if trainer.is_global_zero:
        print(f"loss {trainer.callback_metrics['loss']:.4f}")
        torch.save(module.student.state_dict(), options.out)


if __name__ == "__main__":
    main()
