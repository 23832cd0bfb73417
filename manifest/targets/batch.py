"""The target `batch`: jobs over files and rows of any number, on a pool of Azure Batch or on this machine."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le, Len
from pydantic import Field, model_validator

from manifest.cron import wrong_cron
from manifest.fields import AsTuple, Checked, Memory, Rule, five_fields, matching, mebibytes, refusal
from manifest.kubernetes import ObjectName
from manifest.problems import SECRET_URL, shown
from manifest.serving import Size, in_bytes
from manifest.targets.base import Target

Engine = Literal["azure", "kubernetes", "local"]
# The runner's own settings, by their names here: SLIPWAY_JOB_ and the name is its variable.
_RUNNER = (
    "call",
    "input_format",
    "format",
    "output_action",
    "body",
    "columns",
    "keep",
    "types",
    "multiline",
    "mini_batch_size",
    "error_threshold",
    "max_retries",
    "timeout",
    "processes",
    "prefetch",
    "block_bytes",
    "part_bytes",
    "progress_seconds",
)
# Where a claim's volume is in a pod, as jobs/kubernetes_job.py mounts it.
DATA = "/mnt/data"
# How many tasks there may be for each that can run at the same time: enough that the last ones end together.
_ROUNDS = 4

_SHARE = r"azfiles://[a-z0-9](?:-?[a-z0-9]){2,62}(?:@[a-z0-9][a-z0-9.-]{2,254})?(?:/[^\x00-\x20?#]{0,1024})?"
_PLACE = (
    rf"(?:abfss?|az|s3)://[^\x00-\x20?#]{{1,1024}}|{_SHARE}"
    r"|(?![A-Za-z0-9+.-]+://)[^\x00-\x1f\x7f@][^\x00-\x1f\x7f]{0,1023}"
)


def _wrong_place(value: str) -> str | None:
    if SECRET_URL.search(value):
        # Not shown: it may be what must not be seen.
        return "must not hold a credential; identities and the storage's own variables are for that (docs/batch.md)"
    if re.fullmatch(_PLACE, value):
        return None
    # A credential of a kind that is not known here would stand behind these.
    said = "this" if "?" in value or "#" in value else shown(value)
    if value.startswith("azfiles://"):
        return f"must be azfiles://SHARE@ACCOUNT/PATH, where Azure allows such a name for a share, not {said}"
    return f"must be a folder, a file, a glob, or a URL with abfs://, az://, azfiles:// or s3://, not {said}"


Place = Annotated[str, Rule(f"^(?:{_PLACE})$", _wrong_place)]
Column = Annotated[
    str,
    matching(r"(?!\s)[^\x00-\x1f\x7f,]{0,255}[^\s\x00-\x1f\x7f,]", "a column's name, of one line and without commas"),
]
# Of Arrow's, those that its CSV reader makes of text.
ArrowType = Annotated[
    str,
    matching(
        r"bool|u?int(?:8|16|32|64)|float(?:32|64)?|double|(?:large_)?(?:string|binary)|date(?:32|64)|time32\[m?s\]"
        r"|time64\[[un]s\]|duration\[[mun]?s\]|timestamp\[[mun]?s(?:, tz=[A-Za-z0-9_+:/-]{1,64})?\]",
        "a type of Arrow: bool, int64 (8 to 64, also uint64), float, double, string, binary, date32, date64, "
        "timestamp[us] (s, ms, us, ns; with a zone timestamp[us, tz=UTC]), time32[s], time64[us], duration[s]",
    ),
]
Cron = Annotated[str, five_fields(wrong_cron)]
VmSize = Annotated[str, matching(r"[A-Za-z][A-Za-z0-9_-]{2,63}", 'a size as in "Standard_D2s_v5"')]
# As Azure names containers and accounts.
Container = Annotated[
    str,
    matching(
        r"(?=.{3,63}(?:@|$))[a-z0-9](?:-?[a-z0-9])*(?:@[a-z0-9]{3,24})?",
        'a container as in "lookup", of another account as in "lookup@account"',
    ),
]
MountName = Annotated[str, matching(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", 'a folder\'s name as in "lookup"')]
Argument = Annotated[str, matching(r"[^\x00]{1,4096}", "an argument of the script, not an empty text")]


class Nodes(Checked):
    """How many machines a pool has; it grows with what waits, and shrinks when nothing does."""

    dedicated: Annotated[int, Ge(0), Le(10_000)] = Field(default=1, description="The most that are its own.")
    low_priority: Annotated[int, Ge(0), Le(10_000)] = Field(
        default=0, description="The most that are cheap and may be taken away at any time (Spot)."
    )
    idle: Annotated[int, Ge(0), Le(10_000)] = Field(
        default=0, description="How many of its own stay while nothing runs: a job then starts without waiting."
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.dedicated + self.low_priority:
            raise refusal("has no nodes; give dedicated or lowPriority at least 1")
        if self.idle > self.dedicated:
            raise refusal(f"keeps {self.idle} idle nodes of {self.dedicated} dedicated ones; give at most as many")
        return self


class ClusterPlace(Checked):
    """What tasks have on a cluster."""

    claim: ObjectName | None = Field(
        default=None, description=f"The PersistentVolumeClaim that is mounted at {DATA}, for inputs and outputs there."
    )
    secret: ObjectName | None = Field(
        default=None,
        description="The Secret whose entries are variables, such as AZURE_STORAGE_CONNECTION_STRING.",
    )
    service_account: ObjectName | None = Field(
        default=None, description="The ServiceAccount, whose identity may reach storages."
    )

    def settings(self) -> dict[str, str]:
        """Return what was given, by its key in the manifest."""
        return self.model_dump(by_alias=True, exclude_none=True)


class BatchTarget(Target):
    """Jobs over files and rows, each in tasks that run at the same time."""

    kind: ClassVar[Literal["batch"]] = "batch"

    engine: Engine | None = Field(
        default=None,
        description="Where tasks run: on Azure Batch, on the cluster of slipway:kubernetes, on this machine. Default: "
        "azure where the stack has slipway:azure, else local.",
    )
    input: Place | None = Field(
        default=None,
        description="What a job reads when nothing else is said: a folder, a file, a glob or a URL of one. A path is "
        "in the stack's container `inputs` or, locally, in the project.",
    )
    output: Place | None = Field(
        default=None,
        description="Where each job writes a folder of its own. A path is in the stack's container `outputs` or, "
        "locally, in the project. Default: the model's name, on this machine .slipway/batch/NAME.",
    )
    tasks: Annotated[int, Ge(1), Le(100_000)] | None = Field(
        default=None, description="Into how many tasks a job is split. Default: by its size."
    )
    task_bytes: Size = Field(default="1Gi", description="How much of the input a task has, where that decides.")
    task_retries: Annotated[int, Ge(0), Le(100)] = Field(
        default=3, description="How often a task that ends with an error is run again; a lost node does not count."
    )
    nodes: Nodes = Field(
        default=Nodes(), description="How many machines, on Azure; on Kubernetes as many pods at once, times taskSlots."
    )
    cluster: ClusterPlace | None = Field(default=None, description="What tasks have on Kubernetes.")
    vm_size: VmSize = Field(default="Standard_D2s_v5", description="Their size.")
    task_slots: Annotated[int, Ge(1), Le(256)] = Field(default=1, description="How many tasks run on each at once.")
    cpu: Annotated[float, Gt(0), Le(1024)] | None = Field(default=None, description="Processors of each task.")
    memory: Memory | None = Field(default=None, description="Memory of each task, for example 2Gi.")
    mounts: Annotated[Mapping[MountName, Container], Len(max_length=10)] = Field(
        default_factory=dict,
        description="Blob containers that nodes of Azure Batch mount, to read, by the folder's name below "
        "AZ_BATCH_NODE_MOUNTS_DIR: of the stack's storage, or as CONTAINER@ACCOUNT.",
    )
    schedule: Cron | None = Field(
        default=None, description='When a job starts by itself, as cron says it, in UTC: "0 3 * * *" is 03:00 each day.'
    )
    call: Literal["auto", "files", "rows", "requests"] = Field(default="auto", description="How run() is called.")
    input_format: Literal["auto", "csv", "jsonl", "parquet", "files"] = Field(
        default="auto", description="Of the input. Default: by each file's name."
    )
    format: Literal["parquet", "csv", "jsonl"] = Field(default="parquet", description="Of the results.")
    output_action: Literal["append_row", "summary_only"] = Field(
        default="append_row", description="summary_only: results are counted, not written."
    )
    body: Any = Field(
        default=None, description='A request for run(), with "$rows", "$values" or "$row" where the rows belong.'
    )
    columns: Annotated[tuple[Column, ...], AsTuple] = Field(
        default=(), description="The input's columns that run() gets. Default: all."
    )
    keep: Annotated[tuple[Column, ...], AsTuple] = Field(
        default=(), description='The input\'s columns to write beside the results; ["*"] for all.'
    )
    types: Mapping[Column, ArrowType] = Field(default_factory=dict, description="Arrow types of CSV columns, by name.")
    multiline: bool = Field(default=False, description="CSV values may hold line ends; such files are not split.")
    mini_batch_size: Annotated[int, Ge(1), Le(10_000_000)] = Field(
        default=4096, description="Files (by default 10) or rows for each call of run()."
    )
    error_threshold: Annotated[int, Ge(-1), Le(10**12)] = Field(
        default=-1, description="How many files or rows of a task may fail; -1 for any number."
    )
    max_retries: Annotated[int, Ge(0), Le(100)] = Field(default=3, description="Further tries for what failed.")
    timeout: Annotated[int, Ge(1), Le(86_400)] = Field(default=30, description="Seconds for each call of run().")
    processes: Annotated[int, Ge(1), Le(256)] = Field(default=1, description="How many processes each task has.")
    prefetch: Annotated[int, Ge(1), Le(64)] = Field(default=2, description="Blocks that each process reads ahead.")
    block_bytes: Size = Field(default="4Mi", description="How much is read at once.")
    part_bytes: Size = Field(default="32Mi", description="How much input one file of results is made of.")
    progress_seconds: Annotated[int, Ge(1), Le(86_400)] = Field(
        default=10, description="Between two reports of a task's progress."
    )
    arguments: Annotated[tuple[Argument, ...], AsTuple, Len(max_length=100)] = Field(
        default=(), description="What the script finds in sys.argv."
    )

    @model_validator(mode="after")
    def _names_a_column_once(self) -> Self:
        for key, names in (("columns", self.columns), ("keep", self.keep)):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise refusal(f"names {shown(twice[0])} more than once in `{key}`; name each column once")
        return self

    @model_validator(mode="after")
    def _knows_what_to_read(self) -> Self:
        if self.schedule and not self.input:
            raise refusal("has a schedule and no input; say what its jobs read")
        return self

    @model_validator(mode="after")
    def _is_at_home_on_a_cluster(self) -> Self:
        if self.engine != "kubernetes":
            if self.cluster:
                raise refusal("has `cluster`, which belongs to engine: kubernetes")
            return self
        if not self.output:
            raise refusal("has engine: kubernetes and no output; say where its jobs write")
        has_claim = self.cluster is not None and self.cluster.claim is not None
        for place in filter(None, (self.input, self.output)):
            if "://" not in place and not (has_claim and place.startswith(f"{DATA}/")):
                raise refusal(
                    f"has engine: kubernetes, whose pods cannot reach {shown(place)}; give a URL, or a path below "
                    f"{DATA} with `cluster: {{claim: NAME}}`"
                )
        return self

    @model_validator(mode="after")
    def _mounts_where_nodes_can(self) -> Self:
        if self.mounts and self.engine in {"kubernetes", "local"}:
            instead = "a `claim` is for that" if self.engine == "kubernetes" else "its inputs are mounted anyway"
            raise refusal(f"has `mounts`, which only nodes of Azure Batch have; with engine: {self.engine} {instead}")
        return self

    @property
    def memory_mib(self) -> int | None:
        """The memory of a task in MiB."""
        return mebibytes(self.memory) if self.memory else None

    @property
    def at_once(self) -> int:
        """How many tasks run at the same time."""
        return (self.nodes.dedicated + self.nodes.low_priority) * self.task_slots

    @property
    def most_tasks(self) -> int:
        """How many tasks a job has at most, where its size decides."""
        return self.at_once * _ROUNDS

    def engine_in(self, *, has_azure: bool) -> Engine:
        """Return where jobs run in a stack that has Azure, or not."""
        return self.engine or ("azure" if has_azure else "local")

    def variables(self) -> dict[str, str]:
        """Return what was given of the runner's settings, as its variables."""
        return {
            f"SLIPWAY_JOB_{name.upper()}": _as_text(name, getattr(self, name))
            for name in _RUNNER
            if name in self.model_fields_set
        }


def _as_text(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return str(in_bytes(value))
    if name in {"columns", "keep"}:
        return ",".join(value)
    if name in {"body", "types"}:
        return json.dumps(value if name == "body" else dict(value), sort_keys=name == "types")
    return str(value).lower() if isinstance(value, bool) else str(value)
