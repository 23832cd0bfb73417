"""The module of a simulated sensor: sends a reading every so often, each until the device's hub has it."""

import json
import os
import sys
import time

from azure.iot.device import IoTHubModuleClient, Message
from score import init, reading

PAUSE_SECONDS = 1.0


def main() -> None:
    """Send for as long as the module lives."""
    pause = 1 / float(os.environ.get("READINGS_PER_SECOND", "5"))
    init()
    client, number = None, 0
    while True:
        message = Message(json.dumps(reading(number)), message_id=f"reading-{number}")
        message.content_type, message.content_encoding = "application/json", "utf-8"
        message.custom_properties["machine"] = "press-1"
        try:
            if client is None:
                client = IoTHubModuleClient.create_from_edge_environment(connection_retry=False, auto_connect=False)
            if not client.connected:
                client.connect()
            client.send_message_to_output(message, "readings")
        except Exception as error:  # noqa: BLE001 - the client raises what it likes; all of it may pass
            sys.stderr.write(f"the hub is not there: {error!r}\n")
            time.sleep(PAUSE_SECONDS)
            continue
        number += 1
        time.sleep(pause)


if __name__ == "__main__":
    main()
