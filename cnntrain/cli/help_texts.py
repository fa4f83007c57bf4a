"""The texts of ``--help`` that are not read from conf/ and the schema. Data only."""

from __future__ import annotations

OVERVIEW = """\
cnntrain {version}: train image classifiers from the shell

  cnntrain train [KEY=VALUE ...]       train a model into a new run folder
  cnntrain train -m KEY=A,B,C ...      train each combination, and rank them
  cnntrain resume RUN [KEY=VALUE ...]  continue a run, or train it longer
  cnntrain eval RUN [KEY=VALUE ...]    evaluate a run's best checkpoint
  cnntrain report RUN [KEY=VALUE ...]  write a run's report.html
  cnntrain predict RUN FILE ...        classify image files
  cnntrain export RUN [KEY=VALUE ...]  ONNX, torch.export and safetensors
  cnntrain compare RUN RUN ...         rank finished runs and sweeps
  cnntrain data DIR                    audit images: corrupt files, duplicates
  cnntrain summary [KEY=VALUE ...]     a model's layers: shapes, sizes, MACs
  cnntrain explain [TOPIC]             five steps on a batch, or a topic:
                                       {topics}
  cnntrain bench [KEY=VALUE ...]       measure the training speed here
  cnntrain completion bash|zsh|fish    print a completion script for a shell

RUN is a run folder, a checkpoint file, or `last` for the newest run. To start:
  cnntrain train                       a CNN on 5,000 digits, in seconds
  cnntrain train model=mlp epochs=3    another model, fewer epochs
  cnntrain explain                     what one training step does
  cnntrain predict last FILE           classify an image with the last run
  cnntrain train -m model=mlp,cnn      compare two models

Keys and choices: cnntrain train --help. Details: cnntrain COMMAND --help
"""

VALUES = """\
How values are typed:
  'model.channels=[16,32]'          a list; the quotes keep it from the shell
  grad_clip=null                    null: none, switched off
  -m optim.lr=1e-3,1e-2             with -m: one run for each value
  -m 'optim.lr=interval(1e-4,0.1)'  a range to search, with sweeper=random
  +optim.KEY=VALUE                  + adds an argument that conf/ does not list
  ~optim.nesterov                   ~ removes one
  data.root="$HOME/my images"       the shell fills in variables
"""

