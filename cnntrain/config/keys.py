"""Every key of the configuration, and what is true of it. All lists of keys are derived from these tables.

A new option has its default in ``conf/`` and its row here. Imports no torch and no Hydra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, get_args

from cnntrain.config.schema import Affects, Command, Group, Key, Value
from cnntrain.language.translation import LANGUAGES

SEED_LIMIT = 2**63 - 1
# The tasks lie above this package: their scores are found by name, as every class of a configuration is.
SCORES: dict[str, Any] = {
    f"cnntrain.tasks.{name}": import_module(f"cnntrain.tasks.{module.partition('.')[0]}.scores").SCORES
    for name, module in import_module("cnntrain.tasks").TASKS.items()
}
MONITORS = tuple(dict.fromkeys(name for scores in SCORES.values() for name in scores.monitors))
AUTO = "auto"  # the class of a task, or of a loss, that follows from the data
# By the value of data.targets.
TASK_OF = {"classes": "classification", "masks": "segmentation", "boxes": "detection"}
TARGETS_OF = {f"cnntrain.tasks.{name.capitalize()}": targets for targets, name in TASK_OF.items()}


def loss_of(targets: str) -> str | None:
    """Return the criterion for data of these targets, if none is typed; None while they are not known."""
    losses = {"masks": "ce_dice", "boxes": "detection"}
    return None if targets == AUTO else losses.get(targets, "cross_entropy")


def data_with(targets: str) -> str:
    """Name data of these targets in a sentence: ``data with masks, such as data=mnist_canvas``."""
    return f"data with {targets}, such as data={'mnist' if targets == 'classes' else 'mnist_canvas'}"


MOST_THREADS = 1024  # more than any machine can use; tens of thousands end the process without a word
ACTIVATIONS = (
    "ReLU",
    "LeakyReLU",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Hardswish",
    "Tanh",
    "Sigmoid",
    "Softplus",
)
FORMATS = ("fp32", "bf16", "fp16", "auto")
COUNT = Value("int", low=1)
SHARE = Value("float", low=0, high=1, below=True)
# The formats of ``export``, with the packages that each needs.
EXPORTERS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "pt2": (), "safetensors": ("safetensors",)}

GROUPS: dict[str, Group] = {
    "data": Group("values", "weights", commands=("eval", "export", "demo"), is_common=True),
    "augment": Group("class", "weights", is_common=True),
    "model": Group("class", "weights", is_custom=True, is_common=True),
    "optim": Group("class", "weights", is_custom=True, is_common=True),
    "schedule": Group("class", "weights", is_custom=True, is_common=True),
    "criterion": Group("class", "weights", is_custom=True),
    "task": Group("class", "weights", is_custom=True),
    "launcher": Group("class", "output", commands=("resume_sweep",), of_sweep=True),
    "sweeper": Group("values", "output", required=False, of_sweep=True),
    "logger": Group("classes", "output", required=False),
}

KEYS: dict[str, Key] = {
    # eval
    "split": Key(
        "str",
        "images to evaluate",
        "output",
        choices=("train", "val", "test"),
        commands=("eval",),
        home="eval",
    ),
    "tta": Key(
        "list",
        "test-time augmentation: average over mirrored or shifted views of each image",
        "output",
        items=Value("str", choices=("flip", "shift")),
        commands=("eval", "predict"),
        home="eval",
        inputs=("images",),
    ),
    # explain
    "run": Key(
        "str",
        "run whose model is explained; null: one trained now",
        "output",
        optional=True,
        home="explain",
        path="run",
    ),
    "lang": Key(
        "str",
        "language of topics and of the demo page",
        "output",
        choices=LANGUAGES,
        commands=("demo",),
        home="explain",
    ),
    # predict and export
    "top": Key(
        "int",
        "classes to list per image, the most probable first",
        "output",
        low=1,
        commands=("predict",),
        home="predict",
    ),
    "invert": Key(
        "bool",
        "invert dark-on-white images to white-on-dark first",
        "output",
        commands=("predict",),
        home="predict",
        inputs=("images",),
    ),
    "tile": Key(
        "int",
        "segment in tiles with this side at full resolution; null: scale as in training",
        "output",
        optional=True,
        low=16,
        high=8192,
        commands=("predict",),
        home="predict",
        inputs=("images",),
    ),
    "score": Key(
        "float",
        "lowest score of a box; auto: the one with the highest F1 in validation",
        "output",
        auto=True,
        low=0,
        high=1,
        commands=("predict",),
        home="predict",
    ),
    "nms": Key(
        "float",
        "largest IoU of two boxes of one class; of boxes that overlap more, the one with the highest "
        "score stays",
        "output",
        low=0,
        high=1,
        commands=("predict",),
        home="predict",
    ),
    "most": Key(
        "int",
        "boxes per image, at most",
        "output",
        low=1,
        high=300,
        commands=("predict",),
        home="predict",
    ),
    "formats": Key(
        "list",
        "formats to write",
        "output",
        items=Value("str", choices=tuple(EXPORTERS)),
        commands=("export",),
        home="export",
    ),
    # bench
    "repeats": Key("int", "rounds per method; the median is reported", "output", low=1, home="bench"),
    "seconds": Key("float", "seconds per round", "output", low=0, above=True, home="bench"),
    "json": Key(
        "str",
        "file for the results; null: a new one under outputs/bench/",
        "output",
        optional=True,
        home="bench",
        path="output",
    ),
    # train
    "epochs": Key(
        "int",
        "passes over the training set",
        "weights",
        low=1,
        high=100_000,
        commands=("resume",),
        in_script=True,
        is_common=True,
    ),
    "batch_size": Key("int", "images per optimizer step", "weights", low=1, in_script=True, is_common=True),
    "eval_batch_size": Key(
        "int",
        "images per batch when evaluating; affects speed and memory only",
        "speed",
        low=1,
        commands=("resume", "eval", "predict"),
        in_script=True,
    ),
    "limit": Key(
        "int",
        "train on the first N shuffled images",
        "weights",
        splits=True,
        low=1,
        optional=True,
        in_script=True,
        is_common=True,
    ),
    "seed": Key(
        "int",
        "seed of everything random",
        "weights",
        low=0,
        high=SEED_LIMIT,
        repeats=True,
        in_script=True,
        is_common=True,
    ),
    "init_from": Key(
        "str",
        "start from the weights of a run, a checkpoint file or `last`; a head for other classes is replaced",
        "weights",
        optional=True,
        path="run",
        is_common=True,
    ),
    "freeze": Key(
        "names",
        "parameters or modules to freeze, such as layer1; backbone: all but the last layer (head)",
        "weights",
        optional=True,
    ),
    "unfreeze_epoch": Key(
        "int", "epoch from which frozen parameters are trained too", "weights", low=2, optional=True
    ),
    "lr_scale": Key(
        "factors",
        "learning rate multipliers by parameter or module, such as {backbone:0.1}; the last match counts",
        "weights",
        optional=True,
    ),
    "criterion._target_": Key("str", "loss class", "weights", required=False),
    "criterion.label_smoothing": Key("float", "label smoothing", "weights", low=0, high=1, required=False),
    "criterion.gamma": Key(
        "float", "how little easy pixels count; 0: cross entropy", "weights", low=0, required=False
    ),
    "criterion.box": Key(
        "float", "how much the boxes count beside their classes", "weights", low=0, required=False
    ),
    "device": Key(
        "str",
        "auto, cpu, cuda, cuda:N or mps",
        "speed",
        commands=("resume", "eval", "report", "predict", "explain_run", "load"),
        in_script=True,
        is_common=True,
        examples=("auto", "cpu", "cuda", "mps"),
    ),
    "precision": Key(
        "str",
        "numeric precision of the forward pass; auto: the fastest here",
        "weights",
        choices=FORMATS,
        commands=("eval", "predict", "load"),
        inferred="trial",
        in_script=True,
        before="fp32",
    ),
    "channels_last": Key(
        "bool",
        "NHWC memory format; auto: if it is faster",
        "speed",
        auto=True,
        commands=("eval", "load"),
        inferred="trial",
        in_script=True,
        before=False,
    ),
    "threads": Key(
        "int",
        "CPU threads; auto: the fastest number",
        "speed",
        low=1,
        high=MOST_THREADS,
        auto=True,
        commands=("resume", "eval", "report", "predict", "explain_run", "load"),
        inferred="trial",
        in_script=True,
    ),
    "compile": Key(
        "bool",
        "compile the model with torch.compile; takes a minute at the start",
        "speed",
        commands=("resume", "eval", "load"),
    ),
    "workers": Key(
        "int",
        "data loading processes; 0: the main process",
        "speed",
        low=0,
        high=MOST_THREADS,
        commands=("resume", "eval", "report", "explain_run"),
    ),
    "balance_classes": Key("bool", "weight the loss by inverse class frequency", "weights", in_script=True),
    "doctor": Key(
        "bool", "report problems found in the training, with evidence and a suggested fix", "output"
    ),
    "deterministic": Key("bool", "use deterministic algorithms only, on GPUs too", "speed", in_script=True),
    "grad_clip": Key(
        "float",
        "gradient clipping: maximum L2 norm",
        "weights",
        low=0,
        above=True,
        optional=True,
        in_script=True,
    ),
    "accumulate": Key(
        "int",
        "gradient accumulation steps (micro-batches per batch); more if a batch does not fit in memory",
        "weights",
        low=1,
        commands=("resume",),
        in_script=True,
    ),
    "ema": Key(
        "float",
        "decay of the exponential moving average of the weights, often 0.999; the average is kept",
        "weights",
        low=0,
        high=1,
        below=True,
        optional=True,
        in_script=True,
    ),
    "early_stopping": Key(
        "int",
        "epochs without improvement until training stops",
        "weights",
        low=1,
        optional=True,
        commands=("resume",),
        in_script=True,
        is_common=True,
    ),
    "monitor": Key(
        "str",
        "metric that chooses the best epoch; auto: the first of the task",
        "weights",
        choices=MONITORS,
        auto=True,
        inferred="task",
        before="val_accuracy",
        in_script=True,
    ),
    "save_every_steps": Key(
        "int", "extra checkpoint every N steps", "output", low=1, optional=True, commands=("resume",)
    ),
    "save_every_minutes": Key(
        "float",
        "extra checkpoint every N minutes",
        "output",
        low=0,
        above=True,
        optional=True,
        commands=("resume",),
    ),
    "report": Key(
        "bool",
        "write report.html at the end of a run; in a sweep, for the best job",
        "output",
        commands=("resume",),
        before=False,
    ),
    "out": Key(
        "str",
        "folder of the run, or what a command writes; null: a new one",
        "output",
        optional=True,
        commands=("explain_run", "predict", "demo"),
        path="output",
        of_sweep=True,
        is_common=True,
    ),
    "name": Key(
        "str", "name of the run folder; null: model and optimizer", "output", optional=True, path="name"
    ),
    "verbose": Key(
        "int",
        "warnings and errors only (0 or -q), normal (1), or configuration and classes too (2)",
        "output",
        low=0,
        high=2,
        commands=("resume", "resume_sweep", "eval", "report", "predict", "export", "demo", "explain_run"),
        of_sweep=True,
    ),
    "seeds": Key(
        "int", "repeat each run with seed=0 to N-1, as a sweep", "output", low=2, optional=True, of_sweep=True
    ),
    "on_error": Key(
        "str",
        "what a sweep does when a job fails",
        "output",
        choices=("continue", "stop"),
        commands=("resume_sweep",),
        of_sweep=True,
    ),
    # every command with a run
    "trust": Key(
        "list",
        "packages of your own that a checkpoint may name",
        "output",
        items=Value("str"),
        commands=("resume", "resume_sweep", "eval", "report", "predict", "export", "demo", "explain_run"),
        home="eval",
    ),
    # data
    "data.source": Key(
        "class",
        "data set class, such as data.source._target_=my_pkg.MyDataset",
        "weights",
        commands=("eval", "export", "demo"),
    ),
    "data.root": Key(
        "str",
        "folder of the data, and of downloads",
        "weights",
        commands=("resume", "eval", "report", "export", "demo", "explain_run"),
        required=False,
        path="folder",
        is_passed_on=True,
        is_common=True,
    ),
    "data.channels": Key(
        "int",
        "1: grey, 3: colour; images are converted",
        "weights",
        low=1,
        high=4,
        auto=True,
        inferred="images",
        is_shape=True,
        prepares="pixels",
        is_passed_on=True,
        inputs=("images",),
    ),
    "data.image_size": Key(
        "size",
        "height and width in pixels; images are resized",
        "weights",
        low=1,
        high=16384,
        auto=True,
        inferred="images",
        is_shape=True,
        prepares="pixels",
        inputs=("images",),
    ),
    "data.num_classes": Key(
        "int",
        "number of classes",
        "weights",
        low=1,
        auto=True,
        inferred="images",
        is_shape=True,
        is_passed_on=True,
    ),
    "data.mean": Key(
        "list",
        "mean per channel, or one for all, of pixels from 0 to 1; of a series: per feature",
        "weights",
        items=Value("float"),
        auto=True,
        inferred="images",
        prepares="normalization",
        inputs=("images", "series"),
    ),
    "data.std": Key(
        "list",
        "standard deviation per channel, or one for all",
        "weights",
        items=Value("float", low=0, above=True),
        auto=True,
        inferred="images",
        prepares="normalization",
        inputs=("images", "series"),
    ),
    "data.targets": Key(
        "str",
        "what is known of each image: its class, a mask with the class of each pixel, or boxes",
        "weights",
        choices=("classes", "masks", "boxes"),
        commands=("eval", "data"),
        home="train",
        auto=True,
        inferred="images",
        before="classes",
        is_passed_on=True,
    ),
    "data.format": Key(
        "str",
        "how a folder is laid out; auto: detected",
        "weights",
        choices=("auto", "classes", "masks", "voc", "coco", "yolo", "pascal"),
        commands=("eval", "data"),
        required=False,
        is_passed_on=True,
    ),
    "data.ignore": Key(
        "int",
        "value of unlabelled pixels in mask files",
        "weights",
        low=0,
        high=2**24 - 1,
        commands=("eval", "data"),
        required=False,
        is_passed_on=True,
    ),
    "data.label_map": Key(
        "ids",
        "class of each value in mask files; all others are ignored; null: the values are the classes",
        "weights",
        optional=True,
        commands=("eval", "data"),
        required=False,
        is_passed_on=True,
    ),
    "data.colors": Key(
        "colors",
        "name and colour of each class in coloured masks; null: those in labelmap.txt",
        "weights",
        optional=True,
        commands=("eval", "data"),
        required=False,
        is_passed_on=True,
    ),
    "data.source.test_fraction": Key(
        "float",
        "share of each class held out for testing, if there is no test part",
        "weights",
        low=0,
        high=1,
        above=True,
        below=True,
        required=False,
    ),
    "data.on_bad_image": Key(
        "str",
        "what to do at an unreadable file",
        "weights",
        choices=("stop", "skip"),
        commands=("resume", "eval"),
        required=False,
        is_passed_on=True,
    ),
    "data.on_bad_box": Key(
        "str",
        "what to do at a box that makes no sense; skip: leave it out, or clip it if partly inside",
        "weights",
        choices=("stop", "skip"),
        commands=("resume", "eval"),
        required=False,
        is_passed_on=True,
    ),
    "data.val_fraction": Key(
        "float",
        "share of the training set held out for validation",
        "weights",
        splits=True,
        low=0,
        high=0.9,
        commands=("eval",),
        home="train",
    ),
    "data.split_seed": Key(
        "int",
        "seed of the validation split",
        "weights",
        splits=True,
        low=0,
        high=SEED_LIMIT,
        commands=("eval",),
        home="train",
        repeats=True,
    ),
    "data.resize": Key(
        "str",
        "how images become square: center crop, black padding, or distortion; auto: pad for boxes, else crop",
        "weights",
        choices=("crop", "pad", "squash"),
        auto=True,
        inferred="images",
        home="train",
        prepares="pixels",
        is_passed_on=True,
        before="squash",
        inputs=("images",),
    ),
    "data.resize_size": Key(
        "size",
        "resize to this first, often 256 for 224; then augment.crop or the center is taken; null: image_size",
        "weights",
        low=1,
        high=16384,
        optional=True,
        home="train",
        prepares="pixels",
        inputs=("images",),
    ),
    "data.max_megapixels": Key(
        "float",
        "largest image in megapixels; JPEG: 4 times as many, decoded at half size",
        "speed",
        low=0,
        high=1000,
        above=True,
        commands=("resume", "eval", "report", "predict", "explain_run"),
        home="train",
        is_passed_on=True,
        inputs=("images",),
    ),
    "data.value_range": Key(
        "list",
        "values of black and white in images of 16 or 32 bits; null: 0 and 65535, 16 bits only; "
        "auto: found in the training images",
        "weights",
        items=Value("float"),
        length=2,
        auto=True,
        optional=True,
        home="train",
        inferred="images",
        prepares="pixels",
        is_passed_on=True,
        inputs=("images",),
    ),
    "data.cache": Key(
        "str",
        "keep decoded images in memory or on disk, or decode in each epoch (off); auto: the first that fits",
        "speed",
        choices=("auto", "ram", "disk", "off"),
        commands=("resume", "eval", "report", "explain_run"),
        home="train",
        inputs=("images",),
    ),
    "data.cache_gb": Key(
        "float",
        "size limit of the cache folder in GB; the oldest data sets are removed",
        "speed",
        low=0,
        commands=("resume", "eval", "report", "explain_run"),
        home="train",
        inputs=("images",),
    ),
    "data.canvases": Key(
        "int",
        "training canvases; null: one for each digit",
        "weights",
        low=1,
        high=100_000_000,
        optional=True,
        required=False,
        is_passed_on=True,
    ),
    "data.test_canvases": Key(
        "int",
        "test canvases; null: one for each digit",
        "weights",
        low=1,
        high=100_000_000,
        optional=True,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.digits": Key(
        "list",
        "fewest and most digits on a canvas",
        "weights",
        items=Value("int", low=0, high=100),
        length=2,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.digit_size": Key(
        "list",
        "smallest and largest side of a digit's image in pixels; MNIST: 28, and the digit in it 20",
        "weights",
        items=Value("int", low=8, high=1024),
        length=2,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.overlap": Key(
        "float",
        "largest share of a digit's box that another digit's box covers",
        "weights",
        low=0,
        high=1,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.noise": Key(
        "float",
        "standard deviation of the pixel noise of a canvas, as a share of white",
        "weights",
        low=0,
        high=0.5,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.clutter": Key(
        "int",
        "pieces of digits on the background of a canvas",
        "weights",
        low=0,
        high=1000,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.threshold": Key(
        "float",
        "brightness above which a pixel belongs to the digit, as a share of white",
        "weights",
        low=0,
        high=0.5,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    "data.canvas_seed": Key(
        "int",
        "seed of the canvases",
        "weights",
        low=0,
        high=SEED_LIMIT,
        commands=("eval",),
        required=False,
        is_passed_on=True,
    ),
    # sequences
    "data.inputs": Key(
        "str",
        "what the network gets",
        "weights",
        choices=("images", "series", "text"),
        required=False,
        is_shape=True,
    ),
    "data.steps": Key(
        "int",
        "most steps of a sequence; longer ones are cut off; auto: the longest, up to 1000",
        "weights",
        low=1,
        high=16384,
        auto=True,
        inferred="sequences",
        required=False,
        inputs=("series", "text"),
        is_shape=True,
        prepares="pixels",
    ),
    "data.features": Key(
        "int",
        "numbers in each step of a series",
        "weights",
        low=1,
        high=16383,
        auto=True,
        inferred="sequences",
        required=False,
        inputs=("series",),
        is_shape=True,
        prepares="pixels",
    ),
    "data.tokens": Key(
        "str",
        "what a step of a text is; FILE.json: a token of that tokenizer (library tokenizers)",
        "weights",
        choices=("bytes", "characters", "words"),
        file=".json",
        path="folder",
        required=False,
        inputs=("text",),
        is_shape=True,
        prepares="pixels",
    ),
    "data.vocabulary": Key(
        "tokens",
        "distinct characters or words; auto: the most common ones of the training texts",
        "weights",
        auto=True,
        inferred="sequences",
        required=False,
        inputs=("text",),
        is_shape=True,
        prepares="pixels",
    ),
    "data.vocabulary_size": Key(
        "int",
        "characters or words that vocabulary=auto takes at most",
        "weights",
        low=1,
        high=1_000_000,
        required=False,
        inputs=("text",),
    ),
    "data.min_count": Key(
        "int",
        "how often vocabulary=auto must find one in the training texts",
        "weights",
        low=1,
        high=1_000_000,
        required=False,
        inputs=("text",),
    ),
    # augment
    "augment.crop": Key(
        "float",
        "smallest area share of a random resized crop, often 0.08; of a sequence: of its steps; 0: off",
        "weights",
        low=0,
        high=1,
    ),
    "augment.flip": Key(
        "float", "probability of a horizontal flip", "weights", low=0, high=1, inputs=("images",)
    ),
    "augment.rotate": Key(
        "float", "maximum rotation in degrees", "weights", low=0, high=180, inputs=("images",)
    ),
    "augment.shift": Key("int", "maximum translation in pixels", "weights", low=0, inputs=("images",)),
    "augment.trivialaugment": Key(
        "float",
        "probability of TrivialAugment, usually 1",
        "weights",
        low=0,
        high=1,
        inputs=("images",),
    ),
    "augment.randaugment": Key(
        "float",
        "RandAugment magnitude (two operations), often 9",
        "weights",
        low=0,
        high=30,
        inputs=("images",),
    ),
    "augment.jitter": Key(
        "float",
        "brightness, contrast and saturation jitter: factors 1 ± N; series: noise, in standard deviations",
        "weights",
        low=0,
        high=1,
        inputs=("images", "series"),
    ),
    "augment.hue": Key(
        "float", "hue jitter, as a share of the colour circle", "weights", low=0, high=0.5, inputs=("images",)
    ),
    "augment.erase": Key("float", "probability of random erasing", "weights", low=0, high=1),
    "augment.mixup": Key(
        "float",
        "mixup: alpha of the Beta distribution, often 0.2",
        "weights",
        low=0,
        targets=("classes",),
        inputs=("images",),
    ),
    "augment.cutmix": Key(
        "float",
        "CutMix: alpha of the Beta distribution, often 1",
        "weights",
        low=0,
        targets=("classes",),
        inputs=("images",),
    ),
    "augment.min_visible": Key(
        "float",
        "share of a moved or erased box that must stay in sight, or it is dropped",
        "weights",
        low=0,
        high=1,
        targets=("boxes",),
    ),
    # model
    "model.hidden": Key("list", "units per hidden layer", "weights", items=COUNT),
    "model.activation": Key("str", "activation between the layers", "weights", choices=ACTIVATIONS),
    "model.dropout": Key(
        "float", "dropout probability of hidden units", "weights", low=0, high=1, below=True
    ),
    "model.channels": Key("list", "filters per block", "weights", items=COUNT),
    "model.kernel_size": Key("counts", "kernel size in pixels; odd", "weights", low=1),
    "model.batch_norm": Key("bool", "batch normalisation before ReLU", "weights"),
    "model.pool": Key("str", "max or average pooling", "weights", choices=("max", "avg")),
    "model.pool_size": Key("counts", "pooling window size; 1: no pooling", "weights", low=1),
    "model.padding": Key("str", "same: zero padding, valid: none", "weights", choices=("same", "valid")),
    "model.head": Key("list", "hidden units of the MLP after the convolutions", "weights", items=COUNT),
    "model.width": Key(
        "int",
        "numbers that represent a step; UNet, Yolo: channels of the first level, doubled from level to level",
        "weights",
        low=1,
    ),
    "model.depth": Key(
        "int", "layers; UNet: how often the image is halved, and doubled again", "weights", low=1, high=100
    ),
    "model.strides": Key(
        "list",
        "pixels from cell to cell of each grid: powers of two, each twice the one before",
        "weights",
        items=Value("int", low=2, high=64),
    ),
    "model.backbone": Key(
        "str",
        "network whose feature maps a detector uses: torchvision's, such as resnet18, or "
        "timm's, such as timm/resnet18; null: a small one",
        "weights",
        optional=True,
    ),
    "model.upsample": Key(
        "str",
        "how the decoder enlarges: transposed convolution, or bilinear interpolation",
        "weights",
        choices=("transposed", "bilinear"),
    ),
    "model.name": Key(
        "str", "network of torchvision or timm, such as resnet18, vgg11 or convnext_tiny", "weights"
    ),
    "model.encoder": Key("str", "encoder of model=smp, such as resnet18 or tu-convnext_tiny", "weights"),
    "model.weights": Key(
        "str", "pretrained weights, such as DEFAULT; null: random", "weights", optional=True
    ),
    "model.small": Key(
        "bool", "stem for images of up to 64 pixels; auto: if they are that small", "weights", auto=True
    ),
    "model.read": Key(
        "str",
        "what a step of the sequence is; the rows of a series, or of text, are its steps",
        "weights",
        choices=("rows", "columns", "patches", "pixels"),
    ),
    "model.patch": Key(
        "int", "side of a patch in pixels; auto: up to 16, at least 4x4 patches", "weights", low=1, auto=True
    ),
    "model.bidirectional": Key("bool", "read from the end to the beginning too", "weights"),
    "model.heads": Key("int", "attention heads; they must divide the width", "weights", low=1),
    "model.pooling": Key(
        "str",
        "what is classified: the last step, the mean of all, or a class token (Transformer, ViT)",
        "weights",
        choices=("last", "mean", "class"),
    ),
    "model.positions": Key(
        "str", "position vectors, added to each step", "weights", choices=("learned", "sinusoidal")
    ),
    # optim
    "optim.lr": Key("float", "learning rate", "weights", low=0, above=True, is_common=True),
    "optim.momentum": Key("float", "momentum factor", "weights", low=0, high=1),
    "optim.dampening": Key("float", "dampening of the momentum", "weights", low=0, high=1),
    "optim.weight_decay": Key("float", "weight decay (L2)", "weights", low=0),
    "optim.nesterov": Key("bool", "Nesterov momentum", "weights"),
    "optim.betas": Key(
        "list",
        "decay rates of the moving averages of gradient and squared gradient",
        "weights",
        items=SHARE,
        length=2,
    ),
    "optim.alpha": Key(
        "float", "decay rate of the moving average of squared gradients", "weights", low=0, high=1
    ),
    "optim.eps": Key("float", "term added to the denominator for stability", "weights", low=0),
    "optim.amsgrad": Key("bool", "AMSGrad variant", "weights"),
    "optim.centered": Key("bool", "normalise the gradient by an estimate of its variance", "weights"),
    "optim.maximize": Key("bool", "maximise instead of minimise", "weights"),
    "optim.foreach": Key("bool", "multi-tensor implementation; null: torch decides", "speed", optional=True),
    "optim.fused": Key("bool", "fused implementation; null: torch decides", "speed", optional=True),
    "optim.capturable": Key("bool", "safe to capture in a CUDA graph", "speed"),
    "optim.differentiable": Key("bool", "let gradients flow through the step", "speed"),
    "optim.decoupled_weight_decay": Key("bool", "decoupled weight decay, as in AdamW", "weights"),
    # schedule
    "schedule.warmup": Key("float", "epochs of linear warm-up", "weights", low=0),
    "schedule.every": Key("float", "epochs between two steps", "weights", low=0, above=True),
    "schedule.milestones": Key(
        "list",
        "epochs at whose end a step is",
        "weights",
        items=Value("float", low=0, above=True),
    ),
    "schedule.gamma": Key("float", "factor per step", "weights", low=0, above=True),
    "schedule.final": Key("float", "final learning rate as a multiple of optim.lr", "weights", low=0),
    "schedule.rise": Key(
        "float", "share of the run in which the learning rate rises", "weights", low=0, high=1
    ),
    "schedule.start": Key("float", "initial learning rate as a multiple of optim.lr", "weights", low=0),
    # logger
    "logger.tensorboard.folder": Key("str", "folder of the event files, inside the run folder", "output"),
    "logger.mlflow.uri": Key(
        "str",
        "tracking URI; null: the file outputs/mlflow.db",
        "output",
        optional=True,
        commands=("resume",),
        local=None,
    ),
    "logger.mlflow.experiment": Key(
        "str", "experiment name; jobs of a sweep go under the sweep's name", "output"
    ),
    "logger.wandb.project": Key("str", "project name", "output"),
    "logger.wandb.mode": Key(
        "str",
        "online: send at once",
        "output",
        choices=("offline", "online"),
        commands=("resume",),
        local="offline",
    ),
    # sweeper
    "sweeper.kind": Key("str", "exhaustive grid or search", "output", choices=("grid", "search")),
    "sweeper.sampler": Key("str", "how a search draws points", "output", choices=("tpe", "random")),
    "sweeper.n_trials": Key("int", "number of trials of a search", "output", low=1),
    "sweeper.prune": Key("bool", "stop trials whose validation curve is below the median", "output"),
    "sweeper.seed": Key("int", "seed of the search", "output", low=0, high=2**31),
    # launcher
    "launcher.n_jobs": Key(
        "int", "parallel jobs; null: one per core", "output", low=1, optional=True, commands=("resume_sweep",)
    ),
    "launcher.cluster": Key(
        "str",
        "where submitit runs the jobs",
        "output",
        choices=("slurm", "local"),
        commands=("resume_sweep",),
    ),
    "launcher.partition": Key(
        "str", "cluster partition; null: its default", "output", optional=True, commands=("resume_sweep",)
    ),
    "launcher.minutes": Key(
        "int",
        "time limit per job; an unfinished job can be resumed",
        "output",
        low=1,
        commands=("resume_sweep",),
    ),
    "launcher.cpus": Key("int", "CPUs per job", "output", low=1, commands=("resume_sweep",)),
    "launcher.gpus": Key("float", "GPUs per job", "output", low=0, commands=("resume_sweep",)),
    "launcher.memory_gb": Key("int", "memory per job in GB", "output", low=1, commands=("resume_sweep",)),
    "launcher.at_once": Key(
        "int",
        "parallel jobs; null: as many as the cluster allows",
        "output",
        low=1,
        optional=True,
        commands=("resume_sweep",),
    ),
    "launcher.address": Key(
        "str",
        "address of the Ray cluster; null: start one here",
        "output",
        optional=True,
        commands=("resume_sweep",),
    ),
}

TABLE: dict[str, Key | Group] = {  # the keys, each group before the first of its keys
    **{name: KEYS.get(name) or GROUPS[name] for key in KEYS for name in (key.partition(".")[0], key)},
    **GROUPS,
}


def is_top_level(name: str) -> bool:
    """Return whether a name of ``TABLE`` is that of a key without a group."""
    return name in KEYS and "." not in name


def overridable(command: str) -> tuple[str, ...]:
    """Return the keys and groups that a command may change: its own, those of groups, the others.

    ``resume`` trains, so that its own are the keys of a run: ``epochs`` first.
    """
    found = [name for name, row in TABLE.items() if command in row.commands]
    own = {name for name in found if name in KEYS and KEYS[name].home == command}
    if command == "resume":
        own = set(filter(is_top_level, found))
    return tuple(sorted(found, key=lambda name: (name not in own, is_top_level(name))))


OVERRIDABLE = {command: overridable(command) for command in get_args(Command)}
CLASS_GROUPS = tuple(name for name, group in GROUPS.items() if group.holds == "class")
CUSTOM_GROUPS = tuple(name for name, group in GROUPS.items() if group.is_custom)
REQUIRED_GROUPS = tuple(name for name, group in GROUPS.items() if group.required)
(MANY,) = (name for name, group in GROUPS.items() if group.holds == "classes")
ABOUT_THE_SWEEP = tuple(name for name, row in TABLE.items() if row.of_sweep and "." not in name)
PATHS = tuple(key for key, rule in KEYS.items() if rule.path)  # which Hydra's grammar must not read
MEASURED = tuple(key for key, rule in KEYS.items() if rule.inferred == "trial")
# Those of the group data, without its name.
PASSED_ON = tuple(key.removeprefix("data.") for key, rule in KEYS.items() if rule.is_passed_on)
INFERRED = tuple(key.removeprefix("data.") for key, rule in KEYS.items() if rule.inferred == "images")
OPEN = (*INFERRED, *(key.removeprefix("data.") for key, rule in KEYS.items() if rule.inferred == "sequences"))
SHAPE = tuple(key.removeprefix("data.") for key, rule in KEYS.items() if rule.is_shape)

# The arguments of these classes are in the table. Those of any other class are checked against its signature
# when it is built.
DESCRIBED = (
    "cnntrain.",
    "torch.nn.CrossEntropyLoss",
    *(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "RMSprop")),
)
LISTS = tuple(key for key, rule in KEYS.items() if rule.kind == "list" and rule.length is None)
LAUNCHERS = ("Local", "Joblib", "Submitit", "Ray")


def home_of(key: str) -> str:
    """Return the YAML file in conf/ that holds the default of a key, or the folder of such files."""
    group = key.partition(".")[0]
    return KEYS[key].home or (group if group in GROUPS else "train")


def affected_by(key: str) -> Affects:
    """Return what a key changes of a run; of one that has no row, what its group does, or the weights."""
    row = TABLE.get(key) or TABLE.get(key.partition(".")[0])
    return row.affects if row is not None else "weights"


def needs_inference(data: Mapping[str, Any], names: Sequence[str] = OPEN) -> bool:
    """Return whether some of these keys of the group ``data`` are still to be found in the data."""
    return any(data.get(name) == "auto" for name in names)


def is_described(target: str) -> bool:
    """Return whether the table describes the arguments of a class."""
    return target.startswith(DESCRIBED[0]) or target in (*DESCRIBED, AUTO)


# Classes that have stood elsewhere: checkpoints and YAML files of users name them by the old path.
MOVED_CLASSES = {
    "cnntrain.data.folder.Folder": "cnntrain.data.sources.Folder",
    **{f"cnntrain.launchers.{name}": f"cnntrain.sweep.launchers.{name}" for name in LAUNCHERS},
}


def with_current_paths(node: Any) -> Any:
    """Return a configuration, or a part of one, with the paths that cnntrain's classes have today."""
    if isinstance(node, Mapping):
        result = {name: with_current_paths(value) for name, value in node.items()}
        if isinstance(target := result.get("_target_"), str):
            result["_target_"] = MOVED_CLASSES.get(target, target)
        return result
    return [with_current_paths(item) for item in node] if isinstance(node, list) else node


def with_lists(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which a single value of a key that holds a list is a list of one.

    The arguments of a class that the table does not describe stay as they are.
    """
    result = {name: dict(node) if isinstance(node, Mapping) else node for name, node in config.items()}
    for key in LISTS:
        group, _, name = key.rpartition(".")
        node: Any = result.get(group) if group else result
        if not isinstance(node, dict) or name not in node or not KEYS[key].takes_one(node[name]):
            continue
        if not KEYS[key].accepts(node[name]):  # a mistake, which is reported as it was typed
            continue
        if group not in CLASS_GROUPS or is_described(str(node.get("_target_"))):
            node[name] = [node[name]]
    return result


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its dots, and its value; ``data.source`` counts as one."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in KEYS:
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def described_arguments(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a class if the table knows their types, or nothing."""
    return node if is_described(node["_target_"]) else {}
