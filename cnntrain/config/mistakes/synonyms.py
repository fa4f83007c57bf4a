"""The words of other tools, and what they are called here. Data only; ``suggestions.py`` looks things up.

Names are those of ultralytics, Lightning and its CLI, timm's train.py, Keras, fastai, skorch, Hugging Face's
Trainer, torch's examples and argparse, in lower case with underscores. A target is a key, or an override in
which ``{}`` stands for the typed value.
"""

from __future__ import annotations

KEYS: dict[str, str] = {
    # length and size of a run
    **dict.fromkeys(
        ("epoch", "max_epochs", "num_epochs", "n_epochs", "nb_epoch", "nb_epochs", "num_train_epochs"),
        "epochs",
    ),
    **dict.fromkeys(("total_epochs", "n_epoch", "nepochs", "ep", "epoques", "epoque", "e"), "epochs"),
    **dict.fromkeys(("bs", "batch", "b", "minibatch_size", "mini_batch_size", "batch_len"), "batch_size"),
    **dict.fromkeys(("train_batch_size", "per_device_train_batch_size", "total_batch_size"), "batch_size"),
    **dict.fromkeys(("taille_lot", "taille_batch", "lot"), "batch_size"),
    **dict.fromkeys(("val_batch_size", "validation_batch_size", "test_batch_size"), "eval_batch_size"),
    **dict.fromkeys(("eval_batch", "per_device_eval_batch_size", "val_bs"), "eval_batch_size"),
    **dict.fromkeys(
        ("max_samples", "num_samples", "n_samples", "subset", "n_train", "max_train_samples"), "limit"
    ),
    **dict.fromkeys(("random_state", "random_seed", "seed_everything", "manual_seed", "graine"), "seed"),
    # optimizer
    **dict.fromkeys(("learning_rate", "lr", "lr0", "base_lr", "init_lr", "initial_lr", "max_lr"), "optim.lr"),
    **dict.fromkeys(("learnrate", "eta", "learning_rate_init", "taux", "taux_apprentissage"), "optim.lr"),
    **dict.fromkeys(("optimizer", "optimiser", "opt", "solver", "optimizer_name", "optimiseur"), "optim"),
    **dict.fromkeys(("wd", "weight_decay", "l2", "decay", "l2_reg", "weightdecay"), "optim.weight_decay"),
    **dict.fromkeys(("beta1", "beta2", "adam_beta1", "adam_beta2", "opt_betas"), "optim.betas"),
    **dict.fromkeys(("epsilon", "opt_eps", "adam_epsilon"), "optim.eps"),
    **dict.fromkeys(("clip_grad", "gradient_clip_val", "max_grad_norm", "clip_norm"), "grad_clip"),
    **dict.fromkeys(("clipnorm", "gradient_clip", "gradient_clipping", "grad_norm", "clip"), "grad_clip"),
    **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps", "grad_accum"), "accumulate"),
    **dict.fromkeys(("grad_accum_steps", "accum_iter", "accumulation_steps"), "accumulate"),
    **dict.fromkeys(("model_ema_decay", "ema_decay"), "ema"),
    **dict.fromkeys(("layer_decay", "lr_mult", "param_groups", "discriminative_lr"), "lr_scale"),
    # schedule
    **dict.fromkeys(("sched", "scheduler", "lr_scheduler", "lr_schedule", "lr_policy"), "schedule"),
    **dict.fromkeys(("lr_scheduler_type", "lr_sched"), "schedule"),
    **dict.fromkeys(("warmup_epochs", "warmup", "warm_up", "lr_warmup_epochs"), "schedule.warmup"),
    **dict.fromkeys(("step_size", "lr_step_size", "decay_epochs"), "schedule.every"),
    **dict.fromkeys(("milestones", "lr_steps"), "schedule.milestones"),
    **dict.fromkeys(("decay_rate", "lr_gamma", "lr_decay"), "schedule.gamma"),
    "lrf": "schedule.final",
    "pct_start": "schedule.rise",
    # loss
    **dict.fromkeys(("loss", "loss_fn", "loss_function", "loss_func", "criterion"), "criterion._target_"),
    **dict.fromkeys(("smoothing", "label_smooth", "labelsmoothing"), "criterion.label_smoothing"),
    # stopping, checkpoints, fine-tuning
    **dict.fromkeys(("patience", "early_stop", "early_stopping_patience", "stop_patience"), "early_stopping"),
    **dict.fromkeys(("early_stopping_rounds", "n_iter_no_change"), "early_stopping"),
    **dict.fromkeys(("metric", "eval_metric", "metric_for_best_model", "scoring"), "monitor"),
    **dict.fromkeys(("checkpoint", "ckpt", "ckpt_path", "initial_checkpoint", "load_from"), "init_from"),
    **dict.fromkeys(("finetune", "fine_tune", "model_path", "checkpoint_path", "load"), "init_from"),
    **dict.fromkeys(("unfreeze", "unfreeze_at"), "unfreeze_epoch"),
    **dict.fromkeys(("pretrained", "pretrained_weights"), "init_from"),
    # data
    **dict.fromkeys(("dataset", "dataset_name", "ds", "train_dataset", "datamodule", "donnees"), "data"),
    **dict.fromkeys(
        ("data_dir", "data_path", "dataset_path", "train_dir", "path"), "data=folder data.root={}"
    ),
    **dict.fromkeys(("image_dir", "img_dir", "images", "folder", "dataset_dir"), "data=folder data.root={}"),
    **dict.fromkeys(("root", "data_root", "dossier"), "data.root"),
    **dict.fromkeys(
        ("imgsz", "img_size", "image_size", "input_size", "size", "resolution"), "data.image_size"
    ),
    **dict.fromkeys(("crop_size", "imsize", "img_sz", "target_size", "image_resolution"), "data.image_size"),
    **dict.fromkeys(("tokenizer", "tokenizer_name", "tokenizer_file", "tokens"), "data.tokens"),
    **dict.fromkeys(("num_classes", "nc", "n_classes", "nb_classes", "classes"), "data.num_classes"),
    **dict.fromkeys(("in_channels", "in_chans", "ch", "num_channels", "input_channels"), "data.channels"),
    **dict.fromkeys(
        ("val_split", "validation_split", "val_size", "val_ratio", "valid_pct"), "data.val_fraction"
    ),
    **dict.fromkeys(("val_frac", "valid_size", "val_percent"), "data.val_fraction"),
    **dict.fromkeys(("test_size", "test_split", "test_ratio"), "data=folder data.source.test_fraction={}"),
    **dict.fromkeys(("num_workers", "n_workers", "nworkers", "loader_workers", "j"), "workers"),
    **dict.fromkeys(
        ("dataloader_num_workers", "num_loader_workers", "iterator_train__num_workers"), "workers"
    ),
    # model
    **dict.fromkeys(("arch", "a", "architecture", "net", "network", "module"), "model"),
    **dict.fromkeys(("model_name", "backbone", "encoder", "base_model", "modele"), "model"),
    **dict.fromkeys(("hidden_size", "hidden_dim", "hidden_units", "hidden_dims"), "model.hidden"),
    **dict.fromkeys(("hidden_layer_sizes", "units", "n_hidden", "num_hidden"), "model.hidden"),
    **dict.fromkeys(
        ("filters", "num_filters", "n_filters", "out_channels", "conv_channels"), "model.channels"
    ),
    **dict.fromkeys(("kernel", "ksize", "filter_size"), "model.kernel_size"),
    **dict.fromkeys(
        ("d_model", "embed_dim", "embedding_dim", "emb_dim", "n_embd", "state_size"), "model.width"
    ),
    **dict.fromkeys(("num_layers", "n_layers", "n_layer", "layers", "num_hidden_layers"), "model.depth"),
    **dict.fromkeys(("nhead", "num_heads", "n_heads", "n_head", "num_attention_heads"), "model.heads"),
    **dict.fromkeys(("patch_size", "patchsize"), "model.patch"),
    **dict.fromkeys(("bidir", "is_bidirectional"), "model.bidirectional"),
    **dict.fromkeys(("positional_encoding", "pos_encoding", "pos_embed", "pos_emb"), "model.positions"),
    **dict.fromkeys(("act", "nonlinearity", "activation_fn", "act_layer"), "model.activation"),
    **dict.fromkeys(("drop", "dropout", "drop_rate", "dropout_rate", "p_drop", "dropout_p"), "model.dropout"),
    **dict.fromkeys(("bn", "batchnorm", "use_bn", "use_batchnorm", "norm"), "model.batch_norm"),
    **dict.fromkeys(("pooling", "pool_type"), "model.pool"),
    # augmentation
    **dict.fromkeys(("augmentation", "augmentations", "aug", "transforms", "transform"), "augment"),
    **dict.fromkeys(("hflip", "fliplr", "horizontal_flip", "random_flip", "mirror"), "augment.flip"),
    **dict.fromkeys(("degrees", "rotation", "rotation_range", "random_rotation"), "augment.rotate"),
    **dict.fromkeys(("translate", "translation", "width_shift_range", "height_shift_range"), "augment.shift"),
    **dict.fromkeys(("color_jitter", "colorjitter", "brightness", "contrast", "hsv_v"), "augment.jitter"),
    **dict.fromkeys(("hsv_h", "hue_shift"), "augment.hue"),
    **dict.fromkeys(("reprob", "random_erasing", "erasing", "random_erase", "cutout"), "augment.erase"),
    **dict.fromkeys(("mixup_alpha", "mix_up"), "augment.mixup"),
    **dict.fromkeys(("cutmix_alpha", "cut_mix"), "augment.cutmix"),
    **dict.fromkeys(("random_resized_crop", "random_crop"), "augment.crop"),
    **dict.fromkeys(("trivial_augment", "trivial_augment_wide"), "augment.trivialaugment"),
    **dict.fromkeys(("rand_augment", "ra", "ra_magnitude"), "augment.randaugment"),
    # hardware
    **dict.fromkeys(("accelerator", "gpu", "gpu_id", "device_id", "cuda_device"), "device"),
    **dict.fromkeys(("num_threads", "n_threads", "nthreads", "cpus", "cores"), "threads"),
    **dict.fromkeys(("torch_compile", "torchcompile", "jit"), "compile"),
    **dict.fromkeys(("dtype", "data_type", "amp_dtype", "amp", "mixed_precision"), "precision"),
    # outputs
    **dict.fromkeys(("output", "output_dir", "save_dir", "default_root_dir", "run_dir", "out_dir"), "out"),
    **dict.fromkeys(("log_dir", "logdir", "results_dir", "outdir", "save_path", "sortie"), "out"),
    **dict.fromkeys(("run_name", "exp_name", "experiment_name", "nom"), "name"),
    **dict.fromkeys(("loggers", "tracker", "report_to"), "logger"),
    **dict.fromkeys(("verbosity", "log_level"), "verbose"),
    **dict.fromkeys(("trials", "num_trials", "n_iter", "max_trials"), "sweeper.n_trials"),
    **dict.fromkeys(("topk", "top_k"), "top"),
    **dict.fromkeys(("repeat", "num_seeds", "n_seeds", "repetitions"), "seeds"),
}

