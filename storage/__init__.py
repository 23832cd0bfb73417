"""Where records and models are kept: a folder, or objects of a cloud store. A file is whole or not there at all."""

from storage.folder import FolderStore
from storage.objects import REMOTE, ObjectStore, file_system
from storage.store import StorageError, Store, told

__all__ = ["REMOTE", "FolderStore", "ObjectStore", "StorageError", "Store", "file_system", "told"]
