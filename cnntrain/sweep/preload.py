"""The imports of the fork server of ``launcher=joblib`` before it forks: torch, once for all jobs.

It does so while the sweep is planned and checked, and ends with it, be that at a typo found by then.
"""

from __future__ import annotations

import ctypes
import gc
import signal

PR_SET_PDEATHSIG = 1  # prctl(2): the signal to get when the parent ends

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the sweep, which reports it

import cnntrain.run  # noqa: E402, F401

signal.signal(signal.SIGINT, handler)
gc.freeze()  # so that a job's process neither searches nor copies all that torch has made