# What is switched on or off elsewhere, and the overrides for it.
SWITCHES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("amp", "use_amp", "mixed_precision", "native_amp"), ("precision=bf16", "precision=fp32")
    ),
    **dict.fromkeys(("fp16", "half", "float16", "use_fp16"), ("precision=fp16", "precision=fp32")),
    **dict.fromkeys(("bf16", "bfloat16"), ("precision=bf16", "precision=fp32")),
    **dict.fromkeys(
        ("cuda", "use_cuda", "use_gpu", "gpus", "num_gpus", "n_gpu"), ("device=cuda", "device=cpu")
    ),
    **dict.fromkeys(("cpu", "no_cuda", "use_cpu"), ("device=cpu", "device=auto")),
    "use_mps": ("device=mps", "device=auto"),
    **dict.fromkeys(("model_ema", "use_ema"), ("ema=0.999", "ema=null")),
    **dict.fromkeys(
        ("pretrained", "use_pretrained", "imagenet_weights"),
        ("model=torchvision model.weights=DEFAULT", "model.weights=null"),
    ),
    **dict.fromkeys(
        ("freeze_backbone", "freeze_encoder", "linear_probe"), ("freeze=backbone", "freeze=null")
    ),
    **dict.fromkeys(("cos_lr", "cosine", "cosine_decay"), ("schedule=cosine", "schedule=constant")),
    **dict.fromkeys(("one_cycle", "onecycle", "fit_one_cycle"), ("schedule=onecycle", "schedule=constant")),
    **dict.fromkeys(
        ("class_weight", "class_weights", "weighted_sampler", "balanced"),
        ("balance_classes=true", "balance_classes=false"),
    ),
    **dict.fromkeys(("quiet", "silent"), ("verbose=0", "verbose=1")),
    **dict.fromkeys(("fast_dev_run", "dry_run", "smoke_test"), ("limit=64 epochs=1", "epochs=10")),
    **dict.fromkeys(("wandb", "use_wandb", "log_wandb"), ("logger=wandb", "logger=none")),
    **dict.fromkeys(("tensorboard", "use_tensorboard", "tb"), ("logger=tensorboard", "logger=none")),
    **dict.fromkeys(("mlflow", "use_mlflow"), ("logger=mlflow", "logger=none")),
    **dict.fromkeys(("auto_augment", "aa"), ("augment=trivial", "augment=none")),
}

