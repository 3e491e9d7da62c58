"""spaceone-core's SpaceConnector, by which the original's services call each other: it knows only what reflection says."""

import os

from spaceone.core import config
from spaceone.core.connector.space_connector import SpaceConnector
from spaceone.core.error import ERROR_AUTHENTICATE_FAILURE, ERROR_BASE, ERROR_PERMISSION_DENIED

DOMAIN, TOKEN, READER, SYSTEM = (os.environ[name] for name in ("DOMAIN", "TOKEN", "READER", "SYSTEM"))
endpoint = f"grpc://{os.environ['ADDRESS']}"
# As a service says in its configuration where the others are.
config.set_global_force(CONNECTORS={"SpaceConnector": {"endpoints": {"secret": endpoint}}})
connector = SpaceConnector(service="secret", token=TOKEN)


def refused(kind, code, status, method, request, **more):
    try:
        answer = connector.dispatch(method, request, **more)
    except ERROR_BASE as error:
        assert isinstance(error, kind), repr(error)
        assert (error.error_code, error.status_code) == (code, status), repr(error)
        return error.message.strip()
    raise AssertionError(f"{method} answers {answer}")


def equal(answer, expected):
    assert answer == expected, f"{answer} is not {expected}"


methods = {"create", "update", "delete", "update_data", "get_data", "get", "list", "stat"}
equal(set(connector.client.api_resources["UserSecret"]), methods)
equal(connector.client.api_resources["ServerInfo"], ["get_version"])

# What the original's identity service keeps here.
request = {"name": "ann_otp_secret_key", "data": {"otp_secret_key": "JBSWY3DPEHPK3PXP"}}
made = connector.dispatch("UserSecret.create", request)
one = {"user_secret_id": made["user_secret_id"]}
equal(connector.dispatch("UserSecret.get", one), made)
equal(connector.dispatch("UserSecret.list", {"query": {"only": ["user_secret_id"]}})["results"], [one | {"name": made["name"], "tags": {}}])
count = {"query": {"aggregate": [{"group": {"fields": [{"name": "number", "operator": "count"}]}}]}}
equal(connector.dispatch("UserSecret.stat", count), {"results": [{"number": 1.0}]})
equal(connector.dispatch("UserSecret.update", one | {"tags": {"a": "b"}}), made | {"tags": {"a": "b"}})
equal(connector.dispatch("UserSecret.update_data", one | {"data": {"otp_secret_key": "GEZDGNBVGY3TQOJQ"}}), {})
as_system = {"token": SYSTEM, "x_domain_id": DOMAIN}
data = connector.dispatch("UserSecret.get_data", one | {"domain_id": DOMAIN}, **as_system)
equal(data["data"], {"otp_secret_key": "GEZDGNBVGY3TQOJQ"})

key = refused(ERROR_BASE, "ERROR_REQUIRED_PARAMETER", "INVALID_ARGUMENT", "UserSecret.get", {})
equal(key, "Required parameter. (key = user_secret_id)")
refused(ERROR_PERMISSION_DENIED, "ERROR_PERMISSION_DENIED", "PERMISSION_DENIED", "UserSecret.delete", one, token=READER)
refused(ERROR_AUTHENTICATE_FAILURE, "ERROR_AUTHENTICATE_FAILURE", "UNAUTHENTICATED", "UserSecret.get", one, token="x")

equal(connector.dispatch("UserSecret.delete", one, **as_system), {})
refused(ERROR_BASE, "ERROR_NOT_FOUND", "NOT_FOUND", "UserSecret.get", one)
