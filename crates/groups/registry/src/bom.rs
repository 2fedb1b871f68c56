//! The bill of materials of a version: CycloneDX 1.6 with a machine-learning-model, its data and its libraries. Pure.

use platform_primitives::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// From a card; the same card gives the same document.
pub(crate) fn document(card: &Value, manifest: Option<&str>, registered: Timestamp) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (model, version) = (text(&card["model"]), card["version"].to_string());
    let model_ref = format!("model:{model}/{version}");
    let mut libraries: Vec<Value> = Vec::new();
    for library in list(&card["environment"]).filter_map(|line| library(line.as_str()?)) {
        if !libraries.iter().any(|other| other["bom-ref"] == library["bom-ref"]) {
            libraries.push(library);
        }
    }
    let datasets: Vec<Value> = list(&card["run"]["datasets"]).enumerate().map(dataset).collect();
    let files = list(&card["files"]).map(|file| {
        json!({"type": "file", "bom-ref": format!("file:{}", text(&file["path"])), "name": text(&file["path"]),
            "hashes": [{"alg": "SHA-256", "content": text(&file["digest"])}]})
    });
    let needed: Vec<Value> =
        libraries.iter().chain(&datasets).map(|component| component["bom-ref"].clone()).collect();
    let mut trained = json!({
        "type": "machine-learning-model",
        "bom-ref": model_ref,
        "name": model,
        "version": version,
        "description": text(&card["description"]),
        "modelCard": model_card(card, &datasets),
    });
    if let Some(manifest) = manifest {
        trained["hashes"] = json!([{"alg": "SHA-256", "content": manifest}]);
    }
    let files: Vec<Value> = files.collect();
    if !files.is_empty() {
        trained["components"] = files.into();
    }
    let components: Vec<Value> = libraries.into_iter().chain(datasets).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&format!("{model}\n{version}\n{}", manifest.unwrap_or_default()))),
        "version": 1,
        "metadata": {
            "timestamp": registered.to_string(),
            "tools": {"components": [{"type": "application", "name": "loopwright"}]},
            "component": trained,
        },
        "components": components,
        "dependencies": [{"ref": model_ref, "dependsOn": needed}],
    })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn model_card(card: &Value, datasets: &[Value]) -> Value {
    let people = &card["people"];
    let said = |key: &str| people[key].as_str().map(str::to_owned);
    let mut metrics = Vec::new();
    for evaluation in list(&card["evaluations"]) {
        let on = evaluation["dataset"].as_str().unwrap_or_default();
        for (key, value) in evaluation["metrics"].as_object().into_iter().flatten() {
            metrics.push(json!({"type": key, "value": value.to_string(), "slice": on}));
        }
    }
    for (key, value) in card["run"]["metrics"].as_object().into_iter().flatten() {
        metrics.push(json!({"type": key, "value": value.to_string()}));
    }
    let mut considerations = json!({});
    if let Some(text) = said("intended_use") {
        considerations["useCases"] = json!([text]);
    }
    if let Some(text) = said("limits") {
        considerations["technicalLimitations"] = json!([text]);
    }
    if let Some(text) = said("ethical_considerations") {
        considerations["ethicalConsiderations"] = json!([{"name": text}]);
    }
    let references: Vec<Value> = datasets.iter().map(|dataset| json!({"ref": dataset["bom-ref"]})).collect();
    json!({
        "modelParameters": {"datasets": references},
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": considerations,
    })
}

fn dataset((place, dataset): (usize, &Value)) -> Value {
    let name = dataset["name"].as_str().unwrap_or_default();
    json!({
        "type": "data",
        "bom-ref": format!("data:{place}:{name}"),
        "name": name,
        "version": dataset["digest"].as_str().unwrap_or_default(),
        "data": [{"type": "dataset", "name": name}],
    })
}

/// A line of `requirements.txt`; pinned ones have a version.
fn library(line: &str) -> Option<Value> {
    let requirement = line.split([';', '@']).next().unwrap_or_default().trim();
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    let name = &requirement[..end.unwrap_or(requirement.len())];
    if name.is_empty() {
        return None;
    }
    let version =
        requirement.split_once("==").map(|(_, version)| version.split(',').next().unwrap_or_default().trim());
    // The package index treats these as one name.
    let normal = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let mut purl = format!("pkg:pypi/{normal}");
    let mut component = json!({"type": "library", "bom-ref": "", "name": name});
    let plain = |version: &&str| version.chars().all(|c| c.is_ascii_alphanumeric() || ".+-_!".contains(c));
    if let Some(version) = version.filter(plain).filter(|version| !version.is_empty()) {
        component["version"] = version.into();
        purl = format!("{purl}@{}", version.replace('+', "%2B").replace('!', "%21"));
    }
    component["purl"] = purl.clone().into();
    component["bom-ref"] = format!("{purl}#{}", short(line)).into();
    Some(component)
}

fn short(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A UUID of version 8 (RFC 9562) from the digest of a text.
fn uuid(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_libraries_have_a_purl() {
        let purl = |line: &str| library(line).map(|component| component["purl"].as_str().unwrap().to_owned());
        assert_eq!(purl("scikit_learn==1.9.1"), Some("pkg:pypi/scikit-learn@1.9.1".to_owned()));
        assert_eq!(purl("numpy>=2,<3"), Some("pkg:pypi/numpy".to_owned()));
        assert_eq!(
            purl("torch==2.1+cpu ; python_version > '3'"),
            Some("pkg:pypi/torch@2.1%2Bcpu".to_owned())
        );
        assert_eq!(purl("==1"), None);
    }

    #[test]
    fn a_serial_number_is_a_uuid_of_its_content() {
        assert_eq!(uuid("a"), uuid("a"));
        assert_ne!(uuid("a"), uuid("b"));
        assert_eq!(uuid("a").len(), 36);
        assert_eq!(&uuid("a")[14..15], "8");
    }
}
