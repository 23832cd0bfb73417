"""Releases for tests, and what records many of them in a fork."""

from datetime import UTC, datetime, timedelta

from releases import Release, ReleasedModel, ReleaseStore

TIME = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def model_of(name, version="1", digit="a"):
    return ReleasedModel(name=name, version=version, image=f"localhost:5050/shop/models/{name}@sha256:{digit * 64}")


def release_of(*models, minutes=0, stack="dev", **rest):
    time_ = TIME + timedelta(minutes=minutes)
    id_ = Release.id_for(time_, models)
    return Release(id=id_, project="shop", stack=stack, time=time_, who="me", models=models, **rest)


def add_many(location):
    store = ReleaseStore(location)
    for minute in range(100_000):
        store.add(release_of(*(model_of(f"m{one}") for one in range(50)), minutes=minute))
