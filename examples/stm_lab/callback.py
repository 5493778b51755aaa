"""How far apart the codes of patches are."""

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from stm_experiments.core.batch import Batch


class CodeSpread(Callback):
    """Logs ``val/code_spread``, the standard deviation of the validation codes in each epoch."""

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: object,
        batch: Batch,
        index: int,
    ) -> None:
        """Log the spread of the codes of a batch."""
        with torch.inference_mode():
            codes = module.net.encode(batch.noisy)
        module.log("val/code_spread", codes.std(0).mean(), batch_size=len(codes))
