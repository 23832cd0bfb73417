"""`python -m scoring edge`: the model as a module of Azure IoT Edge, by messages through the device's hub."""
