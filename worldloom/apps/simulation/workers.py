"""Environments in worker processes, as vector environments start them."""

import multiprocessing

import torch


def keep_to_one_thread_in_a_worker() -> None:
    """In a process that `multiprocessing` started, let torch work in one thread; elsewhere, nothing.

    A forked process has none of its parent's OpenMP threads, and waits for them for ever if it asks for their work. And
    where there is a process for each core, more threads only slow each other down.
    """
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)
