"""Services that a machine may lack: a test that needs one is skipped with the way to have it.

With CI=true such a skip is a failure (tests/conftest.py): a service may not go missing unseen.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

NEEDS = "needs a service: "  # how the reason of every such skip begins


@dataclass(frozen=True, kw_only=True)
class Service:
    """One that tests talk to over TCP."""

    title: str
    variable: str  # the environment's way to name another one
    url: str  # where it is looked for otherwise
    cure: str  # one line


MARIADB = Service(
    title="MariaDB",
    variable="LEISHU_TEST_MARIADB_URL",
    url="mysql://root@127.0.0.1:3306/test",
    cure="apt-get install mariadb-server && service mariadb start",
)
REDIS = Service(
    title="Redis",
    variable="LEISHU_TEST_REDIS_URL",
    url="redis://127.0.0.1:6379/0",
    cure="apt-get install redis-server && service redis-server start",
)
RABBITMQ = Service(
    title="RabbitMQ",
    variable="LEISHU_TEST_RABBITMQ_URL",
    url="amqp://guest:guest@127.0.0.1:5672/",
    cure="apt-get install rabbitmq-server && service rabbitmq-server start",
)


def need(service: Service) -> str:
    """The service's URL, or the test is skipped with the cure."""
    url = os.environ.get(service.variable) or service.url
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=2).close()
    except OSError:
        pytest.skip(f"{NEEDS}{service.title} does not answer; {service.cure}, or set {service.variable}")
    return url
