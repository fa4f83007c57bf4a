"""The training doctor: watches a run, and names its problems, the evidence and a suggested fix.

It never changes the training: no bit of the weights, nor of the generators. On little evidence it is silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cnntrain.compute.precision import Precision
from cnntrain.config.inputs import IMAGES
from cnntrain.config.sections import DoctorSettings
from cnntrain.data.batches import Batch
from cnntrain.optim.schedules import lr_of
from cnntrain.tasks.base import Task
from cnntrain.tasks.doctor import Finding, Finished
from cnntrain.tasks.metrics import RunningMean
from cnntrain.training.doctor import diagnosis, recurrence
from cnntrain.training.doctor.diagnosis import RATIO_GOOD, round_to_nice
from cnntrain.training.doctor.diagnostics import Seen, run_diagnostics
from cnntrain.training.doctor.overfit_batch import DONE, STEPS, USELESS, OverfitResult, overfit

RATIO_AT = 5  # steps after which the weights are compared with those of the start
RATIO_TOO_LARGE, RATIO_TOO_SMALL = 0.2, 2e-3  # of an update to the weights
NOT_LEARNT = 0.8  # of the loss at the start, that is left at the end
ABOVE_CHANCE = "the loss begins far above chance"
SMALLER_LAST = "initialise the last layer of the model with smaller weights"
FEW_STEPS = 50  # before which a network still looks as it began
# Whose steps are about as long as their learning rate, as those of this test are.
LIKE_ADAM = (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop)


class Doctor:
    """Watches the training of a model.

    Args:
        model: what is trained.
        optimizer: trains it.
        criterion: the loss.
        precision: number format of the forward pass.
        settings: what the run does.
        task: what the model is to learn.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        criterion: nn.Module,
        precision: Precision,
        settings: DoctorSettings,
        task: Task,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.precision = precision
        self.settings = settings
        self.task = task
        self.criterion = criterion
        self.chance = task.chance(criterion)
        self.first_loss: float | None = None
        self.first_batch: Batch | None = None
        self.looked_at: list[Tensor] = []  # since others may be trained in a later epoch
        self.start_of_run: list[Tensor] | None = None
        self.rates: list[float] = []
        self.ratio: float | None = None
        self.reported: Finding | None = None
        self.step = 0
        self.norms = recurrence.GradientNorms()
        self.is_recurrent = recurrence.is_recurrent(model)

    def watch(self, batches: Iterator[Batch], resumed: bool) -> Iterator[Batch]:
        """Yield the batches of an epoch, and keep the first one of the run.

        Args:
            batches: the batches of the epoch.
            resumed: whether steps were made before, so that these do not show how it began.
        """
        self.step = 0
        for batch in batches:
            if not resumed and self.first_batch is None:
                self.first_batch = batch
                self.looked_at = self.weights()
                self.start_of_run = [weight.clone() for weight in self.looked_at]
            yield batch

    def after_step(self, mean: RunningMean) -> Finding | None:
        """Look at the first steps of the run: how wrong it begins, and how far the weights move.

        Returns:
            What can be reported at once, since no later step will make it better.
        """
        self.step += 1
        if self.is_recurrent and self.settings.grad_clip is None and self.first_batch is not None:
            self.norms.note(self.model)
        if self.start_of_run is None or self.step > RATIO_AT:
            return None
        if self.step == 1:
            self.first_loss = mean.loss
        self.rates.append(lr_of(self.optimizer))
        if self.step == RATIO_AT and sum(self.rates) > 0:
            pairs = zip(self.looked_at, self.start_of_run, strict=True)
            moved = sorted(float((now - then).norm() / then.norm()) for now, then in pairs if then.any())
            # As if there were no warm-up, which makes the first steps small.
            lr = self.rates[-1] if self.settings.lr is None else self.settings.lr
            full = lr / (sum(self.rates) / RATIO_AT)
            self.ratio = full * moved[len(moved) // 2] / RATIO_AT if moved else None
            self.start_of_run = None
            self.reported = self.start()
        return self.reported if self.step == RATIO_AT else None

    def weights(self) -> list[Tensor]:
        """Return the weights that are trained, without biases and the like."""
        return [p.detach() for p in self.model.parameters() if p.dim() > 1 and p.requires_grad]

    def findings(self, history: Sequence[Mapping[str, Any]], seen: Seen) -> list[Finding]:
        """Return the problems of the run, now that it is over and the model has the weights that are kept.

        Args:
            history: the rows of metrics.csv.
            seen: its images.
        """
        settings = self.settings
        cause = self.start() or self.through_time(history) or self.learning(history)
        train = val = None
        if seen.val is not None and history:
            train, val = (
                run_diagnostics(self.model, batches, self.precision, self.task.collector())
                for batches in (seen.train, seen.val)
            )
        # A cause explains what else would be seen there.
        is_explained = cause is not None or not history or history[-1]["step"] < FEW_STEPS
        run = Finished(
            settings,
            history,
            seen.counts,
            seen.class_names,
            seen.train_images,
            seen.val_images,
            train and train.kept,
            val and val.kept,
            is_explained,
        )
        found = [
            cause,
            *self.task.findings(run),
            diagnosis.waiting(settings, seen.stopwatch, seen.is_streamed),
        ]
        if val is not None and not is_explained:
            found.append(diagnosis.dead_units(settings, val))
        return [finding for finding in found if finding is not None]

    def start(self) -> Finding | None:
        """Compare the first loss with the chance level."""
        if self.first_loss is None or self.chance is None or self.first_batch is None:
            return None
        if self.first_loss < 1.5 * self.chance.loss + 0.5:
            return None
        evidence = f"loss {self.first_loss:.2f} before the first step, {self.chance_in_words()}"
        x, data = self.first_batch[0], self.settings.data
        if data.inputs != IMAGES:  # whose features are standardised by themselves, padding apart
            return Finding(ABOVE_CHANCE, evidence, SMALLER_LAST)
        mean, std = x.mean(dim=(0, 2, 3)).tolist(), x.std(dim=(0, 2, 3)).tolist()
        if all(abs(m) < 1 and 0.3 < s < 3 for m, s in zip(mean, std, strict=True)):
            return Finding(ABOVE_CHANCE, evidence, SMALLER_LAST)
        olds = [(d[0] if len(d) == 1 else d[c]) for d in (data.mean, data.std) for c in range(len(mean))]
        old_mean, old_std = olds[: len(mean)], olds[len(mean) :]
        means = ",".join(f"{o + s * m:.3g}" for o, s, m in zip(old_mean, old_std, mean, strict=True))
        stds = ",".join(f"{o * s:.3g}" for o, s in zip(old_std, std, strict=True))
        evidence += f"; pixels reach the network with mean {mean[0]:.2g} and std {std[0]:.2g}"
        fix = f"'data.mean=[{means}]' 'data.std=[{stds}]'"
        return Finding("the images are not normalised", evidence, fix)

    def through_time(self, history: Sequence[Mapping[str, Any]]) -> Finding | None:
        """Report exploding or vanishing gradients of a recurrent model, unless its steps are the reason."""
        if not self.is_recurrent or self.chance is None or self.first_batch is None or not history:
            return None
        ratio, last = self.ratio, history[-1]
        is_healthy = ratio is None or RATIO_TOO_SMALL <= ratio <= RATIO_TOO_LARGE
        if last["step"] < FEW_STEPS or not (is_healthy or self.task.has_learnt(last)):
            return None
        words = self.chance_in_words()
        course = recurrence.Course(history, self.chance.loss, words, ratio, self.settings.lr)
        return recurrence.exploding(self.norms, course) or recurrence.vanishing(
            self.model, self.first_batch, self.criterion, self.settings, course
        )

    def learning(self, history: Sequence[Mapping[str, Any]]) -> Finding | None:
        """Explain why a run has learnt nothing."""
        start = self.first_loss if self.chance is None else self.chance.loss
        if not history or start is None or history[-1]["train_loss"] < NOT_LEARNT * start:
            return None
        if self.task.has_learnt(history[-1]):
            return None
        steps, lr = history[-1]["step"], self.settings.lr
        level = f"{start:.2f} at the start" if self.chance is None else self.chance_in_words()
        evidence = f"train loss {history[-1]['train_loss']:.3g} after {steps:,} steps, {level}"
        result = None
        if self.ratio and lr is not None:
            healthy = f"healthy at the start: {RATIO_TOO_SMALL:g} to {RATIO_TOO_LARGE:g}"
            ratio = f"{evidence}; update/weight ratio {self.ratio:.2g} ({healthy})"
            if self.ratio > RATIO_TOO_LARGE:
                # A run that has diverged overstates the ratio.
                smaller = round_to_nice(lr * min(0.1, max(1e-3, RATIO_GOOD / self.ratio)))
                return Finding("the learning rate is too high", ratio, f"optim.lr={smaller}")
            if self.ratio < RATIO_TOO_SMALL:
                result = self.overfit_first_batch()
                if result is None or result.left <= USELESS:  # else gradients are the reason, not the rate
                    larger = round_to_nice(lr * max(10.0, 0.1 * RATIO_GOOD / self.ratio))
                    return Finding("the learning rate is too low", ratio, f"optim.lr={larger}")
        if steps >= STEPS and result is None:
            result = self.overfit_first_batch()
        return None if result is None else self.one_batch(result, evidence, lr)

    def overfit_first_batch(self) -> OverfitResult | None:
        """Try whether copies of the model can memorise the first batch of the run."""
        return (
            None
            if self.first_batch is None
            else overfit(self.model, *self.first_batch, self.task.memorization_test)
        )

    def chance_in_words(self) -> str:
        """Return the loss of a model that knows nothing."""
        return "" if self.chance is None else f"chance level {self.chance.words} = {self.chance.loss:.2f}"

    def one_batch(self, result: OverfitResult, evidence: str, lr: float | None) -> Finding:
        """Describe what one batch shows of a model that has learnt nothing.

        Args:
            result: how far copies of the model got with it.
            evidence: the evidence that nothing was learnt.
            lr: learning rate of the run; None if the optimizer has none of that name.
        """
        words = self.settings.data.called.words
        tried = f"{result.images} {words} alone: loss {result.before:.2g} to {result.after:.2g} with Adam"
        evidence = f"{evidence}; {tried} at lr {result.rate:g}"
        wrong = self.task.wrong_outputs(result.outputs, self.criterion)
        if wrong is not None:
            finding, fix = wrong
            return Finding(finding, evidence, fix)
        if result.left > USELESS:
            fix = "check that gradients reach every layer: cnntrain explain shows them"
            return Finding("the model can't overfit even one batch", evidence, fix)
        comparable = lr if isinstance(self.optimizer, LIKE_ADAM) else None
        needs_more = result.rate > (comparable or 1e-3)
        if needs_more or result.left > DONE:
            fix = "more epochs, or a larger model"
            if lr is not None and (needs_more or comparable is None):
                fix = f"optim.lr={round_to_nice(10 * lr if comparable is None else result.rate)}"
            return Finding("training is too slow", evidence, fix)
        fix = f"check that the labels belong to the {words}; if they do, train longer or use a larger model"
        return Finding("the model memorises one batch, but not the training set", evidence, fix)