INTRODUCTIONS = {
    "train": """\
cnntrain train [KEY=VALUE ...] [-m] [-q] [--config-dir DIR] [--cfg job] [--info]

Trains a model, chooses the best epoch on the validation set, and tests it once.

""",
    "compare": """\
cnntrain compare RUN... [monitor=val_loss] [--csv|--json|--html FILE]

Ranks finished runs, and the jobs of sweeps, by validation, and lists the keys
in which they differ. Runs that differ only in their seed share a line: mean,
95% interval, and the p-value of a test against the best.
  cnntrain compare outputs/sweeps/2026-01-31_12-00-00
  cnntrain compare last outputs/train/RUN --csv runs.csv
""",
    "data": """\
cnntrain data DIR [--html FILE] [--json FILE] [-q]
cnntrain data [DIR] --augmented FILE [KEY=VALUE ...]

Audits the images of DIR/CLASS/*.jpg or DIR/{train,val,test}/CLASS/*.jpg:
counts, sizes, colour modes, unreadable files, duplicates within and between
classes and splits (leakage), mean and standard deviation. Prints the command to
train with.

  --html FILE        write a page with images of each class and all duplicates
  --json FILE        write everything as JSON; - prints it instead of the tables
  --augmented FILE   draw augmented images, as the network gets them (PNG), from
                     DIR or another data set:
                     cnntrain data DIR --augmented seen.png augment=photos
                     cnntrain data --augmented seen.png augment=digits
""",
    "summary": """\
cnntrain summary [KEY=VALUE ...] [--config-dir DIR]

Shows each layer of the model with its output shape, parameters, MACs and
receptive field, without allocating the model. Accepts the keys of `cnntrain
train`; these have an effect:
  cnntrain summary model=mlp data.image_size=1024 'model.hidden=[512]'

""",
    "explain": """\
cnntrain explain [KEY=VALUE ...] [--as-script FILE]
cnntrain explain zero_grad|shift|filters [KEY=VALUE ...]

Takes one batch through the five steps of training and shows what each does:
shapes, losses, gradients, updates, and the arithmetic of the layers. Accepts
the keys of `cnntrain train`.

  --as-script FILE   write the run as one plain PyTorch file that does not need
                     cnntrain and ends with the same weights:
                     cnntrain explain model=cnn optim=adam --as-script cnn.py
  zero_grad          train with and without clearing the gradients, by SGD
                     unless another is typed: optim=adam
  shift              accuracy on translated images: MLP and CNN, or run=RUN
  filters            maximally activating patches of each filter of a model, or
                     of run=RUN

The topics draw in the terminal and into a new folder under outputs/explain/.
Keys of the topics, and their own defaults:
""",
    "bench": """\
cnntrain bench [KEY=VALUE ...] [--config-dir DIR]

Measures the training speed of three loops, in turns in one process: the floor
(an eager fp32 loop over tensors that are already normalised), cnntrain, and the
textbook loop with torchvision's transforms. Accepts the keys of `cnntrain
train` and these:
""",
    "resume": """\
cnntrain resume RUN [KEY=VALUE ...] [-q]

Continues a run from its last checkpoint, to the same weights as if it had never
stopped. RUN is a run folder, a checkpoint file, or `last`. In a sweep, the jobs
that are missing or failed are run; launcher, on_error, trust and verbose may be
changed.
  cnntrain resume last
  cnntrain resume outputs/train/RUN epochs=20

Keys that may be changed:
""",
    "eval": """\
cnntrain eval RUN [KEY=VALUE ...] [-q]

Evaluates a run's best checkpoint (or the checkpoint file you name) and shows
every class. RUN is a run folder, a checkpoint file, or `last`.
  cnntrain eval last split=val
  cnntrain eval last data=mnist data.root=DIR

Keys (without a value here: as in the checkpoint):
""",
    "report": """\
cnntrain report RUN [KEY=VALUE ...] [-q]

Writes RUN/report.html, one file that opens offline in any browser, and its
figures as PNG in RUN/plots/. Every run writes it at its end; in a sweep, only
the best job does. For an unfinished run it shows the validation set. RUN is a
run folder, or `last`.
  cnntrain report last
  cnntrain report outputs/sweeps/SWEEP/JOB

Keys (without a value here: as in the run):
""",
    "predict": """\
cnntrain predict RUN FILE|FOLDER... [KEY=VALUE ...] [--csv|--json FILE] [-q]

Classifies image files after the same preprocessing as in training. FOLDER
stands for the files in it that have an image extension, except hidden ones.
A file that can't be read is named, the others are classified, and the exit
code is 1.
  cnntrain predict last digit.png
  cnntrain predict last scans/ invert=true --csv predictions.csv
FILE may be - for standard output.

""",
    "export": """\
cnntrain export RUN [KEY=VALUE ...] [-q]

Writes a run's best model to RUN/export/, for use without cnntrain. The models
take uint8 images (N, C, H, W) and return class probabilities. Each is read back
and compared with torch on test images.
  cnntrain export last
  cnntrain export last 'formats=[onnx]'

""",
    "completion": """\
cnntrain completion bash|zsh|fish

Prints a completion script. To load it in every new shell:
  bash   echo 'source <(cnntrain completion bash)' >> ~/.bashrc
  zsh    echo 'source <(cnntrain completion zsh)' >> ~/.zshrc
  fish   cnntrain completion fish > ~/.config/fish/completions/cnntrain.fish
""",
}


FLAGS = """\
Flags:
  -m                 run every combination of values with commas between them:
                     cnntrain train -m optim=sgd,adam optim.lr=1e-3,1e-2
                     seeds=5 repeats each, launcher=joblib runs several at once
  -q                 print only warnings and errors (verbose=0)
  --config-dir DIR   read groups of your own from DIR, as from conf/ here
  --cfg job          print the configuration instead of running it
  --info             print where each part of the configuration comes from

The run folder holds the configuration, metrics.csv, summary.json, train.log,
checkpoints/ and report.html. hydra.* keys work too: --cfg hydra lists them.
"""
