"""The topics of ``cnntrain explain``, in the order of the course. A new one is a module, and its row here.

Imports no torch, so that help and mistakes are shown at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from cnntrain.config.conf_files import conf_folder, read_yaml
from cnntrain.config.schema import Config
from cnntrain.language.translation import later, tr
from cnntrain.runs.records import CheckpointState
from cnntrain.tasks.chosen import CLASSIFICATION, DETECTION, SEGMENTATION

# The chapters of the course, and what it looks ahead to.
TENSORS, DATA = later("Values and tensors"), later("Optimizers and data")
IMAGES, TRAINING = later("Images"), later("Training")
OBJECTS, PIXELS, SEQUENCES = later("Detection"), later("Segmentation"), later("Sequences")
RECURRENT, ATTENTIVE = ("lstm", "gru", "rnn"), ("vit", "transformer")  # choices of ``model``


@dataclass(frozen=True)
class Topic:
    """A topic: its function, and what that is given.

    The function gets what ``needs`` names, if anything; then the console; then the folder for its figures,
    if it ``draws``.

    Args:
        name: the word that is typed, and the name of its folder under outputs/explain/.
        chapter: the chapter of the course.
        title: one line in the table of contents.
        help: what ``--help`` says.
        function: the name of the function, after ``cnntrain.explain.topics.``
        needs: ``parts``, a function that puts a run together again at each call; ``builds``, several of them;
            ``model``, a trained model; ``models``, several of them; or nothing.
        draws: whether it writes figures.
        trains: whether it trains, for the epochs of conf/explain.yaml unless others are typed.
        overrides: keys of its own, each used unless something is typed for its group.
        compared: overrides of each of the runs that are compared, unless something is typed for the group
            of the first override.
        models: the choices of ``model`` that it is about; keys without a topic ask for the first topic that
            is about the ``model=`` among them. Empty for all.
        tasks: what the model may learn.
        inputs: what it may get, as ``data.inputs`` has it.
        keys: the keys that it takes; None for those of ``train``.
    """

    name: str
    chapter: str
    title: str
    help: str
    function: str
    needs: Literal["", "parts", "builds", "model", "models"] = ""
    draws: bool = True
    trains: bool = True
    overrides: tuple[str, ...] = ()
    compared: tuple[tuple[str, ...], ...] = ()
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = (CLASSIFICATION,)
    inputs: tuple[str, ...] = ("images",)
    keys: tuple[str, ...] | None = None

    @property
    def takes_run(self) -> bool:
        """Whether it takes ``run=RUN`` in place of a model that is trained now."""
        return self.needs in ("model", "models")

    @property
    def targets(self) -> list[str]:
        """The classes of the models that it is about, as ``_target_`` names them."""
        return [read_yaml(conf_folder() / "model" / f"{name}.yaml")["_target_"] for name in self.models]

    def load(self) -> Callable[..., None]:
        """Import the function."""
        module, _, name = self.function.rpartition(".")
        function: Callable[..., None] = getattr(import_module(f"cnntrain.explain.topics.{module}"), name)
        return function


@dataclass(frozen=True)
class Subject:
    """What a topic is about: a configuration and, if it is a run's, its checkpoint.

    Args:
        config: checked, as plain types.
        path: the checkpoint's file; None for a model that is to be trained.
        state: the checkpoint.
    """

    config: Config
    path: Path | None = None
    state: CheckpointState | None = None


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic(
            "value",
            TENSORS,
            later("autograd with single numbers, and how slow it is beside torch"),
            "a scalar autograd of 80 lines: its graph, the gradients of torch, and how much slower it is",
            "basics.value.value",
            trains=False,
            keys=("out", "verbose"),
        ),
        Topic(
            "tensors",
            TENSORS,
            later("scalar, vector, matrix, batch: shape, memory, gradient"),
            "scalar, vector, matrix, batch and images of a real step: shape, dtype, device, strides, memory, "
            "and where gradients appear",
            "basics.tensors.tensors",
            needs="parts",
            trains=False,
        ),
        Topic(
            "optimizers",
            DATA,
            later("SGD, momentum, RMSprop and Adam: rules, paths, loss curves"),
            "SGD, momentum, RMSprop and Adam: their rules, their paths on a loss of two parameters, and the "
            "training of an MLP, or model=cnn",
            "training.optimizers.optimizers",
            needs="builds",
            overrides=("model=mlp", "schedule=constant"),
            compared=(("optim=sgd", "optim.momentum=0"), ("optim=sgd",), ("optim=rmsprop",), ("optim=adam",)),
        ),
        Topic(
            "loader",
            DATA,
            later("how long a step waits for its batch: Dataset and DataLoader"),
            "the milliseconds that each step waits for its batch: Dataset and DataLoader with 0, 2 and 4 "
            "workers, and the images in memory",
            "training.loader.loader",
            needs="parts",
            trains=False,
        ),
        Topic(
            "parameters",
            IMAGES,
            later("what an MLP costs on large images, and a CNN does not"),
            "parameters, translation and locality: MLP and CNN, or run=RUN; images of 1024x1024",
            "images.parameters.parameters",
            needs="models",
            compared=(("model=mlp",), ("model=cnn",)),
        ),
        Topic(
            "one_pixel",
            IMAGES,
            later("how far a pixel moves the vector; networks on shuffled pixels"),
            "how far a shift by one pixel moves the flattened image, and the accuracy of MLP and CNN on "
            "images whose pixels are shuffled",
            "images.one_pixel.one_pixel",
            needs="builds",
            compared=(("model=mlp",), ("model=cnn",)),
        ),
        Topic(
            "shift",
            IMAGES,
            later("accuracy on translated images: MLP and CNN"),
            "accuracy on translated images: MLP and CNN, or run=RUN",
            "images.shift.shift",
            needs="models",
            compared=(("model=mlp",), ("model=cnn",)),
        ),
        Topic(
            "convolution",
            IMAGES,
            later("a kernel that slides over a digit: window, products, sum"),
            "a kernel that slides over a digit: window, products, sum; stride and padding; hand-made kernels "
            "beside those that a model, or run=RUN, has learnt",
            "convolutions.convolution.convolution",
            needs="model",
        ),
        Topic(
            "filters",
            IMAGES,
            later("the images that each filter responds to most"),
            "maximally activating patches of each filter of a model, or of run=RUN",
            "images.filters.filters",
            needs="model",
            tasks=(CLASSIFICATION, SEGMENTATION),
        ),
        Topic(
            "hierarchy",
            IMAGES,
            later("what excites the first layer, the next and the last"),
            "the parts of test images that excite channels of each layer most, as large as their receptive "
            "fields: edges, corners, parts; also of run=RUN",
            "images.hierarchy.hierarchy",
            needs="model",
            overrides=("model=cnn", "model.channels=[16,32,32]"),  # three steps from edges to objects
        ),
        Topic(
            "pooling",
            IMAGES,
            later("2×2 max pooling: fewer numbers, small shifts, a wider view"),
            "2×2 max pooling of a real map; how much changes before and after it if the image "
            "moves by a pixel; how the receptive field grows; also of run=RUN",
            "convolutions.pooling.pooling",
            needs="model",
        ),
        Topic(
            "logits",
            TRAINING,
            later("logits, softmax, temperature and cross entropy, by hand"),
            "logits, softmax, temperature, cross entropy and its gradient for one image, by hand and by "
            "torch; also of run=RUN",
            "training.logits.logits",
            needs="model",
        ),
        Topic(
            "steps",
            TRAINING,
            later("one batch through the five steps of training"),
            "one batch through the five steps of training: shapes, losses, gradients, updates, and the "
            "arithmetic of the layers; `steps` may be left out before keys",
            "training.five_steps.five_steps",
            needs="parts",
            draws=False,
            trains=False,
            tasks=(CLASSIFICATION, SEGMENTATION),
        ),
        Topic(
            "zero_grad",
            TRAINING,
            later("what happens without zero_grad"),
            "train with and without clearing the gradients, by SGD unless another is typed: optim=adam",
            "training.zero_grad.zero_grad",
            needs="parts",
            overrides=("optim=sgd",),  # which diverges; Adam's steps stay as long as they are
            tasks=(CLASSIFICATION, SEGMENTATION),
            inputs=("images", "series", "text"),
        ),
        Topic(
            "boxes",
            OBJECTS,
            later("how a detector finds objects: IoU, cells that learn, NMS"),
            "one image through a detector: IoU, which cells learn which object and how much, and "
            "non-maximum suppression step by step; also of run=RUN",
            "detection.boxes.boxes",
            needs="model",
            # Few images in small batches: many steps in a short time.
            overrides=("model=yolo", "data=mnist_canvas", "limit=2000", "batch_size=16"),
            models=("yolo",),
            tasks=(DETECTION,),
        ),
        Topic(
            "anchors",
            OBJECTS,
            later("the first stage of Faster R-CNN: anchors, proposals, NMS"),
            "one image through the first stage of Faster R-CNN: anchors of each map, their IoU with the "
            "objects, which are positive, and proposals before and after suppression; also of run=RUN",
            "detection.anchors.anchors",
            needs="model",
            # Few images in small batches, at a high rate: the first stage learns much in a short time.
            overrides=(
                "model=faster_rcnn",
                "data=mnist_canvas",
                "limit=320",
                "batch_size=8",
                "optim.lr=2e-3",
            ),
            models=("faster_rcnn",),
            tasks=(DETECTION,),
        ),
        Topic(
            "skips",
            PIXELS,
            later("the levels of a U-Net, and what each skip connection is worth"),
            "the levels of a U-Net: sizes, receptive fields, feature maps; and what it segments without each "
            "skip connection; also of run=RUN",
            "images.skips.skips",
            needs="model",
            # The smallest images: few steps are enough to see the difference.
            overrides=("model=unet", "data=mnist_one_digit", "batch_size=16", "balance_classes=true"),
            models=("unet",),
            tasks=(SEGMENTATION,),
        ),
        Topic(
            "states",
            SEQUENCES,
            later("state, gates and belief of an LSTM, row by row"),
            "what an LSTM, GRU or RNN holds after each row of a digit: state and gates, and what it would "
            "answer; also of run=RUN",
            "sequences.states.states",
            needs="model",
            overrides=("model=lstm",),
            models=RECURRENT,
        ),
        Topic(
            "vanishing",
            SEQUENCES,
            later("the gradient through time: RNN and LSTM"),
            "the norm of the loss's gradient with respect to the state after each row, before and after "
            "training: RNN and "
            "LSTM, or model=gru",
            "sequences.vanishing.vanishing",
            needs="builds",
            compared=(("model=rnn",), ("model=lstm",)),
            models=RECURRENT,
        ),
        Topic(
            "attention",
            SEQUENCES,
            later("where the heads of a Transformer look"),
            "how many patches or rows each head of a ViT or Transformer attends to, how far away, and where; "
            "also of run=RUN",
            "sequences.attention.attention",
            needs="model",
            overrides=("model=vit",),
            models=ATTENTIVE,
        ),
    )
}
FIRST = TOPICS["steps"]  # what keys without a topic ask for, unless a topic is about their model


def contents() -> str:
    """Return the table of contents, which ``cnntrain explain`` prints."""
    width = max(map(len, TOPICS)) + 3
    lines: list[str] = []
    for chapter in dict.fromkeys(topic.chapter for topic in TOPICS.values()):
        lines += ["", tr(chapter)]
        lines += [f"  {t.name:<{width}}{tr(t.title)}" for t in TOPICS.values() if t.chapter == chapter]
    return "\n".join(lines[1:])
