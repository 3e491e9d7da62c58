"""The client that spaceone-api generates from the original's protos, over grpcio: all eight methods."""

import os

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from spaceone.api.core.v1 import server_info_pb2_grpc
from spaceone.api.secret.v1 import user_secret_pb2 as messages
from spaceone.api.secret.v1 import user_secret_pb2_grpc as services

DOMAIN, TOKEN, READER, SYSTEM = (os.environ[name] for name in ("DOMAIN", "TOKEN", "READER", "SYSTEM"))
channel = grpc.insecure_channel(os.environ["ADDRESS"])
stub = services.UserSecretStub(channel)
REQUESTS = {
    "create": messages.CreateUserSecretRequest,
    "update": messages.UpdateUserSecretRequest,
    "delete": messages.UserSecretRequest,
    "update_data": messages.UpdateUserSecretDataRequest,
    "get_data": messages.GetUserSecretDataRequest,
    "get": messages.UserSecretRequest,
    "list": messages.UserSecretQuery,
    "stat": messages.UserSecretStatQuery,
}


def call(method, request, token=TOKEN, **metadata):
    metadata |= {"token": token} if token else {}
    message = ParseDict(request, REQUESTS[method]())
    answer = getattr(stub, method)(message, metadata=list(metadata.items()), timeout=20)
    return MessageToDict(answer, preserving_proto_field_name=True)


def refused(status, details, method, request, token=TOKEN):
    try:
        answer = call(method, request, token)
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (grpc.StatusCode[status], details), error
    else:
        raise AssertionError(f"{method} answers {answer}")


def equal(answer, expected):
    assert answer == expected, f"{answer} is not {expected}"


def names(query):
    return [secret["name"] for secret in call("list", {"query": query}).get("results", [])]


assert server_info_pb2_grpc.ServerInfoStub(channel).get_version(empty_pb2.Empty()).version

# create, get
made = {}
for name, env, number in [("alpha", "dev", 1), ("beta", "prod", 2), ("gamma", "dev", 3)]:
    request = {"name": name, "data": {"key": f"s3cret {name}"}, "schema_id": "aws", "tags": {"env": env, "n": number}}
    made[name] = call("create", request)
alpha = made["alpha"]
known = {"name": "alpha", "schema_id": "aws", "tags": {"env": "dev", "n": 1.0}, "domain_id": DOMAIN}
known |= {"user_id": "ann@example.com", "user_secret_id": alpha["user_secret_id"], "created_at": alpha["created_at"]}
equal(alpha, known)
one = {"user_secret_id": alpha["user_secret_id"]}
equal(call("get", one), alpha)

# list
equal(call("list", {"name": "beta"}), {"results": [made["beta"]], "total_count": 1})
equal(names({}), ["alpha", "beta", "gamma"])
equal(names({"filter": [{"k": "tags.env", "v": "dev", "o": "eq"}, {"k": "tags.n", "v": 1, "o": "gt"}]}), ["gamma"])
equal(names({"filter": [{"key": "created_at", "value": "now-1h", "operator": "timediff_gt"}], "keyword": "ALPHA beta"}), ["alpha", "beta"])
equal(names({"filter_or": [{"k": "name", "v": ["beta"], "o": "in"}, {"k": "name", "v": "^ga", "o": "regex"}]}), ["beta", "gamma"])
equal(names({"sort": [{"key": "tags.env", "desc": True}, {"key": "name"}]}), ["beta", "alpha", "gamma"])
equal(call("list", {"query": {"page": {"start": 2, "limit": 1}}}), {"results": [made["beta"]], "total_count": 3})
equal(call("list", {"query": {"count_only": True}}), {"total_count": 3})
minimal = {key: alpha[key] for key in ("user_secret_id", "name", "schema_id")}
equal(call("list", {"name": "alpha", "query": {"minimal": True}})["results"], [minimal])
shown = {"name": "alpha", "tags": {"env": "dev"}}
equal(call("list", {"name": "alpha", "query": {"only": ["tags.env"]}})["results"], [shown])

# stat
per_env = {"keys": [{"key": "tags.env", "name": "env"}], "fields": [{"name": "number", "operator": "count"}]}
stages = [{"group": per_env}, {"sort": [{"key": "env"}]}]
expected = [{"env": "dev", "number": 2.0}, {"env": "prod", "number": 1.0}]
equal(call("stat", {"query": {"aggregate": stages}}), {"results": expected})
equal(call("stat", {"query": {"aggregate": [{"count": {"name": "all"}}]}}), {"results": [{"all": 3.0}]})
distinct = {"distinct": "tags.env", "page": {"limit": 1}}
equal(call("stat", {"query": distinct}), {"results": ["dev"], "total_count": 2.0})

# update, update_data, get_data
changed = call("update", one | {"name": "aleph", "tags": {}})
equal(changed, alpha | {"name": "aleph", "tags": {}})
equal(call("update_data", one | {"data": {"key": "n3w", "n": 1.5}, "schema_id": "gcp"}), {})
data = call("get_data", one | {"domain_id": DOMAIN}, SYSTEM, x_domain_id=DOMAIN)
equal(data, {"encrypt_options": {}, "data": {"key": "n3w", "n": 1.5}})

# errors
refused("UNAUTHENTICATED", "ERROR_AUTHENTICATE_FAILURE: Authenticate failure. (message = A valid bearer token is required.)", "list", {}, None)
refused("PERMISSION_DENIED", "ERROR_PERMISSION_DENIED: Permission denied.", "create", {"name": "x", "data": {"a": 1}}, READER)
refused("PERMISSION_DENIED", "ERROR_PERMISSION_DENIED: Permission denied.", "get_data", one | {"domain_id": DOMAIN})
refused("INVALID_ARGUMENT", "ERROR_REQUIRED_PARAMETER: Required parameter. (key = name)", "create", {})
refused("INVALID_ARGUMENT", "ERROR_REQUIRED_PARAMETER: Required parameter. (key = aggregate)", "stat", {"query": {}})
condition = {"filter": [{"k": "name", "v": ["x"], "o": "eq"}]}
refused("INVALID_ARGUMENT", "ERROR_OPERATOR_VALUE_TYPE: Parameter is invalid. (key = query.filter.0.value, reason = the operator eq takes no list)", "list", {"query": condition})

# delete, as its user and as a system
equal(call("delete", one), {})
refused("NOT_FOUND", "ERROR_NOT_FOUND: The user secret does not exist.", "get", one)
for name in ("beta", "gamma"):
    equal(call("delete", {"user_secret_id": made[name]["user_secret_id"]}, SYSTEM, x_domain_id=DOMAIN), {})
equal(call("list", {}), {})
