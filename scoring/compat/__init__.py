"""The packages that scoring scripts import: this folder is on sys.path ahead of installed packages.

They are complete in themselves. What they leave on run() is read by `scoring.calling.marks`.
"""
