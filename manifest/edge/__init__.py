"""What IoT Edge and IoT Hub want said: conditions, routes, names and limits. Pure Python, for checks and stand-ins."""
