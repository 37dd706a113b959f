"""The model server: answers requests with the champion of record, and with a challenger on trial.

One process speaks HTTP and decides who answers; each model lives in a process of its own, so
that one that hangs or crashes takes nothing with it.
"""
