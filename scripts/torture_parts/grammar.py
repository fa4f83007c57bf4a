"""Command lines from a grammar: all commands, keys, flags and values, right and wrong, one to eight words."""

from __future__ import annotations

import random
import signal
import string
from collections.abc import Sequence

from torture_parts.harness import Case, Part, Place
from torture_parts.kills import pause
from torture_parts.runs import TINY, copied, reference
from torture_parts.writes import beside

PATIENCE = 4.0  # seconds after which a command that trains is told to stop
COMMANDS = (
    *r"""
train train train resume eval report predict export compare summary data explain bench completion
_complete
""".split(),
)
RUNS = (
    *r"""
run last other run/checkpoints/best.pt nowhere run/ ./run a.png sweep /dev/null ~ run/config.yaml
RUN
""".split(),
    "",
)
FLAGS = (
    *r"""
-m -q --multirun --cfg --cfg=job --info --config-dir --config-dir=conf -c --resolve --csv
--csv=p.csv --json --json=- --html --html=h.html --as-script --as-script=s.py --augmented
--augmented=a2.png --help -h --version --epochs --lr -x -- - --hydra-help -cn -p --package --run
--trust --quiet
""".split(),
)
NUMBERS = (
    *r"""
0 1 2 3 -1 0.5 1e-3 1e400 -inf nan 1_000 0x10 1e3 07 99999999999999999999 0,01 1. .5 +1 1e ½ ٣
""".split(),
    "1 000",
)
WORDS = (
    *r"""
null true false auto none cpu cuda mlp cnn adam sgd constant folder fake mnist_mini digits x '' "" é
日本 🙂 \ \x $HOME ${x} ${oc.env:HOME} ${oc.decode:1} % # ~ * [ ] { } ( ) ' " = , : a:b ../.. /dev/null
torch.nn.Linear os.system my.Net ??? _target_ @ a@b <b> [/x]
""".split(),
    "",
    "a b",
    "\x1b[2J",
    "\n",
    "\t",
    "\udce9",
    "\u202e",
    "x" * 3000,
)
LISTS = (
    *r"""
[] [1] [1,2] [4,8] [a,b] [[1],[2]] [1, [,] [null] {} {a:1} {a:{b:1}} {a} {:} 1,2 a,b range(3)
range(0,1e9) interval(0,1) interval(1,0) choice(1,2) glob(*) shuffle(1,2) sort(2,1)
tag(log,interval(1,2)) int(3.5) str(1) [1,2],[3] extend_list(1)
""".split(),
    "[" * 50 + "]" * 50,
    "{a:" * 100 + "1" + "}" * 100,
)
EXTRA_KEYS = (
    *r"""
learning_rate lr dataset patience batch model.lr optim model data schedule augment logger experiment
launcher sweeper criterion hydra.run.dir hydra.mode hydra/launcher hydra.job.name split tta trust
top formats _target_ model._target_ optim._target_ a.b.c.d optim.lr.x . .. optim. .lr model@x
data.source.size data.source._target_ é monitor seeds
""".split(),
    "",
    "a b",
    "\x1b",
    "x" * 500,
)
SIGNS = ("", "", "", "", "", "", "+", "++", "~", "-", "--", " ", "+-")
# Keys that make a command long, or write where tests should not; their values come from what is below.
BOUNDED = {
    "epochs": ("1", "2", "0", "-1", "x", "1,2"),
    "limit": ("1", "7", "64", "0", "x", "null", "2,3"),
    "seeds": ("2", "1", "x", "null"),
    "workers": ("0", "1", "-1", "x"),
    "repeats": ("1", "0", "x"),
    "seconds": ("0.01", "0", "x"),
    "sweeper.n_trials": ("1", "2", "0", "x"),
    "launcher": ("local", "x", "joblob"),
    "launcher.n_jobs": ("1", "0", "x"),
    "compile": ("false", "x"),
    "logger": ("none", "x", "[none]"),
    "logger.wandb.mode": ("offline", "x"),
    "data": ("mnist_mini", "fake", "folder", "x", "fake,mnist_mini"),
    "experiment": ("quick", "x", "null"),
    "model.weights": ("null",),
    "threads": ("1", "2", "0", "x", "auto", "100000"),
    "batch_size": ("1", "16", "0", "x", "99999999", "16,8"),
}


def attempt(case: Case, number: int) -> None:
    """Try one command line, with runs, images and a folder conf/ that it may name."""
    draw = case.random
    words = line(draw)
    needs = {"run", "last", "other", "sweep", "images"} & {
        w.rstrip("/").removeprefix("./").split("/")[0] for w in words
    }
    command = words[0] if words else ""  # a line may be empty
    if needs or command in ("resume", "eval", "report", "predict", "export", "compare"):
        copied(case, reference(case.place, "untouched", *TINY))
        beside(case)
        (case.folder / "outputs").mkdir()
        (case.folder / "outputs/.last").write_text(str(case.folder / "run"))
    if draw.random() < 0.2:
        (case.folder / "conf/model").mkdir(parents=True)
        text = draw.choice(
            (
                "_target_: cnntrain.models.MLP\nhidden: [2]\n",
                ": :",
                "a: [",
                "\x00",
                "- 1\n",
                "_target_: x.Y\n",
            )
        )
        (case.folder / "conf/model/mine.yaml").write_text(text)
        words = [*words, "model=mine"] if draw.random() < 0.5 else words
    child = case.start(*words)
    pause(PATIENCE, child)
    told = child.send(signal.SIGINT)
    ended = case.finished(child)
    if not told:
        case.must(ended.code in (0, 1, 2), f"exit code {ended.code}")
    if ended.code == 2:
        case.must(b"cnntrain: " in ended.err, "exit code 2 without a line that begins with cnntrain:")