# What is not here under any name, and what there is instead.
ABSENT: dict[str, str] = {
    **dict.fromkeys(
        ("folds", "fold", "k_folds", "kfold", "n_splits", "cv", "n_folds"),
        "cross-validation is not built in; seeds=5 repeats a run with other splits and weights",
    ),
    **dict.fromkeys(
        ("max_minutes", "max_time", "time_budget", "time_limit", "max_hours"),
        "there is no time budget; limit the run by epochs=N; Ctrl-C saves a checkpoint, and resume goes on",
    ),
    **dict.fromkeys(
        ("find_lr", "lr_find", "auto_lr_find", "lr_finder"),
        "there is no learning rate finder; search: cnntrain train -m 'optim.lr=interval(1e-4,1e-1)' "
        "sweeper=random",
    ),
    **dict.fromkeys(
        ("max_steps", "steps", "max_iters", "iterations", "num_steps", "total_steps", "steps_per_epoch"),
        "the length of a run is given in epochs: epochs=N, with limit=N fewer images for each",
    ),
    **dict.fromkeys(("warmup_steps", "warmup_ratio", "num_warmup_steps"), "schedule.warmup=N counts epochs"),
    **dict.fromkeys(
        ("resume", "resume_from_checkpoint", "resume_from", "continue"),
        "a command of its own goes on with a run: cnntrain resume last",
    ),
    **dict.fromkeys(
        ("evaluate", "eval", "validate", "test"), "a command of its own evaluates: cnntrain eval last"
    ),
    **dict.fromkeys(("predict", "source"), "a command of its own predicts: cnntrain predict last FILE ..."),
    **dict.fromkeys(
        ("mode", "task", "command"), "the first word says what to do: cnntrain train, eval, predict ..."
    ),
    **dict.fromkeys(
        (
            "devices",
            "gpus",
            "num_gpus",
            "n_gpu",
            "num_nodes",
            "strategy",
            "nproc_per_node",
            "distributed",
            "world_size",
            "ddp",
        ),
        "for several GPUs: torchrun --standalone --nproc-per-node=N -m cnntrain train ...",
    ),
    **dict.fromkeys(
        ("log_interval", "log_freq", "print_freq", "log_every_n_steps", "logging_steps", "eval_steps"),
        "the bar follows every step, and metrics.csv has a row for each epoch",
    ),
    **dict.fromkeys(
        (
            "save_period",
            "save_freq",
            "save_best",
            "save_best_only",
            "save_total_limit",
            "save_top_k",
            "save_steps",
        ),
        "last.pt is written after each epoch, best.pt after the best; save_every_steps=N saves more often",
    ),
    **dict.fromkeys(
        ("shuffle", "drop_last"), "the training images are shuffled in each epoch, and all are used"
    ),
    **dict.fromkeys(
        ("pin_memory", "persistent_workers", "prefetch_factor"), "the loader chooses this by itself"
    ),
    **dict.fromkeys(
        ("benchmark", "cudnn_benchmark"), "cnntrain times its own choices; cnntrain bench measures"
    ),
    **dict.fromkeys(
        ("eta_min", "min_lr", "final_lr", "lr_min"),
        "schedule.final=FACTOR is the final learning rate as a multiple of optim.lr, such as 0.01",
    ),
    **dict.fromkeys(
        ("schedule.patience", "schedule.factor", "schedule.cooldown", "schedule.threshold"),
        "it is for schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    ),
    **dict.fromkeys(("min_delta", "tolerance", "tol"), "early_stopping=N counts any improvement"),
    **dict.fromkeys(
        ("metrics", "callbacks", "callback", "plugins", "profiler"), "there is no such extension point"
    ),
    **dict.fromkeys(("tags", "notes", "comment", "description"), "name=NAME names a run; there are no tags"),
    **dict.fromkeys(("swa", "stochastic_weight_avg"), "weights are averaged over the steps by ema=0.999"),
    **dict.fromkeys(
        ("mosaic", "copy_paste", "shear", "perspective", "flipud", "hsv_s"), "there is no such augmentation"
    ),
    **dict.fromkeys(("boxes", "masks"), "data.targets=boxes or data.targets=masks says what is learnt"),
    **dict.fromkeys(("iou", "conf"), "predict takes score=0.25 and nms=0.6, with a run that finds objects"),
    "anchors": "model=yolo needs none; model.strides=[8,16] sets its grids",
    **dict.fromkeys(
        ("project", "wandb_project"),
        "out=FOLDER is the run folder; logger=wandb has logger.wandb.project=NAME",
    ),
}

# Keys of one family of networks, and what is closest to them in a network that lacks them.
OTHER_FAMILY = {"model.hidden": "model.width", "model.channels": "model.width", "model.pool": "model.pooling"}

# What a loss that is not one of torch's for classes is answered with.
OTHER_LOSS = (
    "cnntrain trains classifiers with cross entropy; another loss is named by its class: "
    "criterion._target_=my_pkg.MyLoss"
)

# What the losses of conf/criterion are called elsewhere.
LOSSES = {
    **dict.fromkeys(("crossentropyloss", "ce", "categoricalcrossentropy", "nll"), "criterion=cross_entropy"),
    **dict.fromkeys(("diceloss", "softdice", "softdiceloss"), "criterion=dice"),
    **dict.fromkeys(("dicece", "diceceloss", "dicecross", "comboloss"), "criterion=ce_dice"),
    **dict.fromkeys(("focalloss", "sigmoidfocalloss"), "criterion=focal"),
}

# Words that mean a choice of a group, a value of a key, or overrides. Where capitals, dashes and
# underscores are the only difference from a valid name, nothing has to be listed.
VALUES: dict[str, dict[str, str]] = {
    "model": {
        **dict.fromkeys(("lenet", "lenet5", "convnet", "simplecnn", "conv", "convolutional"), "model=cnn"),
        **dict.fromkeys(("fc", "dense", "perceptron", "fullyconnected", "mlpclassifier", "ann"), "model=mlp"),
        **dict.fromkeys(("linear", "logistic", "softmax"), "model=mlp 'model.hidden=[]'"),
        **dict.fromkeys(("elman", "simplernn", "vanillarnn", "recurrent"), "model=rnn"),
        **dict.fromkeys(("bilstm", "bidirectionallstm"), "model=lstm model.bidirectional=true"),
        **dict.fromkeys(("bigru", "bidirectionalgru"), "model=gru model.bidirectional=true"),
        **dict.fromkeys(("attention", "selfattention", "transformerencoder"), "model=transformer"),
        **dict.fromkeys(("visiontransformer", "simplevit"), "model=vit"),
    },
    "data": {
        **dict.fromkeys(
            ("imagefolder", "images", "custom", "imagedatagenerator"), "data=folder data.root=DIR"
        ),
        **dict.fromkeys(
            ("imagenet", "imagenet1k", "ilsvrc2012"), "data=folder data.root=DIR augment=imagenet"
        ),
        **dict.fromkeys(("coco", "voc", "cvat", "labelme", "cocodetection"), "data=folder data.root=DIR"),
        "cifar": "data=cifar10",
        "fashion": "data=fashion_mnist",
        "digits": "data=mnist_mini",
        **dict.fromkeys(("fakedata", "synthetic", "random"), "data=fake"),
    },
    "optim": {
        "momentum": "optim=sgd",
        "adamoptimizer": "optim=adam",
    },
    "schedule": {
        **dict.fromkeys(
            ("plateau", "reducelronplateau", "reduceonplateau"),
            "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
        ),
        **dict.fromkeys(("cosineannealinglr", "cosineannealing", "cos", "cosinedecay"), "schedule=cosine"),
        **dict.fromkeys(("steplr", "exponential"), "schedule=step"),
        "multisteplr": "schedule=multistep",
        **dict.fromkeys(("onecyclelr", "1cycle", "fitonecycle"), "schedule=onecycle"),
        **dict.fromkeys(("none", "null", "const", "constantlr", "off"), "schedule=constant"),
    },
    "augment": {
        **dict.fromkeys(("null", "off", "false", "no"), "augment=none"),
        **dict.fromkeys(("true", "default", "standard", "cifar", "basic"), "augment=photos"),
        **dict.fromkeys(
            ("autoaugment", "trivialaugment", "trivialaugmentwide", "randaugment"), "augment=trivial"
        ),
    },
    "logger": {
        **dict.fromkeys(("null", "off", "false", "csv", "csvlogger"), "logger=none"),
        **dict.fromkeys(("tb", "tensorboardlogger"), "logger=tensorboard"),
        **dict.fromkeys(("wandblogger", "weightsandbiases"), "logger=wandb"),
    },
    "sweeper": {
        **dict.fromkeys(("tpe", "bayes", "bayesian"), "sweeper=optuna"),
        "gridsearch": "sweeper=grid",
        "randomsearch": "sweeper=random",
    },
    "launcher": {"slurm": "launcher=submitit", "basic": "launcher=local"},
    "device": {
        **dict.fromkeys(("gpu", "nvidia", "true"), "device=cuda"),
        "0": "device=cuda:0",
        "1": "device=cuda:1",
        "cuda0": "device=cuda:0",
        "cuda1": "device=cuda:1",
        "1cpu": "device=cpu",
        **dict.fromkeys(("false", "none"), "device=cpu"),
        **dict.fromkeys(("metal", "apple", "m1"), "device=mps"),
        "tpu": "device=auto",
    },
    "precision": {
        **dict.fromkeys(("16", "16mixed", "half", "float16", "16true", "f16"), "precision=fp16"),
        **dict.fromkeys(("bf16mixed", "bfloat16", "bf16true", "mixedbfloat16", "amp"), "precision=bf16"),
        **dict.fromkeys(("32", "32true", "float32", "full", "single", "f32", "highest"), "precision=fp32"),
        "mixedfloat16": "precision=fp16",
        "mixed": "precision=bf16",
    },
    "monitor": {
        **dict.fromkeys(
            ("valacc", "acc", "accuracy", "validaccuracy", "validacc", "evalaccuracy"), "monitor=val_accuracy"
        ),
        **dict.fromkeys(("loss", "validloss", "evalloss"), "monitor=val_loss"),
    },
    "criterion": LOSSES,
    "criterion._target_": {
        **{"dice": "criterion=dice", "focal": "criterion=focal", "cedice": "criterion=ce_dice"},
        **LOSSES,
        **dict.fromkeys(
            ("crossentropy", "crossentropyloss", "ce", "categoricalcrossentropy", "nll"),
            "criterion._target_=torch.nn.CrossEntropyLoss",
        ),
        "sparsecategoricalcrossentropy": "criterion._target_=torch.nn.CrossEntropyLoss",
    },
    "data.tokens": {
        **dict.fromkeys(("transformers", "tokenizers", "huggingface"), "data.tokens=tokenizer.json"),
        **dict.fromkeys(("bpe", "wordpiece", "unigram", "sentencepiece"), "data.tokens=tokenizer.json"),
        **dict.fromkeys(("chars", "char", "character"), "data.tokens=characters"),
        **dict.fromkeys(("word", "whitespace"), "data.tokens=words"),
        "byte": "data.tokens=bytes",
    },
    "data.cache": {"true": "data.cache=ram", "memory": "data.cache=ram", "false": "data.cache=off"},
    "data.resize": {
        **dict.fromkeys(("centercrop", "center"), "data.resize=crop"),
        **dict.fromkeys(("letterbox", "padding"), "data.resize=pad"),
        **dict.fromkeys(("stretch", "squish"), "data.resize=squash"),
    },
    "model.weights": {
        **dict.fromkeys(("true", "imagenet", "pretrained"), "model.weights=DEFAULT"),
        **dict.fromkeys(("false", "none"), "model.weights=null"),
    },
    "model.pool": {
        **dict.fromkeys(("average", "mean", "avgpool", "averagepooling"), "model.pool=avg"),
        **dict.fromkeys(("maxpool", "maximum", "maxpooling"), "model.pool=max"),
    },
    "split": {
        **dict.fromkeys(("valid", "validation", "dev", "eval"), "split=val"),
        "testing": "split=test",
        "training": "split=train",
    },
}
TRUE = ("true", "vrai", "oui", "yes", "on", "1", "y", "t", "enabled")
FALSE = ("false", "faux", "non", "no", "off", "0", "n", "f", "disabled")

# torch's own optimizers without a file in conf/.
OPTIMIZERS = (*("Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop"),)
# The classification networks of torchvision, as model.name takes them.
TORCHVISION = (
    *("alexnet", "convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *(f"efficientnet_b{size}" for size in range(8)),
    *(f"efficientnet_v2_{size}" for size in "sml"),
    *("googlenet", "inception_v3", "maxvit_t"),
    *("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"),
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    *(
        f"regnet_{kind}_{size}"
        for kind in "xy"
        for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf")
    ),
    *("regnet_x_32gf", "regnet_y_32gf", "regnet_y_128gf"),
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
    *("squeezenet1_0", "squeezenet1_1"),
    *("swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b"),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
    *("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14", "wide_resnet50_2", "wide_resnet101_2"),
)
# How the names of some of timm's families begin, which torchvision does not have.
TIMM = (
    *(
        "vit_",
        "deit",
        "beit",
        "mixer_",
        "mobilevit",
        "efficientvit",
        "ghostnet",
        "hrnet",
        "seresnet",
        "nfnet",
    ),
    *(
        "xception",
        "tf_",
        "resnetv2",
        "cait",
        "coatnet",
        "convmixer",
        "davit",
        "eva",
        "fastvit",
        "levit",
        "poolformer",
    ),
    *(
        "mobilenetv4",
        "mobileone",
        "repvgg",
        "resmlp",
        "rexnet",
        "swinv2",
        "tiny_vit",
        "volo",
        "xcit",
        "resnest",
    ),
)
# How the names of networks for other tasks begin.
DETECTION = (
    *("fasterrcnn", "faster_rcnn", "retinanet", "fcos", "ssd", "yolo", "detr", "rtdetr", "efficientdet"),
    *("centernet", "keypointrcnn", "rcnn", "mask_rcnn", "maskrcnn", "cornernet", "dino_detr"),
)
SEGMENTATION = (
    *("unet", "u_net", "u-net", "fcn_", "fcn32", "fcn8", "deeplab", "lraspp", "segformer", "mask2former"),
    *("segnet", "pspnet", "sam_", "segment", "maskformer", "fpn", "nnunet"),
)

# First words that are commands elsewhere, and what to type.
COMMANDS: dict[str, str] = {
    **dict.fromkeys(("fit", "run", "training", "learn", "entrainer"), "train"),
    **dict.fromkeys(("test", "val", "validate", "evaluate", "evaluation", "evaluer"), "eval"),
    **dict.fromkeys(("infer", "inference", "classify", "detect", "prediction"), "predict"),
    **dict.fromkeys(("tune", "sweep", "search", "grid", "multirun", "hpo"), "train -m"),
    **dict.fromkeys(("benchmark", "speed", "profile"), "bench"),
    **dict.fromkeys(("info", "model", "describe", "params", "parameters"), "summary"),
    **dict.fromkeys(("continue", "restart", "resume_training"), "resume"),
    **dict.fromkeys(("plot", "plots", "show", "html"), "report"),
    **dict.fromkeys(("dataset", "audit", "check", "inspect", "images"), "data"),
    **dict.fromkeys(("convert", "onnx", "deploy"), "export"),
    **dict.fromkeys(("ranking", "leaderboard", "rank", "diff"), "compare"),
    **dict.fromkeys(("learn_more", "teach", "lesson", "tutorial"), "explain"),
    **dict.fromkeys(("draw", "browser", "web", "webpage", "page", "gradio"), "demo"),
    **dict.fromkeys(("completions", "autocomplete"), "completion"),
}

# What word processors, slides and French keyboards put in place of plain characters.
TYPOGRAPHY: dict[str, str] = {
    **dict.fromkeys("\u2018\u2019\u201a\u2032\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2212\ufe63\uff0d", "-"),
    **dict.fromkeys("\u2013\u2014\u2015", "--"),
    **dict.fromkeys("\u00a0\u2007\u202f\u2002\u2003\u2009\u3000", " "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    "\u2026": "...",
    "\uff1d": "=",
    "\u00d7": "x",
}
