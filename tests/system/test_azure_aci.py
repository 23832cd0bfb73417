"""A model on Container Instances as it is served: its own image, HTTPS in front, and collecting by an identity."""

import datetime as dt
import json
import os
import socket
import ssl
import subprocess
import sys
import time

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scoring.collect.read import read
from standins.azure_native.azurite import connection_string
from standins.azure_native.kinds.role_assignment import MAY_WRITE_BLOBS
from standins.azure_native.kinds.storage import account_key
from standins.azure_native.store import Store, save, store_folder
from tests.system import nginx_image
from tests.system.checkout import ROOT, Project

pytestmark = [pytest.mark.engine, pytest.mark.system]
PATIENCE = 300
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the stand-in's tokens take root")
MODEL = "x-ms-server-version"  # What only the model's own answers have.
NAME = "iris.models.example.com"
REGISTRY = "localhost:5050"


def certificate():
    """A certificate for the name that callers use, which is its own authority; returns it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), secret.decode()


class Served:
    """A project whose model is on Container Instances, and what a caller knows of it."""

    def __init__(self, folder):
        self.project = Project(folder / "checkout")
        self.pem, self.key = certificate()
        self.proxy = nginx_image.pushed(self.project.docker, f"{REGISTRY}/{self.project.stack}-nginx", folder)

    def deploy(self):
        project = self.project
        project.model("alpha", collect=True)
        project._entries["alpha"]["targets"] = [{"aci": {"cpu": 0.5, "memory": "512Mi"}}]
        project.write_manifest()
        azure = {
            "location": "westeurope",
            "protect": False,
            "tls": {"proxy": self.proxy},
        }
        config = {
            "slipway:targets": ["aci"],
            "slipway:azure": azure,
            "slipway:collect": {"to": "abfs://collected/models", "seconds": 1, "memory": "64Mi"},
        }
        (project.folder / f"Pulumi.{project.stack}.yaml").write_text(json.dumps({"config": config}))
        project.pulumi("stack", "init")
        # As docs/azure.md says it.
        self.configure(self.pem, "--path", "slipway:azure.tls.certificate")
        self.configure(self.key, "--secret", "slipway:tlsKey")
        # Not `slipway up`, which asks for a sample at the end: the certificate is for a name that leads nowhere here.
        project.pulumi("up", "--yes", "--skip-preview")
        outputs = json.loads(project.pulumi("stack", "output", "--json").stdout)
        self.target = outputs["models"]["alpha"]["targets"]["aci"]
        [shown] = json.loads(project.run("keys", "alpha", "--json").stdout)["keys"]
        self.secret = shown["primary"]
        self.store = Store(store_folder(project.env, project.folder))
        [group] = self.store.all("containerinstance:ContainerGroup")
        self.group = group.id
        self.address = group.computed["ipAddress"]["ip"]

    def configure(self, text, *arguments):
        """Set a value of the configuration that comes from a file."""
        command = ["pulumi", "config", "set", "--stack", self.project.stack, *arguments]
        subprocess.run(
            command, cwd=self.project.folder, env=self.project.env, input=text, text=True, check=True, timeout=120
        )

    def trusting(self):
        """A client's TLS that trusts the given certificate alone."""
        return ssl.create_default_context(cadata=self.pem)

    def ask(self, path="/score", *, key=True, body=b"[1, 2]"):
        headers = {"Authorization": f"Bearer {self.secret}", "Host": NAME} if key else {"Host": NAME}
        with httpx.Client(verify=self.trusting(), trust_env=False, timeout=60) as client:
            extensions = {"sni_hostname": NAME}
            method = "POST" if path == "/score" else "GET"
            content = body if method == "POST" else None
            url = f"https://{self.address}{path}"
            return client.request(method, url, content=content, headers=headers, extensions=extensions)

    def answers_openly(self, port):
        """Whether the model answers plain HTTP at a port of the group's address; others may be at that of a machine."""
        try:
            with httpx.Client(trust_env=False, timeout=10) as client:
                return MODEL in client.get(f"http://{self.address}:{port}/live").headers
        except httpx.HTTPError:
            return False

    def container(self, name):
        label = [f"io.slipway.azure.group={self.group.lower()}", f"io.slipway.azure.container={name}"]
        [found] = self.project.docker.containers.list(all=True, filters={"label": label})
        return found

    def rows(self, collection):
        """What is in the account's container, seen with the key that only the stand-in knows."""
        with pytest.MonkeyPatch.context() as patched:
            [account] = self.store.all("storage:StorageAccount")
            patched.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(self.store, account.name))
            return list(read("abfs://collected/models", "alpha", "1", collection))

    def dropped(self):
        """How many bodies and tables the service says that it dropped."""
        lines = self.ask("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("slipway_dropped_rows_total"))

    def tool(self, *arguments):
        command = [sys.executable, "-m", "standins.azure_native.tool", *arguments]
        env = {**self.project.env, "SLIPWAY_AZURE_STORE": str(self.store.folder), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Served(tmp_path_factory.mktemp("aci"))
    try:
        made.deploy()
        yield made
    finally:
        made.project.close()
        for image in made.project.docker.images.list(made.proxy.partition("@")[0]):
            made.project.docker.images.remove(image.id, force=True)


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_https_answers_with_the_given_certificate_and_asks_for_keys(served):
    assert served.ask().json() == {"answer": "first", "sum": 3}
    assert served.ask(key=False).status_code == 401
    with (
        socket.create_connection((served.address, 443), 60) as plain,
        served.trusting().wrap_socket(plain, server_hostname=NAME) as connection,
    ):
        assert connection.version() == "TLSv1.3"
        assert ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).strip() == served.pem.strip()


def test_nothing_but_https_is_reachable_from_outside_the_group(served):
    assert served.target["endpoint"] == f"https://{served.address}"
    assert MODEL in served.ask("/live").headers
    assert not [port for port in (8080, 80, 443) if served.answers_openly(port)]
    # Neither on the other addresses of this machine.
    ports = [served.container(name).attrs["NetworkSettings"]["Ports"] for name in ("model", "tls", ".")]
    assert {port: bound[0]["HostIp"] for one in ports for port, bound in (one or {}).items() if bound} == {
        "443/tcp": served.address
    }


def test_a_large_body_and_a_long_answer_pass_the_proxy_whole(served):
    numbers = list(range(200_000))
    body = json.dumps(numbers).encode()
    assert len(body) > 1024 * 1024
    assert served.ask(body=body).json()["sum"] == sum(numbers)


@needs_root
def test_what_is_collected_arrives_by_the_identity_without_any_key_in_the_container(served):
    answer = served.ask(body=b"[20, 22]")
    asked = answer.headers["x-request-id"]

    def of(collection):
        return [row for row in served.rows(collection) if row["_request_id"] == asked]

    assert [row["value"] for row in until(lambda: of("request"))] == [20, 22]
    assert [row["sum"] for row in until(lambda: of("response"))] == [42]
    variables = dict(one.split("=", 1) for one in served.container("model").attrs["Config"]["Env"])
    of_azure = {name for name in variables if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))}
    assert of_azure == {"AZURE_CLIENT_ID", "AZURE_STORAGE_ACCOUNT_NAME"}
    [account] = served.store.all("storage:StorageAccount")
    assert account.name == variables["AZURE_STORAGE_ACCOUNT_NAME"]
    assert not [name for name, value in variables.items() if account_key(served.store, account.id) in value]


@needs_root
def test_without_the_role_serving_goes_on_what_is_dropped_is_counted_and_said_and_the_rest_arrives_later(served):
    [role] = [
        one
        for one in served.store.all("authorization:RoleAssignment")
        if one.body["roleDefinitionId"].rpartition("/")[2] in MAY_WRITE_BLOBS
    ]
    before = served.dropped()
    served.tool("delete", role.id)
    # As much as may wait, and more.
    body = json.dumps([1] * 300_000).encode()

    def sent():
        assert served.ask(body=body).json() == {"answer": "first", "sum": 300_000}
        return served.dropped() > before

    until(sent)
    logged = served.tool("logs", served.group, "model")
    assert "not authorized to perform this operation" in logged
    assert served.secret not in logged
    with served.store.transaction() as db:
        save(db, role)
    until(lambda: "takes parts again" in served.tool("logs", served.group, "model"))
