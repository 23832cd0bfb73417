"""Stand-in for Azure Batch's data plane: its REST over loopback, over this machine's Docker engine in place of nodes.

The pools are those of `standins/azure_native`, in the same store; jobs, tasks, nodes and schedules are in a database
beside it. A node is a place for so many containers at once as its pool has slots, a task is a container of its image.
"""