def line(draw: random.Random) -> list[str]:
    """Return the words of a command line."""
    if draw.random() < 0.03:
        return [word(draw) for _ in range(draw.randrange(4))]
    command = (
        draw.choice(COMMANDS)
        if draw.random() < 0.97
        else draw.choice(("trian", "TRAIN", "fit", "--train", "train ", "help"))
    )
    words: list[str] = []
    if command in ("resume", "eval", "report", "predict", "export", "compare") and draw.random() < 0.95:
        words.append(draw.choice(RUNS[:4]) if draw.random() < 0.7 else draw.choice(RUNS))
    if command == "predict" and draw.random() < 0.9:
        words += draw.choices(
            ("a.png", "run", "nowhere.png", "/dev/null", "-", "."), k=draw.choice((1, 1, 2))
        )
    if command == "compare" and draw.random() < 0.8:
        words.append(draw.choice(("other", "run", "nowhere")))
    if command == "explain" and draw.random() < 0.6:
        words.append(draw.choice(("zero_grad", "shift", "filters", "zerograd", "run=run")))
    if command == "completion":
        words.append(draw.choice(("bash", "zsh", "fish", "sh", "")))
    if command == "data" and draw.random() < 0.7:
        words.append(draw.choice(("run", ".", "nowhere", "a.png", "/dev")))
    added = [piece(draw) for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 5)))]
    if command in ("train", "explain", "bench", "summary"):
        kept = small(command, added)
        words += kept
    words += added
    if draw.random() < 0.1:
        draw.shuffle(words)
    return [command, *words]


def small(command: str, added: Sequence[str]) -> list[str]:
    """Return overrides that make a command short, but for those keys that the line names itself."""
    named = {one.lstrip("+~- ").partition("=")[0] for one in added}
    own = (
        ["model=mlp", *TINY[1:]]
        if "model" not in named
        else [one for one in TINY if not one.startswith("model")]
    )
    if command == "bench":
        own += ["repeats=1", "seconds=0.01", "json=b.json"]
    kept = [one for one in dict.fromkeys(own) if one.partition("=")[0] not in named]
    return [one for one in kept if command != "summary" or not one.startswith("report")]


def piece(draw: random.Random) -> str:
    """Return a flag, an override, or something else."""
    kind = draw.random()
    if kind < 0.12:
        return draw.choice(FLAGS)
    if kind < 0.18:
        return word(draw)
    return override(draw)


def override(draw: random.Random) -> str:
    """Return an override, whose key may be misspelt and whose value may be anything."""
    from cnntrain.config.keys import KEYS

    key = draw.choice(list(KEYS)) if draw.random() < 0.75 else draw.choice(EXTRA_KEYS)
    pool = BOUNDED.get(key)
    if draw.random() < 0.08:
        key = misspelt(draw, key)
    sign = draw.choice(SIGNS)
    if key in ("out", "name", "init_from", "json", "run") or key.startswith("hydra"):
        value = draw.choice(
            ("o", "run", "nowhere", "", "a/b", "null", "a.png", "x[1]", "[/x]", "o\n", "last", "MULTIRUN")
        )
    elif pool is not None and pool != () and sign in ("", "+", "++"):
        value = draw.choice(pool)
    else:
        value = draw.choice(
            (plausible(draw, key), plausible(draw, key), word(draw), draw.choice(NUMBERS), draw.choice(LISTS))
        )
    equals = "=" if draw.random() < 0.97 else draw.choice(("", "==", " = ", "=-"))
    return f"{sign}{key}{equals}{value}"


def plausible(draw: random.Random, key: str) -> str:
    """Return a value that a key may take."""
    from cnntrain.config.keys import KEYS

    rule = KEYS.get(key)
    if rule is None:
        return draw.choice(WORDS[:16])
    if rule.choices:
        return draw.choice(rule.choices)
    by_kind = {
        "bool": ("true", "false"),
        "int": ("1", "2"),
        "float": ("0.1", "0.5", "1"),
        "str": ("auto", "x"),
        "list": ("[4]", "[0.5]"),
    }
    return draw.choice(by_kind.get(rule.kind, ("[4]", "1")))


def misspelt(draw: random.Random, key: str) -> str:
    """Return a key with a letter that is doubled, missing or another one."""
    if not key:
        return "x"
    place = draw.randrange(len(key))
    return (
        key[:place]
        + draw.choice((key[place] * 2, "", draw.choice(string.ascii_letters + "._-")))
        + key[place + 1 :]
    )


def word(draw: random.Random) -> str:
    """Return a word of any kind."""
    if draw.random() < 0.15:
        return "".join(draw.choices(string.printable, k=draw.randrange(1, 12)))
    return draw.choice((draw.choice(WORDS), draw.choice(RUNS), draw.choice(NUMBERS)))


def prepare(place: Place) -> None:
    """Make the runs that lines may name."""
    reference(place, "untouched", *TINY)


CLI = Part(
    "cli",
    "command lines from a grammar over all commands, keys, flags and values",
    5000,
    40,
    attempt,
    prepare,
)
