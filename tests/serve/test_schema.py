"""Whatever the description of the addresses allows and forbids is answered: never by a 500."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serve.serving import Served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 120  # of each of eleven verbs
# What hypothesis would say of examples that schemathesis makes, and of a slow machine.
UNWELL = [
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
    HealthCheck.nested_given,
]


# schemathesis draws by `random` within its strategies, which hypothesis warns of.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.slow
def test_every_address_keeps_to_its_description(service):
    served = Served(service)
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.gate)
    asked: dict[str, int] = {}
    statuses: dict[int, int] = {}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=UNWELL,
        )
        def ask(case):
            answer = case.call()
            case.validate_response(answer, checks=CHECKS)
            asked[case.path] = asked.get(case.path, 0) + 1
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

        ask()
    assert len(asked) == 17, asked
    assert sum(asked.values()) >= 1000, asked
    assert statuses[200] >= 300, statuses
    assert not [status for status in statuses if status >= 500], statuses
