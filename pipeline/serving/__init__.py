"""The model server: answers requests with the champion of record, and with a challenger on trial.

One process speaks HTTP and decides who answers; each model lives in a process of its own, without
credentials, so that a model that hangs or crashes takes nothing with it.
"""
