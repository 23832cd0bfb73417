"""A sensor as a module: sends numbered readings to its output, each until the hub has acknowledged it."""

import json
import os
import sys
import time

from azure.iot.device import IoTHubModuleClient, Message


class Sensor:
    """The module."""

    def __init__(self):
        self.client = None
        self.number = 0

    def send(self, score):
        reading = {"n": self.number, "score": score}
        message = Message(json.dumps(reading), message_id=f"reading-{self.number}")
        message.content_type, message.content_encoding = "application/json", "utf-8"
        message.custom_properties["n"] = str(self.number)
        while not self.try_to_send(message):
            time.sleep(0.2)
        self.number += 1

    def try_to_send(self, message):
        try:
            if self.client is None:
                self.client = IoTHubModuleClient.create_from_edge_environment(
                    connection_retry=False, auto_connect=False
                )
            if not self.client.connected:
                self.client.connect()
            self.client.send_message_to_output(message, "readings")
        except Exception as error:  # noqa: BLE001 - the client raises what it likes, while the hub is away
            sys.stderr.write(f"sensor: {error!r}\n")
            return False
        return True


sensor = Sensor()
for line in sys.stdin:
    order = json.loads(line)
    for _ in range(order["count"]):
        is_alert = order["alertEvery"] and sensor.number % order["alertEvery"] == 0
        sensor.send(0.9 if is_alert else 0.1)
        sys.stdout.write(f"{sensor.number}\n")
        sys.stdout.flush()
        if order["perSecond"]:
            time.sleep(1 / order["perSecond"])
os._exit(0)
