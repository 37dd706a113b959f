"""Values of a tfvars file, however it is laid out."""

import pytest

from scripts.stack.tfvars import literals


@pytest.mark.parametrize(
    "text",
    [
        'server = { instance_type = "t4g.large" }',
        'server = {\n  instance_type = "t4g.large"\n}\n',
        'server={"instance_type":"t4g.large",volume={size_gib=20}}',
        'server = { # { instance_type = "t4g.nano"\n  instance_type = "t4g.large" // ours\n}',
        'zones = ["a", { instance_type = "x" }]\nserver = { instance_type = "t4g.large" }',
        'note = "server = { instance_type = \\"x\\" }"\nserver = { instance_type = "t4g.large" }',
    ],
)
def test_a_value_is_found_however_it_is_laid_out(text: str) -> None:
    assert literals(text)["server", "instance_type"] == "t4g.large"


def test_a_name_in_another_block_is_another_value() -> None:
    text = 'model_server = { instance_type = "m7g.large" }\nserver = {}\npark = true\n'
    assert literals(text) == {
        ("model_server", "instance_type"): "m7g.large",
        ("park",): "true",
    }
