"""Callers of a service who ask all the time: some open a connection for each request, some keep theirs."""

import collections
import http.client
import threading
import time
from urllib.parse import urlsplit

_LEFT = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Load:
    """Asks until told to stop; what came is in `answers`, by status and text; `failed` has what was no 200.

    Half of the callers keep their connections, unless `keeps` is false.
    A caller who keeps a connection does as HTTP says: when the service has closed it in between, it asks once more.
    """

    def __init__(self, endpoint, key=None, *, callers=4, body=b"[1, 2]", pause=0.02, keeps=True):
        self.address = urlsplit(endpoint)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.body, self.pause = body, pause
        self.answers = collections.Counter()
        self.failed = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(keeps and number % 2 == 0,)) for number in range(callers)
        ]

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for one in self._threads:
            one.join()

    @property
    def asked(self):
        with self._lock:
            return sum(self.answers.values())

    @property
    def statuses(self):
        with self._lock:
            return {status for status, _ in self.answers}

    def had(self, part):
        """Whether an answer had a text in it."""
        with self._lock:
            return any(part in text for _, text in self.answers)

    def _ask(self, keeps):
        connection = None
        while not self._stop.is_set():
            fresh = connection is None
            connection = connection or http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=20)
            try:
                connection.request("POST", "/score", self.body, self.headers)
                answer = connection.getresponse()
                found = answer.status, answer.read().decode(errors="replace")[:200]
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                # Closed while nothing was under way: not a request that failed.
                if not fresh and isinstance(
                    error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError
                ):
                    continue
                found = 0, f"{time.strftime('%X')} {error!r}"
            with self._lock:
                self.answers[found] += 1
                if found[0] != http.HTTPStatus.OK:
                    self.failed.append(found)
            if connection and (not keeps or answer.will_close):
                connection.close()
                connection = None
            time.sleep(self.pause)
