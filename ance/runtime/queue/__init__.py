"""The work queue of a run on two Redis streams, from the outside in.

`task_queue` is what the services use; `reader` says which entry a worker gets next, `lease` keeps it for him, and
`dead_letters` has what was given up. Below them, `scripts` are the atomic steps in Lua, `entries` the form of a task in
a stream, and `keys` the names in Redis.
"""

from ance.runtime.queue.task_queue import Completion, QueueCounts, TaskQueue

__all__ = ["Completion", "QueueCounts", "TaskQueue"]
