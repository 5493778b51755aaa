"""Early stopping that lasts."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping


class Patience(EarlyStopping):
    """Early stopping that lasts: a stopped run does not train on when it is resumed."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop at once if the patience was at its end in the restored checkpoint."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience
