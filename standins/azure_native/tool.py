"""A look at the stand-in's Azure, and changes behind Pulumi's back: `python -m standins.azure_native.tool`."""

from __future__ import annotations

import argparse
import json
import sys
import threading

from provider.resource import Call, ProviderError
from standins.azure_native.arm import Arm
from standins.azure_native.store import Record, Store, save


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m standins.azure_native.tool", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is")
    for name, text in (
        ("show", "one resource"),
        ("delete", "delete it, as by hand in the portal"),
        ("set", "change it"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("id")
        if name == "set":
            command.add_argument("values", help="JSON, put over what it has")
    logs = commands.add_parser("logs", help="what a group's container wrote")
    logs.add_argument("id")
    logs.add_argument("container")
    logs.add_argument("--tail", type=int)
    connection = commands.add_parser("connection-string", help="of a storage account")
    connection.add_argument("account")
    commands.add_parser("hosts", help="the names that Azure would give, with their addresses here, as for /etc/hosts")
    commands.add_parser("reset", help="remove all of it, also what runs")
    given = parser.parse_args(arguments)
    try:
        return _run(given, Store())
    except ProviderError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(given: argparse.Namespace, store: Store) -> int:  # noqa: C901 - one case for each command
    write = sys.stdout.write
    match given.command:
        case "list":
            for one in store.all():
                write(f"{one.provisioning_state:<10} {one.token:<45} {one.id}\n")
        case "show":
            record = _found(store, given.id)
            write(json.dumps({"id": record.id, **record.body, **record.computed}, indent=2) + "\n")
        case "set":
            record = _found(store, given.id)
            record.body |= json.loads(given.values)
            with store.transaction() as db:
                save(db, record)
        case "delete":
            Arm(store).delete(_call(), given.id)
        case "reset":
            for one in store.all():
                Arm(store).delete(_call(), one.id)
            with store.transaction() as db:
                db.execute("DELETE FROM deleted")
                db.execute("DELETE FROM faults")
        case "logs":
            write(logs(store, given.id, given.container, given.tail))
        case "connection-string":
            from standins.azure_native.azurite import connection_string  # noqa: PLC0415 - only here

            write(connection_string(store, given.account) + "\n")
        case _:
            for one in store.all("containerinstance:ContainerGroup"):
                address = one.computed.get("ipAddress") or {}
                if address.get("dnsNameLabel") and address.get("ip"):
                    name = f"{address['dnsNameLabel']}.{one.body['location']}.azurecontainer.io"
                    write(f"{address['ip']} {name}\n")
    return 0


def _found(store: Store, resource: str) -> Record:
    record = store.get(resource)
    if record is None:
        raise ProviderError(f"there is no {resource}; `list` shows what there is")
    return record


def logs(store: Store, resource: str, container: str, tail: int | None = None) -> str:
    """Read what a container of a group wrote.

    Args:
        store: What there is.
        resource: The group's id.
        container: Its name in the group.
        tail: Only so many lines of the end.

    Returns:
        The lines.

    Raises:
        ProviderError: There is no such group or container.
    """
    from standins.azure_native.groups.run import Group  # noqa: PLC0415 - only here
    from standins.docker.engine import Engine  # noqa: PLC0415 - as above

    return Group(Engine(), store, _found(store, resource).id).logs(container, tail)


def _call() -> Call:
    return Call("urn:pulumi:tool::tool::tool::tool", threading.Event(), lambda *_: None)


if __name__ == "__main__":
    sys.exit(main())
