"""The registry through the mlflow client: stages, copies, renames, aliases, and tags that are the platform's own."""

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from refusal import refused


@pytest.fixture
def model(tracking, unique):
    """A registered model with versions 1 to 3."""
    name = unique("model")
    tracking.create_registered_model(name)
    with mlflow.start_run(experiment_id=tracking.create_experiment(name)) as run:
        source = mlflow.get_artifact_uri("model")
    for _ in range(3):
        tracking.create_model_version(name, source, run_id=run.info.run_id)
    return name


def stages(tracking, name):
    versions = tracking.search_model_versions(f"name = '{name}'")
    return {int(version.version): version.current_stage for version in versions}


def test_stages(tracking, model):
    assert stages(tracking, model) == {1: "None", 2: "None", 3: "None"}
    moved = tracking.transition_model_version_stage(model, "1", "Production")
    assert (str(moved.version), moved.current_stage) == ("1", "Production")
    tracking.transition_model_version_stage(model, "2", "staging")
    assert stages(tracking, model) == {1: "Production", 2: "Staging", 3: "None"}
    tracking.transition_model_version_stage(model, "3", "Production", archive_existing_versions=True)
    assert stages(tracking, model) == {1: "Archived", 2: "Staging", 3: "Production"}
    tracking.transition_model_version_stage(model, "2", "Production")
    assert stages(tracking, model) == {1: "Archived", 2: "Production", 3: "Production"}
    refused("INVALID_PARAMETER_VALUE", tracking.transition_model_version_stage, model, "1", "Nowhere")
    refused("RESOURCE_DOES_NOT_EXIST", tracking.transition_model_version_stage, model, "9", "Staging")


def test_latest_versions_are_by_stage(tracking, model):
    def latest(wanted=None):
        found = tracking.get_latest_versions(model, wanted)
        return {version.current_stage: int(version.version) for version in found}

    assert latest() == {"None": 3}
    tracking.transition_model_version_stage(model, "1", "Production")
    tracking.transition_model_version_stage(model, "2", "Production")
    assert latest() == {"None": 3, "Production": 2}
    assert latest(["Production"]) == {"Production": 2}
    assert latest(["Staging"]) == {}
    refused("RESOURCE_DOES_NOT_EXIST", tracking.get_latest_versions, f"{model}-absent")


def test_a_copy_has_what_its_source_has(tracking, model, unique):
    target = unique("copy")
    tracking.update_model_version(model, "2", description="the second")
    tracking.set_model_version_tag(model, "2", "checked", "yes")
    tracking.set_registered_model_alias(model, "best", "2")
    copied = tracking.copy_model_version(f"models:/{model}@best", target)
    source = tracking.get_model_version(model, "2")
    assert (copied.name, int(copied.version), copied.description) == (target, 1, "the second")
    assert (copied.run_id, copied.tags, copied.aliases) == (source.run_id, {"checked": "yes"}, [])
    assert copied.source == f"models:/{model}/2"
    again = tracking.copy_model_version(f"models:/{target}/1", target)
    assert int(again.version) == 2
    for version in "12":
        assert tracking.get_model_version_download_uri(target, version) == source.source
    with pytest.raises(MlflowException, match="RESOURCE_DOES_NOT_EXIST"):
        tracking.copy_model_version(f"models:/{model}/9", target)


def test_a_renamed_model_keeps_its_versions_and_aliases(tracking, model, unique):
    after = unique("after")
    tracking.set_registered_model_alias(model, "best", "2")
    tracking.set_registered_model_tag(model, "team", "pricing")
    tracking.rename_registered_model(model, after)
    found = tracking.get_registered_model(after)
    assert ({k: str(v) for k, v in found.aliases.items()}, found.tags) == ({"best": "2"}, {"team": "pricing"})
    assert sorted(stages(tracking, after)) == [1, 2, 3]
    assert stages(tracking, model) == {}
    refused("RESOURCE_DOES_NOT_EXIST", tracking.get_registered_model, model)
    tracking.create_registered_model(model)
    refused("RESOURCE_ALREADY_EXISTS", tracking.rename_registered_model, after, model)


def test_aliases_name_one_version_each(tracking, model):
    for alias, version in (("best", "1"), ("newest", "3"), ("best", "3")):
        tracking.set_registered_model_alias(model, alias, version)
    assert sorted(tracking.get_model_version(model, "3").aliases) == ["best", "newest"]
    assert tracking.get_model_version(model, "1").aliases == []
    refused("RESOURCE_DOES_NOT_EXIST", tracking.set_registered_model_alias, model, "best", "9")
    refused("INVALID_PARAMETER_VALUE", tracking.set_registered_model_alias, model, "latest", "1")
    tracking.delete_model_version(model, "3")
    assert tracking.get_registered_model(model).aliases == {}


def test_a_number_is_not_used_twice(tracking, model):
    source = tracking.get_model_version(model, "3").source
    tracking.delete_model_version(model, "3")
    assert int(tracking.create_model_version(model, source).version) >= 3
    refused("RESOURCE_DOES_NOT_EXIST", tracking.get_model_version, model, "9")


@pytest.mark.parametrize("key", ["loopwright.state", "loopwright.approval", "loopwright.anything"])
def test_the_platforms_tags_are_its_own(tracking, model, key):
    """mlflow's own server has no such rule."""
    own = "PERMISSION_DENIED"
    assert key in refused(own, tracking.set_model_version_tag, model, "1", key, "approved")
    refused(own, tracking.delete_model_version_tag, model, "1", key)
    source = tracking.get_model_version(model, "1").source
    refused(own, tracking.create_model_version, model, source, tags={key: "approved"})
    assert sorted(stages(tracking, model)) == [1, 2, 3]
    assert tracking.get_model_version(model, "1").tags == {}
